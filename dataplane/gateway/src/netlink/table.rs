//! The host's routes, by whether they lead into a tunnel.

use super::{Error, Netlink};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use std::collections::{BTreeMap, BTreeSet};
use weir_abi::prefix::Prefix;

impl Netlink {
    /// Which prefixes lead by the link of that number, and which of those within them do not: whoever finds the longest
    /// that holds an address, and finds it here, knows what the kernel does with a packet for it. All tables count; where
    /// several have one prefix, the kernel is asked. Rules by anything but the destination are not seen.
    pub fn routes_by(&mut self, link: u32) -> Result<BTreeMap<Prefix, bool>, Error> {
        let what = || "listing routes".to_owned();
        let all = self.dump(RouteNetlinkMessage::GetRoute(RouteMessage::default()), what)?;
        let (mut by, mut elsewhere) = (BTreeSet::new(), BTreeSet::new());
        for message in all {
            let RouteNetlinkMessage::NewRoute(route) = message else {
                continue;
            };
            let Some(prefix) = prefix(&route) else { continue };
            if leads_by(&route, link) {
                by.insert(prefix);
            } else {
                elsewhere.insert(prefix);
            }
        }
        let mut routes = BTreeMap::new();
        for prefix in elsewhere.iter().filter(|prefix| is_within(&by, prefix)) {
            routes.insert(*prefix, false);
        }
        for prefix in by {
            let leads = !elsewhere.contains(&prefix)
                || self
                    .path(representative(prefix), 0)
                    .is_ok_and(|path| path.link == link);
            routes.insert(prefix, leads);
        }
        Ok(routes)
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

/// An address of a prefix that is likely to have no route of its own: of the default routes, one that is kept for
/// documentation (RFC 5737, RFC 3849), and else neither the first nor the last.
fn representative(prefix: Prefix) -> IpAddr {
    match (prefix.address(), prefix.length()) {
        (IpAddr::V4(_), 0) => Ipv4Addr::new(192, 0, 2, 1).into(),
        (IpAddr::V6(_), 0) => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
        (IpAddr::V4(address), length) => {
            let host = u32::MAX.checked_shr(length.into()).unwrap_or(0);
            Ipv4Addr::from_bits(address.to_bits() | (host & (u32::MAX / 5))).into()
        }
        (IpAddr::V6(address), length) => {
            let host = u128::MAX.checked_shr(length.into()).unwrap_or(0);
            Ipv6Addr::from_bits(address.to_bits() | (host & (u128::MAX / 5))).into()
        }
    }
}
