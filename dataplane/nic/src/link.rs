//! Links as rtnetlink shows them (rtnetlink(7), RTM_GETLINK): kinds, what is stacked on what, XDP programs.

use crate::bytes::{text_at, u16_at, u32_at};
use crate::netlink::{self, Netlink, attribute, attributes, value_of};
use nix::errno::Errno;
use nix::sys::socket::SockProtocol;

/// Of linux/if.h.
const FLAG_UP: u32 = 1;

/// Of linux/rtnetlink.h and linux/if_link.h.
const GET_LINK: u16 = 18;
const EXT_MASK: u16 = 29;
const EXT_MASK_SKIP_STATISTICS: u32 = 8;
const ADDRESS: u16 = 1;
const NAME: u16 = 3;
const MTU: u16 = 4;
const LINK: u16 = 5;
const MASTER: u16 = 10;
const LINK_INFO: u16 = 18;
const INFO_KIND: u16 = 1;
const TX_QUEUES: u16 = 31;
const RX_QUEUES: u16 = 32;
const CARRIER: u16 = 33;
const LINK_NAMESPACE: u16 = 37;
const XDP: u16 = 43;
const MTU_MOST: u16 = 51;
const PARENT_NAME: u16 = 56;
const PARENT_BUS: u16 = 57;

/// A network device, without what its driver says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Link {
    /// Its number in its network namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// The greatest MTU that it takes in bytes; `None` where the driver does not say.
    pub mtu_most: Option<u32>,
    /// Whether it was set up.
    pub up: bool,
    /// Whether there is a signal; `None` while it is down.
    pub carrier: Option<bool>,
    /// Whether it carries Ethernet frames (ARPHRD_ETHER).
    pub ethernet: bool,
    /// Its MAC address.
    pub address: Option<[u8; 6]>,
    /// What kind of device software made it, such as `veth`, `bond`, `bridge`, `vlan`; `None` of hardware.
    pub kind: Option<String>,
    /// The number of the bond, team or bridge whose port it is.
    pub master: Option<u32>,
    /// The number of the device below, or of a veth's other end; in another namespace where `link_elsewhere` is true.
    pub link: Option<u32>,
    /// Whether `link` counts in another network namespace.
    pub link_elsewhere: bool,
    /// Queues that it was made with. How many are in use, [`crate::Nic`] says.
    pub rx_queues: u32,
    /// Likewise for transmitting.
    pub tx_queues: u32,
    /// The XDP programs on it.
    pub xdp: Vec<Attached>,
    /// The device on a bus that it is, such as `0000:03:00.0` on `pci`; since kernel 5.14.
    pub parent: Option<Parent>,
}

/// Where a device hangs: a folder `/sys/bus/BUS/devices/NAME`, which every network namespace shows alike.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parent {
    /// The bus, such as `pci` or `virtio`.
    pub bus: String,
    /// The device's name there.
    pub name: String,
}

/// An XDP program on a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attached {
    /// Where it runs.
    pub place: Place,
    /// Its number, as `bpftool prog` shows it.
    pub program: u32,
}

/// Where an XDP program runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// In the driver.
    Driver,
    /// In the kernel, after it has made a packet of its own of the frame.
    Generic,
    /// On the card.
    Hardware,
}

/// All links of the thread's network namespace.
pub(crate) fn all() -> Result<Vec<Link>, Errno> {
    let mut socket = Netlink::open(SockProtocol::NetlinkRoute)?;
    // A zeroed `struct ifinfomsg` asks for all families and kinds.
    let mut request = vec![0; INFO_BYTES];
    request.extend(attribute(EXT_MASK, &EXT_MASK_SKIP_STATISTICS.to_ne_bytes()));
    let mut links = Vec::new();
    socket.ask(GET_LINK, netlink::DUMP, &request, |message| {
        links.extend(Link::parse(message));
    })?;
    Ok(links)
}

/// Bytes of `struct ifinfomsg`.
const INFO_BYTES: usize = 16;

impl Link {
    /// The kind of a device that software made of others, whose drivers see the frames first. An AF_XDP socket of it gets
    /// no frame that one of those redirects, whatever it announces, as bonds do: only generic programs run on the device
    /// itself.
    pub fn made_of_others(&self) -> Option<&str> {
        const KINDS: [&str; 8] = [
            "bond", "team", "bridge", "vlan", "macvlan", "macvtap", "ipvlan", "ipvtap",
        ];
        self.kind.as_deref().filter(|kind| KINDS.contains(kind))
    }

