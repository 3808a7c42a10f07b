//! Splitting a packet that stands for several (TSO, USO), as a TUN device hands it over, into packets that fit the
//! MTU.

use crate::checksum::copy_and_sum;
use crate::ip::{self, Version};
pub use crate::virtio::{Kind, Offload};
use crate::{ipv4, tcp, udp};
use std::ops::Range;

/// Why a packet cannot be split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SegmentError {
    /// The IP header is malformed.
    #[error(transparent)]
    Ip(#[from] ip::IpError),
    /// The packet is not of the offload's protocol and IP version.
    #[error("the packet is not what its offload header says")]
    Mismatch,
    /// It is a fragment.
    #[error("a fragment cannot be segmented")]
    Fragment,
    /// The transport header is malformed, or states another length than the packet's.
    #[error("the transport header is malformed")]
    Transport,
    /// The segment size is zero.
    #[error("the segment size is zero")]
    SegmentSize,
}

/// The packets that one packet stands for.
#[derive(Clone, Debug)]
pub struct Segments<'a> {
    packet: &'a [u8],
    parsed: ip::Packet,
    kind: Kind,
    header_len: usize,
    segment_size: usize,
    count: usize,
    next: usize,
}

impl<'a> Segments<'a> {
    /// Checks that `packet` is what `offload` says, as far as splitting it relies on that. Where its headers end is
    /// read from the headers. The transport checksum in it does not matter.
    pub fn new(packet: &'a [u8], offload: Offload) -> Result<Self, SegmentError> {
        let parsed = ip::Packet::parse(packet)?;
        if parsed.is_fragment() {
            return Err(SegmentError::Fragment);
        }
        let (protocol, version) = match offload.kind {
            Kind::TcpV4 => (ip::TCP, Version::V4),
            Kind::TcpV6 => (ip::TCP, Version::V6),
            Kind::UdpL4 => (ip::UDP, parsed.version),
        };
        if (parsed.protocol, parsed.version) != (protocol, version) {
            return Err(SegmentError::Mismatch);
        }
        let packet = &packet[..parsed.total_length];
        let transport = &packet[parsed.l4_offset..];
        let transport_header_len = match offload.kind {
            Kind::TcpV4 | Kind::TcpV6 => tcp::parse(transport).map(|(_, header_len)| header_len),
            Kind::UdpL4 => udp::parse(transport).map(|_| udp::HEADER_LEN),
        };
        let header_len = parsed.l4_offset + transport_header_len.ok_or(SegmentError::Transport)?;
        let segment_size = usize::from(offload.segment_size);
        if segment_size == 0 {
            return Err(SegmentError::SegmentSize);
        }
        let count = (packet.len() - header_len).div_ceil(segment_size).max(1);
        Ok(Self {
            packet,
            parsed,
            kind: offload.kind,
            header_len,
            segment_size,
            count,
            next: 0,
        })
    }

    /// How many packets there are in all: at least one.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Bytes of the longest of the packets, which is the first.
    pub fn max_len(&self) -> usize {
        self.packet.len().min(self.header_len + self.segment_size)
    }

