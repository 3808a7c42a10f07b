//! What a packet shows of the flow it belongs to, and whether it can open one.

use crate::tables::PeerId;
use core::hash::{Hash, Hasher};
use core::net::IpAddr;
use weir_wire::ip::{self, Fragment, Packet, Version};
use weir_wire::tcp;

/// Extension headers of IPv6 that say nothing about the transport behind them: of a fragment that is not the first
/// only their number is there.
const EXTENSIONS: [u8; 6] = [0, 43, 60, 135, 139, 140];
const FRAGMENT_HEADER: u8 = 44;

/// Bytes of a TCP header up to its flags, and of a UDP header.
const TCP_FLAGS_END: usize = 14;
const UDP_HEADER: usize = 8;

/// One direction of a flow, as far as one packet shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Flow {
    /// Where the packet comes from.
    pub source: IpAddr,
    /// Where it goes.
    pub destination: IpAddr,
    /// The transport; `None` where a later fragment of IPv6 does not tell.
    pub protocol: Option<u8>,
    /// Source and destination port of TCP and UDP; `None` for other protocols, and where they are not in the packet.
    pub ports: Option<(u16, u16)>,
}

/// In as few words as hold it: it is hashed once a packet.
impl Hash for Flow {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let protocol = self.protocol.map_or(1 << 8, u64::from);
        let ports = self.ports.map_or(0, |(source, destination)| {
            1 << 16 | u64::from(source) << 32 | u64::from(destination) << 48
        });
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                state.write_u64(u64::from(source.to_bits()) << 32 | u64::from(destination.to_bits()));
                state.write_u64(ports | protocol);
            }
            (source, destination) => {
                for address in [source, destination] {
                    state.write_u128(bits(address));
                }
                state.write_u64(ports | protocol | 1 << 17);
            }
        }
    }
}

/// An address as IPv6 writes it.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl Flow {
    /// The opposite direction.
    pub fn reversed(self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            ports: self.ports.map(|(source, destination)| (destination, source)),
            ..self
        }
    }
}

/// A packet of which one fragment is known (RFC 791 section 3.1, RFC 8200 section 4.5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Fragmented {
    peer: PeerId,
    source: IpAddr,
    destination: IpAddr,
    /// IPv4 numbers its packets by protocol; IPv6 does not, and later fragments may not tell it.
    protocol: Option<u8>,
    identification: u32,
}

/// The flow that a packet may be opening. `None` for what cannot open one: TCP segments other than an initial SYN,
/// ICMP errors, and echo replies. `bytes` hold the packet that was parsed.
#[inline]
pub(crate) fn opening(packet: &Packet, bytes: &[u8]) -> Option<Flow> {
    let mut flow = Flow {
        source: packet.source,
        destination: packet.destination,
        protocol: Some(packet.protocol),
        ports: None,
    };
    if packet.fragment == Fragment::Later {
        if packet.version == Version::V6 && EXTENSIONS.contains(&packet.protocol) {
            flow.protocol = None;
        }
        return Some(flow);
    }
    let transport = bytes.get(packet.l4_offset..packet.total_length).unwrap_or(&[]);
    match (packet.protocol, packet.version) {
        (ip::TCP, Version::V4 | Version::V6) => {
            if let Some(header) = transport.first_chunk::<TCP_FLAGS_END>() {
                let flags = header[TCP_FLAGS_END - 1];
                if flags & (tcp::SYN | tcp::ACK) != tcp::SYN {
                    return None;
                }
                flow.ports = ports(header);
            }
        }
        (ip::UDP, Version::V4 | Version::V6) => {
            flow.ports = transport
                .first_chunk::<UDP_HEADER>()
                .and_then(|header| ports(header));
        }
        // Destination unreachable, time exceeded, parameter problem (RFC 792); echo reply.
        (ip::ICMP, Version::V4) if matches!(transport.first(), Some(0 | 3 | 11 | 12)) => return None,
        // The errors of RFC 4443; echo reply.
        (ip::ICMPV6, Version::V6) if matches!(transport.first(), Some(1..=4 | 129)) => return None,
        (_, Version::V4 | Version::V6) => {}
    }
    Some(flow)
}

