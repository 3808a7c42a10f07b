//! The UDP header (RFC 768).

use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of the header.
pub const HEADER_LEN: usize = size_of::<Header>();
/// The offset of the checksum in the header.
pub const CHECKSUM_OFFSET: usize = 6;

/// The header.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Header {
    /// Source port.
    pub source: U16,
    /// Destination port.
    pub destination: U16,
    /// Bytes of header and payload.
    pub length: U16,
    /// The checksum; zero means that there is none.
    pub checksum: U16,
}

/// The header and the payload of the datagram that fills `segment`. `None` when it is shorter than a header or
/// states any other length than its own.
#[inline]
pub fn parse(segment: &[u8]) -> Option<(&Header, &[u8])> {
    let (header, payload) = Header::ref_from_prefix(segment).ok()?;
    (usize::from(header.length.get()) == segment.len()).then_some((header, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches a stated length that is not the datagram's own.
    #[test]
    fn length_must_be_the_datagrams() {
        let mut segment = [0, 53, 0, 54, 0, 10, 0, 0, 1, 2];
        let (header, payload) = parse(&segment).unwrap();
        assert_eq!(
            (header.source.get(), header.destination.get(), payload),
            (53, 54, &[1u8, 2][..])
        );
        for stated in [0, 9, 11] {
            segment[5] = stated;
            assert_eq!(parse(&segment), None);
        }
        assert_eq!(parse(&segment[..7]), None);
    }
}
