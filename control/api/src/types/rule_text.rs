//! The texts of access rules, as `weir.toml` writes them.

use super::text::{Cidr, Key, Name, Refused, object, text};
use core::fmt;
use core::str::FromStr;
use weir_abi::rule::PortRange;

const SENDER_EXPECTED: &str = "\"peer:KEY\" or \"group:NAME\"";
const TARGET_EXPECTED: &str = "a network such as 10.0.0.0/24, \"peer:KEY\" or \"group:NAME\"";
const PORTS_EXPECTED: &str = "a port such as \"443\" or a range such as \"8000-8100\"";
const PROTOCOL_EXPECTED: &str = "\"icmp\", \"tcp\", \"udp\" or a number of 0 to 255";

/// Whose packets a rule matches: `peer:KEY` or `group:NAME`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Sender(pub weir_abi::rule::Sender);

/// Packets to where a rule matches: a network, `peer:KEY` or `group:NAME`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Target(pub weir_abi::rule::Target);

/// A protocol of a rule: `icmp`, `tcp`, `udp` or a number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Protocol(pub weir_abi::rule::Protocol);

/// A port or a range of ports of a rule.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ports(pub PortRange);

text!(
    Sender,
    SENDER_EXPECTED,
    object(SENDER_EXPECTED).examples(["group:staff"]).build()
);
text!(
    Target,
    TARGET_EXPECTED,
    object(TARGET_EXPECTED).examples(["10.0.0.0/24"]).build()
);
text!(
    Protocol,
    PROTOCOL_EXPECTED,
    object(PROTOCOL_EXPECTED).examples(["tcp"]).build()
);
text!(
    Ports,
    PORTS_EXPECTED,
    object(PORTS_EXPECTED)
        .pattern(Some("^[0-9]{1,5}(-[0-9]{1,5})?$"))
        .examples(["8000-8100"])
        .build()
);

impl FromStr for Sender {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        use weir_abi::rule::Sender as Abi;
        match text.split_once(':') {
            Some(("peer", key)) => Ok(Self(Abi::Peer(key.parse::<Key>()?.0))),
            Some(("group", name)) => Ok(Self(Abi::Group(name.parse::<Name>()?.to_string()))),
            _ => Err(Refused),
        }
    }
}

impl FromStr for Target {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        use weir_abi::rule::{Sender as From, Target as Abi};
        match text.parse::<Sender>() {
            Ok(Sender(From::Peer(key))) => Ok(Self(Abi::Peer(key))),
            Ok(Sender(From::Group(name))) => Ok(Self(Abi::Group(name))),
            Err(Refused) => Ok(Self(Abi::Prefix(text.parse::<Cidr>()?.0))),
        }
    }
}

impl FromStr for Protocol {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        use weir_abi::rule::Protocol as Abi;
        match text {
            "icmp" => Ok(Self(Abi::Icmp)),
            "tcp" => Ok(Self(Abi::TCP)),
            "udp" => Ok(Self(Abi::UDP)),
            number if number.bytes().all(|b| b.is_ascii_digit()) => {
                number.parse().map(|n| Self(Abi::Number(n))).map_err(|_| Refused)
            }
            _ => Err(Refused),
        }
    }
}

impl FromStr for Ports {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        text.parse().map(Self).map_err(|_| Refused)
    }
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            weir_abi::rule::Sender::Peer(key) => write!(f, "peer:{key}"),
            weir_abi::rule::Sender::Group(name) => write!(f, "group:{name}"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            weir_abi::rule::Target::Prefix(prefix) => prefix.fmt(f),
            weir_abi::rule::Target::Peer(key) => write!(f, "peer:{key}"),
            weir_abi::rule::Target::Group(name) => write!(f, "group:{name}"),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";

    // Catches a form that is written and not read again.
    #[test]
    fn rules_are_read_as_they_are_written() {
        for text in [format!("peer:{KEY}"), "group:staff".to_owned()] {
            assert_eq!(text.parse::<Sender>().unwrap().to_string(), text);
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        assert_eq!("fd00::/64".parse::<Target>().unwrap().to_string(), "fd00::/64");
        for text in ["icmp", "tcp", "udp", "47"] {
            assert_eq!(text.parse::<Protocol>().unwrap().to_string(), text);
        }
        for bad in ["256", "+6", "", "TCP"] {
            assert!(bad.parse::<Protocol>().is_err(), "{bad}");
        }
        assert!("10.0.0.0/24".parse::<Sender>().is_err());
    }
}
