//! Reads a `.conf` as `wg setconf` and wg-quick do: keys in any case, `#` begins a comment, lists by commas or by
//! repeated keys.

use super::{Conf, Note};
use crate::check;
use crate::interface::{Dns, InterfaceAddress, MTU_MAX, MTU_MIN};
use crate::key::is_weak;
use crate::peer::{Declared, is_peer_name};
use crate::problem::{Problems, Wrong, nearest};
use crate::reader::Reader;
use core::str::FromStr;
use std::collections::HashSet;
use weir_abi::desired::{Origin, Peer};
use weir_abi::key::{PresharedKey, PrivateKey, PublicKey};
use weir_abi::prefix::Prefix;

const SECTIONS: &[&str] = &["[Interface]", "[Peer]"];
const INTERFACE_KEYS: &[&str] = &[
    "PrivateKey",
    "ListenPort",
    "FwMark",
    "Address",
    "DNS",
    "MTU",
    "Table",
    "PreUp",
    "PostUp",
    "PreDown",
    "PostDown",
    "SaveConfig",
];
const PEER_KEYS: &[&str] = &[
    "PublicKey",
    "PresharedKey",
    "AllowedIPs",
    "Endpoint",
    "PersistentKeepalive",
];

/// What the reading has come to.
struct Parser<'a> {
    reader: Reader<'a>,
    conf: Conf,
    section: Section,
    peers: Vec<Begun>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Before,
    Interface,
    Peer,
    Unknown,
}

/// A peer whose public key may not have come yet.
struct Begun {
    line: usize,
    key_seen: bool,
    public_key: Option<(PublicKey, usize)>,
    name_line: usize,
    allowed_ips: HashSet<Prefix>,
    allowed_ip_lines: Vec<usize>,
    peer: Peer,
}

impl Conf {
    /// Reads a `.conf`; `file` is named in problems, all of which are returned. A comment `# Name = NAME` in a
    /// peer's section names it. Of a peer given twice, or a prefix with two owners, both lines are named.
    pub fn parse(text: &str, file: &str) -> Result<Conf, Problems> {
        let mut parser = Parser {
            reader: Reader::new(file, text),
            conf: Conf::default(),
            section: Section::Before,
            peers: Vec::new(),
        };
        // Editors of another system leave a byte-order mark.
        for (place, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            parser.line(place + 1, line);
        }
        parser.finish()
    }
}

