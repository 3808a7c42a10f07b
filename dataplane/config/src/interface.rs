//! `[interface]`: the device, its identity, its port and its addresses.

use crate::key::{self, ReadKey};
use crate::problem::{Problem, Wrong};
use crate::reader::{At, Reader, Section};
use core::fmt;
use core::net::IpAddr;
use std::path::PathBuf;
use weir_abi::endpoint::{Endpoint, EndpointError};
use weir_abi::key::PrivateKey;
use weir_abi::prefix::{Prefix, PrefixError, address_and_length};

pub(crate) const KEYS: &[&str] = &[
    "name",
    "private_key",
    "private_key_file",
    "listen_port",
    "addresses",
    "mtu",
    "fwmark",
    "routes",
    "endpoint",
    "dns",
];

/// The UDP port where none is given.
pub const DEFAULT_PORT: u16 = 51820;

/// The least MTU in bytes: what every IPv4 host can reassemble (RFC 791 section 3.1).
pub const MTU_MIN: u16 = 576;

/// The greatest MTU in bytes: the longest IP packet less 40 of IPv6, 8 of UDP and 32 of WireGuard.
pub const MTU_MAX: u16 = 65_455;

/// The interface as configured.
#[derive(Clone, PartialEq, Debug)]
pub struct Interface {
    /// The TUN device's name.
    pub name: String,
    /// The identity.
    pub private_key: PrivateKey,
    /// The file that holds it, where it is not written in `weir.toml`.
    pub private_key_file: Option<PathBuf>,
    /// The UDP port; 0 lets the kernel choose one.
    pub listen_port: u16,
    /// The device's own addresses with their networks.
    pub addresses: Vec<InterfaceAddress>,
    /// The MTU in bytes as written; [`crate::Config::mtu`] also knows the profile's.
    pub mtu: Option<u16>,
    /// The mark on outgoing datagrams; 0 is none.
    pub fwmark: u32,
    /// Whether routes to the peers' allowed IPs are set while running.
    pub routes: bool,
    /// The address that clients use, for the configurations made for them.
    pub endpoint: Option<Endpoint>,
    /// Name servers and search domains for the configurations made for clients.
    pub dns: Vec<Dns>,
}

/// An address of the device with the length of its network.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct InterfaceAddress {
    /// The address, all bits kept.
    pub address: IpAddr,
    /// The bits of its network.
    pub length: u8,
}

impl InterfaceAddress {
    /// The network in which the address lies.
    pub fn network(&self) -> Prefix {
        Prefix::new(self.address, self.length).expect("the length was checked against the family when parsed")
    }
}

impl core::str::FromStr for InterfaceAddress {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let (address, length) = address_and_length(text)?;
        Ok(Self { address, length })
    }
}

impl fmt::Display for InterfaceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// An entry of `dns`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Dns {
    /// A name server.
    Server(IpAddr),
    /// A search domain.
    Search(String),
}

impl Dns {
    /// A name server's address, a search domain, or `None` for what is neither.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse() {
            return Some(Dns::Server(address));
        }
        // The port is there for the endpoint's rules of what is a host name.
        match format!("{text}:1").parse() {
            Ok(Endpoint::Name { host, .. }) => Some(Dns::Search(host)),
            Ok(Endpoint::Address(_)) | Err(_) => None,
        }
    }
}

impl fmt::Display for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dns::Server(address) => write!(f, "{address}"),
            Dns::Search(domain) => f.write_str(domain),
        }
    }
}

/// Whether the kernel takes `name` for a network device and no path or file name is harmed by it.
pub fn is_interface_name(name: &str) -> bool {
    (1..=15).contains(&name.len())
        && name != "."
        && name != ".."
        && name
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'/' | b':' | b'%'))
}

/// An endpoint whose port may be left out where there is a default.
pub fn endpoint_with_default_port(text: &str, port: u16) -> Result<Endpoint, EndpointError> {
    let whole = text.parse();
    if whole.is_ok() || port == 0 {
        return whole;
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|t| t.strip_suffix(']'))
        .unwrap_or(text);
    match bare.parse::<IpAddr>() {
        Ok(address) => Ok(Endpoint::Address((address, port).into())),
        Err(_) => format!("{text}:{port}")
            .parse()
            .map_err(|_| EndpointError(text.to_owned())),
    }
}

