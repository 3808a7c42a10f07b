//! Routes of the allowed IPs to the tunnel's device.

use super::address::family;
use super::{Error, Netlink};
use core::net::IpAddr;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;
use std::collections::BTreeSet;
use weir_abi::prefix::Prefix;

/// The number by which Weir's routes are told from others (`ip route show proto 87`); none of those that
/// `/etc/iproute2/rt_protos` knows.
pub const PROTOCOL: u8 = 87;

/// What came of making routes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Routed {
    /// Routes made.
    pub added: usize,
    /// Routes taken away.
    pub removed: usize,
    /// What an operator should know: default routes left to them, prefixes that another interface has.
    pub notes: Vec<String>,
}

/// The routes to one device that Weir made, in the main table.
#[derive(Debug)]
pub struct DeviceRoutes {
    link: u32,
    installed: BTreeSet<Prefix>,
}

impl DeviceRoutes {
    /// Finds what an earlier process left on the device.
    pub fn find(netlink: &mut Netlink, link: u32) -> Result<Self, Error> {
        let installed = netlink.own_routes(link)?;
        Ok(Self { link, installed })
    }

    /// Makes the device's routes those of `allowed`, less what lies in `connected`, the networks of the device's own
    /// addresses, which the kernel routes there by itself. A default route is never made: it would take this host's
    /// own datagrams to the peers into the tunnel.
    ///
    /// On an error, some changes are made and some are not; the next call makes the rest.
    pub fn set(
        &mut self,
        netlink: &mut Netlink,
        allowed: &BTreeSet<Prefix>,
        connected: &[Prefix],
    ) -> Result<Routed, Error> {
        let stale = |p: &&Prefix| !allowed.contains(*p) || !is_routed(p, connected);
        let stale: BTreeSet<Prefix> = self.installed.iter().filter(stale).copied().collect();
        self.change(netlink, &stale, allowed, connected)
    }

    /// Whether [`DeviceRoutes::change`] has anything to do or to note.
    pub fn concerns(&self, gone: &BTreeSet<Prefix>, come: &BTreeSet<Prefix>, connected: &[Prefix]) -> bool {
        let wanted = |p: &Prefix| p.length() == 0 || is_routed(p, connected) && !self.installed.contains(p);
        gone.iter().any(|p| self.installed.contains(p)) || come.iter().any(wanted)
    }

    /// Takes away the routes of `gone`, and makes those of `come`, less what [`DeviceRoutes::set`] leaves out.
    pub fn change(
        &mut self,
        netlink: &mut Netlink,
        gone: &BTreeSet<Prefix>,
        come: &BTreeSet<Prefix>,
        connected: &[Prefix],
    ) -> Result<Routed, Error> {
        let mut routed = Routed::default();
        for prefix in come.iter().filter(|p| p.length() == 0) {
            routed.notes.push(format!(
                "allowed IP {prefix} gets no route: a default route into the tunnel is the operator's to make"
            ));
        }
        for &prefix in gone {
            if self.installed.contains(&prefix) {
                netlink.remove_route(self.link, prefix)?;
                self.installed.remove(&prefix);
                routed.removed += 1;
            }
        }
        for &prefix in come.iter().filter(|p| is_routed(p, connected)) {
            if self.installed.contains(&prefix) {
                continue;
            }
            match netlink.add_route(self.link, prefix) {
                Ok(()) => {
                    self.installed.insert(prefix);
                    routed.added += 1;
                }
                Err(Error::Refused {
                    errno: Errno::EEXIST, ..
                }) => routed.notes.push(format!(
                    "allowed IP {prefix} gets no route: this host has one for it already; remove that, or the allowed IP"
                )),
                Err(error) => return Err(error),
            }
        }
        Ok(routed)
    }

    /// Makes again what was lost: the kernel drops a device's routes when it is set down.
    pub fn restore(
        &mut self,
        netlink: &mut Netlink,
        allowed: &BTreeSet<Prefix>,
        connected: &[Prefix],
    ) -> Result<Routed, Error> {
        self.installed = netlink.own_routes(self.link)?;
        self.set(netlink, allowed, connected)
    }
}

