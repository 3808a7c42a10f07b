//! Joining packets of one flow into one that stands for all of them, to be written to a TUN device at once: what
//! GRO does for packets from a network card. The kernel, or whoever reads the packet last, can split it again into
//! the same packets, but for IPv4 identifications where they mean nothing.
//!
//! The payloads are not copied. The head's buffer gives the headers and the first payload; every other packet
//! gives its payload from its own buffer.

use crate::checksum::{Verdict, verify_transport};
use crate::ip::{self, Fragment, Version};
use crate::virtio::{self, Kind, Offload};
use crate::{ipv4, ipv6, tcp, udp};

/// Packets that are joined at most: what kernels before 6.9 take for UDP.
pub const MAX_PACKETS: usize = 64;
/// Bytes that a joined packet has at most, headers included.
pub const MAX_LEN: usize = 65535;

/// The longest headers that are joined: IPv6 without extensions, TCP with all the options it can have.
const MAX_HEADER_LEN: usize = ipv6::HEADER_LEN + 60;

/// A growing packet: what is known of its head, and how far it has grown.
#[derive(Clone, Debug)]
pub struct State {
    header: [u8; MAX_HEADER_LEN],
    header_len: usize,
    l4_offset: usize,
    version: Version,
    kind: Kind,
    segment_size: usize,
    len: usize,
    count: usize,
    push: bool,
    ended: bool,
}

/// Whether a packet became part of a growing one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Append {
    /// It did: what it has from `payload_offset` on is to be written behind what is there.
    Yes {
        /// Where its payload begins.
        payload_offset: usize,
    },
    /// It did not, and nothing has changed: the growing packet is to be written, and this one after it.
    No,
}

/// Begins with `packet`, which has nothing behind its stated length. `None` when nothing can be appended to it: it
/// is neither TCP nor UDP, a fragment, has no payload, IP options or extension headers, TCP flags other than ACK,
/// or a wrong checksum. It is then to be written as it is.
pub fn start(packet: &[u8]) -> Option<State> {
    let candidate = Candidate::parse(packet).filter(|candidate| !candidate.push)?;
    if !candidate.checksums_valid(packet) {
        return None;
    }
    let mut header = [0; MAX_HEADER_LEN];
    header[..candidate.header_len].copy_from_slice(&packet[..candidate.header_len]);
    Some(State {
        header,
        header_len: candidate.header_len,
        l4_offset: candidate.parsed.l4_offset,
        version: candidate.parsed.version,
        kind: candidate.kind,
        segment_size: packet.len() - candidate.header_len,
        len: packet.len(),
        count: 1,
        push: false,
        ended: false,
    })
}

impl State {
    /// Appends `packet`, which has nothing behind its stated length, if it is the next one of the same flow: equal
    /// in everything that splitting restores from the head, in sequence, no longer than the head, and right in its
    /// checksums, which nobody can check after this. A shorter packet, and one with PSH, is the last one.
    pub fn append(&mut self, packet: &[u8]) -> Append {
        if self.ended || self.count == MAX_PACKETS {
            return Append::No;
        }
        let Some(candidate) = Candidate::parse(packet) else {
            return Append::No;
        };
        let payload_len = packet.len() - candidate.header_len;
        if candidate.header_len != self.header_len
            || payload_len > self.segment_size
            || self.len + payload_len > MAX_LEN
            || !self.continues(&packet[..self.header_len])
            || !candidate.checksums_valid(packet)
        {
            return Append::No;
        }
        self.len += payload_len;
        self.count += 1;
        self.push = candidate.push;
        self.ended = candidate.push || payload_len < self.segment_size;
        Append::Yes {
            payload_offset: self.header_len,
        }
    }

    /// How many packets were joined, the head included.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Bytes of the joined packet.
    pub fn total_len(&self) -> usize {
        self.len
    }

    /// Whether nothing more can be appended, whatever comes.
    pub fn ended(&self) -> bool {
        self.ended || self.count == MAX_PACKETS
    }

