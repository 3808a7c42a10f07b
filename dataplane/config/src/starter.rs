//! The text of a new `weir.toml`, commented for the person who will edit it.

use crate::gateway::Gateway;
use crate::interface::{Dns, InterfaceAddress};
use core::fmt::Write as _;
use toml_edit::{Array, Value};
use weir_abi::endpoint::Endpoint;
use weir_abi::key::PrivateKey;

/// Where the new file's identity stands.
#[derive(Clone, PartialEq, Debug)]
pub enum Identity {
    /// In a file, whose path may be relative to the configuration.
    File(String),
    /// In the configuration itself.
    Inline(PrivateKey),
}

/// What a new file says.
#[derive(Clone, PartialEq, Debug)]
pub struct Starter {
    /// The device's name.
    pub name: String,
    /// The private key.
    pub identity: Identity,
    /// The UDP port; 0 lets the kernel choose.
    pub listen_port: u16,
    /// The mark on outgoing datagrams; 0 is none.
    pub fwmark: u32,
    /// The device's addresses.
    pub addresses: Vec<InterfaceAddress>,
    /// The MTU in bytes; `None` is computed.
    pub mtu: Option<u16>,
    /// Whether routes to allowed IPs are set.
    pub routes: bool,
    /// The address that clients use.
    pub endpoint: Option<Endpoint>,
    /// For the configurations made for clients.
    pub dns: Vec<Dns>,
    /// Forwarding and NAT.
    pub gateway: Gateway,
}

/// The text: a configuration that [`crate::Config::parse`] takes, provided that the addresses are consistent. It holds
/// the private key where that is inline.
pub fn text(starter: &Starter) -> String {
    let mut text = String::from(
        "# Weir's configuration. `weir check` verifies it, `weir peer add NAME` adds a client.\n\n",
    );
    let mut line = |key: &str, value: Value, comment: &str| {
        let comment = if comment.is_empty() {
            String::new()
        } else {
            format!("  # {comment}")
        };
        writeln!(text, "{key} = {value}{comment}").expect("a String takes everything");
    };
    line("[interface]\nname", starter.name.as_str().into(), "");
    match &starter.identity {
        Identity::File(path) => line("private_key_file", path.as_str().into(), "mode 0600"),
        Identity::Inline(key) => line("private_key", key.expose_base64().as_str().into(), ""),
    }
    line("listen_port", i64::from(starter.listen_port).into(), "UDP");
    line(
        "addresses",
        list(&starter.addresses),
        "the tunnel's own, with the networks that clients get theirs from",
    );
    if let Some(mtu) = starter.mtu {
        line("mtu", i64::from(mtu).into(), "");
    }
    if starter.fwmark != 0 {
        line("fwmark", i64::from(starter.fwmark).into(), "");
    }
    if !starter.routes {
        line("routes", false.into(), "");
    }
    if let Some(endpoint) = &starter.endpoint {
        line(
            "endpoint",
            endpoint.to_string().into(),
            "the address that clients use",
        );
    }
    if !starter.dns.is_empty() {
        line("dns", list(&starter.dns), "");
    }
    let comment = "switch IP forwarding on while running";
    line("\n[gateway]\nforward", starter.gateway.forward.into(), comment);
    line(
        "nat",
        starter.gateway.nat.into(),
        "masquerade what leaves this host from the tunnel",
    );
    text
}

fn list<T: ToString>(items: &[T]) -> Value {
    Value::Array(items.iter().map(ToString::to_string).collect::<Array>())
}
