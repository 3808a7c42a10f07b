//! What a router does to a packet that it forwards between two of its links (RFC 1812 section 5.3, RFC 8200 section 3).

use crate::checksum::{self, Sum};
use crate::{ipv4, ipv6};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use zerocopy::{FromBytes, IntoBytes};

/// The next header of hop-by-hop options, which every router heeds (RFC 8200, section 4.3).
const HOP_BY_HOP: u8 = 0;

/// What a router decides by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Onward {
    /// Who sent the packet.
    pub source: IpAddr,
    /// Whom it is for.
    pub destination: IpAddr,
    /// Bytes of the packet; what the slice has beyond is padding.
    pub len: usize,
}

/// Looks at a packet that is about to be forwarded. `None` for one that only the kernel may decide about: malformed, with a
/// wrong header checksum, with options, from or to addresses that routers do not forward, or without hops left.
#[inline]
pub fn onward(packet: &[u8]) -> Option<Onward> {
    match packet.first()? >> 4 {
        4 => onward_v4(packet),
        6 => onward_v6(packet),
        _ => None,
    }
}

#[inline]
fn onward_v4(packet: &[u8]) -> Option<Onward> {
    let (header, _) = ipv4::Header::ref_from_prefix(packet).ok()?;
    let len = usize::from(header.total_length.get());
    let (source, destination) = (Ipv4Addr::from(header.source), Ipv4Addr::from(header.destination));
    let right = header.version_ihl == 0x45
        && header.ttl > 1
        && (ipv4::HEADER_LEN..=packet.len()).contains(&len)
        && Sum::of(header.as_bytes()).finish() == 0
        && is_routed_v4(source)
        && is_routed_v4(destination);
    right.then_some(Onward {
        source: source.into(),
        destination: destination.into(),
        len,
    })
}

#[inline]
fn onward_v6(packet: &[u8]) -> Option<Onward> {
    let (header, _) = ipv6::Header::ref_from_prefix(packet).ok()?;
    let len = ipv6::HEADER_LEN + usize::from(header.payload_length.get());
    let (source, destination) = (Ipv6Addr::from(header.source), Ipv6Addr::from(header.destination));
    let right = header.hop_limit > 1
        && header.next_header != HOP_BY_HOP
        && len <= packet.len()
        && is_routed_v6(source)
        && is_routed_v6(destination);
    right.then_some(Onward {
        source: source.into(),
        destination: destination.into(),
        len,
    })
}

/// Takes one from the TTL or hop limit, and brings IPv4's header checksum up to date by the difference (RFC 1624), so that a
/// wrong one stays wrong. Returns false, and changes nothing, where no hop is left or the fixed header is not whole.
#[inline]
#[must_use]
pub fn decrement_hop_limit(packet: &mut [u8]) -> bool {
    match packet.first().map(|first| first >> 4) {
        Some(4) => {
            let Ok((header, _)) = ipv4::Header::mut_from_prefix(packet) else {
                return false;
            };
            let Some(ttl) = header.ttl.checked_sub(1) else {
                return false;
            };
            let old = u16::from_be_bytes([header.ttl, header.protocol]);
            let new = u16::from_be_bytes([ttl, header.protocol]);
            header.ttl = ttl;
            header.checksum = checksum::update_u16(header.checksum.get(), old, new).into();
            true
        }
        Some(6) => {
            let Ok((header, _)) = ipv6::Header::mut_from_prefix(packet) else {
                return false;
            };
            let Some(hop_limit) = header.hop_limit.checked_sub(1) else {
                return false;
            };
            header.hop_limit = hop_limit;
            true
        }
        Some(_) | None => false,
    }
}

/// Whether routers forward from and to an address: none of this network's, loopback, link-local, multicast or reserved
/// ones (RFC 6890).
#[inline]
pub fn is_routed_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    !(first == 0 || first == 127 || first >= 224 || (first, second) == (169, 254))
}

