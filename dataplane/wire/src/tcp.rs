//! The TCP header (RFC 9293, section 3.1), and the clamping of its MSS option.

use crate::checksum;
use crate::ip::{self, Fragment, Version};
use zerocopy::byteorder::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of a header without options.
pub const HEADER_LEN: usize = size_of::<Header>();
/// The offset of the checksum in the header.
pub const CHECKSUM_OFFSET: usize = 16;

/// The sender has no more data.
pub const FIN: u8 = 0x01;
/// Synchronise sequence numbers.
pub const SYN: u8 = 0x02;
/// Give the data to the application at once.
pub const PSH: u8 = 0x08;
/// The acknowledgement number is valid.
pub const ACK: u8 = 0x10;
/// Congestion window reduced (RFC 3168).
pub const CWR: u8 = 0x80;

/// The fixed part of the header.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Header {
    /// Source port.
    pub source: U16,
    /// Destination port.
    pub destination: U16,
    /// The number of the first byte of payload.
    pub sequence: U32,
    /// The number of the byte expected next.
    pub acknowledgement: U32,
    /// Header length in words of 32 bits in the high four bits; the rest reserved.
    pub data_offset: u8,
    /// [`FIN`], [`SYN`] and the others.
    pub flags: u8,
    /// The receive window.
    pub window: U16,
    /// The checksum over pseudo header, header and payload.
    pub checksum: U16,
    /// Where urgent data ends.
    pub urgent: U16,
}

impl Header {
    /// Bytes of the header as it states them, options included: 0 to 60, not checked against anything.
    #[inline]
    pub fn header_len(&self) -> usize {
        usize::from(self.data_offset >> 4) * 4
    }
}

/// The fixed header at the start of `segment`, and the length of the whole header. `None` when the stated length
/// is below 20 or above the segment's.
#[inline]
pub fn parse(segment: &[u8]) -> Option<(&Header, usize)> {
    let (header, _) = Header::ref_from_prefix(segment).ok()?;
    let header_len = header.header_len();
    (HEADER_LEN..=segment.len())
        .contains(&header_len)
        .then_some((header, header_len))
}

/// Lowers the MSS option of a SYN to what fits into `mtu` with headers without options (RFC 6691, section 2):
/// `mtu - 40` over IPv4, `mtu - 60` over IPv6. Never raises it. Returns whether the packet was changed.
///
/// The checksum is updated by the difference, so it must be complete, not partial; if it was wrong it stays wrong.
pub fn clamp_mss(packet: &mut [u8], mtu: u16) -> bool {
    match ip::Packet::parse(packet) {
        Ok(parsed) => clamp_mss_of(&parsed, packet, mtu),
        Err(_) => false,
    }
}

/// The same for a packet that was parsed already.
#[inline]
pub fn clamp_mss_of(parsed: &ip::Packet, packet: &mut [u8], mtu: u16) -> bool {
    if parsed.protocol != ip::TCP || parsed.fragment == Fragment::Later {
        return false;
    }
    let overhead = match parsed.version {
        Version::V4 => 40,
        Version::V6 => 60,
    };
    let Some(limit) = mtu.checked_sub(overhead).filter(|limit| *limit > 0) else {
        return false;
    };
    clamp_segment(&mut packet[parsed.l4_offset..parsed.total_length], limit)
}

fn clamp_segment(segment: &mut [u8], limit: u16) -> bool {
    let Some((header, header_len)) = parse(segment) else {
        return false;
    };
    if header.flags & SYN == 0 {
        return false;
    }
    let before = header.checksum.get();
    let Some(at) = mss_offset(&segment[..header_len]) else {
        return false;
    };
    let mss = u16::from_be_bytes([segment[at], segment[at + 1]]);
    if mss <= limit {
        return false;
    }
    // At an odd offset the value's bytes belong to two words of the checksum, each in the other half.
    let (old, new) = if at.is_multiple_of(2) {
        (mss, limit)
    } else {
        (mss.swap_bytes(), limit.swap_bytes())
    };
    let checksum = checksum::update_u16(before, old, new);
    segment[at..at + 2].copy_from_slice(&limit.to_be_bytes());
    segment[CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2].copy_from_slice(&checksum.to_be_bytes());
    true
}

