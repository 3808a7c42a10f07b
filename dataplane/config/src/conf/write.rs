//! Writes a `.conf` that wg-quick and every client app read.

use super::Conf;
use core::fmt::{Display, Write as _};
use weir_abi::desired::Peer;
use zeroize::Zeroizing;

impl Conf {
    /// The text, secrets included.
    pub fn expose_text(&self) -> Zeroizing<String> {
        // Room for all of it at once, so that no outgrown buffer keeps a copy of the keys.
        let mut text = Zeroizing::new(String::with_capacity(1024 + self.peers.len() * 1024));
        self.write_interface(&mut text);
        for peer in &self.peers {
            write_peer(&mut text, peer);
        }
        text
    }

    fn write_interface(&self, text: &mut String) {
        let interface = &self.interface;
        text.push_str("[Interface]\n");
        if let Some(key) = &interface.private_key {
            line(text, "PrivateKey", key.expose_base64().as_str());
        }
        list(text, "Address", &interface.addresses);
        if let Some(port) = interface.listen_port {
            line(text, "ListenPort", port);
        }
        if interface.fwmark != 0 {
            line(text, "FwMark", format_args!("{:#x}", interface.fwmark));
        }
        list(text, "DNS", &interface.dns);
        if let Some(mtu) = interface.mtu {
            line(text, "MTU", mtu);
        }
        if !interface.routes {
            line(text, "Table", "off");
        }
    }
}

fn write_peer(text: &mut String, peer: &Peer) {
    text.push_str("\n[Peer]\n");
    if let Some(name) = &peer.name {
        line(text, "# Name", name);
    }
    line(text, "PublicKey", peer.public_key);
    if let Some(key) = &peer.preshared_key {
        line(text, "PresharedKey", key.expose_base64().as_str());
    }
    list(text, "AllowedIPs", &peer.allowed_ips);
    if let Some(endpoint) = &peer.endpoint {
        line(text, "Endpoint", endpoint);
    }
    if let Some(seconds) = peer.persistent_keepalive {
        line(text, "PersistentKeepalive", seconds);
    }
}

fn line(text: &mut String, key: &str, value: impl Display) {
    writeln!(text, "{key} = {value}").expect("a String takes everything");
}

fn list<T: ToString>(text: &mut String, key: &str, items: &[T]) {
    if !items.is_empty() {
        let items: Vec<String> = items.iter().map(ToString::to_string).collect();
        line(text, key, items.join(", "));
    }
}
