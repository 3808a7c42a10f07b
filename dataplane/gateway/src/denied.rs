//! Denied flows, of those that their rule asks to be told: a line each in the log, and an event for watchers.

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use weir_abi::desired::Origin;
use weir_abi::events::{DeniedFlow as Denied, EventKind};
use weir_abi::rule::{Protocol, Rule};
use weir_engine::{DeniedFlow, Tables};
use weir_wire::ip;

/// One denied flow, as the log shows it.
pub struct Line<'a> {
    flow: &'a DeniedFlow,
    tables: &'a Tables,
}

impl<'a> Line<'a> {
    /// The line about `flow`; peer and rule are named by `tables`, as far as these still know them.
    pub fn new(flow: &'a DeniedFlow, tables: &'a Tables) -> Self {
        Self { flow, tables }
    }

    /// The rule, whose it is, and which of the owner's, from 1.
    fn rule(&self) -> Option<(&Rule, Origin, usize)> {
        let access = &self.tables.access;
        if access.serial() != self.flow.rules_serial {
            return None;
        }
        let number = usize::from(self.flow.rule);
        let (owner, place) = access.declared().owner(number)?;
        Some((&access.declared().all()[number], owner, place + 1))
    }

    /// The same for watchers.
    pub fn event(&self) -> EventKind {
        let (flow, rule) = (self.flow, self.rule());
        EventKind::Denied(Denied {
            peer: self.tables.peer(flow.peer).map(|facts| facts.public_key),
            rule: rule.map(|(_, owner, place)| (owner, place as u32)),
            rule_name: rule.and_then(|(rule, ..)| rule.name.clone()),
            source: flow.source,
            destination: flow.destination,
            protocol: flow.protocol,
            source_port: flow.ports.map(|(source, _)| source),
            destination_port: flow.ports.map(|(_, destination)| destination),
            left_out: flow.left_out,
        })
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flow = self.flow;
        f.write_str("denied ")?;
        match flow.protocol {
            Some(ip::ICMP) if flow.source.is_ipv4() => write!(f, "icmp")?,
            Some(ip::ICMPV6) if flow.source.is_ipv6() => write!(f, "icmp")?,
            Some(number) => write!(f, "{}", Protocol::Number(number))?,
            None => f.write_str("a fragment")?,
        }
        let end = |address: IpAddr, port: Option<u16>| match port {
            Some(port) => SocketAddr::new(address, port).to_string(),
            None => address.to_string(),
        };
        let from = end(flow.source, flow.ports.map(|ports| ports.0));
        let to = end(flow.destination, flow.ports.map(|ports| ports.1));
        write!(f, " from {from} to {to}")?;
        match self.tables.peer(flow.peer) {
            Some(facts) => match &facts.name {
                Some(name) => write!(f, ", peer {name} ({})", facts.public_key)?,
                None => write!(f, ", peer {}", facts.public_key)?,
            },
            None => f.write_str(", a peer that is gone")?,
        }
        match self.rule() {
            Some((rule, owner, place)) => {
                write!(f, ", by access rule {place}")?;
                if owner != Origin::File {
                    write!(f, " declared {}", owner.place())?;
                }
                if let Some(name) = &rule.name {
                    write!(f, " ({name})")?;
                }
            }
            None => write!(f, ", by an access rule that was replaced")?,
        }
        match flow.left_out {
            0 => Ok(()),
            more => write!(f, "; {more} more denied packets were not logged"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_abi::change::{Change, ChangeSet};
    use weir_abi::desired::{Origin, Peer};
    use weir_abi::key::PublicKey;
    use weir_abi::rule::Action;
    use weir_engine::Applier;

    // Catches a line that names another peer or rule than the one meant, or ports that are not known.
    #[test]
    fn a_line_names_peer_rule_and_ends() {
        let mut applier = Applier::new(1, 1420);
        let key = PublicKey::from_bytes([7; 32]);
        let peer = Peer {
            name: Some("laptop".to_owned()),
            ..Peer::new(key, Origin::File)
        };
        let rule = Rule {
            name: Some("no telnet".to_owned()),
            ..Rule::new(Action::Deny)
        };
        let set = ChangeSet {
            base: None,
            origin: Origin::File,
            changes: vec![
                Change::ReplacePeers(vec![peer]),
                Change::ReplaceRules(vec![Rule::new(Action::Accept), rule]),
            ],
        };
        applier.apply(&set).expect("a sound change");
        let tables = applier.published().load_full();
        let flow = DeniedFlow {
            peer: tables.peer_by_key(&key).expect("declared").id,
            rule: 1,
            rules_serial: tables.access.serial(),
            source: "10.0.0.2".parse().expect("an address"),
            destination: "10.1.0.1".parse().expect("an address"),
            protocol: Some(6),
            ports: Some((40_000, 23)),
            left_out: 0,
        };
        let line = |flow: &DeniedFlow| Line::new(flow, &tables).to_string();
        assert_eq!(
            line(&flow),
            format!(
                "denied tcp from 10.0.0.2:40000 to 10.1.0.1:23, peer laptop ({key}), by access rule 2 (no telnet)"
            )
        );
        let other = DeniedFlow {
            protocol: Some(1),
            ports: None,
            rules_serial: 99,
            left_out: 3,
            ..flow
        };
        assert_eq!(
            line(&other),
            format!(
                "denied icmp from 10.0.0.2 to 10.1.0.1, peer laptop ({key}), by an access rule that was replaced; \
                 3 more denied packets were not logged"
            )
        );
    }
}