fn ports(header: &[u8]) -> Option<(u16, u16)> {
    let &[a, b, c, d] = header.first_chunk::<4>()?;
    Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

/// Which packet a fragment is of; `None` for what is no fragment.
pub(crate) fn fragment_of(peer: PeerId, packet: &Packet, bytes: &[u8]) -> Option<Fragmented> {
    if !packet.is_fragment() {
        return None;
    }
    let (protocol, identification) = match packet.version {
        Version::V4 => {
            let field = bytes.get(4..6)?;
            (
                Some(packet.protocol),
                u32::from(u16::from_be_bytes([field[0], field[1]])),
            )
        }
        Version::V6 => (None, identification_v6(bytes)?),
    };
    Some(Fragmented {
        peer,
        source: packet.source,
        destination: packet.destination,
        protocol,
        identification,
    })
}

/// The identification of the fragment header, which a parsed fragment has within its first headers.
fn identification_v6(bytes: &[u8]) -> Option<u32> {
    let (mut protocol, mut offset) = (*bytes.get(6)?, 40);
    for _ in 0..=weir_wire::ipv6::MAX_EXTENSION_HEADERS {
        let header = bytes.get(offset..)?.first_chunk::<8>()?;
        if protocol == FRAGMENT_HEADER {
            return Some(u32::from_be_bytes([header[4], header[5], header[6], header[7]]));
        }
        protocol = header[0];
        offset += (usize::from(header[1]) + 1) * 8;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(protocol: u8, fragment: u16, transport: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 20 + transport.len() as u8, 0xab, 0xcd];
        packet.extend(fragment.to_be_bytes());
        packet.extend([64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        packet.extend(transport);
        packet
    }

    fn v6(next_header: u8, rest: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0, 0, rest.len() as u8, next_header, 64];
        packet.extend([0xfd; 16]);
        packet.extend([0xfe; 16]);
        packet.extend(rest);
        packet
    }

    /// Protocol and ports, as far as they are known.
    type Shown = (Option<u8>, Option<(u16, u16)>);

    fn of(bytes: &[u8]) -> Option<Shown> {
        let packet = Packet::parse(bytes).unwrap();
        opening(&packet, bytes).map(|flow| (flow.protocol, flow.ports))
    }

    fn segment(flags: u8) -> Vec<u8> {
        let mut segment = vec![0, 5, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, flags];
        segment.resize(20, 0);
        segment
    }

    // Catches an initial SYN that passes unseen in any company of flags, and answers that are taken for one.
    #[test]
    fn tcp_opens_by_a_syn_without_ack() {
        for flags in 0..=255u8 {
            let opens = flags & tcp::SYN != 0 && flags & tcp::ACK == 0;
            let expected = opens.then_some((Some(ip::TCP), Some((5, 80))));
            assert_eq!(of(&v4(ip::TCP, 0, &segment(flags))), expected, "flags {flags:#x}");
            assert_eq!(of(&v6(ip::TCP, &segment(flags))), expected, "flags {flags:#x}");
        }
        // A header cut before its flags may hide a SYN in the next fragment (RFC 3128).
        let cut = &segment(tcp::ACK)[..13];
        assert_eq!(of(&v4(ip::TCP, 0x2000, cut)), Some((Some(ip::TCP), None)));
    }

    // Catches a request taken for an answer, in the numbers of either family.
    #[test]
    fn icmp_errors_and_echo_replies_open_nothing() {
        for kind in 0..=255u8 {
            let message = [kind, 0, 0, 0, 0, 0, 0, 0];
            let v4_opens = ![0, 3, 11, 12].contains(&kind);
            assert_eq!(of(&v4(ip::ICMP, 0, &message)).is_some(), v4_opens, "type {kind}");
            let v6_opens = ![1, 2, 3, 4, 129].contains(&kind);
            assert_eq!(of(&v6(ip::ICMPV6, &message)).is_some(), v6_opens, "type {kind}");
            assert!(of(&v4(ip::ICMPV6, 0, &message)).is_some());
            assert!(of(&v6(ip::ICMP, &message)).is_some());
        }
    }

    // Catches payload of a later fragment read as ports, and an identification read from the wrong place.
    #[test]
    fn fragments_show_what_they_hold() {
        let datagram = [0, 5, 0, 53, 0, 8, 0, 0];
        let first = v4(ip::UDP, 0x2000, &datagram);
        let later = v4(ip::UDP, 0x0001, &datagram);
        assert_eq!(of(&first), Some((Some(ip::UDP), Some((5, 53)))));
        assert_eq!(of(&later), Some((Some(ip::UDP), None)));
        let key = |bytes: &[u8]| fragment_of(PeerId(1), &Packet::parse(bytes).unwrap(), bytes);
        assert_eq!(key(&first).unwrap().identification, 0xabcd);
        assert_eq!(key(&first), key(&later));
        assert_eq!(key(&v4(ip::UDP, 0, &datagram)), None);

        // Hop-by-hop options, fragment header, destination options, UDP.
        let hop = [FRAGMENT_HEADER, 0, 0, 0, 0, 0, 0, 0];
        let options = [ip::UDP, 0, 0, 0, 0, 0, 0, 0];
        let first = v6(
            0,
            &[&hop[..], &[60, 0, 0, 1, 1, 2, 3, 4], &options, &datagram].concat(),
        );
        let later = v6(0, &[&hop[..], &[60, 0, 0, 8, 1, 2, 3, 4], &datagram].concat());
        assert_eq!(of(&first), Some((Some(ip::UDP), Some((5, 53)))));
        assert_eq!(of(&later), Some((None, None)), "it may be any protocol");
        assert_eq!(key(&first).unwrap().identification, 0x0102_0304);
        assert_eq!(key(&first), key(&later));
    }
}