    /// Rewrites the head's headers to those of the joined packet, with a partial checksum, and returns what to tell
    /// the kernel. A head that stayed alone is left as it is.
    ///
    /// # Panics
    /// When `head` is not the packet that [`start`] saw, but shorter than its headers.
    pub fn finish(&self, head: &mut [u8]) -> virtio::Header {
        if self.count == 1 {
            return virtio::Header::default();
        }
        let header = &mut head[..self.header_len];
        let transport_len = self.len - self.l4_offset;
        match self.version {
            Version::V4 => {
                header[2..4].copy_from_slice(&(self.len as u16).to_be_bytes());
                ipv4::write_header_checksum(header);
            }
            Version::V6 => header[4..6].copy_from_slice(&(transport_len as u16).to_be_bytes()),
        }
        let csum_offset = match self.kind {
            Kind::TcpV4 | Kind::TcpV6 => {
                header[self.l4_offset + 13] |= if self.push { tcp::PSH } else { 0 };
                tcp::CHECKSUM_OFFSET
            }
            Kind::UdpL4 => {
                let length = self.l4_offset + 4..self.l4_offset + 6;
                header[length].copy_from_slice(&(transport_len as u16).to_be_bytes());
                udp::CHECKSUM_OFFSET
            }
        };
        let partial = self.pseudo_header(transport_len).fold();
        let at = self.l4_offset + csum_offset;
        header[at..at + 2].copy_from_slice(&partial.to_be_bytes());
        let offload = Offload {
            kind: self.kind,
            header_len: self.header_len as u16,
            segment_size: self.segment_size as u16,
        };
        virtio::Header::segmentation(offload, self.l4_offset as u16, csum_offset as u16)
    }

    /// Whether these headers, as long as the head's, are what splitting makes for the next segment. TCP's flags are
    /// not compared, because no candidate has others than ACK and PSH.
    fn continues(&self, header: &[u8]) -> bool {
        let head = &self.header[..self.header_len];
        let same = |range: std::ops::Range<usize>| head[range.clone()] == header[range];
        let l4 = self.l4_offset;
        let same_ip = match self.version {
            Version::V4 => same(0..2) && same(6..10) && same(12..20) && self.id_follows(header),
            Version::V6 => same(0..4) && same(6..40),
        };
        let same_transport = match self.kind {
            Kind::TcpV4 | Kind::TcpV6 => {
                same(l4..l4 + 4)
                    && self.sequence_follows(header)
                    && same(l4 + 8..l4 + 13)
                    && same(l4 + 14..l4 + 16)
                    && same(l4 + 18..self.header_len)
            }
            Kind::UdpL4 => same(l4..l4 + 4),
        };
        same_ip && same_transport
    }

    /// IPv4's identification means nothing where fragmenting is forbidden (RFC 6864, section 4.1); elsewhere it must
    /// be what splitting makes.
    fn id_follows(&self, header: &[u8]) -> bool {
        let dont_fragment = u16::from_be_bytes([header[6], header[7]]) & ipv4::DONT_FRAGMENT != 0;
        let id = |header: &[u8]| u16::from_be_bytes([header[4], header[5]]);
        dont_fragment || id(header) == id(&self.header).wrapping_add(self.count as u16)
    }

    fn sequence_follows(&self, header: &[u8]) -> bool {
        let at = self.l4_offset + 4;
        let sequence =
            |header: &[u8]| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let payload_len = (self.len - self.header_len) as u32;
        sequence(header) == sequence(&self.header).wrapping_add(payload_len)
    }

    fn pseudo_header(&self, transport_len: usize) -> crate::checksum::Sum {
        let (addresses, protocol) = match self.version {
            Version::V4 => (&self.header[12..20], self.header[9]),
            Version::V6 => (&self.header[8..40], self.header[6]),
        };
        crate::checksum::Sum::of(addresses)
            .add_u16(u16::from(protocol))
            .add_u32(transport_len as u32)
    }
}

/// A packet that could be part of a joined one, by its own headers alone.
struct Candidate {
    parsed: ip::Packet,
    kind: Kind,
    header_len: usize,
    push: bool,
}

