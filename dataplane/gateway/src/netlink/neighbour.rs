//! Neighbours: the link-layer addresses of next hops (ARP, RFC 826; Neighbor Discovery, RFC 4861), which the kernel
//! resolves and Weir asks for.

use super::address::family;
use super::{Error, Netlink};
use core::net::IpAddr;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use nix::errno::Errno;

impl Netlink {
    /// The MAC address of a neighbour on a link, where the kernel has one that it would send to; a stale one is such,
    /// until the kernel finds otherwise.
    pub fn neighbour(&mut self, link: u32, address: IpAddr) -> Result<Option<[u8; 6]>, Error> {
        let what = || format!("looking up the neighbour {address} on interface number {link}");
        let asked = self.ask(RouteNetlinkMessage::GetNeighbour(message(link, address)), what);
        let found = match asked {
            Ok(RouteNetlinkMessage::NewNeighbour(found)) => found,
            Ok(_) => return Err(Error::Unreadable(what())),
            Err(error) if error.errno() == Some(Errno::ENOENT) => return Ok(None),
            Err(error) => return Err(error),
        };
        let usable = matches!(
            found.header.state,
            NeighbourState::Reachable
                | NeighbourState::Stale
                | NeighbourState::Delay
                | NeighbourState::Probe
                | NeighbourState::Permanent
        );
        Ok(found.attributes.iter().find_map(|attribute| match attribute {
            NeighbourAttribute::LinkLayerAddress(bytes) if usable => bytes.as_slice().try_into().ok(),
            _ => None,
        }))
    }

    /// Has the kernel resolve a neighbour, or make sure of it, as though it sent there.
    pub fn use_neighbour(&mut self, link: u32, address: IpAddr) -> Result<(), Error> {
        let mut message = message(link, address);
        message.header.flags = NeighbourFlags::Use;
        self.order(
            RouteNetlinkMessage::NewNeighbour(message),
            NLM_F_CREATE | NLM_F_REPLACE,
            || format!("resolving the neighbour {address} on interface number {link}"),
        )
    }
}

fn message(link: u32, address: IpAddr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family(address);
    message.header.ifindex = link;
    let address = match address {
        IpAddr::V4(address) => NeighbourAddress::Inet(address),
        IpAddr::V6(address) => NeighbourAddress::Inet6(address),
    };
    message.attributes.push(NeighbourAttribute::Destination(address));
    message
}

/// The neighbour's own address; `None` for one that is no IP address, such as a bridge's.
pub(super) fn address(message: &NeighbourMessage) -> Option<IpAddr> {
    message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some((*address).into()),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => Some((*address).into()),
        _ => None,
    })
}
