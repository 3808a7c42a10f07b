//! The errors that a router sends back to the source of a packet (RFC 792, RFC 1812 section 4.3, RFC 4443), and the
//! rules when it must not.

use crate::checksum::Sum;
use crate::ip::{self, Fragment, Version};
use crate::{ipv4, ipv6};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use zerocopy::IntoBytes;
use zerocopy::byteorder::network_endian::U16;

/// Bytes of an ICMP error over IPv4 at most, headers included (RFC 1812, section 4.3.2.3).
pub const MAX_LEN_V4: usize = 576;
/// Bytes of an ICMPv6 error at most, headers included: IPv6's least MTU (RFC 4443, section 2.4).
pub const MAX_LEN_V6: usize = 1280;

/// Bytes of the ICMP header.
const HEADER_LEN: usize = 8;
/// TTL and hop limit of the errors.
const HOP_LIMIT: u8 = 64;
/// Internetwork control, the precedence of ICMP errors over IPv4 (RFC 1812, section 4.3.2.5).
const TOS: u8 = 0xc0;

/// Why a packet was not forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// It is greater than `mtu`: "fragmentation needed" (RFC 1191), of which 16 bits are told, or Packet Too Big.
    TooBig {
        /// The greatest packet that would have been forwarded.
        mtu: u32,
    },
    /// It has no hops left.
    TimeExceeded,
    /// It cannot be delivered.
    Unreachable(Unreachable),
}

/// Why a packet cannot be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unreachable {
    /// No route, and no peer, has its destination.
    NoRoute,
    /// Its destination's peer cannot be reached.
    Host,
    /// A rule forbids it.
    AdminProhibited,
}

impl Reason {
    fn type_and_code_v4(self) -> (u8, u8) {
        match self {
            Self::TooBig { .. } => (3, 4),
            Self::TimeExceeded => (11, 0),
            Self::Unreachable(Unreachable::NoRoute) => (3, 0),
            Self::Unreachable(Unreachable::Host) => (3, 1),
            Self::Unreachable(Unreachable::AdminProhibited) => (3, 13),
        }
    }

    fn type_and_code_v6(self) -> (u8, u8) {
        match self {
            Self::TooBig { .. } => (2, 0),
            Self::TimeExceeded => (3, 0),
            Self::Unreachable(Unreachable::NoRoute) => (1, 0),
            Self::Unreachable(Unreachable::Host) => (1, 3),
            Self::Unreachable(Unreachable::AdminProhibited) => (1, 1),
        }
    }
}

/// Writes the error about `offending` to the start of `out`, from `source` to the offending packet's source, and
/// returns its length.
///
/// `None` when none may be sent: about ICMP errors, about fragments other than the first, about packets from or to
/// more than one host (but Packet Too Big may answer IPv6 multicast), or from no host; when `source` is of the
/// other IP version; when `offending` is malformed; and when `out` is too short: [`MAX_LEN_V4`] and
/// [`MAX_LEN_V6`] bytes always suffice.
pub fn write_error(offending: &[u8], source: IpAddr, reason: Reason, out: &mut [u8]) -> Option<usize> {
    let parsed = ip::Packet::parse(offending).ok()?;
    let offending = &offending[..parsed.total_length];
    if parsed.fragment == Fragment::Later || is_icmp_error(&parsed, offending) {
        return None;
    }
    match (parsed.source, parsed.destination, source) {
        (IpAddr::V4(to), IpAddr::V4(destination), IpAddr::V4(from)) => {
            let answered = is_one_host_v4(to) && !is_many_hosts_v4(destination);
            answered.then(|| write_v4(offending, from, to, reason, out))?
        }
        (IpAddr::V6(to), IpAddr::V6(destination), IpAddr::V6(from)) => {
            let too_big = matches!(reason, Reason::TooBig { .. });
            let answered = is_one_host_v6(to) && (too_big || !destination.is_multicast());
            answered.then(|| write_v6(offending, from, to, reason, out))?
        }
        (IpAddr::V4(_) | IpAddr::V6(_), IpAddr::V4(_) | IpAddr::V6(_), IpAddr::V4(_) | IpAddr::V6(_)) => None,
    }
}

