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

/// Where a UDP datagram's length and checksum stand in its header, and an IPv4 packet's in that (RFC 768, RFC 791).
const UDP_LENGTH: usize = 4;
const UDP_CHECKSUM: usize = 6;
const IPV4_LENGTH: usize = 2;
const IPV4_ID: usize = 4;
const IPV4_CHECKSUM: usize = 10;
/// An IPv6 packet's payload length (RFC 8200).
const IPV6_LENGTH: usize = 4;

/// Between whom datagrams go, link and addresses.
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
}

/// The headers of all datagrams that go the same way, but for what each has of its own: lengths, identification, checksums.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Headers {
    bytes: [u8; LEN_V6],
    is_ipv4: bool,
    /// Over IPv4's header as it stands in `bytes`.
    ip_sum: Sum,
    /// Over the pseudo header and UDP's, both without the length.
    udp_sum: Sum,
}

impl Outer {
    /// The headers, or `None` where the addresses are of two families. IPv4 may be fragmented on its way, as what Linux's
    /// WireGuard sends may.
    pub fn headers(&self) -> Option<Headers> {
        let mut bytes = [0; LEN_V6];
        let (link, packet) = bytes.split_at_mut(ethernet::HEADER_LEN);
        let (is_ipv4, ip_len, ethertype) = match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let header = ipv4::Header {
                    version_ihl: 0x45,
                    tos: self.traffic_class,
                    total_length: 0.into(),
                    id: 0.into(),
                    fragment: 0.into(),
                    ttl: HOP_LIMIT,
                    protocol: ip::UDP,
                    checksum: 0.into(),
                    source: source.octets(),
                    destination: destination.octets(),
                };
                packet[..ipv4::HEADER_LEN].copy_from_slice(header.as_bytes());
                (true, ipv4::HEADER_LEN, ethernet::IPV4)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let mut header = ipv6::Header {
                    version_class_flow: [0x60, 0, 0, 0],
                    payload_length: 0.into(),
                    next_header: ip::UDP,
                    hop_limit: HOP_LIMIT,
                    source: source.octets(),
                    destination: destination.octets(),
                };
                header.set_traffic_class(self.traffic_class);
                packet[..ipv6::HEADER_LEN].copy_from_slice(header.as_bytes());
                (false, ipv6::HEADER_LEN, ethernet::IPV6)
            }
            _ => return None,
        };
        let udp = udp::Header {
            source: self.source.port().into(),
            destination: self.destination.port().into(),
            length: 0.into(),
            checksum: 0.into(),
        };
        packet[ip_len..][..udp::HEADER_LEN].copy_from_slice(udp.as_bytes());
        let pseudo = pseudo_header(self.source.ip(), self.destination.ip(), ip::UDP, 0);
        let (ip_sum, udp_sum) = (Sum::of(&packet[..ip_len]), pseudo.add_bytes(udp.as_bytes()));
        ethernet::write(link, self.macs, ethertype).then_some(Headers {
            bytes,
            is_ipv4,
            ip_sum,
            udp_sum,
        })
    }
}

impl Headers {
    /// Bytes that they take.
    #[inline]
    pub fn header_len(&self) -> usize {
        if self.is_ipv4 { LEN_V4 } else { LEN_V6 }
    }

    /// Writes them into the first [`Headers::header_len`] bytes of `frame`, of which the payload fills the rest. `id` is the
    /// identification of IPv4, by which fragments are joined again: no two of one pair of addresses alike soon after each
    /// other (RFC 6864). Returns false where the datagram is longer than its lengths can say; then nothing is written.
    #[inline]
    #[must_use]
    pub fn write(&self, frame: &mut [u8], id: u16) -> bool {
        if self.is_ipv4 {
            self.write_at::<LEN_V4>(frame, |packet, segment| {
                let Some(total) = segment.checked_add(ipv4::HEADER_LEN as u16) else {
                    return false;
                };
                let sum = self.ip_sum.add_u16(total).add_u16(id);
                put(packet, IPV4_LENGTH, total);
                put(packet, IPV4_ID, id);
                put(packet, IPV4_CHECKSUM, sum.finish());
                true
            })
        } else {
            self.write_at::<LEN_V6>(frame, |packet, segment| {
                put(packet, IPV6_LENGTH, segment);
                true
            })
        }
    }

    /// Writes `LEN` bytes of headers, of which `finish` completes the packet's, told the length of its payload.
    #[inline]
    fn write_at<const LEN: usize>(
        &self,
        frame: &mut [u8],
        finish: impl FnOnce(&mut [u8], u16) -> bool,
    ) -> bool {
        let Some((headers, payload)) = frame.split_first_chunk_mut::<LEN>() else {
            return false;
        };
        let Ok(length) = u16::try_from(udp::HEADER_LEN + payload.len()) else {
            return false;
        };
        let mut written = [0; LEN];
        written.copy_from_slice(&self.bytes[..LEN]);
        if !finish(&mut written[ethernet::HEADER_LEN..], length) {
            return false;
        }
        // The length is in the pseudo header too.
        let sum = self.udp_sum.add_u16(length).add_u16(length).add_bytes(payload);
        let udp = &mut written[LEN - udp::HEADER_LEN..];
        put(udp, UDP_LENGTH, length);
        put(udp, UDP_CHECKSUM, sum.finish_udp());
        *headers = written;
        true
    }
}

#[inline]
fn put(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
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
            };
            let headers = outer.headers().unwrap();
            for (len, id) in [(32, 0x1234), (33, 0), (1452, 0xffff)] {
                let mut frame = vec![0xa5; headers.header_len() + len];
                frame[headers.header_len()..][..4].copy_from_slice(&[4, 0, 0, 0]);
                assert!(headers.write(&mut frame, id));
                let Arrival::Wan(datagram) = arrival(&frame, &FarEnd(outer.destination.ip())) else {
                    panic!("{destination}, {len} bytes: {frame:02x?}");
                };
                let ends = [outer.source, outer.destination].map(|end| (end.ip(), end.port()));
                assert_eq!([datagram.source, datagram.destination], ends);
                assert_eq!((datagram.payload, datagram.len), (headers.header_len(), len));
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
                    assert_eq!((header.id.get(), header.fragment.get()), (id, 0));
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
        };
        assert_eq!(outer("192.0.2.1:1", "[2001:db8::1]:1").headers(), None);
        let right = outer("192.0.2.1:1", "192.0.2.2:1").headers().unwrap();
        for len in [70_000, ethernet::HEADER_LEN + 65_536, LEN_V4 - 1] {
            let mut frame = vec![0; len];
            assert!(!right.write(&mut frame, 0), "{len}");
            assert!(frame.iter().all(|&byte| byte == 0), "{len}");
        }
        assert!(right.write(&mut vec![0; ethernet::HEADER_LEN + 65_535], 0));
        let right = outer("[2001:db8::2]:1", "[2001:db8::1]:1").headers().unwrap();
        assert!(!right.write(&mut vec![0; LEN_V6 - udp::HEADER_LEN + 65_536], 0));
        assert!(right.write(&mut vec![0; LEN_V6 - udp::HEADER_LEN + 65_535], 0));
    }
}
