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

    /// Whether these headers, as long as the head's, are what splitting makes for the next segment.
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
                    && (head[l4 + 13] ^ header[l4 + 13]) & !tcp::PSH == 0
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
