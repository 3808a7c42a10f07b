//! Access rules: what peers may open through the gateway, judged in their order, the first that matches decides.

use crate::key::PublicKey;
use crate::prefix::Prefix;
use core::fmt;
use core::str::FromStr;
use serde::{Deserialize, Serialize};

/// Rules at most.
pub const RULES_MAX: usize = 1024;

/// Senders, targets, or ranges of ports of one rule at most, each.
pub const ENTRIES_MAX: usize = 256;

/// One rule. A list that is empty matches everything.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rule {
    /// A name for people.
    pub name: Option<String>,
    /// What becomes of what it matches.
    pub action: Action,
    /// Whose packets it matches.
    pub from: Vec<Sender>,
    /// Packets to where it matches.
    pub to: Vec<Target>,
    /// Which protocol it matches; `None` is any.
    pub protocol: Option<Protocol>,
    /// Which destination ports it matches; only with [`Protocol::TCP`] or [`Protocol::UDP`].
    pub ports: Vec<PortRange>,
    /// Whether flows that it denies are told.
    pub log: bool,
}

impl Rule {
    /// A rule that matches everything.
    pub fn new(action: Action) -> Self {
        Self {
            name: None,
            action,
            from: Vec::new(),
            to: Vec::new(),
            protocol: None,
            ports: Vec::new(),
            log: false,
        }
    }
}

/// What becomes of a flow.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Action {
    /// It passes.
    Accept,
    /// It is dropped and counted.
    Deny,
}

impl Action {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Action::Accept => "accept",
            Action::Deny => "deny",
        }
    }
}

/// Whose packets are meant.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Sender {
    /// This peer's.
    Peer(PublicKey),
    /// Those of each peer of the group.
    Group(String),
}

/// Where packets go that are meant.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Target {
    /// Into this network.
    Prefix(Prefix),
    /// To this peer's allowed IPs.
    Peer(PublicKey),
    /// To the allowed IPs of each peer of the group.
    Group(String),
}

/// Which protocol is meant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Protocol {
    /// ICMP over IPv4 and ICMPv6 over IPv6.
    Icmp,
    /// The one with this number of IANA's registry.
    Number(u8),
}

impl Protocol {
    /// TCP.
    pub const TCP: Protocol = Protocol::Number(6);
    /// UDP.
    pub const UDP: Protocol = Protocol::Number(17);

    /// Whether its packets have ports that rules can tell apart.
    pub fn has_ports(self) -> bool {
        matches!(self, Protocol::TCP | Protocol::UDP)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Protocol::Icmp => f.write_str("icmp"),
            Protocol::TCP => f.write_str("tcp"),
            Protocol::UDP => f.write_str("udp"),
            Protocol::Number(number) => write!(f, "{number}"),
        }
    }
}

/// Ports from the first to the last, both included.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct PortRange {
    first: u16,
    last: u16,
}

/// Why a text is no range of ports.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PortRangeError {
    /// Not a number up to 65535, or two of them.
    #[error("\"{0}\" is no port and no range; expected one such as 443 or \"8000-8100\"")]
    Number(String),
    /// The last port is below the first.
    #[error("\"{0}\" ends below its beginning; expected the lower port first")]
    Reversed(String),
}

impl PortRange {
    /// The range, or `None` where the last port is below the first.
    pub fn new(first: u16, last: u16) -> Option<Self> {
        (first <= last).then_some(Self { first, last })
    }

    /// The first port.
    pub fn first(self) -> u16 {
        self.first
    }

    /// The last port.
    pub fn last(self) -> u16 {
        self.last
    }
}

impl From<u16> for PortRange {
    fn from(port: u16) -> Self {
        Self {
            first: port,
            last: port,
        }
    }
}

impl FromStr for PortRange {
    type Err = PortRangeError;

    fn from_str(text: &str) -> Result<Self, PortRangeError> {
        // `u16::from_str` takes a sign, which nobody means.
        let port = |part: &str| {
            part.bytes()
                .all(|b| b.is_ascii_digit())
                .then(|| part.parse().ok())
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (port(first).flatten(), port(last).flatten()) {
            (Some(first), Some(last)) => {
                PortRange::new(first, last).ok_or_else(|| PortRangeError::Reversed(text.to_owned()))
            }
            (None | Some(_), None) | (None, Some(_)) => Err(PortRangeError::Number(text.to_owned())),
        }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches a range that is empty, or read otherwise than it is written.
    #[test]
    fn ranges_are_read_as_they_are_written() {
        for (text, range) in [
            ("443", Some((443, 443))),
            ("0-65535", Some((0, 65535))),
            ("8000-8100", Some((8000, 8100))),
            ("7-7", Some((7, 7))),
            ("8-7", None),
            ("65536", None),
            ("+1", None),
            ("-1", None),
            ("1-", None),
            ("1-2-3", None),
            ("", None),
            ("http", None),
        ] {
            let expected = range.and_then(|(first, last)| PortRange::new(first, last));
            assert_eq!(text.parse::<PortRange>().ok(), expected, "{text:?}");
        }
        for text in ["443", "8000-8100"] {
            let shown = text.parse::<PortRange>().map(|range| range.to_string());
            assert_eq!(shown.as_deref(), Ok(text));
        }
    }
}