impl Candidate {
    fn parse(packet: &[u8]) -> Option<Self> {
        let parsed = ip::Packet::parse(packet).ok()?;
        let fixed_len = match parsed.version {
            Version::V4 => ipv4::HEADER_LEN,
            Version::V6 => ipv6::HEADER_LEN,
        };
        let plain = parsed.total_length == packet.len()
            && parsed.l4_offset == fixed_len
            && parsed.fragment == Fragment::Whole
            && packet.len() <= MAX_LEN;
        if !plain {
            return None;
        }
        let transport = &packet[fixed_len..];
        let (kind, transport_header_len, push) = match (parsed.protocol, parsed.version) {
            (ip::TCP, version) => {
                let (header, header_len) = tcp::parse(transport)?;
                if header.flags & !tcp::PSH != tcp::ACK {
                    return None;
                }
                let kind = match version {
                    Version::V4 => Kind::TcpV4,
                    Version::V6 => Kind::TcpV6,
                };
                (kind, header_len, header.flags & tcp::PSH != 0)
            }
            (ip::UDP, Version::V4 | Version::V6) => {
                udp::parse(transport)?;
                (Kind::UdpL4, udp::HEADER_LEN, false)
            }
            (_, Version::V4 | Version::V6) => return None,
        };
        let header_len = fixed_len + transport_header_len;
        (header_len < packet.len()).then_some(Self {
            parsed,
            kind,
            header_len,
            push,
        })
    }