/// As [`is_routed_v4`]: none of the unspecified, loopback, link-local or multicast ones, nor of others in `::/96`.
#[inline]
pub fn is_routed_v6(address: Ipv6Addr) -> bool {
    let octets = address.octets();
    !(octets[..12] == [0; 12] || octets[0] == 0xff || (octets[0] == 0xfe && octets[1] & 0xc0 == 0x80))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ip;
    use proptest::prelude::*;

    /// An IPv4 packet without options whose other fields are random, with a right header checksum.
    fn packet_v4(mut header: [u8; 20], payload: usize) -> Vec<u8> {
        header[0] = 0x45;
        header[2..4].copy_from_slice(&((20 + payload) as u16).to_be_bytes());
        let mut packet = [&header[..], &vec![0xa5; payload]].concat();
        assert!(ipv4::write_header_checksum(&mut packet));
        packet
    }

    fn routed_v4(ttl: u8) -> Vec<u8> {
        let mut header = [0; 20];
        header[8..10].copy_from_slice(&[ttl, ip::UDP]);
        header[12..20].copy_from_slice(&[192, 0, 2, 1, 10, 1, 2, 3]);
        packet_v4(header, 12)
    }

    fn routed_v6(hop_limit: u8) -> Vec<u8> {
        let mut packet = vec![0; 52];
        packet[0] = 0x60;
        packet[4..8].copy_from_slice(&[0, 12, ip::UDP, hop_limit]);
        packet[8..10].copy_from_slice(&[0x20, 0x01]);
        packet[24..26].copy_from_slice(&[0xfd, 0x01]);
        packet
    }

    proptest! {
        /// Catches a header checksum that a receiver would find wrong after the hop limit fell, whatever the header says,
        /// and anything else that changed. All hop limits are tried with each header.
        #[test]
        fn the_checksum_follows_the_hop_limit(header: [u8; 20], payload in 0usize..64) {
            for ttl in 0..=u8::MAX {
                let mut header = header;
                header[8] = ttl;
                let before = packet_v4(header, payload);
                let mut after = before.clone();
                prop_assert_eq!(decrement_hop_limit(&mut after), ttl > 0);
                let mut expected = before;
                expected[8] = ttl.saturating_sub(1);
                prop_assert!(ipv4::write_header_checksum(&mut expected));
                prop_assert_eq!(&after, &expected, "TTL {}", ttl);
            }
        }

        /// Catches a wrong checksum made right on the way, which would hide from the receiver what happened to the packet.
        #[test]
        fn a_wrong_checksum_stays_wrong(header: [u8; 20], flipped in 1u16..u16::MAX) {
            let mut packet = packet_v4(header, 0);
            let checksum = u16::from_be_bytes([packet[10], packet[11]]) ^ flipped;
            packet[10..12].copy_from_slice(&checksum.to_be_bytes());
            prop_assert!(!ipv4::header_checksum_valid(&packet));
            let _ = decrement_hop_limit(&mut packet);
            prop_assert!(!ipv4::header_checksum_valid(&packet));
        }

        /// Catches a panic on any bytes, and a packet that is forwarded though it is longer than what there is.
        #[test]
        fn any_bytes(mut bytes in proptest::collection::vec(any::<u8>(), 0..80), first in any::<u8>()) {
            for version in [0x45, 0x60, first] {
                if let Some(byte) = bytes.first_mut() {
                    *byte = version;
                }
                if let Some(onward) = onward(&bytes) {
                    prop_assert!(onward.len <= bytes.len());
                }
                let _ = decrement_hop_limit(&mut bytes);
            }
        }
    }

    /// Catches IPv6's hop limit left as it was, another byte changed, or one that wraps around.
    #[test]
    fn the_hop_limit_of_ipv6_falls() {
        for hop_limit in 0..=u8::MAX {
            let before = routed_v6(hop_limit);
            let mut after = before.clone();
            assert_eq!(decrement_hop_limit(&mut after), hop_limit > 0);
            let mut expected = before;
            expected[7] = hop_limit.saturating_sub(1);
            assert_eq!(after, expected);
        }
        assert!(!decrement_hop_limit(&mut []));
        assert!(!decrement_hop_limit(&mut [0x45; 19]));
        assert!(!decrement_hop_limit(&mut [0x60; 39]));
    }

    /// Catches addresses read from the wrong place, and padding taken for a part of the packet.
    #[test]
    fn what_is_forwarded_is_read() {
        for (mut packet, ends, len) in [
            (routed_v4(2), ["192.0.2.1", "10.1.2.3"], 32),
            (routed_v6(2), ["2001::", "fd01::"], 52),
        ] {
            packet.extend([0; 7]);
            let [source, destination] = ends.map(|end| end.parse().unwrap());
            let expected = Onward {
                source,
                destination,
                len,
            };
            assert_eq!(onward(&packet), Some(expected));
        }
    }

    /// Catches packets forwarded that are the kernel's: what each byte says, for IPv4 with a checksum that is right
    /// nevertheless.
    #[test]
    fn what_is_the_kernel_s_is_left_to_it() {
        for (at, value) in [
            (0, 0x46),
            (0, 0x44),
            (0, 0x55),
            (3, 19),
            (3, 33),
            (8, 1),
            (8, 0),
            (12, 0),
            (12, 127),
            (12, 224),
            (16, 255),
            (16, 240),
        ] {
            let mut packet = routed_v4(2);
            packet[at] = value;
            let _ = ipv4::write_header_checksum(&mut packet);
            assert_eq!(onward(&packet), None, "IPv4 byte {at} set to {value}");
        }
        for (at, value) in [(0, 0x50), (5, 13), (6, 0), (7, 1), (7, 0), (8, 0xff), (24, 0xff)] {
            let mut packet = routed_v6(2);
            packet[at] = value;
            assert_eq!(onward(&packet), None, "IPv6 byte {at} set to {value}");
        }
        let mut wrong = routed_v4(2);
        wrong[11] ^= 1;
        assert_eq!(onward(&wrong), None, "a wrong header checksum");
        for len in 0..32 {
            assert_eq!(onward(&routed_v4(2)[..len]), None, "cut to {len} bytes");
        }
        for len in 0..52 {
            assert_eq!(onward(&routed_v6(2)[..len]), None, "cut to {len} bytes");
        }
    }

    /// Catches addresses of one host or link that would leave it, and ordinary ones that would not.
    #[test]
    fn routed_addresses() {
        for (address, routed) in [
            ("0.1.2.3", false),
            ("127.0.0.1", false),
            ("169.254.1.1", false),
            ("169.253.1.1", true),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("223.255.255.255", true),
            ("::", false),
            ("::1", false),
            ("::192.0.2.1", false),
            ("fe80::1", false),
            ("febf::1", false),
            ("fec0::1", true),
            ("ff02::1", false),
            ("64:ff9b::1", true),
        ] {
            let found = match address.parse().unwrap() {
                IpAddr::V4(address) => is_routed_v4(address),
                IpAddr::V6(address) => is_routed_v6(address),
            };
            assert_eq!(found, routed, "{address}");
        }
    }
}
