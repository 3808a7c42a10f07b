//! Links: their numbers, names, MTUs and whether they are up.

use super::{Error, Netlink};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use nix::errno::Errno;

/// A network interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// Its number in its network namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Whether it was set up.
    pub up: bool,
    /// Its own MAC address, where it has one of six bytes.
    pub mac: Option<[u8; 6]>,
}

impl Link {
    /// Reads a link from the kernel's description; `None` where that has no name or MTU.
    pub(super) fn from_message(message: &LinkMessage) -> Option<Self> {
        let name = message.attributes.iter().find_map(|a| match a {
            LinkAttribute::IfName(name) => Some(name.clone()),
            _ => None,
        })?;
        let mtu = message.attributes.iter().find_map(|a| match a {
            LinkAttribute::Mtu(mtu) => Some(*mtu),
            _ => None,
        })?;
        Some(Self {
            index: message.header.index,
            name,
            mtu,
            up: message.header.flags.contains(LinkFlags::Up),
            mac: message.attributes.iter().find_map(|a| match a {
                LinkAttribute::Address(address) => address.as_slice().try_into().ok(),
                _ => None,
            }),
        })
    }
}

impl Netlink {
    /// The link of that name.
    pub fn link(&mut self, name: &str) -> Result<Link, Error> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        self.one_link(message, name)
    }

    /// The link of that number.
    pub fn link_of_index(&mut self, index: u32) -> Result<Link, Error> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        self.one_link(message, &format!("number {index}"))
    }

    fn one_link(&mut self, message: LinkMessage, name: &str) -> Result<Link, Error> {
        let what = || format!("looking up interface {name}");
        match self.ask(RouteNetlinkMessage::GetLink(message), what) {
            Ok(RouteNetlinkMessage::NewLink(found)) => {
                Link::from_message(&found).ok_or_else(|| Error::Unreadable(what()))
            }
            Ok(_) => Err(Error::Unreadable(what())),
            // A name that is too long for any interface is refused as out of range.
            Err(Error::Refused {
                errno: Errno::ENODEV | Errno::ERANGE,
                ..
            }) => Err(Error::NoSuchLink(name.to_owned())),
            Err(error) => Err(error),
        }
    }

    /// Sets a link's MTU in bytes.
    pub fn set_mtu(&mut self, link: u32, mtu: u32) -> Result<(), Error> {
        let mut message = LinkMessage::default();
        message.header.index = link;
        message.attributes.push(LinkAttribute::Mtu(mtu));
        self.order(RouteNetlinkMessage::SetLink(message), 0, || {
            format!("setting the MTU of interface number {link} to {mtu}")
        })
    }

    /// Sets a link up.
    pub fn set_up(&mut self, link: u32) -> Result<(), Error> {
        let mut message = LinkMessage::default();
        message.header.index = link;
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        self.order(RouteNetlinkMessage::SetLink(message), 0, || {
            format!("setting interface number {link} up")
        })
    }
}
