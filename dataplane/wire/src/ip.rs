//! An inner packet of either IP version, as far as the gateway looks at it.

use crate::checksum::{self, Sum};
use crate::ecn::Ecn;
use crate::{ipv4, ipv6};
use std::net::IpAddr;
use zerocopy::FromBytes;

/// The protocol number of ICMP.
pub const ICMP: u8 = 1;
/// The protocol number of TCP.
pub const TCP: u8 = 6;
/// The protocol number of UDP.
pub const UDP: u8 = 17;
/// The protocol number of ICMPv6.
pub const ICMPV6: u8 = 58;

/// Which IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Whether a packet is a piece of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fragment {
    /// It is not. An IPv6 packet whose fragment header says "all of it" (RFC 6946) is whole too.
    Whole,
    /// The piece with the transport header.
    First,
    /// Another piece: its `l4_offset` points at payload.
    Later,
}

/// Why bytes are no IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum IpError {
    /// Fewer bytes than the fixed header of the version has.
    #[error("shorter than an IP header")]
    Short,
    /// The version field is neither 4 nor 6.
    #[error("neither IPv4 nor IPv6")]
    Version,
    /// The IPv4 header states a length below 20 bytes, or above the packet's.
    #[error("the stated IPv4 header length is impossible")]
    HeaderLength,
    /// The packet states more bytes than there are.
    #[error("the stated length is greater than the packet")]
    Truncated,
    /// An IPv6 packet with a jumbo payload (RFC 2675).
    #[error("IPv6 jumbograms are not forwarded")]
    Jumbogram,
    /// The IPv6 extension headers run over the end of the packet, or there are too many.
    #[error("the IPv6 extension headers do not end within the packet")]
    ExtensionHeaders,
}

/// What the headers of one packet say. It does not hold the packet's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The IP version.
    pub version: Version,
    /// The source address.
    pub source: IpAddr,
    /// The destination address.
    pub destination: IpAddr,
    /// Bytes of the packet; what the slice has beyond them is padding that WireGuard added.
    pub total_length: usize,
    /// The transport protocol, behind IPv6's extension headers.
    pub protocol: u8,
    /// The offset of the transport header, at most `total_length`.
    pub l4_offset: usize,
    /// Whether this is a fragment.
    pub fragment: Fragment,
    /// TOS or traffic class: DSCP and ECN.
    pub traffic_class: u8,
    /// TTL or hop limit.
    pub hop_limit: u8,
}

impl Packet {
    /// Reads the headers of the packet at the start of `bytes`. IPv4's header checksum is not looked at.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Self, IpError> {
        match bytes.first().map(|first| first >> 4) {
            Some(4) => parse_v4(bytes),
            Some(6) => parse_v6(bytes),
            Some(_) => Err(IpError::Version),
            None => Err(IpError::Short),
        }
    }

    /// Whether this is a piece of another packet, the first one included.
    #[inline]
    pub fn is_fragment(&self) -> bool {
        self.fragment != Fragment::Whole
    }

    /// The sum of the pseudo header for `length` bytes of this packet's transport.
    #[inline]
    pub fn pseudo_header(&self, length: usize) -> Sum {
        checksum::pseudo_header(self.source, self.destination, self.protocol, length)
    }
}

/// The destination address, without looking at anything else. `None` where the fixed header is not whole.
#[inline]
pub fn destination(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.first()? >> 4 {
        4 => Some(IpAddr::from(
            ipv4::Header::ref_from_prefix(bytes).ok()?.0.destination,
        )),
        6 => Some(IpAddr::from(
            ipv6::Header::ref_from_prefix(bytes).ok()?.0.destination,
        )),
        _ => None,
    }
}

/// The source address, without looking at anything else. `None` where the fixed header is not whole.
#[inline]
pub fn source(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.first()? >> 4 {
        4 => Some(IpAddr::from(ipv4::Header::ref_from_prefix(bytes).ok()?.0.source)),
        6 => Some(IpAddr::from(ipv6::Header::ref_from_prefix(bytes).ok()?.0.source)),
        _ => None,
    }
}

