//! The Ethernet header (IEEE 802.3, with the types of RFC 894 and RFC 2464).

use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of the header.
pub const HEADER_LEN: usize = size_of::<Header>();
/// The type of IPv4.
pub const IPV4: u16 = 0x0800;
/// The type of IPv6.
pub const IPV6: u16 = 0x86dd;
/// The type of a VLAN tag (IEEE 802.1Q).
pub const VLAN: u16 = 0x8100;
/// The type of an outer VLAN tag (IEEE 802.1ad).
pub const VLAN_OUTER: u16 = 0x88a8;

/// The header.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Header {
    /// Whom the frame is for.
    pub destination: [u8; 6],
    /// Who sent it.
    pub source: [u8; 6],
    /// What follows.
    pub ethertype: U16,
}

/// The header, and what follows it. `None` for a frame that is shorter.
#[inline]
pub fn parse(frame: &[u8]) -> Option<(&Header, &[u8])> {
    Header::ref_from_prefix(frame).ok()
}

/// Writes the header in front of an IP packet of type `ethertype`, to the first and from the second MAC address. Returns
/// false where there is no room.
#[inline]
#[must_use]
pub fn write(frame: &mut [u8], (destination, source): ([u8; 6], [u8; 6]), ethertype: u16) -> bool {
    let header = Header {
        destination,
        source,
        ethertype: ethertype.into(),
    };
    header.write_to_prefix(frame).is_ok()
}
