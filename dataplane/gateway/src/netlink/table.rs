//! The host's routes, by whether they lead into a tunnel.

use super::rule::Rules;
use super::{Error, Netlink};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use std::collections::{BTreeMap, BTreeSet};
use weir_abi::prefix::Prefix;

impl Netlink {
    /// Which prefixes lead by the link of that number, and which of those within them do not: whoever finds the longest
    /// that holds an address, and finds that it leads, knows that the kernel sends a packet for it there, if the packet has
    /// no mark and no rule looks at more than its destination. What cannot be known so does not lead.
    ///
    /// Where several routes or tables could decide, the kernel is asked, for one address of those on which all of them
    /// agree.
    pub fn routes_by(&mut self, link: u32) -> Result<BTreeMap<Prefix, bool>, Error> {
        let what = || "listing routes".to_owned();
        let all = self.dump(RouteNetlinkMessage::GetRoute(RouteMessage::default()), what)?;
        let mut known = Known {
            rules: self.rules()?,
            ..Known::default()
        };
        for message in all {
            if let RouteNetlinkMessage::NewRoute(route) = message {
                known.add(&route, link);
            }
        }
        let all = known.by.union(&known.elsewhere).chain(&known.rules.destinations);
        let mut routes = BTreeMap::new();
        for prefix in all.filter(|prefix| is_within(&known.by, prefix)) {
            let leads = match known.judge(*prefix) {
                Judgement::Leads => true,
                Judgement::Elsewhere => false,
                Judgement::AsTheKernelSays => known.representative(*prefix).is_some_and(|address| {
                    let path = self.path(address, 0);
                    path.is_ok_and(|path| path.link == link && !path.is_broadcast)
                }),
            };
            routes.insert(*prefix, leads);
        }
        Ok(routes)
    }
}

/// The tables that are asked while nobody changes the rules: default, main and local.
const ASKED: core::ops::RangeInclusive<u32> = 253..=255;

/// What the kernel listed.
#[derive(Default)]
struct Known {
    rules: Rules,
    /// The prefixes that lead by the link, by some route of some table.
    by: BTreeSet<Prefix>,
    /// Those that do not, by some route; a prefix can be both.
    elsewhere: BTreeSet<Prefix>,
    /// Those of routes in other tables than main, which may come before it.
    other_tables: BTreeSet<Prefix>,
    /// Those of routes that look at more than the destination.
    choosy: BTreeSet<Prefix>,
}

enum Judgement {
    Leads,
    Elsewhere,
    AsTheKernelSays,
}

impl Known {
    fn add(&mut self, route: &RouteMessage, link: u32) {
        // What the kernel learnt of one address, such as its path's MTU, is no route, and outlives the one that it is of.
        if route.header.flags.contains(RouteFlags::Cloned) {
            return;
        }
        let Some(prefix) = prefix(route) else { return };
        let table = table(route);
        if !self.rules.are_changed(prefix.address()) && !ASKED.contains(&table) {
            return;
        }
        if table != u32::from(RouteHeader::RT_TABLE_MAIN) {
            self.other_tables.insert(prefix);
        }
        if route.header.tos != 0 || route.header.source_prefix_length != 0 {
            self.choosy.insert(prefix);
            self.elsewhere.insert(prefix);
        } else if leads_by(route, link) {
            self.by.insert(prefix);
        } else {
            self.elsewhere.insert(prefix);
        }
    }

    fn judge(&self, prefix: Prefix) -> Judgement {
        let changed = self.rules.are_changed(prefix.address());
        // In one table the longest prefix decides, choosy or not; in several the first that has any.
        let choosy = self.choosy.contains(&prefix) || (changed && is_within(&self.choosy, &prefix));
        let by = self.by.contains(&prefix);
        if choosy || !(by || self.rules.destinations.contains(&prefix)) {
            Judgement::Elsewhere
        } else if by
            && !changed
            && !self.elsewhere.contains(&prefix)
            && !is_within(&self.other_tables, &prefix)
        {
            Judgement::Leads
        } else {
            Judgement::AsTheKernelSays
        }
    }