impl Parser<'_> {
    fn line(&mut self, number: usize, text: &str) {
        let (text, comment) = text.split_once('#').unwrap_or((text, ""));
        self.name(number, comment);
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        if text.starts_with('[') {
            return self.open(number, text);
        }
        let Some((key, value)) = text.split_once('=') else {
            return self.report(number, "", Wrong::ConfSyntax);
        };
        let (key, value) = (key.trim(), value.trim());
        match self.section {
            Section::Before => self.report(number, key, Wrong::ConfSyntax),
            Section::Interface => self.interface(number, key, value),
            Section::Peer => self.peer(number, key, value),
            Section::Unknown => {}
        }
    }

    fn open(&mut self, number: usize, text: &str) {
        self.section = if text.eq_ignore_ascii_case("[interface]") {
            Section::Interface
        } else if text.eq_ignore_ascii_case("[peer]") {
            self.peers.push(Begun {
                line: number,
                key_seen: false,
                public_key: None,
                name_line: number,
                allowed_ips: HashSet::new(),
                allowed_ip_lines: Vec::new(),
                peer: Peer::new(PublicKey::from_bytes([0; 32]), Origin::File),
            });
            Section::Peer
        } else {
            let wrong = Wrong::Unknown {
                nearest: nearest(text, SECTIONS),
                known: SECTIONS,
            };
            self.reader.report(number, text, "", wrong);
            Section::Unknown
        };
    }

    /// Takes `Name = laptop` out of a comment in a peer's section, where it may be a name.
    fn name(&mut self, number: usize, comment: &str) {
        let Some((key, name)) = comment.split_once('=') else {
            return;
        };
        let name = name.trim();
        if self.section == Section::Peer
            && key.trim().eq_ignore_ascii_case("name")
            && is_peer_name(name)
            && let Some(begun) = self.peers.last_mut()
        {
            begun.peer.name = Some(name.to_owned());
            begun.name_line = number;
        }
    }

    fn interface(&mut self, number: usize, key: &str, value: &str) {
        let note = |why| Note {
            line: number,
            key: key.to_owned(),
            why,
        };
        match key.to_ascii_lowercase().as_str() {
            "privatekey" => {
                let private: Option<PrivateKey> = self.parsed(number, key, value);
                self.conf.interface.private_key = private.filter(|k| !k.is_zero());
            }
            "listenport" => {
                self.conf.interface.listen_port =
                    self.number(number, key, value, 0, 65_535).map(|n| n as u16);
            }
            "fwmark" => {
                let mark = if value == "off" {
                    Some(0)
                } else {
                    self.number(number, key, value, 0, 0xffff_ffff)
                };
                self.conf.interface.fwmark = mark.unwrap_or(0) as u32;
            }
            "address" => {
                let found: Vec<InterfaceAddress> = self.list(number, key, value);
                self.conf.interface.addresses.extend(found);
            }
            "dns" => self.dns(number, key, value),
            "mtu" => {
                let mtu = self.number(number, key, value, u64::from(MTU_MIN), u64::from(MTU_MAX));
                self.conf.interface.mtu = mtu.map(|n| n as u16);
            }
            "table" => match value {
                "auto" => {}
                "off" => self.conf.interface.routes = false,
                _ => self.conf.notes.push(note(
                    "Weir sets routes in the main table only; set routes = false to set your own",
                )),
            },
            "preup" | "postup" | "predown" | "postdown" => {
                let masquerades = value.to_ascii_lowercase().contains("masquerade");
                self.conf.notes.push(note(if masquerades {
                    "not carried over, for Weir never calls a shell; nat = true in [gateway] does what it seems to do"
                } else {
                    "not carried over, for Weir never calls a shell"
                }));
            }
            "saveconfig" => {
                self.conf.notes.push(note(
                    "not carried over: Weir never writes its configuration when it stops",
                ));
            }
            _ => self.unknown(number, key, INTERFACE_KEYS),
        }
    }

    fn dns(&mut self, number: usize, key: &str, value: &str) {
        for text in value.split(',').map(str::trim).filter(|t| !t.is_empty()) {
            match Dns::parse(text) {
                Some(dns) => self.conf.interface.dns.push(dns),
                None => {
                    let expected = "addresses of name servers or search domains";
                    self.report(
                        number,
                        key,
                        Wrong::Value {
                            value: text.to_owned(),
                            expected,
                        },
                    );
                }
            }
        }
    }

    fn peer(&mut self, number: usize, key: &str, value: &str) {
        match key.to_ascii_lowercase().as_str() {
            "publickey" => {
                let found = self.parsed(number, key, value).map(|k| (k, number));
                let begun = self.begun();
                begun.key_seen = true;
                begun.public_key = found;
            }
            "presharedkey" => {
                let preshared: Option<PresharedKey> = self.parsed(number, key, value);
                self.begun().peer.preshared_key = preshared.filter(|k| !k.is_zero());
            }
            "allowedips" => {
                let found: Vec<Prefix> = self.list(number, key, value);
                let begun = self.begun();
                for prefix in found {
                    if begun.allowed_ips.insert(prefix) {
                        begun.peer.allowed_ips.push(prefix);
                        begun.allowed_ip_lines.push(number);
                    }
                }
            }
            "endpoint" => {
                let found = self.parsed(number, key, value);
                self.begun().peer.endpoint = found;
            }
            "persistentkeepalive" => {
                let seconds = if value == "off" {
                    Some(0)
                } else {
                    self.number(number, key, value, 0, 65_535)
                };
                self.begun().peer.persistent_keepalive = seconds.map(|n| n as u16).filter(|n| *n > 0);
            }
            _ => self.unknown(number, key, PEER_KEYS),
        }
    }

    fn begun(&mut self) -> &mut Begun {
        self.peers
            .last_mut()
            .expect("the section Peer begins with a peer")
    }

    fn finish(mut self) -> Result<Conf, Problems> {
        let mut declared = Vec::with_capacity(self.peers.len());
        for (place, begun) in core::mem::take(&mut self.peers).into_iter().enumerate() {
            let section = match &begun.peer.name {
                Some(name) => format!("Peer \"{name}\""),
                None => format!("Peer {}", place + 1),
            };
            let Some((public_key, key_line)) = begun.public_key else {
                // A key that was there and wrong has been reported.
                if !begun.key_seen {
                    let wrong = Wrong::Missing("the peer's public key");
                    self.reader.report(begun.line, &section, "PublicKey", wrong);
                }
                continue;
            };
            if is_weak(&public_key) {
                self.reader
                    .report(key_line, &section, "PublicKey", Wrong::WeakKey(public_key));
            }
            declared.push(Declared {
                peer: Peer {
                    public_key,
                    ..begun.peer
                },
                section,
                key_line,
                name_line: begun.name_line,
                allowed_ip_lines: begun.allowed_ip_lines,
            });
        }
        check::peers(&mut self.reader, &declared);
        for problem in &mut self.reader.problems {
            // The check knows the fields by their names in weir.toml.
            match problem.field.as_str() {
                "public_key" => problem.field = "PublicKey".to_owned(),
                "allowed_ips" => problem.field = "AllowedIPs".to_owned(),
                _ => {}
            }
        }
        if self.reader.problems.is_empty() {
            self.conf.peers = declared.into_iter().map(|d| d.peer).collect();
            return Ok(self.conf);
        }
        self.reader.problems.sort_by_key(|p| p.line);
        Err(Problems(self.reader.problems))
    }

    fn report(&mut self, number: usize, key: &str, wrong: Wrong) {
        let section = match (self.section, self.peers.last()) {
            (Section::Interface, _) => "Interface".to_owned(),
            (
                Section::Peer,
                Some(Begun {
                    peer: Peer { name: Some(name), .. },
                    ..
                }),
            ) => format!("Peer \"{name}\""),
            (Section::Peer, _) => format!("Peer {}", self.peers.len()),
            (Section::Before | Section::Unknown, _) => String::new(),
        };
        self.reader.report(number, &section, key, wrong);
    }

    fn unknown(&mut self, number: usize, key: &str, known: &'static [&'static str]) {
        self.report(
            number,
            key,
            Wrong::Unknown {
                nearest: nearest(key, known),
                known,
            },
        );
    }

    fn parsed<T: FromStr>(&mut self, number: usize, key: &str, value: &str) -> Option<T>
    where
        Wrong: From<T::Err>,
    {
        match value.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.report(number, key, Wrong::from(error));
                None
            }
        }
    }

    fn list<T: FromStr>(&mut self, number: usize, key: &str, value: &str) -> Vec<T>
    where
        Wrong: From<T::Err>,
    {
        let texts = value.split(',').map(str::trim).filter(|t| !t.is_empty());
        texts.filter_map(|text| self.parsed(number, key, text)).collect()
    }

    /// A decimal number, or a hexadecimal one behind `0x`.
    fn number(&mut self, number: usize, key: &str, value: &str, least: u64, most: u64) -> Option<u64> {
        let parsed = match value.strip_prefix("0x").or_else(|| value.strip_prefix("0X")) {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => value.parse(),
        };
        let found = parsed.ok().filter(|n| (least..=most).contains(n));
        if found.is_none() {
            self.report(
                number,
                key,
                Wrong::Range {
                    value: value.to_owned(),
                    least,
                    most,
                },
            );
        }
        found
    }
}
