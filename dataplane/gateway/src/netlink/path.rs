//! The way by which the kernel would send to an address, and its MTU.

use super::address::family;
use super::{Error, Netlink};
use core::net::IpAddr;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteMetric, RouteType, RouteVia,
};

/// The first hop of a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Path {
    /// The link by which it leaves.
    pub link: u32,
    /// The router that it goes to first; `None` where the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// The largest packet in bytes: that of the route or of a learnt path MTU where there is one, else the link's.
    pub mtu: u32,
    /// The source address that the kernel would choose.
    pub source: Option<IpAddr>,
    /// Whether it goes to several hosts at once, as to a network's broadcast address.
    pub is_broadcast: bool,
}

impl Netlink {
    /// The path to `destination` for datagrams marked with `mark` (0 is none).
    pub fn path(&mut self, destination: IpAddr, mark: u32) -> Result<Path, Error> {
        self.first_hop(destination, mark, None)
    }

    /// The path to `destination` by the link of that number: a link-local address is one of its link alone (RFC 4007).
    pub fn path_by(&mut self, destination: IpAddr, mark: u32, link: u32) -> Result<Path, Error> {
        self.first_hop(destination, mark, Some(link))
    }

    fn first_hop(&mut self, destination: IpAddr, mark: u32, by: Option<u32>) -> Result<Path, Error> {
        let what = || format!("looking up the route to {destination}");
        let mut message = RouteMessage::default();
        message.header.address_family = family(destination);
        message.header.destination_prefix_length = if destination.is_ipv4() { 32 } else { 128 };
        message
            .attributes
            .push(RouteAttribute::Destination(destination.into()));
        if mark != 0 {
            message.attributes.push(RouteAttribute::Mark(mark));
        }
        message.attributes.extend(by.map(RouteAttribute::Oif));
        let RouteNetlinkMessage::NewRoute(route) = self.ask(RouteNetlinkMessage::GetRoute(message), what)?
        else {
            return Err(Error::Unreadable(what()));
        };
        let kind = route.header.kind;
        let (mut link, mut gateway, mut mtu, mut source) = (None, None, None, None);
        for attribute in route.attributes {
            match attribute {
                RouteAttribute::Oif(index) => link = Some(index),
                RouteAttribute::Gateway(RouteAddress::Inet(v4)) => gateway = Some(v4.into()),
                RouteAttribute::Gateway(RouteAddress::Inet6(v6)) => gateway = Some(v6.into()),
                // An IPv4 route over an IPv6 router (RFC 5549).
                RouteAttribute::Via(RouteVia::Inet6(v6)) => gateway = Some(v6.into()),
                RouteAttribute::PrefSource(RouteAddress::Inet(v4)) => source = Some(v4.into()),
                RouteAttribute::PrefSource(RouteAddress::Inet6(v6)) => source = Some(v6.into()),
                RouteAttribute::Metrics(metrics) => {
                    mtu = metrics.iter().find_map(|m| match m {
                        RouteMetric::Mtu(mtu) if *mtu != 0 => Some(*mtu),
                        _ => None,
                    });
                }
                _ => {}
            }
        }
        let link = link.ok_or_else(|| Error::Unreadable(what()))?;
        let of_link = self.link_of_index(link)?.mtu;
        Ok(Path {
            link,
            gateway,
            mtu: mtu.map_or(of_link, |m| m.min(of_link)),
            source,
            is_broadcast: matches!(
                kind,
                RouteType::Broadcast | RouteType::Multicast | RouteType::Anycast
            ),
        })
    }
}
