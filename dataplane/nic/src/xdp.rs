//! What the kernel says of a device's XDP: generic netlink's family `netdev` (linux/netdev.h), since kernel 6.3.

use crate::bytes::{u16_at, u64_at};
use crate::netlink::{Netlink, attribute, value_of};
use nix::sys::socket::SockProtocol;

/// Bytes of `struct genlmsghdr`.
const HEADER_BYTES: usize = 4;

/// What a device's driver can do with XDP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct XdpFeatures {
    /// Programs run in the driver (NETDEV_XDP_ACT_BASIC).
    pub basic: bool,
    /// They may redirect frames (NETDEV_XDP_ACT_REDIRECT).
    pub redirect: bool,
    /// Other devices' programs may send frames here, at the moment (NETDEV_XDP_ACT_NDO_XMIT).
    pub transmit: bool,
    /// AF_XDP without copying (NETDEV_XDP_ACT_XSK_ZEROCOPY).
    pub zero_copy: bool,
    /// Frames in several buffers are received (NETDEV_XDP_ACT_RX_SG).
    pub several_buffers: bool,
}

impl XdpFeatures {
    fn of_bits(bits: u64) -> Self {
        let bit = |number: u32| bits >> number & 1 != 0;
        Self {
            basic: bit(0),
            redirect: bit(1),
            transmit: bit(2),
            zero_copy: bit(3),
            several_buffers: bit(5),
        }
    }

    /// From `struct genlmsghdr` and its attributes.
    fn parse(message: &[u8]) -> Option<Self> {
        const XDP_FEATURES: u16 = 3;
        let value = value_of(message.get(HEADER_BYTES..)?, XDP_FEATURES)?;
        u64_at(value, 0).map(Self::of_bits)
    }

    /// Of the device with that number in the thread's network namespace; `None` on kernels that do not say.
    pub(crate) fn read(index: u32) -> Option<Self> {
        const DEV_GET: u8 = 1;
        const IFINDEX: u16 = 1;
        let mut socket = Netlink::open(SockProtocol::NetlinkGeneric).ok()?;
        let family = family(&mut socket)?;
        let mut features = None;
        let request = generic(DEV_GET, &attribute(IFINDEX, &index.to_ne_bytes()));
        let answer = socket.ask(family, 0, &request, |message| features = Self::parse(message));
        answer.ok().and(features)
    }
}

/// The number that the running kernel gave the family.
fn family(socket: &mut Netlink) -> Option<u16> {
    // Of linux/genetlink.h: the controller, which is a family itself, its question, and attributes.
    const CONTROLLER: u16 = 16;
    const GET_FAMILY: u8 = 3;
    const FAMILY_ID: u16 = 1;
    const FAMILY_NAME: u16 = 2;
    let mut family = None;
    let request = generic(GET_FAMILY, &attribute(FAMILY_NAME, b"netdev\0"));
    let answer = socket.ask(CONTROLLER, 0, &request, |message| {
        let value = message
            .get(HEADER_BYTES..)
            .and_then(|rest| value_of(rest, FAMILY_ID));
        family = value.and_then(|value| u16_at(value, 0));
    });
    answer.ok().and(family)
}

/// `struct genlmsghdr` with a command of version 1, and attributes.
fn generic(command: u8, attributes: &[u8]) -> Vec<u8> {
    let mut bytes = vec![command, 1, 0, 0];
    bytes.extend(attributes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches bits off by one: zero-copy read as transmit would promise what cannot be had.
    #[test]
    fn features_are_the_bits_of_their_numbers() {
        let message = |bits: u64| generic(1, &attribute(3, &bits.to_ne_bytes()));
        let veth = XdpFeatures::parse(&message(0b010_0011)).unwrap();
        assert!(veth.basic && veth.redirect && veth.several_buffers);
        assert!(!veth.zero_copy && !veth.transmit);
        assert!(XdpFeatures::parse(&message(8)).unwrap().zero_copy);
        assert_eq!(XdpFeatures::parse(&message(8)[..12]), None);
        assert_eq!(XdpFeatures::parse(&generic(1, &attribute(4, &[0; 8]))), None);
    }
}