    /// An address of which this is the longest known prefix, so that the kernel decides about all such addresses alike;
    /// `None` where there is none. One that nobody uses is likely to be found: of the default routes, one that is kept for
    /// documentation (RFC 5737, RFC 3849), else neither the first nor the last.
    fn representative(&self, prefix: Prefix) -> Option<IpAddr> {
        let documented = match prefix.address() {
            IpAddr::V4(_) => IpAddr::from([192, 0, 2, 1]),
            IpAddr::V6(_) => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]),
        };
        let documented = Some(documented).filter(|address| prefix.contains(*address));
        let spread = [5, 3, 7, 1].map(|part| with_host(prefix, u128::MAX / part));
        documented
            .into_iter()
            .chain(spread)
            .chain(core::iter::successors(Some(prefix.address()), |address| {
                self.beyond(prefix, *address)
            }))
            .find(|address| self.longest(*address) == Some(prefix))
    }

    /// The first address of `prefix` behind the longest known prefix that holds an address of it.
    fn beyond(&self, prefix: Prefix, address: IpAddr) -> Option<IpAddr> {
        let longest = self
            .longest(address)
            .filter(|longest| longest.length() > prefix.length())?;
        let next = match with_host(longest, u128::MAX) {
            IpAddr::V4(last) => Ipv4Addr::from_bits(last.to_bits().checked_add(1)?).into(),
            IpAddr::V6(last) => Ipv6Addr::from_bits(last.to_bits().checked_add(1)?).into(),
        };
        prefix.contains(next).then_some(next)
    }

    fn longest(&self, address: IpAddr) -> Option<Prefix> {
        let sets = [&self.by, &self.elsewhere, &self.rules.destinations];
        let known = |prefix: &Prefix| sets.iter().any(|set| set.contains(prefix));
        let lengths = (0..=Prefix::host(address).length()).rev();
        lengths
            .filter_map(|length| Prefix::new(address, length))
            .find(known)
    }
}

/// Where a route goes to; `None` for one of another address family.
fn prefix(route: &RouteMessage) -> Option<Prefix> {
    let destination = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(v4)) => Some(IpAddr::V4(*v4)),
        RouteAttribute::Destination(RouteAddress::Inet6(v6)) => Some(IpAddr::V6(*v6)),
        _ => None,
    });
    let any = match route.header.address_family {
        AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    Prefix::new(destination.unwrap_or(any), route.header.destination_prefix_length)
}

/// The number of a route's table, of which the header has but 8 bits.
fn table(route: &RouteMessage) -> u32 {
    let number = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Table(number) => Some(*number),
        _ => None,
    });
    number.unwrap_or_else(|| route.header.table.into())
}

fn leads_by(route: &RouteMessage, link: u32) -> bool {
    route.header.kind == RouteType::Unicast
        && route
            .attributes
            .iter()
            .any(|attribute| matches!(attribute, RouteAttribute::Oif(index) if *index == link))
}

/// Whether some prefix holds all of another.
fn is_within(prefixes: &BTreeSet<Prefix>, other: &Prefix) -> bool {
    (0..=other.length())
        .filter_map(|length| Prefix::new(other.address(), length))
        .any(|wider| prefixes.contains(&wider))
}

/// The address of a prefix whose other bits are these.
fn with_host(prefix: Prefix, bits: u128) -> IpAddr {
    let length = u32::from(prefix.length());
    match prefix.address() {
        IpAddr::V4(address) => {
            let host = u32::MAX.checked_shr(length).unwrap_or(0);
            Ipv4Addr::from_bits(address.to_bits() | (host & (bits >> 96) as u32)).into()
        }
        IpAddr::V6(address) => {
            let host = u128::MAX.checked_shr(length).unwrap_or(0);
            Ipv6Addr::from_bits(address.to_bits() | (host & bits)).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    /// Catches an address that stands for a prefix though a narrower one holds it, and a search that ends before the only
    /// one that is left, or never.
    #[test]
    fn an_address_stands_for_no_narrower_prefix() {
        let mut known = Known::default();
        // All but one quarter of 10.0.0.0/24, and all of fd00::/127.
        for text in [
            "10.0.0.0/24",
            "10.0.0.0/25",
            "10.0.0.192/26",
            "fd00::/127",
            "fd00::/128",
            "fd00::1/128",
            "0.0.0.0/0",
        ] {
            known.by.insert(prefix(text));
        }
        known.elsewhere.insert(prefix("192.0.2.0/24"));
        known.rules.destinations.insert(prefix("10.0.0.128/27"));
        for (text, some) in [
            ("10.0.0.0/24", true),
            ("10.0.0.0/25", true),
            ("10.0.0.128/27", true),
            ("fd00::/127", false),
            ("fd00::1/128", true),
            ("0.0.0.0/0", true),
        ] {
            let found = known.representative(prefix(text));
            assert_eq!(found.is_some(), some, "{text}");
            let stands = |address| known.longest(address) == Some(prefix(text));
            assert!(found.is_none_or(stands), "{text}: {found:?}");
        }
        known.by.insert(prefix("10.0.0.160/27"));
        assert_eq!(known.representative(prefix("10.0.0.0/24")), None);
    }
}
