//! The IPv6 header (RFC 8200, section 3) and its extension headers (section 4).

use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of the fixed header.
pub const HEADER_LEN: usize = size_of::<Header>();
/// Extension headers that are walked at most; a packet with more is refused.
pub const MAX_EXTENSION_HEADERS: usize = 8;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;

/// The fixed header.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Header {
    /// Version (four bits), traffic class (eight), flow label (twenty).
    pub version_class_flow: [u8; 4],
    /// Bytes after this header.
    pub payload_length: U16,
    /// The protocol of what follows: an extension header or a transport.
    pub next_header: u8,
    /// Routers that may still forward the packet.
    pub hop_limit: u8,
    /// Source address.
    pub source: [u8; 16],
    /// Destination address.
    pub destination: [u8; 16],
}

impl Header {
    /// DSCP and ECN.
    #[inline]
    pub fn traffic_class(&self) -> u8 {
        self.version_class_flow[0] << 4 | self.version_class_flow[1] >> 4
    }

    /// Replaces DSCP and ECN.
    #[inline]
    pub fn set_traffic_class(&mut self, class: u8) {
        self.version_class_flow[0] = self.version_class_flow[0] & 0xf0 | class >> 4;
        self.version_class_flow[1] = self.version_class_flow[1] & 0x0f | class << 4;
    }

    /// Whether the packet claims to be longer than its length field can say (RFC 2675): a payload length of zero
    /// in front of a hop-by-hop header.
    #[inline]
    pub fn is_jumbogram(&self) -> bool {
        self.payload_length.get() == 0 && self.next_header == HOP_BY_HOP
    }
}

/// Where the chain of extension headers ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transport {
    /// The first next-header value that is not walked: a transport, ESP, AH, "no next header", or a routing header
    /// with segments left.
    pub protocol: u8,
    /// The offset in the packet of what `protocol` names.
    pub offset: usize,
    /// Flags and offset of the fragment header, if there is one: the offset, in units of 8 bytes, in the high 13
    /// bits, "more fragments" in the lowest.
    pub fragment: Option<u16>,
}

/// Walks the extension headers of `packet`, which starts with the fixed header `header` and ends where the header
/// says. Stops behind the fragment header of a fragment that is not the first, because what follows it is
/// payload. AH is not walked: whoever finds a transport behind it might rewrite what it authenticates. Nor is a
/// routing header with segments left: the transport's checksum behind it is over another destination than the
/// fixed header's (RFC 8200, section 8.1). `None` when a header runs over the end, or when there are more than
/// [`MAX_EXTENSION_HEADERS`].
pub fn walk_extension_headers(header: &Header, packet: &[u8]) -> Option<Transport> {
    let mut end = Transport {
        protocol: header.next_header,
        offset: HEADER_LEN,
        fragment: None,
    };
    for _ in 0..=MAX_EXTENSION_HEADERS {
        if !matches!(
            end.protocol,
            HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION_OPTIONS
        ) {
            return Some(end);
        }
        let extension = packet.get(end.offset..)?.first_chunk::<8>()?;
        if end.protocol == ROUTING && extension[3] != 0 {
            return Some(end);
        }
        if end.protocol == FRAGMENT {
            end.fragment = Some(u16::from_be_bytes([extension[2], extension[3]]));
            end.offset += 8;
        } else {
            end.offset += (usize::from(extension[1]) + 1) * 8;
        }
        end.protocol = extension[0];
        if end.offset > packet.len() {
            return None;
        }
        if end.fragment.is_some_and(|fragment| fragment >> 3 != 0) {
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(next_header: u8) -> Header {
        let mut header = Header::read_from_bytes(&[0u8; 40]).unwrap();
        header.next_header = next_header;
        header
    }

    /// Catches traffic class bits written over the version or the flow label.
    #[test]
    fn traffic_class_keeps_its_neighbours() {
        let mut header = header(6);
        header.version_class_flow = [0x60, 0x0a, 0xbc, 0xde];
        header.set_traffic_class(0xb9);
        assert_eq!(header.version_class_flow, [0x6b, 0x9a, 0xbc, 0xde]);
        assert_eq!(header.traffic_class(), 0xb9);
    }

    /// Catches a chain read at the wrong offset: hop-by-hop of 16 bytes, then routing of 8, then TCP.
    #[test]
    fn chains_are_walked_to_the_transport() {
        let mut packet = [0u8; 70];
        packet[40..42].copy_from_slice(&[ROUTING, 1]);
        packet[56..58].copy_from_slice(&[6, 0]);
        let end = walk_extension_headers(&header(HOP_BY_HOP), &packet);
        assert_eq!(
            end,
            Some(Transport {
                protocol: 6,
                offset: 64,
                fragment: None
            })
        );
        assert_eq!(
            walk_extension_headers(&header(HOP_BY_HOP), &packet[..63]),
            None,
            "cut in the routing header"
        );
        assert_eq!(
            walk_extension_headers(&header(HOP_BY_HOP), &packet[..47]),
            None,
            "cut in the first header"
        );
        packet[40] = 6;
        let end = walk_extension_headers(&header(HOP_BY_HOP), &packet[..55]);
        assert_eq!(end, None, "cut in the last header");
    }

    /// Catches a chain that never ends being walked without bound: each of these headers names another.
    #[test]
    fn chains_are_bounded() {
        for (extensions, found) in [(8usize, true), (9, false)] {
            let mut packet = [0u8; 40 + 9 * 8];
            for index in 0..extensions {
                packet[40 + index * 8] = DESTINATION_OPTIONS;
            }
            packet[40 + (extensions - 1) * 8] = 17;
            let end = walk_extension_headers(&header(DESTINATION_OPTIONS), &packet);
            assert_eq!(end.is_some(), found, "{extensions} extension headers");
        }
    }

    /// Catches a transport whose checksum is over another destination than the one in the header.
    #[test]
    fn routing_headers_with_segments_left_end_the_walk() {
        let mut packet = [0u8; 60];
        packet[40..44].copy_from_slice(&[6, 0, 4, 1]);
        let end = walk_extension_headers(&header(ROUTING), &packet);
        assert_eq!(
            end,
            Some(Transport {
                protocol: ROUTING,
                offset: 40,
                fragment: None
            })
        );
    }

    /// Catches payload of a later fragment being read as an extension header.
    #[test]
    fn later_fragments_end_the_walk() {
        let mut packet = [0xffu8; 56];
        packet[40..44].copy_from_slice(&[HOP_BY_HOP, 0, 0, 0x08]);
        let end = walk_extension_headers(&header(FRAGMENT), &packet);
        assert_eq!(
            end,
            Some(Transport {
                protocol: HOP_BY_HOP,
                offset: 48,
                fragment: Some(8)
            })
        );
    }
}
