//! The Internet checksum (RFC 1071), its incremental update (RFC 1624), and the pseudo headers of the transports
//! (RFC 9293 section 3.1, RFC 8200 section 8.1).

use crate::{ip, udp};
use std::net::IpAddr;

/// A sum in ones' complement of 16-bit words, not yet folded to 16 bits nor inverted.
///
/// Words are added as they lie in memory, whatever the machine's byte order: a sum in ones' complement comes out
/// in the order that went in (RFC 1071, section 2B), and [`Sum::fold`] turns it round once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum(u64);

impl Sum {
    /// The sum over `bytes`, an odd last byte padded with zero.
    #[inline]
    pub fn of(bytes: &[u8]) -> Self {
        Self::default().add_bytes(bytes)
    }

    /// Adds `bytes`, which must start at an even offset of what is summed.
    #[inline]
    #[must_use]
    pub fn add_bytes(self, bytes: &[u8]) -> Self {
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        let mut lanes = [0; LANES];
        for block in blocks {
            lanes = add_block(lanes, block);
        }
        self.add_lanes(lanes).add_rest(rest)
    }

    /// Adds a number that stands as 16 bits in network order.
    #[inline]
    #[must_use]
    pub fn add_u16(self, value: u16) -> Self {
        self.add_word(u64::from(value.to_be()))
    }

    /// Adds a number that stands as 32 bits in network order.
    #[inline]
    #[must_use]
    pub fn add_u32(self, value: u32) -> Self {
        self.add_word(u64::from(value.to_be()))
    }

    /// Adds another sum, whose bytes must start at an even offset of what is summed.
    #[inline]
    #[must_use]
    pub fn add_sum(self, other: Self) -> Self {
        self.add_word(other.0)
    }

    /// The sum folded to 16 bits, as a number: written in network order it is what virtio's partial checksum wants.
    #[inline]
    pub fn fold(self) -> u16 {
        let folded = (self.0 >> 32) + (self.0 & 0xffff_ffff);
        let folded = (folded >> 16 >> 16) + (folded >> 16 & 0xffff) + (folded & 0xffff);
        let folded = (folded >> 16) + (folded & 0xffff);
        u16::from_be(folded as u16)
    }

    /// The checksum: the folded sum inverted, as a number to be written in network order.
    #[inline]
    pub fn finish(self) -> u16 {
        !self.fold()
    }

    /// The checksum of a UDP datagram, in which zero would mean that there is none (RFC 768).
    #[inline]
    pub fn finish_udp(self) -> u16 {
        match self.finish() {
            0 => 0xffff,
            checksum => checksum,
        }
    }

    #[inline]
    fn add_word(self, word: u64) -> Self {
        let (sum, carry) = self.0.overflowing_add(word);
        Self(sum + u64::from(carry))
    }

    #[inline]
    fn add_lanes(self, lanes: [u64; LANES]) -> Self {
        lanes.into_iter().fold(self, Self::add_word)
    }

    /// Adds fewer bytes than a block.
    #[inline]
    fn add_rest(self, rest: &[u8]) -> Self {
        let (words, tail) = rest.as_chunks::<8>();
        let sum = words
            .iter()
            .fold(self, |sum, word| sum.add_word(u64::from_ne_bytes(*word)));
        let mut padded = [0; 8];
        padded[..tail.len()].copy_from_slice(tail);
        sum.add_word(u64::from_ne_bytes(padded))
    }
}

/// Copies `source` over the start of `destination` and sums it in the same pass.
///
/// # Panics
/// When `destination` is shorter than `source`.
#[inline]
pub fn copy_and_sum(source: &[u8], destination: &mut [u8]) -> Sum {
    let destination = &mut destination[..source.len()];
    let (from_blocks, from_rest) = source.as_chunks::<BLOCK>();
    let (to_blocks, to_rest) = destination.as_chunks_mut::<BLOCK>();
    let mut lanes = [0; LANES];
    for (from, to) in from_blocks.iter().zip(to_blocks) {
        *to = *from;
        lanes = add_block(lanes, from);
    }
    to_rest.copy_from_slice(from_rest);
    Sum::default().add_lanes(lanes).add_rest(from_rest)
}