/// Replaces the ECN codepoint in place, and updates IPv4's header checksum by the difference. Returns false, and
/// changes nothing, where the fixed header is not whole.
pub fn set_ecn(bytes: &mut [u8], ecn: Ecn) -> bool {
    match bytes.first().map(|first| first >> 4) {
        Some(4) => {
            let Ok((header, _)) = ipv4::Header::mut_from_prefix(bytes) else {
                return false;
            };
            let old = u16::from_be_bytes([header.version_ihl, header.tos]);
            header.tos = ecn.into_tos(header.tos);
            let new = u16::from_be_bytes([header.version_ihl, header.tos]);
            header
                .checksum
                .set(checksum::update_u16(header.checksum.get(), old, new));
            true
        }
        Some(6) => {
            let Ok((header, _)) = ipv6::Header::mut_from_prefix(bytes) else {
                return false;
            };
            header.set_traffic_class(ecn.into_tos(header.traffic_class()));
            true
        }
        Some(_) | None => false,
    }
}

#[inline]
fn parse_v4(bytes: &[u8]) -> Result<Packet, IpError> {
    let (header, _) = ipv4::Header::ref_from_prefix(bytes).map_err(|_| IpError::Short)?;
    let total_length = usize::from(header.total_length.get());
    let l4_offset = header.header_len();
    if l4_offset < ipv4::HEADER_LEN || l4_offset > total_length {
        return Err(IpError::HeaderLength);
    }
    if total_length > bytes.len() {
        return Err(IpError::Truncated);
    }
    let fragment = header.fragment.get();
    Ok(Packet {
        version: Version::V4,
        source: IpAddr::from(header.source),
        destination: IpAddr::from(header.destination),
        total_length,
        protocol: header.protocol,
        l4_offset,
        fragment: kind_of_fragment(
            fragment & ipv4::FRAGMENT_OFFSET,
            fragment & ipv4::MORE_FRAGMENTS != 0,
        ),
        traffic_class: header.tos,
        hop_limit: header.ttl,
    })
}

fn parse_v6(bytes: &[u8]) -> Result<Packet, IpError> {
    let (header, _) = ipv6::Header::ref_from_prefix(bytes).map_err(|_| IpError::Short)?;
    if header.is_jumbogram() {
        return Err(IpError::Jumbogram);
    }
    let total_length = ipv6::HEADER_LEN + usize::from(header.payload_length.get());
    let packet = bytes.get(..total_length).ok_or(IpError::Truncated)?;
    let end = ipv6::walk_extension_headers(header, packet).ok_or(IpError::ExtensionHeaders)?;
    Ok(Packet {
        version: Version::V6,
        source: IpAddr::from(header.source),
        destination: IpAddr::from(header.destination),
        total_length,
        protocol: end.protocol,
        l4_offset: end.offset,
        fragment: end.fragment.map_or(Fragment::Whole, |fragment| {
            kind_of_fragment(fragment >> 3, fragment & 1 != 0)
        }),
        traffic_class: header.traffic_class(),
        hop_limit: header.hop_limit,
    })
}

