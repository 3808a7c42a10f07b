//! The headers around a tunnel's datagram as it leaves on an Ethernet device: Ethernet, IPv4 or IPv6, and UDP.

use crate::checksum::{Sum, pseudo_header};
use crate::{ethernet, ip, ipv4, ipv6, udp};
use core::net::{IpAddr, SocketAddr};
use zerocopy::IntoBytes;

/// Bytes of the headers over IPv4.
pub const LEN_V4: usize = ethernet::HEADER_LEN + ipv4::HEADER_LEN + udp::HEADER_LEN;
/// Bytes of the headers over IPv6.
pub const LEN_V6: usize = ethernet::HEADER_LEN + ipv6::HEADER_LEN + udp::HEADER_LEN;

/// The hop limit, as Linux's own (`net.ipv4.ip_default_ttl`).
const HOP_LIMIT: u8 = 64;

/// Between whom a datagram goes, link and addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outer {
    /// The next hop's and the device's own MAC address.
    pub macs: ([u8; 6], [u8; 6]),
    /// From where.
    pub source: SocketAddr,
    /// To where, of the same family.
    pub destination: SocketAddr,
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// The identification of IPv4, by which fragments are joined again: no two of one pair of addresses alike soon
    /// after each other (RFC 6864).
    pub id: u16,
}

impl Outer {
    /// Bytes that the headers take.
    #[inline]
    pub fn header_len(&self) -> usize {
        if self.destination.is_ipv4() {
            LEN_V4
        } else {
            LEN_V6
        }
    }

    /// Writes the headers into the first [`Outer::header_len`] bytes of `frame`, which the payload fills the rest of. IPv4 may
    /// be fragmented on its way, as what Linux's WireGuard sends may. Returns false where the addresses are of two families, or the datagram is longer than
    /// its lengths can say; then nothing useful is written.
    #[inline]
    #[must_use]
    pub fn write(&self, frame: &mut [u8]) -> bool {
        let (ethertype, ip_len) = match self.destination {
            SocketAddr::V4(_) => (ethernet::IPV4, ipv4::HEADER_LEN),
            SocketAddr::V6(_) => (ethernet::IPV6, ipv6::HEADER_LEN),
        };
        let Some((link, packet)) = frame.split_at_mut_checked(ethernet::HEADER_LEN) else {
            return false;
        };
        if !ethernet::write(link, self.macs, ethertype) {
            return false;
        }
        let Some((ip, segment)) = packet.split_at_mut_checked(ip_len) else {
            return false;
        };
        let Ok(length) = u16::try_from(segment.len()) else {
            return false;
        };
        let written = match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let Some(total) = length.checked_add(ipv4::HEADER_LEN as u16) else {
                    return false;
                };
                let mut header = ipv4::Header {
                    version_ihl: 0x45,
                    tos: self.traffic_class,
                    total_length: total.into(),
                    id: self.id.into(),
                    fragment: 0.into(),
                    ttl: HOP_LIMIT,
                    protocol: ip::UDP,
                    checksum: 0.into(),
                    source: source.octets(),
                    destination: destination.octets(),
                };
                header.checksum = Sum::of(header.as_bytes()).finish().into();
                ip.copy_from_slice(header.as_bytes());
                true
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let mut header = ipv6::Header {
                    version_class_flow: [0x60, 0, 0, 0],
                    payload_length: length.into(),
                    next_header: ip::UDP,
                    hop_limit: HOP_LIMIT,
                    source: source.octets(),
                    destination: destination.octets(),
                };
                header.set_traffic_class(self.traffic_class);
                ip.copy_from_slice(header.as_bytes());
                true
            }
            _ => false,
        };
        written && self.write_udp(segment, length)
    }

    fn write_udp(&self, segment: &mut [u8], length: u16) -> bool {
        let Some((header, payload)) = segment.split_at_mut_checked(udp::HEADER_LEN) else {
            return false;
        };
        let mut udp = udp::Header {
            source: self.source.port().into(),
            destination: self.destination.port().into(),
            length: length.into(),
            checksum: 0.into(),
        };
        let pseudo = pseudo_header(self.source.ip(), self.destination.ip(), ip::UDP, length.into());
        let sum = pseudo.add_bytes(udp.as_bytes()).add_bytes(payload);
        udp.checksum = sum.finish_udp().into();
        header.copy_from_slice(udp.as_bytes());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrival::{Arrival, Device, arrival};
    use crate::checksum::{Verdict, verify_transport};
    use zerocopy::FromBytes;

    /// The far end, which takes everything.
    struct FarEnd(IpAddr);

    impl Device for FarEnd {
        fn mac(&self) -> [u8; 6] {
            [1; 6]
        }
        fn is_wan(&self) -> bool {
            true
        }
        fn is_lan(&self) -> bool {
            false
        }
        fn is_port(&self, _port: u16) -> bool {
            true
        }
        fn is_own(&self, address: IpAddr) -> bool {
            address == self.0
        }
        fn is_behind_peer(&self, _address: IpAddr) -> bool {
            false
        }
    }

    /// Catches headers that a receiver would not read as they were meant, and checksums that it would find wrong.
    #[test]
    fn what_is_written_is_read_by_the_far_end() {
        for (source, destination) in [
            ("192.0.2.1:51820", "198.51.100.7:4001"),
            ("[2001:db8::1]:51820", "[2001:db8:1::7]:4001"),
        ] {
            let outer = Outer {
                macs: ([1; 6], [2; 6]),
                source: source.parse().unwrap(),
                destination: destination.parse().unwrap(),
                traffic_class: 0xb9,
                id: 0x1234,
            };
            for len in [32, 33, 1452] {
                let mut frame = vec![0xa5; outer.header_len() + len];
                frame[outer.header_len()..][..4].copy_from_slice(&[4, 0, 0, 0]);
                assert!(outer.write(&mut frame));
                let Arrival::Wan(datagram) = arrival(&frame, &FarEnd(outer.destination.ip())) else {
                    panic!("{destination}, {len} bytes: {frame:02x?}");
                };
                let ends = [outer.source, outer.destination].map(|end| (end.ip(), end.port()));
                assert_eq!([datagram.source, datagram.destination], ends);
                assert_eq!((datagram.payload, datagram.len), (outer.header_len(), len));
                assert_eq!(datagram.traffic_class, 0xb9);
                let packet = &frame[ethernet::HEADER_LEN..];
                let parsed = ip::Packet::parse(packet).unwrap();
                assert_eq!(
                    verify_transport(&parsed, packet),
                    Verdict::Valid,
                    "{destination}, {len} bytes"
                );
                if outer.destination.is_ipv4() {
                    assert!(ipv4::header_checksum_valid(packet));
                    let header = ipv4::Header::ref_from_prefix(packet).unwrap().0;
                    assert_eq!((header.id.get(), header.fragment.get()), (0x1234, 0));
                }
            }
        }
    }

    /// Catches a frame of two families, and lengths that wrap around.
    #[test]
    fn what_cannot_be_said_is_refused() {
        let outer = |source: &str, destination: &str| Outer {
            macs: ([1; 6], [2; 6]),
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            traffic_class: 0,
            id: 0,
        };
        assert!(!outer("192.0.2.1:1", "[2001:db8::1]:1").write(&mut [0; 100]));
        let right = outer("192.0.2.1:1", "192.0.2.2:1");
        assert!(!right.write(&mut vec![0; 70_000]));
        assert!(!right.write(&mut vec![0; ethernet::HEADER_LEN + 65_536]));
        assert!(!right.write(&mut [0; LEN_V4 - 1]));
    }
}