/// The checksum after a 16-bit field that it covers, at an even offset, went from `old` to `new` (RFC 1624,
/// equation 3).
#[inline]
pub fn update_u16(checksum: u16, old: u16, new: u16) -> u16 {
    Sum::default()
        .add_u16(!checksum)
        .add_u16(!old)
        .add_u16(new)
        .finish()
}

/// The sum of the pseudo header for a transport segment of `length` bytes.
#[inline]
pub fn pseudo_header(source: IpAddr, destination: IpAddr, protocol: u8, length: usize) -> Sum {
    let addresses = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            Sum::of(&source.octets()).add_bytes(&destination.octets())
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            Sum::of(&source.octets()).add_bytes(&destination.octets())
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => Sum::default(),
    };
    addresses.add_u32(length as u32).add_u16(u16::from(protocol))
}

/// Why a partial checksum cannot be completed: the kernel named a place outside of the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the partial checksum lies outside of the packet")]
pub struct OutOfBounds;

/// Completes the checksum of a packet that came with virtio's NEEDS_CSUM flag.
///
/// The field at `csum_start + csum_offset` holds the folded sum of the pseudo header, and is replaced by the
/// checksum of everything from `csum_start` on. At UDP's offset a result of zero is written as 0xffff.
pub fn complete_partial(packet: &mut [u8], csum_start: u16, csum_offset: u16) -> Result<(), OutOfBounds> {
    let covered = packet.get_mut(usize::from(csum_start)..).ok_or(OutOfBounds)?;
    let at = usize::from(csum_offset);
    if covered.len() < at + 2 {
        return Err(OutOfBounds);
    }
    let sum = Sum::of(covered);
    let checksum = if at == udp::CHECKSUM_OFFSET {
        sum.finish_udp()
    } else {
        sum.finish()
    };
    covered[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
    Ok(())
}

/// What a packet's transport checksum is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is there and right.
    Valid,
    /// It is wrong, or missing where it must not be, or the transport header is malformed.
    Invalid,
    /// There is none that could be checked: another protocol, a fragment, or UDP over IPv4 without a checksum.
    Unchecked,
}

/// Checks the checksum of TCP, UDP, ICMP and ICMPv6. `packet` are the bytes that `parsed` was parsed from.
pub fn verify_transport(parsed: &ip::Packet, packet: &[u8]) -> Verdict {
    let Some(segment) = packet.get(parsed.l4_offset..parsed.total_length) else {
        return Verdict::Invalid;
    };
    if parsed.is_fragment() {
        return Verdict::Unchecked;
    }
    match (parsed.protocol, parsed.source) {
        (ip::UDP, _) => verify_udp(parsed, segment),
        (ip::TCP, _) => verdict(segment.len() >= 20, parsed.pseudo_header(segment.len()), segment),
        (ip::ICMPV6, IpAddr::V6(_)) => {
            verdict(segment.len() >= 4, parsed.pseudo_header(segment.len()), segment)
        }
        (ip::ICMP, IpAddr::V4(_)) => verdict(segment.len() >= 4, Sum::default(), segment),
        (_, IpAddr::V4(_) | IpAddr::V6(_)) => Verdict::Unchecked,
    }
}

/// UDP states its own length, which may leave bytes behind the datagram (RFC 768); over IPv6 a checksum is
/// required (RFC 8200, section 8.1).
fn verify_udp(parsed: &ip::Packet, segment: &[u8]) -> Verdict {
    let Some(header) = segment.first_chunk::<8>() else {
        return Verdict::Invalid;
    };
    let stated = usize::from(u16::from_be_bytes([header[4], header[5]]));
    if header[6..8] == [0, 0] {
        return if parsed.source.is_ipv4() {
            Verdict::Unchecked
        } else {
            Verdict::Invalid
        };
    }
    match segment.get(..stated) {
        Some(datagram) => verdict(stated >= 8, parsed.pseudo_header(stated), datagram),
        None => Verdict::Invalid,
    }
}