    /// Writes the next packet, whole, with all its checksums, to the start of `out`, and returns its length. `None`
    /// after the last one, and when `out` is shorter than the packet; the packet is then still the next.
    pub fn next_into(&mut self, out: &mut [u8]) -> Option<usize> {
        if self.next == self.count {
            return None;
        }
        let payload = self.payload(self.next);
        let len = self.header_len + payload.len();
        let out = out.get_mut(..len)?;
        let (header, body) = out.split_at_mut(self.header_len);
        header.copy_from_slice(&self.packet[..self.header_len]);
        self.write_ip(header, len);
        self.write_transport(&mut header[self.parsed.l4_offset..], payload.len());
        let payload_sum = copy_and_sum(&self.packet[payload], body);

        let transport = &mut header[self.parsed.l4_offset..];
        let sum = self
            .parsed
            .pseudo_header(len - self.parsed.l4_offset)
            .add_bytes(transport)
            .add_sum(payload_sum);
        let (at, checksum) = match self.kind {
            Kind::TcpV4 | Kind::TcpV6 => (tcp::CHECKSUM_OFFSET, sum.finish()),
            Kind::UdpL4 => (udp::CHECKSUM_OFFSET, sum.finish_udp()),
        };
        transport[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
        self.next += 1;
        Some(len)
    }

    /// Where in the packet the payload of the segment with this index lies.
    fn payload(&self, index: usize) -> Range<usize> {
        let start = self.header_len + index * self.segment_size;
        start..self.packet.len().min(start + self.segment_size)
    }

    /// Adapts a copy of the IP header: its length, and IPv4's identification and checksum.
    fn write_ip(&self, header: &mut [u8], len: usize) {
        match self.parsed.version {
            Version::V4 => {
                let id = u16::from_be_bytes([header[4], header[5]]).wrapping_add(self.next as u16);
                header[2..4].copy_from_slice(&(len as u16).to_be_bytes());
                header[4..6].copy_from_slice(&id.to_be_bytes());
                ipv4::write_header_checksum(header);
            }
            Version::V6 => {
                let payload_length = (len - crate::ipv6::HEADER_LEN) as u16;
                header[4..6].copy_from_slice(&payload_length.to_be_bytes());
            }
        }
    }

    /// Adapts a copy of the transport header, and sets its checksum to zero.
    fn write_transport(&self, header: &mut [u8], payload_len: usize) {
        match self.kind {
            Kind::TcpV4 | Kind::TcpV6 => {
                let offset = (self.next * self.segment_size) as u32;
                let sequence = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
                header[4..8].copy_from_slice(&sequence.wrapping_add(offset).to_be_bytes());
                header[13] &= !self.flags_of_others();
                header[16..18].fill(0);
            }
            Kind::UdpL4 => {
                let length = (udp::HEADER_LEN + payload_len) as u16;
                header[4..6].copy_from_slice(&length.to_be_bytes());
                header[6..8].fill(0);
            }
        }
    }

    /// The TCP flags that do not belong on the next segment: the end of data is said by the last one, the reduced
    /// congestion window by the first.
    fn flags_of_others(&self) -> u8 {
        let not_last = if self.next + 1 < self.count {
            tcp::FIN | tcp::PSH
        } else {
            0
        };
        let not_first = if self.next > 0 { tcp::CWR } else { 0 };
        not_last | not_first
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::{Verdict, verify_transport};

    fn tcp_v4(flags: u8, payload: usize) -> Vec<u8> {
        let mut packet = vec![0u8; 40 + payload];
        packet[0] = 0x45;
        packet[2..4].copy_from_slice(&(40 + payload as u16).to_be_bytes());
        packet[4..6].copy_from_slice(&0xffffu16.to_be_bytes());
        packet[8..10].copy_from_slice(&[64, ip::TCP]);
        packet[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        packet[24..28].copy_from_slice(&0xffff_fffeu32.to_be_bytes());
        packet[32..34].copy_from_slice(&[0x50, flags]);
        for (index, byte) in packet[40..].iter_mut().enumerate() {
            *byte = index as u8;
        }
        packet
    }

    fn tcp_offload(segment_size: u16) -> Offload {
        Offload {
            kind: Kind::TcpV4,
            header_len: 9999,
            segment_size,
        }
    }

    fn udp_v6(payload: usize) -> Vec<u8> {
        let mut packet = vec![0u8; 48 + payload];
        packet[0] = 0x60;
        packet[4..6].copy_from_slice(&(8 + payload as u16).to_be_bytes());
        packet[6..8].copy_from_slice(&[ip::UDP, 64]);
        packet[23] = 1;
        packet[39] = 2;
        packet[44..46].copy_from_slice(&(8 + payload as u16).to_be_bytes());
        packet
    }

    fn split(packet: &[u8], offload: Offload) -> Vec<Vec<u8>> {
        let mut segments = Segments::new(packet, offload).unwrap();
        let mut packets = Vec::new();
        let mut out = [0xee; 2000];
        while let Some(len) = segments.next_into(&mut out) {
            packets.push(out[..len].to_vec());
        }
        assert_eq!(packets.len(), segments.count());
        packets
    }

    fn all_right(packet: &[u8]) -> bool {
        let parsed = ip::Packet::parse(packet).unwrap();
        parsed.total_length == packet.len()
            && (parsed.version == Version::V6 || ipv4::header_checksum_valid(packet))
            && verify_transport(&parsed, packet) == Verdict::Valid
    }

    /// Catches sequence numbers and ids that do not advance (here both wrap), flags on the wrong segments, wrong
    /// lengths and wrong checksums.
    #[test]
    fn tcp_headers_of_each_segment() {
        let packets = split(&tcp_v4(0x99, 250), tcp_offload(100));
        let facts: Vec<_> = packets
            .iter()
            .map(|packet| {
                let id = u16::from_be_bytes([packet[4], packet[5]]);
                let sequence = u32::from_be_bytes(packet[24..28].try_into().unwrap());
                (packet.len(), id, sequence, packet[33])
            })
            .collect();
        assert_eq!(
            facts,
            [
                (140, 0xffff, 0xffff_fffe, 0x90),
                (140, 0, 98, 0x10),
                (90, 1, 198, 0x19)
            ]
        );
        assert!(packets.iter().all(|packet| all_right(packet)));
        assert_eq!(packets[2][40], 200);
    }

    /// Catches UDP lengths left at the super-packet's, and datagrams cut at the wrong place.
    #[test]
    fn udp_headers_of_each_segment() {
        let offload = Offload {
            kind: Kind::UdpL4,
            header_len: 0,
            segment_size: 64,
        };
        let packets = split(&udp_v6(129), offload);
        assert_eq!(packets.iter().map(Vec::len).collect::<Vec<_>>(), [112, 112, 49]);
        assert_eq!(packets[2][44..46], [0, 9]);
        assert!(packets.iter().all(|packet| all_right(packet)));
    }

    /// Catches a UDP checksum of zero, which over IPv6 is refused: the second segment's words add up to all ones.
    #[test]
    fn a_udp_checksum_is_never_zero() {
        let mut packet = udp_v6(4);
        let sum_of_others = 1 + 2 + u16::from(ip::UDP) + 10 + 10;
        packet[50..52].copy_from_slice(&(!sum_of_others).to_be_bytes());
        let packets = split(
            &packet,
            Offload {
                kind: Kind::UdpL4,
                header_len: 0,
                segment_size: 2,
            },
        );
        assert_eq!(packets[1][46..48], [0xff, 0xff]);
        assert!(packets.iter().all(|packet| all_right(packet)));
    }

    /// Catches a packet lost because the buffer offered for it was too short.
    #[test]
    fn a_short_buffer_loses_nothing() {
        let packet = tcp_v4(0x10, 150);
        let mut segments = Segments::new(&packet, tcp_offload(100)).unwrap();
        assert_eq!(segments.max_len(), 140);
        let mut out = [0; 140];
        assert_eq!(segments.next_into(&mut out[..139]), None);
        assert_eq!(segments.next_into(&mut out), Some(140));
        assert_eq!(segments.next_into(&mut out), Some(90));
        assert_eq!(segments.next_into(&mut out), None);
    }

    /// Catches a packet without payload, or with less than a segment, being dropped or split.
    #[test]
    fn small_packets_are_one_segment() {
        for payload in [0, 1, 100] {
            let packets = split(&tcp_v4(0x19, payload), tcp_offload(100));
            assert_eq!(packets.len(), 1);
            assert_eq!(packets[0][33], 0x19);
            assert!(all_right(&packets[0]));
        }
    }

    /// Catches each check that is missing: these would read out of bounds, or make wrong packets.
    #[test]
    fn malformed_input_is_refused() {
        let refused = |change: &dyn Fn(&mut Vec<u8>), offload| {
            let mut packet = tcp_v4(0x10, 100);
            change(&mut packet);
            Segments::new(&packet, offload).err()
        };
        let offload = tcp_offload(50);
        assert_eq!(refused(&|_| {}, offload), None);
        assert_eq!(refused(&|_| {}, tcp_offload(0)), Some(SegmentError::SegmentSize));
        assert_eq!(
            refused(&|packet| packet[6] = 0x20, offload),
            Some(SegmentError::Fragment)
        );
        assert_eq!(
            refused(&|packet| packet[32] = 0x40, offload),
            Some(SegmentError::Transport)
        );
        assert_eq!(
            refused(&|packet| packet[3] = 39, offload),
            Some(SegmentError::Transport)
        );
        let truncated = Some(SegmentError::Ip(ip::IpError::Truncated));
        assert_eq!(refused(&|packet| packet.truncate(139), offload), truncated);
        for kind in [Kind::TcpV6, Kind::UdpL4] {
            assert_eq!(
                refused(&|_| {}, Offload { kind, ..offload }),
                Some(SegmentError::Mismatch)
            );
        }
        let mut packet = udp_v6(10);
        packet[45] = 17;
        let offload = Offload {
            kind: Kind::UdpL4,
            header_len: 48,
            segment_size: 5,
        };
        assert_eq!(
            Segments::new(&packet, offload).err(),
            Some(SegmentError::Transport)
        );
    }
}