/// Whether an allowed IP gets a route.
fn is_routed(prefix: &Prefix, connected: &[Prefix]) -> bool {
    let covers = |c: &Prefix| c.length() <= prefix.length() && c.contains(prefix.address());
    prefix.length() != 0 && !connected.iter().any(covers)
}

impl Netlink {
    /// The prefixes that Weir routes to a link.
    pub fn own_routes(&mut self, link: u32) -> Result<BTreeSet<Prefix>, Error> {
        let what = || format!("listing routes to interface number {link}");
        let all = self.dump(RouteNetlinkMessage::GetRoute(RouteMessage::default()), what)?;
        let own = all.into_iter().filter_map(|message| match message {
            RouteNetlinkMessage::NewRoute(route) => prefix_if_own(&route, link),
            _ => None,
        });
        Ok(own.collect())
    }

    /// The names of the links that have IPv6 routes by router advertisements (RFC 4861).
    pub fn advertised_links(&mut self) -> Result<Vec<String>, Error> {
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet6;
        let what = || "listing IPv6 routes".to_owned();
        let all = self.dump(RouteNetlinkMessage::GetRoute(message), what)?;
        let mut links = BTreeSet::new();
        for message in all {
            if let RouteNetlinkMessage::NewRoute(route) = message
                && route.header.protocol == RouteProtocol::Ra
            {
                links.extend(route.attributes.iter().find_map(|a| match a {
                    RouteAttribute::Oif(index) => Some(*index),
                    _ => None,
                }));
            }
        }
        links
            .into_iter()
            .map(|link| Ok(self.link_of_index(link)?.name))
            .collect()
    }

    /// Routes a prefix to a link, under [`PROTOCOL`]. Where there is a route of the same prefix and metric, it stays,
    /// and the error is EEXIST.
    pub fn add_route(&mut self, link: u32, prefix: Prefix) -> Result<(), Error> {
        let message = RouteNetlinkMessage::NewRoute(message(link, prefix));
        self.order(message, NLM_F_CREATE | NLM_F_EXCL, || {
            format!("adding a route for {prefix} to interface number {link}")
        })
    }

    /// Takes such a route away; one that is not there is no error.
    pub fn remove_route(&mut self, link: u32, prefix: Prefix) -> Result<(), Error> {
        let message = RouteNetlinkMessage::DelRoute(message(link, prefix));
        let removed = self.order(message, 0, || {
            format!("removing the route for {prefix} to interface number {link}")
        });
        match removed {
            Err(Error::Refused {
                errno: Errno::ESRCH | Errno::ENODEV,
                ..
            }) => Ok(()),
            other => other,
        }
    }
}

fn message(link: u32, prefix: Prefix) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header = RouteHeader {
        address_family: family(prefix.address()),
        destination_prefix_length: prefix.length(),
        table: RouteHeader::RT_TABLE_MAIN,
        protocol: RouteProtocol::Other(PROTOCOL),
        // There is no gateway: the device reaches it all (rtnetlink(7): link scope). IPv6 has no scopes of routes.
        scope: if prefix.address().is_ipv4() {
            RouteScope::Link
        } else {
            RouteScope::Universe
        },
        kind: RouteType::Unicast,
        ..RouteHeader::default()
    };
    message.attributes = vec![
        RouteAttribute::Destination(prefix.address().into()),
        RouteAttribute::Oif(link),
    ];
    message
}

fn prefix_if_own(route: &RouteMessage, link: u32) -> Option<Prefix> {
    let header = &route.header;
    if header.protocol != RouteProtocol::Other(PROTOCOL) || header.table != RouteHeader::RT_TABLE_MAIN {
        return None;
    }
    let mut destination: Option<IpAddr> = None;
    let mut here = false;
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Oif(index) => here = *index == link,
            RouteAttribute::Destination(RouteAddress::Inet(v4)) => destination = Some((*v4).into()),
            RouteAttribute::Destination(RouteAddress::Inet6(v6)) => destination = Some((*v6).into()),
            _ => {}
        }
    }
    Prefix::new(destination.filter(|_| here)?, header.destination_prefix_length)
}