    /// A wrong checksum must stay for the receiver to see; so must UDP's absent one.
    fn checksums_valid(&self, packet: &[u8]) -> bool {
        let header_valid = match self.parsed.version {
            Version::V4 => ipv4::header_checksum_valid(packet),
            Version::V6 => true,
        };
        header_valid && verify_transport(&self.parsed, packet) == Verdict::Valid
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::virtio::{NEEDS_CSUM, Pending};

    /// A TCP packet over IPv4, as the packet with this index of a flow with payloads of 100 bytes.
    fn tcp_v4(index: u32, flags: u8, payload_len: usize) -> Vec<u8> {
        let mut packet = vec![0xab; 40 + payload_len];
        packet[..20].fill(0);
        packet[0] = 0x45;
        packet[2..4].copy_from_slice(&(40 + payload_len as u16).to_be_bytes());
        packet[4..6].copy_from_slice(&(index as u16).to_be_bytes());
        packet[6..10].copy_from_slice(&[0x40, 0, 64, ip::TCP]);
        packet[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        packet[24..28].copy_from_slice(&(1000 + index * 100).to_be_bytes());
        packet[32..34].copy_from_slice(&[0x50, flags]);
        repair(&mut packet);
        packet
    }

    fn udp_v6(payload_len: usize) -> Vec<u8> {
        let mut packet = vec![0xab; 48 + payload_len];
        packet[..40].fill(0);
        packet[0] = 0x60;
        packet[4..6].copy_from_slice(&(8 + payload_len as u16).to_be_bytes());
        packet[6..8].copy_from_slice(&[ip::UDP, 64]);
        packet[44..46].copy_from_slice(&(8 + payload_len as u16).to_be_bytes());
        repair(&mut packet);
        packet
    }

    fn repair(packet: &mut [u8]) {
        ipv4_checksum(packet);
        let parsed = ip::Packet::parse(packet).unwrap();
        let at = parsed.l4_offset + if parsed.protocol == ip::TCP { 16 } else { 6 };
        let partial = parsed
            .pseudo_header(parsed.total_length - parsed.l4_offset)
            .fold();
        packet[at..at + 2].copy_from_slice(&partial.to_be_bytes());
        let (start, offset) = (parsed.l4_offset as u16, (at - parsed.l4_offset) as u16);
        crate::checksum::complete_partial(packet, start, offset).unwrap();
    }

    fn ipv4_checksum(packet: &mut [u8]) {
        if packet[0] >> 4 == 4 {
            ipv4::write_header_checksum(packet);
        }
    }

    fn appended(state: &mut State, packet: &[u8]) -> bool {
        state.append(packet) != Append::No
    }

    /// Catches a joined header that the kernel refuses or cuts elsewhere: each field, by hand.
    #[test]
    fn joined_headers_of_tcp() {
        let mut head = tcp_v4(0, tcp::ACK, 100);
        let mut state = start(&head).unwrap();
        assert_eq!(
            state.append(&tcp_v4(1, tcp::ACK, 100)),
            Append::Yes { payload_offset: 40 }
        );
        assert_eq!(
            state.append(&tcp_v4(2, tcp::ACK | tcp::PSH, 30)),
            Append::Yes { payload_offset: 40 }
        );
        assert_eq!((state.count(), state.total_len(), state.ended()), (3, 270, true));
        let header = state.finish(&mut head);
        assert_eq!(
            (header.flags, header.csum_start.get(), header.csum_offset.get()),
            (NEEDS_CSUM, 20, 16)
        );
        let offload = Offload {
            kind: Kind::TcpV4,
            header_len: 40,
            segment_size: 100,
        };
        assert_eq!(header.pending(), Ok(Pending::Segmentation(offload)));
        assert_eq!(head[2..4], [1, 14]);
        assert!(ipv4::header_checksum_valid(&head));
        assert_eq!(head[33], tcp::ACK | tcp::PSH);
        // 0x0a00 + 0x0001 + 0x0a00 + 0x0002 + protocol 6 + length 250.
        assert_eq!(head[36..38], (0x1403u16 + 6 + 250).to_be_bytes());
    }

    /// Catches UDP's own length left at the head's, or the flow label and hop limit not compared.
    #[test]
    fn joined_headers_of_udp() {
        let mut head = udp_v6(64);
        let mut state = start(&head).unwrap();
        let mut other_hops = udp_v6(64);
        other_hops[7] = 63;
        assert_eq!(state.append(&other_hops), Append::No);
        assert!(appended(&mut state, &udp_v6(64)));
        assert!(appended(&mut state, &udp_v6(1)));
        assert!(
            !appended(&mut state, &udp_v6(1)),
            "a shorter datagram is the last"
        );
        let header = state.finish(&mut head);
        let offload = Offload {
            kind: Kind::UdpL4,
            header_len: 48,
            segment_size: 64,
        };
        assert_eq!(header.pending(), Ok(Pending::Segmentation(offload)));
        assert_eq!((header.csum_start.get(), header.csum_offset.get()), (40, 6));
        assert_eq!(
            (head[4..6].to_vec(), head[44..46].to_vec()),
            (vec![0, 137], vec![0, 137])
        );
    }

    /// Catches a head alone being rewritten: its checksum would go out partial without the flag.
    #[test]
    fn a_head_alone_is_left_as_it_is() {
        let mut head = tcp_v4(0, tcp::ACK, 100);
        let before = head.clone();
        assert_eq!(start(&head).unwrap().finish(&mut head), virtio::Header::default());
        assert_eq!(head, before);
    }

    /// Catches heads to which nothing can be appended without changing what the receiver sees.
    #[test]
    fn heads_that_stay_alone() {
        for flags in [
            0,
            tcp::SYN | tcp::ACK,
            tcp::FIN | tcp::ACK,
            tcp::ACK | tcp::PSH,
            0x14,
            0x30,
            0x50,
            0x90,
        ] {
            assert!(start(&tcp_v4(0, flags, 100)).is_none(), "flags {flags:#x}");
        }
        assert!(start(&tcp_v4(0, tcp::ACK, 0)).is_none(), "no payload");
        let changed = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut packet = tcp_v4(0, tcp::ACK, 100);
            change(&mut packet);
            start(&packet).is_none()
        };
        assert!(!changed(&|_| {}));
        assert!(changed(&|packet| packet[60] ^= 1), "a wrong checksum");
        assert!(changed(&|packet| packet[10] ^= 1), "a wrong header checksum");
        assert!(changed(&|packet| packet.push(0)), "bytes behind the packet");
        assert!(changed(&|packet| {
            packet[6] = 0x20;
            ipv4_checksum(packet);
        }));
        assert!(changed(&|packet| {
            packet[0] = 0x46;
            ipv4_checksum(packet);
        }));
        let mut unchecked = tcp_v4(0, tcp::ACK, 100);
        unchecked[9] = ip::UDP;
        unchecked[24..28].copy_from_slice(&[0, 120, 0, 0]);
        ipv4_checksum(&mut unchecked);
        assert!(start(&unchecked).is_none(), "UDP without a checksum");
    }

    /// Catches a gap, another flow, a corrupt payload or a longer packet being joined.
    #[test]
    fn packets_that_do_not_continue() {
        let head = tcp_v4(0, tcp::ACK, 100);
        let refused = |packet: &[u8]| {
            let mut state = start(&head).unwrap();
            state.append(packet) == Append::No && state.count() == 1
        };
        assert!(!refused(&tcp_v4(1, tcp::ACK, 100)));
        assert!(refused(&tcp_v4(2, tcp::ACK, 100)), "a gap");
        assert!(refused(&tcp_v4(0, tcp::ACK, 100)), "a repetition");
        assert!(refused(&tcp_v4(1, tcp::ACK, 101)), "longer than the head");
        assert!(
            refused(&tcp_v4(1, tcp::ACK | tcp::FIN, 100)),
            "the end of the stream"
        );
        let mut corrupt = tcp_v4(1, tcp::ACK, 100);
        corrupt[139] ^= 1;
        assert!(refused(&corrupt), "a wrong checksum");
        for at in [1, 8, 12, 16, 20, 22, 28, 34] {
            let mut other = tcp_v4(1, tcp::ACK, 100);
            other[at] ^= 4;
            repair(&mut other);
            assert!(refused(&other), "byte {at} differs");
        }
    }

    /// Catches a run that goes on after PSH, which would move it to another packet.
    #[test]
    fn push_ends_the_run() {
        let mut state = start(&tcp_v4(0, tcp::ACK, 100)).unwrap();
        assert!(appended(&mut state, &tcp_v4(1, tcp::ACK | tcp::PSH, 100)));
        assert!(state.ended());
        assert!(!appended(&mut state, &tcp_v4(2, tcp::ACK, 100)));
    }

    /// Catches headers compared beyond the end of a packet that is shorter than the head's headers.
    #[test]
    fn a_packet_shorter_than_the_heads_headers() {
        let mut head = tcp_v4(0, tcp::ACK, 100);
        head[32] = 0xf0;
        repair(&mut head);
        let mut state = start(&head).unwrap();
        assert!(!appended(&mut state, &tcp_v4(0, tcp::ACK, 1)));
    }

    /// Catches identifications lost that a router on the way needs, or compared where they mean nothing.
    #[test]
    fn identifications_matter_without_df() {
        for (df, id, joined) in [
            (true, 1, true),
            (true, 7, true),
            (false, 1, true),
            (false, 7, false),
        ] {
            let mut packets = [tcp_v4(0, tcp::ACK, 100), tcp_v4(1, tcp::ACK, 100)];
            packets[1][5] = id;
            for packet in &mut packets {
                packet[6] = if df { 0x40 } else { 0 };
                repair(packet);
            }
            let mut state = start(&packets[0]).unwrap();
            assert_eq!(appended(&mut state, &packets[1]), joined, "DF {df}, id {id}");
        }
    }

    /// Catches a joined packet longer than its length field, or of more packets than the kernel takes.
    #[test]
    fn growth_is_bounded() {
        let mut state = start(&udp_v6(2000)).unwrap();
        while appended(&mut state, &udp_v6(2000)) {}
        assert_eq!((state.count(), state.total_len()), (32, 64048));
        assert!(!appended(&mut state, &udp_v6(1488)), "one byte too many");
        assert!(appended(&mut state, &udp_v6(1487)), "what just fits");
        assert_eq!(state.total_len(), MAX_LEN);

        let mut state = start(&udp_v6(10)).unwrap();
        while appended(&mut state, &udp_v6(10)) {}
        assert_eq!(state.count(), MAX_PACKETS);
        assert!(state.ended());
    }
}