fn kind_of_fragment(offset: u16, more: bool) -> Fragment {
    match (offset, more) {
        (0, false) => Fragment::Whole,
        (0, true) => Fragment::First,
        (_, true | false) => Fragment::Later,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(total_length: u16) -> [u8; 32] {
        let mut packet = [0u8; 32];
        packet[..2].copy_from_slice(&[0x45, 0xb9]);
        packet[2..4].copy_from_slice(&total_length.to_be_bytes());
        packet[8..10].copy_from_slice(&[64, UDP]);
        packet[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        packet
    }

    fn v6(payload_length: u16, next_header: u8) -> [u8; 64] {
        let mut packet = [0u8; 64];
        packet[..2].copy_from_slice(&[0x6b, 0x90]);
        packet[4..6].copy_from_slice(&payload_length.to_be_bytes());
        packet[6..8].copy_from_slice(&[next_header, 63]);
        packet[8] = 0xfd;
        packet[24] = 0xfe;
        packet
    }

    /// Catches each field of the parse read from the wrong place.
    #[test]
    fn fields_of_both_versions() {
        let parsed = Packet::parse(&v4(28)).unwrap();
        assert_eq!(
            (parsed.version, parsed.total_length, parsed.l4_offset),
            (Version::V4, 28, 20)
        );
        assert_eq!(
            (parsed.protocol, parsed.traffic_class, parsed.hop_limit),
            (UDP, 0xb9, 64)
        );
        assert_eq!(parsed.source, "10.0.0.1".parse::<IpAddr>().unwrap());
        assert_eq!(parsed.destination, "10.0.0.2".parse::<IpAddr>().unwrap());

        let packet = v6(20, TCP);
        let parsed = Packet::parse(&packet).unwrap();
        assert_eq!(
            (parsed.version, parsed.total_length, parsed.l4_offset),
            (Version::V6, 60, 40)
        );
        assert_eq!(
            (parsed.protocol, parsed.traffic_class, parsed.hop_limit),
            (TCP, 0xb9, 63)
        );
        assert_eq!(source(&packet), Some("fd00::".parse().unwrap()));
        assert_eq!(destination(&packet), Some("fe00::".parse().unwrap()));
        assert_eq!(source(&v4(0)), Some("10.0.0.1".parse().unwrap()));
        assert_eq!(destination(&v4(0)), Some("10.0.0.2".parse().unwrap()));
    }

    /// Catches a stated length that reaches beyond the slice, or is shorter than the header.
    #[test]
    fn stated_lengths_are_checked() {
        assert_eq!(Packet::parse(&[]), Err(IpError::Short));
        assert_eq!(Packet::parse(&v4(28)[..19]), Err(IpError::Short));
        assert_eq!(Packet::parse(&[0x50; 40]), Err(IpError::Version));
        assert_eq!(Packet::parse(&v4(33)), Err(IpError::Truncated));
        assert_eq!(Packet::parse(&v4(19)), Err(IpError::HeaderLength));
        let mut options = v4(20);
        options[0] = 0x46;
        assert_eq!(Packet::parse(&options), Err(IpError::HeaderLength));
        options[0] = 0x44;
        assert_eq!(Packet::parse(&options), Err(IpError::HeaderLength));
        assert_eq!(Packet::parse(&v6(0, TCP)[..39]), Err(IpError::Short));
        assert_eq!(Packet::parse(&v6(25, TCP)), Err(IpError::Truncated));
        assert_eq!(Packet::parse(&v6(0, 0)), Err(IpError::Jumbogram));
        assert_eq!(Packet::parse(&v6(4, 0)), Err(IpError::ExtensionHeaders));
        assert_eq!(
            Packet::parse(&v6(0, 59)).map(|parsed| parsed.total_length),
            Ok(40)
        );
    }

    /// Catches fragments taken for whole packets: their payload would be read as a transport header.
    #[test]
    fn fragments_are_told() {
        for (field, expected) in [
            (0x0000, Fragment::Whole),
            (0x4000, Fragment::Whole),
            (0x2000, Fragment::First),
            (0x2001, Fragment::Later),
            (0x0001, Fragment::Later),
        ] {
            let mut packet = v4(28);
            packet[6..8].copy_from_slice(&u16::to_be_bytes(field));
            assert_eq!(Packet::parse(&packet).unwrap().fragment, expected, "{field:#x}");
        }
        for (field, expected) in [
            (0u16, Fragment::Whole),
            (1, Fragment::First),
            (9, Fragment::Later),
            (8, Fragment::Later),
        ] {
            let mut packet = v6(16, 44);
            packet[40] = UDP;
            packet[42..44].copy_from_slice(&field.to_be_bytes());
            let parsed = Packet::parse(&packet).unwrap();
            assert_eq!(
                (parsed.fragment, parsed.protocol, parsed.l4_offset),
                (expected, UDP, 48),
                "{field:#x}"
            );
        }
    }

    /// Catches a codepoint written with a stale header checksum, or over the DSCP.
    #[test]
    fn ecn_is_set_in_place() {
        let mut packet = v4(28);
        assert!(ipv4::write_header_checksum(&mut packet));
        for ecn in [Ecn::Ce, Ecn::NotEct, Ecn::Ect0, Ecn::Ect1] {
            assert!(set_ecn(&mut packet, ecn));
            assert!(ipv4::header_checksum_valid(&packet));
            assert_eq!(packet[1], 0xb8 | ecn as u8);
        }
        let mut packet = v6(0, 59);
        assert!(set_ecn(&mut packet, Ecn::Ce));
        assert_eq!(packet[..2], [0x6b, 0xb0]);
        assert!(!set_ecn(&mut [0x45; 19], Ecn::Ce));
        assert!(!set_ecn(&mut [], Ecn::Ce));
    }
}