/// The offset of the value of the first well-formed MSS option. Options that state a length below 2, or beyond the
/// header, end the search.
fn mss_offset(header: &[u8]) -> Option<usize> {
    const END: u8 = 0;
    const NO_OPERATION: u8 = 1;
    const MAXIMUM_SEGMENT_SIZE: u8 = 2;
    let mut at = HEADER_LEN;
    loop {
        let kind = *header.get(at)?;
        match kind {
            END => return None,
            NO_OPERATION => at += 1,
            _ => {
                let len = usize::from(*header.get(at + 1)?);
                if len < 2 || at + len > header.len() {
                    return None;
                }
                if kind == MAXIMUM_SEGMENT_SIZE && len == 4 {
                    return Some(at + 2);
                }
                at += len;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::{Verdict, verify_transport};

    /// A SYN over IPv4 with these options, padded with zeros, and a right checksum.
    fn syn(flags: u8, options: &[u8]) -> Vec<u8> {
        let header_len = 20 + options.len().next_multiple_of(4);
        let mut packet = vec![0u8; 20 + header_len];
        packet[0] = 0x45;
        packet[3] = packet.len() as u8;
        packet[9] = ip::TCP;
        packet[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        packet[32] = (header_len as u8 / 4) << 4;
        packet[33] = flags;
        packet[40..40 + options.len()].copy_from_slice(options);
        let parsed = ip::Packet::parse(&packet).unwrap();
        let checksum = parsed.pseudo_header(header_len).add_bytes(&packet[20..]).finish();
        packet[36..38].copy_from_slice(&checksum.to_be_bytes());
        packet
    }

    fn checksum_is_right(packet: &[u8]) -> bool {
        verify_transport(&ip::Packet::parse(packet).unwrap(), packet) == Verdict::Valid
    }

    /// Catches an MSS left too great for the tunnel, and a checksum that is wrong at odd offsets.
    #[test]
    fn lowers_at_any_offset() {
        for padding in 0..4 {
            let mut options = vec![1u8; padding];
            options.extend([2, 4, 0x05, 0xb4]);
            let mut packet = syn(SYN, &options);
            assert!(clamp_mss(&mut packet, 1420), "{padding} bytes before the option");
            assert_eq!(packet[42 + padding..44 + padding], 1380u16.to_be_bytes());
            assert!(checksum_is_right(&packet), "{padding} bytes before the option");
            assert!(!clamp_mss(&mut packet, 1420), "a second time");
            assert!(!clamp_mss(&mut packet, 1421), "never raised");
        }
    }

    /// Catches packets touched that must not be: no SYN, a later fragment, another protocol.
    #[test]
    fn leaves_others_alone() {
        let option = [2, 4, 0x05, 0xb4];
        assert!(!clamp_mss(&mut syn(ACK, &option), 576));
        assert!(clamp_mss(&mut syn(SYN | ACK, &option), 576));
        for (at, value) in [(7, 1), (9, ip::UDP)] {
            let mut packet = syn(SYN, &option);
            packet[at] = value;
            assert!(!clamp_mss(&mut packet, 576));
        }
        for mtu in [0, 39, 40] {
            assert!(
                !clamp_mss(&mut syn(SYN, &option), mtu),
                "an MSS of zero or below for MTU {mtu}"
            );
        }
    }

    /// Catches endless loops and reads out of bounds on options that lie about their length.
    #[test]
    fn malformed_options_end_the_search() {
        for options in [
            &[3, 0, 2, 4][..],
            &[3, 1, 2, 4],
            &[8, 40, 2, 4],
            &[2, 4, 0, 0, 0, 0, 0, 2],
            &[0, 2, 4, 0xff, 0xff, 0, 0, 0],
            &[2, 3, 0xff, 1],
            &[1, 1, 2, 4],
        ] {
            let mut packet = syn(SYN, options);
            let before = packet.clone();
            assert!(!clamp_mss(&mut packet, 576), "{options:?}");
            assert_eq!(packet, before);
        }
        let mut packet = syn(SYN, &[2, 4, 0x05, 0xb4]);
        packet[32] = 0x40;
        assert!(!clamp_mss(&mut packet, 576), "a header shorter than 20 bytes");
        packet[32] = 0x70;
        assert!(!clamp_mss(&mut packet, 576), "a header longer than the packet");
    }
}
