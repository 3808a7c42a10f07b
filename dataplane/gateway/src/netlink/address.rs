//! Addresses of links.

use super::{Error, Netlink};
use core::net::IpAddr;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;

impl Netlink {
    /// The addresses of a link, each with its prefix length.
    pub fn addresses(&mut self, link: u32) -> Result<Vec<(IpAddr, u8)>, Error> {
        let of_link = |found: &AddressMessage| found.header.index == link;
        self.addresses_where(of_link)
    }

    /// The addresses of all links of this host.
    pub fn own_addresses(&mut self) -> Result<Vec<IpAddr>, Error> {
        let all = self.addresses_where(|_| true)?;
        Ok(all.into_iter().map(|(address, _)| address).collect())
    }

    fn addresses_where(
        &mut self,
        wanted: impl Fn(&AddressMessage) -> bool,
    ) -> Result<Vec<(IpAddr, u8)>, Error> {
        let message = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let all = self.dump(message, || "listing addresses".to_owned())?;
        let found = all.into_iter().filter_map(|message| match message {
            RouteNetlinkMessage::NewAddress(found) if wanted(&found) => {
                Some((local(&found)?, found.header.prefix_len))
            }
            _ => None,
        });
        Ok(found.collect())
    }

    /// Makes a link's addresses `new` where they were `old`: takes away what is only in the old ones and adds what is
    /// missing of the new. Addresses that are in neither stay.
    pub fn change_addresses(
        &mut self,
        link: u32,
        old: &[(IpAddr, u8)],
        new: &[(IpAddr, u8)],
    ) -> Result<(), Error> {
        let there = self.addresses(link)?;
        for address in old.iter().filter(|a| !new.contains(a)) {
            self.remove_address(link, *address)?;
        }
        for address in new.iter().filter(|a| !there.contains(a)) {
            self.add_address(link, *address)?;
        }
        Ok(())
    }

    /// Adds an address; one that is there already is no error.
    pub fn add_address(&mut self, link: u32, address: (IpAddr, u8)) -> Result<(), Error> {
        let message = RouteNetlinkMessage::NewAddress(message(link, address));
        self.order(message, NLM_F_CREATE | NLM_F_REPLACE, || {
            format!(
                "adding address {}/{} to interface number {link}",
                address.0, address.1
            )
        })
    }

    /// Takes an address away; one that is not there is no error.
    pub fn remove_address(&mut self, link: u32, address: (IpAddr, u8)) -> Result<(), Error> {
        let message = RouteNetlinkMessage::DelAddress(message(link, address));
        let removed = self.order(message, 0, || {
            format!(
                "removing address {}/{} from interface number {link}",
                address.0, address.1
            )
        });
        match removed {
            Err(Error::Refused {
                errno: Errno::EADDRNOTAVAIL | Errno::ENODEV,
                ..
            }) => Ok(()),
            other => other,
        }
    }
}

fn message(link: u32, (address, length): (IpAddr, u8)) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(address);
    message.header.prefix_len = length;
    message.header.index = link;
    if address.is_ipv6() {
        // A tunnel has no neighbours who could have the address, so it need not wait to be told.
        message.header.flags = AddressHeaderFlags::Nodad;
    }
    message.attributes = vec![
        AddressAttribute::Local(address),
        AddressAttribute::Address(address),
    ];
    message
}

/// IPv4 tells the host's address as local and the far end's as the address; IPv6 tells one address only.
fn local(message: &AddressMessage) -> Option<IpAddr> {
    let mut address = None;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(local) => return Some(*local),
            AddressAttribute::Address(found) => address = Some(*found),
            _ => {}
        }
    }
    address
}

/// The family as netlink numbers it.
pub(super) fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}
