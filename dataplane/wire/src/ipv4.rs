//! The IPv4 header (RFC 791, section 3.1).

use crate::checksum::Sum;
use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of a header without options.
pub const HEADER_LEN: usize = size_of::<Header>();
/// The "don't fragment" bit of [`Header::fragment`].
pub const DONT_FRAGMENT: u16 = 0x4000;
/// The "more fragments" bit of [`Header::fragment`].
pub const MORE_FRAGMENTS: u16 = 0x2000;
/// The bits of [`Header::fragment`] that hold the offset, in units of 8 bytes.
pub const FRAGMENT_OFFSET: u16 = 0x1fff;

/// The fixed part of the header.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Header {
    /// Version in the high four bits, header length in words of 32 bits in the low ones.
    pub version_ihl: u8,
    /// DSCP and ECN.
    pub tos: u8,
    /// Bytes of the packet, header included.
    pub total_length: U16,
    /// Identification, which tells fragments of one packet from those of another.
    pub id: U16,
    /// Flags and fragment offset.
    pub fragment: U16,
    /// Time to live.
    pub ttl: u8,
    /// The transport protocol.
    pub protocol: u8,
    /// The checksum over the header, options included.
    pub checksum: U16,
    /// Source address.
    pub source: [u8; 4],
    /// Destination address.
    pub destination: [u8; 4],
}

impl Header {
    /// Bytes of the header as it states them, options included: 0 to 60, not checked against anything.
    #[inline]
    pub fn header_len(&self) -> usize {
        usize::from(self.version_ihl & 0x0f) * 4
    }
}

/// Whether the header at the start of `packet` is whole and its checksum right.
pub fn header_checksum_valid(packet: &[u8]) -> bool {
    stated_header(packet).is_some_and(|header| Sum::of(header).finish() == 0)
}

/// Computes the header checksum anew and writes it. Returns false, and changes nothing, when the header is not
/// whole.
pub fn write_header_checksum(packet: &mut [u8]) -> bool {
    let Some(header) = stated_header(packet) else {
        return false;
    };
    let checksum = Sum::of(&header[..10]).add_bytes(&header[12..]).finish();
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    true
}

/// The header with the options that it states, or `None` if it is shorter than 20 bytes or longer than `packet`.
fn stated_header(packet: &[u8]) -> Option<&[u8]> {
    let (header, _) = Header::ref_from_prefix(packet).ok()?;
    packet
        .get(..header.header_len())
        .filter(|header| header.len() >= HEADER_LEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches a checksum that leaves out options, and one that a receiver would refuse.
    #[test]
    fn header_checksum_covers_the_options() {
        let mut packet = [0u8; 30];
        packet[0] = 0x46;
        packet[20..24].copy_from_slice(&[1, 1, 1, 1]);
        assert!(!header_checksum_valid(&packet));
        assert!(write_header_checksum(&mut packet));
        assert!(header_checksum_valid(&packet));
        packet[29] ^= 1;
        assert!(header_checksum_valid(&packet), "the payload is not covered");
        packet[23] ^= 1;
        assert!(!header_checksum_valid(&packet), "options are covered");
    }

    /// Catches a header that states more bytes than there are, or fewer than the fixed part.
    #[test]
    fn stated_lengths_are_checked() {
        for first in [0x44, 0x46, 0x40] {
            let mut packet = [0u8; 20];
            packet[0] = first;
            assert!(!write_header_checksum(&mut packet));
            assert!(!header_checksum_valid(&packet));
        }
        assert!(!header_checksum_valid(&[0x45; 19]));
    }
}
