//! The whole of `weir.toml`.

use crate::check;
use crate::dataplane::{self, Dataplane};
use crate::gateway::{self, Gateway};
use crate::interface::{self, Interface};
use crate::key::{ReadKey, public_key};
use crate::limits::{self, Limits};
use crate::peer::{self, Declared};
use crate::port::{self, Port};
use crate::problem::{Problem, Problems, Wrong};
use crate::reader::{Reader, Section};
use crate::rule;
use toml::de::{DeTable, DeValue};
use weir_abi::desired::{Desired, Peer};
use weir_abi::key::PublicKey;
use weir_abi::rule::Rule;

const SECTIONS: &[&str] = &[
    "interface",
    "gateway",
    "dataplane",
    "port",
    "limits",
    "peer",
    "rule",
];

/// A configuration that was checked as a whole.
#[derive(Clone, PartialEq, Debug)]
pub struct Config {
    /// The device, its identity and addresses.
    pub interface: Interface,
    /// Forwarding and NAT.
    pub gateway: Gateway,
    /// Shards, offloads, buffers.
    pub dataplane: Dataplane,
    /// Devices of AF_XDP, at most one of each role.
    pub ports: Vec<Port>,
    /// Ceilings.
    pub limits: Limits,
    /// The peers in the order of the file, each key, name and prefix once.
    pub peers: Vec<Peer>,
    /// What peers may open, in the order in which it is judged.
    pub rules: Vec<Rule>,
    /// What works but should be mended, such as a key file that others can read.
    pub warnings: Vec<Problem>,
}

impl Config {
    /// Reads the text of a `weir.toml`. `file` is its path: problems name it, and key files are looked up beside it.
    /// Every problem is returned, not only the first; text that is no TOML yields those of the syntax alone.
    pub fn parse(text: &str, file: &str, read_key: ReadKey<'_>) -> Result<Self, Problems> {
        let mut reader = Reader::new(file, text);
        let (document, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            for error in errors {
                // Only the message: the error's own Display shows the line, which may hold a key.
                let line = error.span().map_or(1, |span| reader.line(span));
                reader.report(
                    line,
                    "",
                    "",
                    Wrong::Syntax(error.message().trim().replace('\n', "; ")),
                );
            }
            return Err(Problems(reader.problems));
        }
        let config = read(&mut reader, document.get_ref(), (file, read_key));
        let mut problems = reader.problems;
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            Some(_) | None => {
                problems.sort_by_key(|p| p.line);
                Err(Problems(problems))
            }
        }
    }

    /// What the data plane's applier is to be told.
    pub fn desired(&self) -> Desired {
        Desired {
            private_key: Some(self.interface.private_key.clone()),
            listen_port: self.interface.listen_port,
            fwmark: self.interface.fwmark,
            peers: self.peers.clone(),
            rules: self.rules.clone(),
        }
    }

    /// The interface's public key.
    pub fn public_key(&self) -> PublicKey {
        public_key(&self.interface.private_key)
    }

    /// The MTU in bytes that was asked for, by number or by profile; `None` leaves it to the path.
    pub fn mtu(&self) -> Option<u16> {
        self.interface.mtu.or(self.dataplane.profile.mtu())
    }

    /// The peer with this name or public key.
    pub fn peer(&self, name_or_key: &str) -> Option<&Peer> {
        let key = name_or_key.parse::<PublicKey>().ok();
        self.peers
            .iter()
            .find(|p| Some(p.public_key) == key || p.name.as_deref() == Some(name_or_key))
    }
}

fn read(reader: &mut Reader<'_>, document: &DeTable<'_>, keys: (&str, ReadKey<'_>)) -> Option<Config> {
    reader.refuse_unknown("", document, SECTIONS);
    let mut warnings = Vec::new();
    let open = |reader: &mut Reader<'_>, name: &str, known| {
        let value = document.get(name)?;
        Section::open(reader, name.to_owned(), value, known)
    };
    let section = open(reader, "interface", interface::KEYS);
    if !document.contains_key("interface") {
        reader.report(
            1,
            "interface",
            "",
            Wrong::Missing("a section [interface] with private_key_file"),
        );
    }
    let gateway = open(reader, "gateway", gateway::KEYS).map(|s| gateway::read(reader, &s));
    let dataplane = open(reader, "dataplane", dataplane::KEYS).map(|s| dataplane::read(reader, &s, keys.0));
    let limits = open(reader, "limits", limits::KEYS).map(|s| limits::read(reader, &s));
    let declared = read_peers(reader, document, keys, &mut warnings);
    check::peers(reader, &declared);
    let rules = rule::read_all(reader, document.get("rule"), &declared, &mut warnings);
    let section = section?;
    let interface = interface::read(reader, &section, keys, &mut warnings)?;
    let ports = port::read_all(reader, document.get("port"), &interface.name);
    let mut config = Config {
        interface,
        gateway: gateway.unwrap_or_default(),
        dataplane: dataplane.unwrap_or_default(),
        ports,
        limits: limits.unwrap_or_default(),
        peers: Vec::new(),
        rules,
        warnings,
    };
    check::against_interface(reader, &config, &declared, section.line);
    config.peers = declared.into_iter().map(|d| d.peer).collect();
    Some(config)
}

fn read_peers(
    reader: &mut Reader<'_>,
    document: &DeTable<'_>,
    keys: (&str, ReadKey<'_>),
    warnings: &mut Vec<Problem>,
) -> Vec<Declared> {
    let Some(value) = document.get("peer") else {
        return Vec::new();
    };
    let DeValue::Array(peers) = value.get_ref() else {
        let wrong = Wrong::Type {
            found: "a single section",
            expected: "[[peer]] in double brackets",
        };
        reader.report(reader.line(value.span()), "peer", "", wrong);
        return Vec::new();
    };
    let read = |(place, value)| peer::read(reader, value, place, keys, warnings);
    peers.iter().enumerate().filter_map(read).collect()
}