/// Whether the packet is an ICMP message that may not be answered by an error: an error, a redirect, one of an
/// unknown type, or one without its type.
fn is_icmp_error(parsed: &ip::Packet, packet: &[u8]) -> bool {
    let icmp_type = packet.get(parsed.l4_offset).copied();
    match (parsed.protocol, parsed.version) {
        // Echo, router discovery, timestamp, information, address mask, extended echo.
        (ip::ICMP, Version::V4) => !matches!(icmp_type, Some(0 | 8..=10 | 13..=18 | 42 | 43)),
        // Types below 128 are errors (RFC 4443, section 2.1); 137 is a redirect.
        (ip::ICMPV6, Version::V6) => !icmp_type.is_some_and(|icmp_type| icmp_type >= 128 && icmp_type != 137),
        (_, Version::V4 | Version::V6) => false,
    }
}

/// Whether an address can be one host's: not of network zero, loopback, multicast, class E, or the broadcast
/// address, which is in class E.
fn is_one_host_v4(address: Ipv4Addr) -> bool {
    let first = address.octets()[0];
    first != 0 && first != 127 && first < 224
}

fn is_many_hosts_v4(address: Ipv4Addr) -> bool {
    address.is_multicast() || address.is_broadcast()
}

fn is_one_host_v6(address: Ipv6Addr) -> bool {
    !address.is_unspecified() && !address.is_multicast() && !address.is_loopback()
}

fn write_v4(offending: &[u8], from: Ipv4Addr, to: Ipv4Addr, reason: Reason, out: &mut [u8]) -> Option<usize> {
    let quoted = &offending[..offending.len().min(MAX_LEN_V4 - ipv4::HEADER_LEN - HEADER_LEN)];
    let len = ipv4::HEADER_LEN + HEADER_LEN + quoted.len();
    let (header, message) = out.get_mut(..len)?.split_at_mut(ipv4::HEADER_LEN);
    let fields = ipv4::Header {
        version_ihl: 0x45,
        tos: TOS,
        total_length: U16::new(len as u16),
        // Taken from the offending packet, which makes it as unique as that one's.
        id: U16::from_bytes([offending[4], offending[5]]),
        fragment: U16::ZERO,
        ttl: HOP_LIMIT,
        protocol: ip::ICMP,
        checksum: U16::ZERO,
        source: from.octets(),
        destination: to.octets(),
    };
    header.copy_from_slice(fields.as_bytes());
    ipv4::write_header_checksum(header);

    // The next-hop MTU stands in the low half of the second word (RFC 1191, section 4).
    let second_word = match reason {
        Reason::TooBig { mtu } => mtu.min(u32::from(u16::MAX)),
        Reason::TimeExceeded | Reason::Unreachable(_) => 0,
    };
    write_message(
        message,
        reason.type_and_code_v4(),
        second_word,
        quoted,
        Sum::default(),
    );
    Some(len)
}

fn write_v6(offending: &[u8], from: Ipv6Addr, to: Ipv6Addr, reason: Reason, out: &mut [u8]) -> Option<usize> {
    let quoted = &offending[..offending.len().min(MAX_LEN_V6 - ipv6::HEADER_LEN - HEADER_LEN)];
    let message_len = HEADER_LEN + quoted.len();
    let len = ipv6::HEADER_LEN + message_len;
    let (header, message) = out.get_mut(..len)?.split_at_mut(ipv6::HEADER_LEN);
    let fields = ipv6::Header {
        version_class_flow: [0x60, 0, 0, 0],
        payload_length: U16::new(message_len as u16),
        next_header: ip::ICMPV6,
        hop_limit: HOP_LIMIT,
        source: from.octets(),
        destination: to.octets(),
    };
    header.copy_from_slice(fields.as_bytes());

    let second_word = match reason {
        Reason::TooBig { mtu } => mtu,
        Reason::TimeExceeded | Reason::Unreachable(_) => 0,
    };
    let pseudo_header =
        crate::checksum::pseudo_header(IpAddr::V6(from), IpAddr::V6(to), ip::ICMPV6, message_len);
    write_message(
        message,
        reason.type_and_code_v6(),
        second_word,
        quoted,
        pseudo_header,
    );
    Some(len)
}