fn verdict(long_enough: bool, pseudo_header: Sum, segment: &[u8]) -> Verdict {
    if long_enough && pseudo_header.add_bytes(segment).finish() == 0 {
        Verdict::Valid
    } else {
        Verdict::Invalid
    }
}

const LANES: usize = 4;
const BLOCK: usize = LANES * 8;

/// Adds the two halves of four 64-bit words to a lane each. The halves leave 32 bits of room for carries, which
/// no slice that fits in memory here can fill, and compilers turn the loop into vector code.
#[inline]
fn add_block(lanes: [u64; LANES], block: &[u8; BLOCK]) -> [u64; LANES] {
    let (words, _) = block.as_chunks::<8>();
    std::array::from_fn(|lane| {
        let word = u64::from_ne_bytes(words[lane]);
        lanes[lane] + (word & 0xffff_ffff) + (word >> 32)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches a sum in the wrong byte order or with lost carries: RFC 1071 section 3 gives this one.
    #[test]
    fn rfc_1071_example() {
        let sum = Sum::of(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.fold(), 0xddf2);
        assert_eq!(sum.finish(), !0xddf2);
    }

    /// Catches carries lost where every word is as great as it can be, at all tails of a block.
    #[test]
    fn all_ones_stay_all_ones() {
        let ones = [0xff; 65536];
        for len in (2..200).step_by(2).chain([65534, 65536]) {
            assert_eq!(Sum::of(&ones[..len]).fold(), 0xffff, "{len} bytes");
        }
        assert_eq!(Sum::of(&ones[..3]).fold(), 0xff00);
        assert_eq!(Sum(u64::MAX).fold(), 0xffff);
        assert_eq!(Sum(u64::MAX).add_u16(1).fold(), 1);
    }

    /// Catches an update that differs from RFC 1624 section 4's example, in which equation 2 of RFC 1141 fails.
    #[test]
    fn rfc_1624_example() {
        assert_eq!(update_u16(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    /// Catches a partial checksum written outside of the packet on the word of the kernel.
    #[test]
    fn partial_checksums_stay_within_bounds() {
        let mut packet = [1u8; 40];
        for (start, offset) in [
            (40, 0),
            (39, 0),
            (41, 0),
            (20, 19),
            (0, u16::MAX),
            (u16::MAX, u16::MAX),
        ] {
            assert_eq!(
                complete_partial(&mut packet, start, offset),
                Err(OutOfBounds),
                "{start}+{offset}"
            );
        }
        assert_eq!(packet, [1; 40]);
        assert_eq!(complete_partial(&mut packet, 20, 18), Ok(()));
    }

    /// Catches a completed checksum that the receiver's check would refuse.
    #[test]
    fn a_completed_checksum_verifies() {
        let mut packet = [0u8; 29];
        packet[0] = 0x45;
        packet[3] = 29;
        packet[9] = ip::UDP;
        packet[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        packet[20..26].copy_from_slice(&[0, 7, 0, 9, 0, 9]);
        packet[28] = 0x5a;
        let parsed = ip::Packet::parse(&packet).unwrap();
        assert_eq!(verify_transport(&parsed, &packet), Verdict::Unchecked);
        packet[26..28].copy_from_slice(&parsed.pseudo_header(9).fold().to_be_bytes());
        assert_eq!(verify_transport(&parsed, &packet), Verdict::Invalid);
        complete_partial(&mut packet, 20, 6).unwrap();
        assert_eq!(verify_transport(&parsed, &packet), Verdict::Valid);
        packet[28] ^= 1;
        assert_eq!(verify_transport(&parsed, &packet), Verdict::Invalid);
    }

    /// Catches a UDP checksum of zero, which says that there is none, and TCP's changed from the usual form.
    #[test]
    fn zero_is_written_as_ones_for_udp_alone() {
        for (offset, expected) in [(6, 0xffff), (16, 0x0000)] {
            let mut covered = [0u8; 20];
            covered[..2].fill(0xff);
            complete_partial(&mut covered, 0, offset).unwrap();
            let at = usize::from(offset);
            assert_eq!(
                u16::from_be_bytes([covered[at], covered[at + 1]]),
                expected,
                "offset {offset}"
            );
        }
    }
}
