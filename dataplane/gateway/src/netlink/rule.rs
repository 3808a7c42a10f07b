//! Rules of routing (ip-rule(8)): which tables are asked, and in what order.

use super::address::family;
use super::{Error, Netlink};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;
use std::collections::BTreeSet;
use weir_abi::prefix::Prefix;

/// The tables of the rules that the kernel makes itself (linux/rtnetlink.h).
const DEFAULT: u8 = 253;
const MAIN: u8 = 254;
const LOCAL: u8 = 255;

/// The rules as far as destinations matter.
#[derive(Default, Debug)]
pub(super) struct Rules {
    /// For which destinations there is a rule of their own.
    pub(super) destinations: BTreeSet<Prefix>,
    /// Whether IPv4's rules are other than the kernel makes them.
    changed_v4: bool,
    /// Likewise IPv6's.
    changed_v6: bool,
}

impl Rules {
    /// Whether the rules of an address's family are other than the kernel makes them: local, main and, with IPv4, default.
    pub(super) fn are_changed(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(_) => self.changed_v4,
            IpAddr::V6(_) => self.changed_v6,
        }
    }
}

impl Netlink {
    /// The rules of both families.
    pub(super) fn rules(&mut self) -> Result<Rules, Error> {
        let mut rules = Rules::default();
        rules.changed_v4 = self.rules_of(Ipv4Addr::UNSPECIFIED.into(), &mut rules.destinations)?;
        rules.changed_v6 = self.rules_of(Ipv6Addr::UNSPECIFIED.into(), &mut rules.destinations)?;
        Ok(rules)
    }

    /// Adds the destinations of a family's rules, and says whether the rules are changed.
    fn rules_of(&mut self, any: IpAddr, destinations: &mut BTreeSet<Prefix>) -> Result<bool, Error> {
        let mut message = RuleMessage::default();
        message.header.family = family(any);
        let asked = self.dump(RouteNetlinkMessage::GetRule(message), || {
            "listing rules".to_owned()
        });
        let all = match asked {
            Ok(all) => all,
            // The kernel has one table only.
            Err(error) if error.errno() == Some(Errno::EOPNOTSUPP) => return Ok(false),
            Err(error) => return Err(error),
        };
        let mut found = Vec::new();
        for message in all {
            if let RouteNetlinkMessage::NewRule(rule) = message {
                destinations.extend(destination(&rule));
                found.push(standard(&rule));
            }
        }
        let (local, main) = (Some(LOCAL), Some(MAIN));
        Ok(found.contains(&None) || !found.contains(&local) || !found.contains(&main))
    }
}

/// The table of a rule that the kernel makes itself; `None` where it is another.
fn standard(rule: &RuleMessage) -> Option<u8> {
    let (mut priority, mut table) = (0, u32::from(rule.header.table));
    for attribute in &rule.attributes {
        match attribute {
            RuleAttribute::Priority(number) => priority = *number,
            RuleAttribute::Table(number) => table = *number,
            RuleAttribute::SuppressPrefixLen(u32::MAX) | RuleAttribute::Protocol(_) => {}
            _ => return None,
        }
    }
    let plain =
        rule.header.action == RuleAction::ToTable && rule.header.flags.is_empty() && rule.header.tos == 0;
    let known = [(0, LOCAL), (32_766, MAIN), (32_767, DEFAULT)];
    let own = known
        .into_iter()
        .find(|(own, of)| *own == priority && u32::from(*of) == table);
    own.filter(|_| plain).map(|(_, table)| table)
}

fn destination(rule: &RuleMessage) -> Option<Prefix> {
    let of_family = matches!(rule.header.family, AddressFamily::Inet | AddressFamily::Inet6);
    let address = rule.attributes.iter().find_map(|attribute| match attribute {
        RuleAttribute::Destination(address) => Some(*address),
        _ => None,
    });
    Prefix::new(address.filter(|_| of_family)?, rule.header.dst_len)
}