    /// From `struct ifinfomsg` and its attributes; `None` without name or MTU.
    fn parse(message: &[u8]) -> Option<Self> {
        const ARPHRD_ETHER: u16 = 1;
        let mut link = Self {
            ethernet: u16_at(message, 2)? == ARPHRD_ETHER,
            index: u32_at(message, 4)?,
            up: u32_at(message, 8)? & FLAG_UP != 0,
            ..Self::default()
        };
        let attributes_of = message.get(INFO_BYTES..)?;
        for (kind, value) in attributes(attributes_of) {
            match kind {
                NAME => link.name = text(value)?,
                ADDRESS => link.address = value.try_into().ok(),
                MTU => link.mtu = u32_at(value, 0)?,
                // Drivers that take any MTU say none, or one beyond what an interface can have.
                MTU_MOST => link.mtu_most = u32_at(value, 0).filter(|most| (1..=0xffff).contains(most)),
                MASTER => link.master = u32_at(value, 0),
                LINK => link.link = u32_at(value, 0).filter(|index| *index != 0),
                LINK_NAMESPACE => link.link_elsewhere = true,
                LINK_INFO => link.kind = value_of(value, INFO_KIND).and_then(text),
                TX_QUEUES => link.tx_queues = u32_at(value, 0)?,
                RX_QUEUES => link.rx_queues = u32_at(value, 0)?,
                CARRIER => link.carrier = value.first().map(|carrier| *carrier != 0),
                XDP => link.xdp = programs(value),
                _ => {}
            }
        }
        link.carrier = link.carrier.filter(|_| link.up);
        let parent = |kind| value_of(attributes_of, kind).and_then(text);
        link.parent = match (parent(PARENT_BUS), parent(PARENT_NAME)) {
            (Some(bus), Some(name)) => Some(Parent { bus, name }),
            _ => None,
        };
        (!link.name.is_empty() && link.mtu > 0).then_some(link)
    }
}

/// `IFLA_XDP`: a number for each place, beside one that stands for the only place in use.
fn programs(nested: &[u8]) -> Vec<Attached> {
    let places = [(5, Place::Driver), (6, Place::Generic), (7, Place::Hardware)];
    let program = |kind| {
        value_of(nested, kind)
            .and_then(|value| u32_at(value, 0))
            .filter(|id| *id != 0)
    };
    let attached = |(kind, place)| program(kind).map(|program| Attached { place, program });
    places.into_iter().filter_map(attached).collect()
}

fn text(value: &[u8]) -> Option<String> {
    text_at(value, 0, value.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(parts: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; INFO_BYTES];
        bytes[2..4].copy_from_slice(&1u16.to_ne_bytes());
        bytes[4..8].copy_from_slice(&7u32.to_ne_bytes());
        bytes[8..12].copy_from_slice(&1u32.to_ne_bytes());
        for (kind, value) in parts {
            bytes.extend(attribute(*kind, value));
        }
        bytes
    }

    // Catches attributes taken for each other, a program of one place reported for another, and a kind read from a
    // neighbour in the nest.
    #[test]
    fn a_link_is_read_attribute_by_attribute() {
        let xdp = [
            attribute(2, &[4]),
            attribute(5, &11u32.to_ne_bytes()),
            attribute(6, &12u32.to_ne_bytes()),
        ]
        .concat();
        let info = [attribute(4, b"bond\0"), attribute(INFO_KIND, b"vlan\0")].concat();
        let bytes = message(&[
            (NAME, b"eth1\0"),
            (MTU, &1500u32.to_ne_bytes()),
            (MTU_MOST, &9702u32.to_ne_bytes()),
            (ADDRESS, &[2, 0, 0, 0, 0, 1]),
            (MASTER, &3u32.to_ne_bytes()),
            (LINK, &4u32.to_ne_bytes()),
            (RX_QUEUES, &8u32.to_ne_bytes()),
            (TX_QUEUES, &9u32.to_ne_bytes()),
            (CARRIER, &[1]),
            (LINK_INFO | 0x8000, &info),
            (XDP | 0x8000, &xdp),
            (PARENT_NAME, b"0000:03:00.0\0"),
            (PARENT_BUS, b"pci\0"),
        ]);
        let attached = |place, program| Attached { place, program };
        let expected = Link {
            index: 7,
            name: "eth1".into(),
            mtu: 1500,
            mtu_most: Some(9702),
            up: true,
            carrier: Some(true),
            ethernet: true,
            address: Some([2, 0, 0, 0, 0, 1]),
            kind: Some("vlan".into()),
            master: Some(3),
            link: Some(4),
            link_elsewhere: false,
            rx_queues: 8,
            tx_queues: 9,
            xdp: vec![attached(Place::Driver, 11), attached(Place::Generic, 12)],
            parent: Some(Parent {
                bus: "pci".into(),
                name: "0000:03:00.0".into(),
            }),
        };
        assert_eq!(Link::parse(&bytes), Some(expected));
    }

    // Catches a panic on a message cut anywhere, and a link made of one without a name.
    #[test]
    fn truncated_messages_end_quietly() {
        let bytes = message(&[(MTU, &1500u32.to_ne_bytes()), (NAME, b"eth1\0"), (XDP, &[1; 3])]);
        for length in 0..bytes.len() {
            let parsed = Link::parse(&bytes[..length]);
            assert!(parsed.is_none_or(|link| link.name == "eth1"), "{length}");
        }
        assert_eq!(Link::parse(&message(&[(MTU, &1500u32.to_ne_bytes())])), None);
    }

    proptest::proptest! {
        // Catches a panic on whatever a kernel newer than this program says.
        #[test]
        fn any_message_is_read_or_left(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let parsed = Link::parse(&bytes);
            proptest::prop_assert!(parsed.is_none_or(|link| !link.name.is_empty() && link.mtu > 0));
        }
    }
}
