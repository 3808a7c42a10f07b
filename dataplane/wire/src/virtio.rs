//! The header that a TUN device with IFF_VNET_HDR puts before each packet (struct virtio_net_hdr: virtio 1.2,
//! section 5.1.6; TUN's default byte order is the machine's).

use zerocopy::byteorder::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, NativeEndian, Unaligned};

/// Bytes of the header.
pub const HEADER_LEN: usize = size_of::<Header>();

/// Flag: the transport checksum is partial, and starts at `csum_start`.
pub const NEEDS_CSUM: u8 = 1;
/// Flag: the transport checksum was verified.
pub const DATA_VALID: u8 = 2;

/// No segmentation.
pub const GSO_NONE: u8 = 0;
/// TCP over IPv4.
pub const GSO_TCPV4: u8 = 1;
/// TCP over IPv6.
pub const GSO_TCPV6: u8 = 4;
/// UDP over either IP, each segment a datagram.
pub const GSO_UDP_L4: u8 = 5;
/// Flag in the GSO type: the packet has CWR set, which belongs on the first segment only.
pub const GSO_ECN: u8 = 0x80;

/// struct virtio_net_hdr, without the number of merged buffers.
#[derive(
    FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Debug, Default, PartialEq, Eq,
)]
#[repr(C)]
pub struct Header {
    /// [`NEEDS_CSUM`] and [`DATA_VALID`].
    pub flags: u8,
    /// One of the `GSO_` types, and [`GSO_ECN`].
    pub gso_type: u8,
    /// Bytes of all headers; a hint.
    pub hdr_len: U16<NativeEndian>,
    /// Bytes of payload in each segment.
    pub gso_size: U16<NativeEndian>,
    /// Where the checksummed part begins.
    pub csum_start: U16<NativeEndian>,
    /// Where in that part the checksum stands.
    pub csum_offset: U16<NativeEndian>,
}

/// What one packet of several consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// TCP over IPv4.
    TcpV4,
    /// TCP over IPv6.
    TcpV6,
    /// UDP over either IP.
    UdpL4,
}

/// A packet that stands for several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offload {
    /// The transport.
    pub kind: Kind,
    /// Bytes of all headers, as the kernel states them: a hint, which nothing here trusts.
    pub header_len: u16,
    /// Bytes of payload in each segment but the last.
    pub segment_size: u16,
}

/// What has to be done with a packet before it is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending {
    /// Nothing.
    Nothing,
    /// Its transport checksum is to be completed: see [`crate::checksum::complete_partial`].
    Checksum {
        /// Where the checksummed part begins.
        csum_start: u16,
        /// Where in that part the checksum stands.
        csum_offset: u16,
    },
    /// It is to be split: see [`crate::segment::Segments`], which also computes the checksums.
    Segmentation(Offload),
}

/// The header asks for an offload that was never offered to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("GSO type {0} was never offered to the kernel")]
pub struct UnknownOffload(pub u8);

impl Header {
    /// Splits what was read from the device into header and packet. `None` when it is shorter than a header.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        Self::read_from_prefix(bytes).ok()
    }

    /// Writes the header to the start of `out`. Returns false, and writes nothing, when `out` is too short.
    #[inline]
    pub fn write(&self, out: &mut [u8]) -> bool {
        self.write_to_prefix(out).is_ok()
    }

    /// What the header of a packet read from the device asks for.
    pub fn pending(&self) -> Result<Pending, UnknownOffload> {
        let kind = match self.gso_type & !GSO_ECN {
            GSO_NONE if self.flags & NEEDS_CSUM != 0 => {
                return Ok(Pending::Checksum {
                    csum_start: self.csum_start.get(),
                    csum_offset: self.csum_offset.get(),
                });
            }
            GSO_NONE => return Ok(Pending::Nothing),
            GSO_TCPV4 => Kind::TcpV4,
            GSO_TCPV6 => Kind::TcpV6,
            GSO_UDP_L4 => Kind::UdpL4,
            other => return Err(UnknownOffload(other)),
        };
        Ok(Pending::Segmentation(Offload {
            kind,
            header_len: self.hdr_len.get(),
            segment_size: self.gso_size.get(),
        }))
    }

    /// The header of a packet that is to be split by the kernel, its transport checksum partial.
    pub fn segmentation(offload: Offload, csum_start: u16, csum_offset: u16) -> Self {
        Self {
            flags: NEEDS_CSUM,
            gso_type: match offload.kind {
                Kind::TcpV4 => GSO_TCPV4,
                Kind::TcpV6 => GSO_TCPV6,
                Kind::UdpL4 => GSO_UDP_L4,
            },
            hdr_len: U16::new(offload.header_len),
            gso_size: U16::new(offload.segment_size),
            csum_start: U16::new(csum_start),
            csum_offset: U16::new(csum_offset),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches fields in the wrong order or byte order: the kernel would cut packets at random places.
    #[test]
    fn layout_is_the_kernels() {
        let offload = Offload {
            kind: Kind::TcpV6,
            header_len: 0x0102,
            segment_size: 0x0304,
        };
        let mut bytes = [0xee; 12];
        assert!(Header::segmentation(offload, 0x0506, 0x0708).write(&mut bytes));
        let mut expected = vec![1, 4];
        for field in [0x0102u16, 0x0304, 0x0506, 0x0708] {
            expected.extend(field.to_ne_bytes());
        }
        expected.extend([0xee; 2]);
        assert_eq!(bytes[..], expected);
        let (header, packet) = Header::parse(&bytes).unwrap();
        assert_eq!(
            (header.pending(), packet),
            (Ok(Pending::Segmentation(offload)), &[0xee; 2][..])
        );
        assert!(!header.write(&mut [0; 9]));
        assert_eq!(Header::parse(&bytes[..9]), None);
    }

    /// Catches a checksum left partial, the ECN flag hiding a type, and UFO (type 3) taken for something else.
    #[test]
    fn every_type_has_its_work() {
        let header = |flags, gso_type| Header {
            flags,
            gso_type,
            ..Header::default()
        };
        assert_eq!(header(0, GSO_NONE).pending(), Ok(Pending::Nothing));
        assert_eq!(header(DATA_VALID, GSO_NONE).pending(), Ok(Pending::Nothing));
        let checksum = Pending::Checksum {
            csum_start: 0,
            csum_offset: 0,
        };
        assert_eq!(header(NEEDS_CSUM, GSO_NONE).pending(), Ok(checksum));
        assert_eq!(header(NEEDS_CSUM, 3).pending(), Err(UnknownOffload(3)));
        for (gso_type, kind) in [
            (1, Kind::TcpV4),
            (0x81, Kind::TcpV4),
            (4, Kind::TcpV6),
            (0x84, Kind::TcpV6),
            (5, Kind::UdpL4),
        ] {
            let offload = Offload {
                kind,
                header_len: 0,
                segment_size: 0,
            };
            assert_eq!(
                header(NEEDS_CSUM, gso_type).pending(),
                Ok(Pending::Segmentation(offload))
            );
        }
    }
}