/// Reads the section; `None` where it has no usable private key, which is reported.
pub(crate) fn read(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    keys: (&str, ReadKey<'_>),
    warnings: &mut Vec<Problem>,
) -> Option<Interface> {
    let private_key = key::read::<PrivateKey>(
        reader,
        section,
        ["private_key", "private_key_file"],
        keys,
        warnings,
    );
    if !section.has("private_key") && !section.has("private_key_file") {
        let wrong =
            Wrong::Missing("private_key_file with the path of a key made by `weir keygen`, or private_key");
        section.report(reader, section.line, "private_key_file", wrong);
    }
    let private_key_file = section
        .text(reader, "private_key_file", "the path of a key file")
        .map(|path| key::resolve(keys.0, path.value));
    let name = name(reader, section);
    let port = section.number(reader, "listen_port", 0, u64::from(u16::MAX));
    let listen_port = port.map_or(DEFAULT_PORT, |n| n.value as u16);
    let addresses = addresses(reader, section);
    let mtu = section.number(reader, "mtu", u64::from(MTU_MIN), u64::from(MTU_MAX));
    let fwmark = section.number(reader, "fwmark", 0, u64::from(u32::MAX));
    let routes = section.flag(reader, "routes").unwrap_or(true);
    let endpoint = endpoint(reader, section, listen_port);
    let dns = dns(reader, section);
    let private_key = private_key?;
    if private_key.value.is_zero() {
        section.report(reader, private_key.line, "private_key", Wrong::ZeroKey);
        return None;
    }
    Some(Interface {
        name,
        private_key: private_key.value,
        private_key_file,
        listen_port,
        addresses,
        mtu: mtu.map(|n| n.value as u16),
        fwmark: fwmark.map_or(0, |n| n.value as u32),
        routes,
        endpoint,
        dns,
    })
}

fn name(reader: &mut Reader<'_>, section: &Section<'_>) -> String {
    const EXPECTED: &str = "a device name of 1 to 15 characters without '/', ':', '%' and spaces";
    let Some(name) = section.text(reader, "name", EXPECTED) else {
        return "weir0".to_owned();
    };
    if !is_interface_name(name.value) {
        let wrong = Wrong::Value {
            value: name.value.to_owned(),
            expected: EXPECTED,
        };
        section.report(reader, name.line, "name", wrong);
    }
    name.value.to_owned()
}

fn addresses(reader: &mut Reader<'_>, section: &Section<'_>) -> Vec<InterfaceAddress> {
    let mut found: Vec<At<InterfaceAddress>> = Vec::new();
    for text in section.texts(
        reader,
        "addresses",
        "a list of addresses such as \"10.77.0.1/24\"",
    ) {
        match text.value.parse::<InterfaceAddress>() {
            Ok(value) => match found.iter().find(|a| a.value.address == value.address) {
                Some(first) => {
                    let wrong = Wrong::Twice {
                        value: value.address.to_string(),
                        line: first.line,
                    };
                    section.report(reader, text.line, "addresses", wrong);
                }
                None => found.push(At {
                    value,
                    line: text.line,
                }),
            },
            Err(error) => section.report(reader, text.line, "addresses", error.into()),
        }
    }
    found.into_iter().map(|a| a.value).collect()
}

fn endpoint(reader: &mut Reader<'_>, section: &Section<'_>, port: u16) -> Option<Endpoint> {
    let text = section.text(reader, "endpoint", "an address such as \"vpn.example.org:51820\"")?;
    match endpoint_with_default_port(text.value, port) {
        Ok(endpoint) => Some(endpoint),
        Err(error) => {
            section.report(reader, text.line, "endpoint", error.into());
            None
        }
    }
}

fn dns(reader: &mut Reader<'_>, section: &Section<'_>) -> Vec<Dns> {
    const EXPECTED: &str = "addresses of name servers or search domains";
    let mut found = Vec::new();
    for text in section.texts(reader, "dns", EXPECTED) {
        match Dns::parse(text.value) {
            Some(dns) => found.push(dns),
            None => {
                let wrong = Wrong::Value {
                    value: text.value.to_owned(),
                    expected: EXPECTED,
                };
                section.report(reader, text.line, "dns", wrong);
            }
        }
    }
    found
}