/// Writes type, code, checksum, the second word and the quoted packet, which together fill `message`.
fn write_message(message: &mut [u8], type_and_code: (u8, u8), second_word: u32, quoted: &[u8], sum: Sum) {
    let (header, body) = message.split_at_mut(HEADER_LEN);
    header[..4].copy_from_slice(&[type_and_code.0, type_and_code.1, 0, 0]);
    header[4..].copy_from_slice(&second_word.to_be_bytes());
    body.copy_from_slice(quoted);
    let checksum = sum.add_bytes(message).finish();
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::{Verdict, verify_transport};

    const ROUTER_V4: &str = "192.0.2.1";
    const ROUTER_V6: &str = "2001:db8::1";

    fn v4(len: usize, protocol: u8) -> Vec<u8> {
        let mut packet = vec![0x5a; len];
        packet[..20].fill(0);
        packet[0] = 0x45;
        packet[2..4].copy_from_slice(&(len as u16).to_be_bytes());
        packet[4..6].copy_from_slice(&[0xbe, 0xef]);
        packet[9] = protocol;
        packet[12..20].copy_from_slice(&[10, 0, 0, 7, 10, 0, 0, 8]);
        packet
    }

    fn v6(len: usize, next_header: u8) -> Vec<u8> {
        let mut packet = vec![0x5a; len];
        packet[..40].fill(0);
        packet[0] = 0x60;
        packet[4..6].copy_from_slice(&(len as u16 - 40).to_be_bytes());
        packet[6] = next_header;
        packet[8..24].copy_from_slice(&"2001:db8::7".parse::<Ipv6Addr>().unwrap().octets());
        packet[24..40].copy_from_slice(&"2001:db8::8".parse::<Ipv6Addr>().unwrap().octets());
        packet
    }

    fn answer(packet: &[u8], reason: Reason) -> Option<Vec<u8>> {
        let source = if packet[0] >> 4 == 4 { ROUTER_V4 } else { ROUTER_V6 };
        let mut out = [0xee; 1500];
        let len = write_error(packet, source.parse().unwrap(), reason, &mut out)?;
        assert!(
            out[len..].iter().all(|byte| *byte == 0xee),
            "nothing is written behind the message"
        );
        Some(out[..len].to_vec())
    }

    /// Catches wrong types and codes, addresses, checksums, and MTUs in the wrong place.
    #[test]
    fn messages_of_both_versions() {
        let reasons = [
            (Reason::TooBig { mtu: 1420 }, (3, 4), (2, 0)),
            (Reason::TimeExceeded, (11, 0), (3, 0)),
            (Reason::Unreachable(Unreachable::NoRoute), (3, 0), (1, 0)),
            (Reason::Unreachable(Unreachable::Host), (3, 1), (1, 3)),
            (Reason::Unreachable(Unreachable::AdminProhibited), (3, 13), (1, 1)),
        ];
        for (reason, in_v4, in_v6) in reasons {
            for (offending, at, expected, router) in [
                (v4(60, ip::UDP), 20, in_v4, ROUTER_V4),
                (v6(80, ip::UDP), 40, in_v6, ROUTER_V6),
            ] {
                let message = answer(&offending, reason).unwrap();
                let parsed = ip::Packet::parse(&message).unwrap();
                assert_eq!(parsed.total_length, message.len());
                assert_eq!(parsed.source, router.parse::<IpAddr>().unwrap());
                assert_eq!(Some(parsed.destination), ip::source(&offending));
                assert_eq!(verify_transport(&parsed, &message), Verdict::Valid);
                assert!(at == 40 || ipv4::header_checksum_valid(&message));
                assert_eq!((message[at], message[at + 1]), expected, "{reason:?}");
                let mtu = if matches!(reason, Reason::TooBig { .. }) {
                    1420u32
                } else {
                    0
                };
                assert_eq!(message[at + 4..at + 8], mtu.to_be_bytes(), "{reason:?}");
                assert_eq!(message[at + 8..], offending);
            }
        }
    }

    /// Catches messages longer than the RFCs allow, quoted padding, and an MTU that overflows its 16 bits.
    #[test]
    fn quotes_are_bounded() {
        assert_eq!(
            answer(&v4(1500, ip::UDP), Reason::TimeExceeded).unwrap().len(),
            576
        );
        assert_eq!(
            answer(&v6(1500, ip::UDP), Reason::TimeExceeded).unwrap().len(),
            1280
        );
        let mut padded = v4(60, ip::UDP);
        padded.extend([0; 4]);
        let message = answer(&padded, Reason::TooBig { mtu: 70_000 }).unwrap();
        assert_eq!(message.len(), 88);
        assert_eq!(message[24..28], [0, 0, 0xff, 0xff]);
        let mut short = [0; 87];
        let source = ROUTER_V4.parse().unwrap();
        assert_eq!(
            write_error(&padded, source, Reason::TimeExceeded, &mut short),
            None
        );
    }

    /// Catches a storm: an error about an error, or one sent to many, for each rule.
    #[test]
    fn what_is_never_answered() {
        let silent = |packet: &[u8]| answer(packet, Reason::TimeExceeded).is_none();
        for (icmp_type, expected) in [
            (0, false),
            (8, false),
            (3, true),
            (5, true),
            (11, true),
            (12, true),
            (99, true),
        ] {
            let mut packet = v4(60, ip::ICMP);
            packet[20] = icmp_type;
            assert_eq!(silent(&packet), expected, "ICMP type {icmp_type}");
        }
        for (icmp_type, expected) in [
            (128, false),
            (129, false),
            (1, true),
            (2, true),
            (127, true),
            (137, true),
        ] {
            let mut packet = v6(80, ip::ICMPV6);
            packet[40] = icmp_type;
            assert_eq!(silent(&packet), expected, "ICMPv6 type {icmp_type}");
        }
        assert!(silent(&v4(20, ip::ICMP)), "an ICMP message without its type");

        let mut later = v4(60, ip::UDP);
        later[7] = 1;
        assert!(silent(&later));
        let mut first = v4(60, ip::UDP);
        first[6] = 0x20;
        assert!(!silent(&first));

        for source in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
        ] {
            let mut packet = v4(60, ip::UDP);
            packet[12..16].copy_from_slice(&source.parse::<Ipv4Addr>().unwrap().octets());
            assert!(silent(&packet), "from {source}");
        }
        for destination in ["224.0.0.1", "255.255.255.255"] {
            let mut packet = v4(60, ip::UDP);
            packet[16..20].copy_from_slice(&destination.parse::<Ipv4Addr>().unwrap().octets());
            assert!(silent(&packet), "to {destination}");
        }
        for source in ["::", "::1", "ff02::1"] {
            let mut packet = v6(80, ip::UDP);
            packet[8..24].copy_from_slice(&source.parse::<Ipv6Addr>().unwrap().octets());
            assert!(silent(&packet), "from {source}");
        }
    }

    /// Catches path MTU discovery of IPv6 multicast broken, and other errors to its senders.
    #[test]
    fn multicast_learns_its_path_mtu() {
        let mut packet = v6(80, ip::UDP);
        packet[24] = 0xff;
        assert!(answer(&packet, Reason::TooBig { mtu: 1280 }).is_some());
        assert!(answer(&packet, Reason::TimeExceeded).is_none());
    }

    /// Catches an answer from an address of the other version.
    #[test]
    fn source_must_be_of_the_packets_version() {
        let source = ROUTER_V6.parse().unwrap();
        assert_eq!(
            write_error(&v4(60, ip::UDP), source, Reason::TimeExceeded, &mut [0; 1500]),
            None
        );
    }
}
