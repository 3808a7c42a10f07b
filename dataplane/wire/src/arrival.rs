//! What is done with an Ethernet frame on a device that Weir shares with the kernel: taken as a datagram of a tunnel,
//! taken to be forwarded into one, or left to the kernel.
//!
//! The XDP program `xdp-prog/src/arrival.bpf.c` decides the same, frame by frame, before the kernel's network stack; this
//! is what it is tested against, and what AF_XDP ports read their frames by.

use crate::classify::{Kind, kind};
use crate::forward::{is_routed_v4, is_routed_v6};
use crate::{ethernet, ip, ipv4, ipv6, udp};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use zerocopy::FromBytes;

/// What a device is for, and what is known of its host.
pub trait Device {
    /// The device's own MAC address.
    fn mac(&self) -> [u8; 6];
    /// Whether tunnels' datagrams arrive here.
    fn is_wan(&self) -> bool;
    /// Whether packets arrive here that are for peers.
    fn is_lan(&self) -> bool;
    /// Whether a UDP port is one of Weir's.
    fn is_port(&self, port: u16) -> bool;
    /// Whether an address is one of this host's.
    fn is_own(&self, address: IpAddr) -> bool;
    /// Whether an address lies in a peer's allowed IPs.
    fn is_behind_peer(&self, address: IpAddr) -> bool;
}

/// What becomes of a frame. The discriminants are the XDP program's counters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u32)]
pub enum Verdict {
    /// To the kernel: for another machine, or for several.
    OtherMac = 0,
    /// To the kernel: with a VLAN tag.
    Vlan = 1,
    /// To the kernel: neither IPv4 nor IPv6.
    OtherEthertype = 2,
    /// To the kernel, which drops and counts it, or knows better: lengths or versions that contradict each other.
    Malformed = 3,
    /// To the kernel, which joins fragments: a part of a datagram for this host.
    Fragment = 4,
    /// To the kernel, which heeds options: IPv4 options, or hop-by-hop options of IPv6.
    Options = 5,
    /// Taken: a datagram on one of Weir's ports, of a format that Weir speaks.
    Wan = 6,
    /// Dropped: a datagram on one of Weir's ports, of no format that Weir speaks.
    Unknown = 7,
    /// Dropped: an initiation without mac2 beyond the ceiling. Only the XDP program says so.
    Ceiling = 8,
    /// Taken: a packet for a peer.
    Lan = 9,
    /// To the kernel, which answers: a packet for a peer that may go no further.
    HopLimit = 10,
    /// To the kernel: everything else.
    Kernel = 11,
}

/// How many verdicts there are.
pub const VERDICTS: usize = 12;

impl Verdict {
    /// Every verdict, in the order of the discriminants.
    pub const ALL: [Verdict; VERDICTS] = [
        Verdict::OtherMac,
        Verdict::Vlan,
        Verdict::OtherEthertype,
        Verdict::Malformed,
        Verdict::Fragment,
        Verdict::Options,
        Verdict::Wan,
        Verdict::Unknown,
        Verdict::Ceiling,
        Verdict::Lan,
        Verdict::HopLimit,
        Verdict::Kernel,
    ];

    /// The name by which status and metrics show it.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::OtherMac => "other_mac",
            Verdict::Vlan => "vlan",
            Verdict::OtherEthertype => "other_ethertype",
            Verdict::Malformed => "malformed",
            Verdict::Fragment => "fragment",
            Verdict::Options => "options",
            Verdict::Wan => "wan",
            Verdict::Unknown => "unknown",
            Verdict::Ceiling => "ceiling",
            Verdict::Lan => "lan",
            Verdict::HopLimit => "hop_limit",
            Verdict::Kernel => "kernel",
        }
    }

    /// What becomes of the frame.
    pub fn fate(self) -> &'static str {
        match self {
            Verdict::Wan | Verdict::Lan => "taken",
            Verdict::Unknown | Verdict::Ceiling => "dropped",
            Verdict::OtherMac
            | Verdict::Vlan
            | Verdict::OtherEthertype
            | Verdict::Malformed
            | Verdict::Fragment
            | Verdict::Options
            | Verdict::HopLimit
            | Verdict::Kernel => "kernel",
        }
    }
}

/// A frame's verdict, and where in it that stands which was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// [`Verdict::Wan`].
    Wan(Datagram),
    /// [`Verdict::Lan`]: an IP packet of that many bytes behind the Ethernet header.
    Lan {
        /// Bytes of the packet; what the frame has beyond is padding.
        len: usize,
    },
    /// Any other verdict.
    Not(Verdict),
}

/// A UDP datagram in a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Datagram {
    /// Where the payload begins.
    pub payload: usize,
    /// Bytes of the payload.
    pub len: usize,
    /// Who sent it.
    pub source: (IpAddr, u16),
    /// To which of this host's addresses and ports.
    pub destination: (IpAddr, u16),
    /// The TOS byte or traffic class: DSCP and ECN.
    pub traffic_class: u8,
}

impl Arrival {
    /// The verdict alone.
    pub fn verdict(&self) -> Verdict {
        match self {
            Arrival::Wan(_) => Verdict::Wan,
            Arrival::Lan { .. } => Verdict::Lan,
            Arrival::Not(verdict) => *verdict,
        }
    }
}

/// Decides what becomes of a frame.
#[inline]
pub fn arrival(frame: &[u8], device: &impl Device) -> Arrival {
    let Some((header, packet)) = ethernet::parse(frame) else {
        return Arrival::Not(Verdict::Malformed);
    };
    if header.destination != device.mac() {
        return Arrival::Not(Verdict::OtherMac);
    }
    let taken = match header.ethertype.get() {
        ethernet::IPV4 => ipv4(packet, device),
        ethernet::IPV6 => ipv6(packet, device),
        ethernet::VLAN | ethernet::VLAN_OUTER => Err(Verdict::Vlan),
        _ => Err(Verdict::OtherEthertype),
    };
    taken.unwrap_or_else(Arrival::Not)
}

fn ipv4(bytes: &[u8], device: &impl Device) -> Result<Arrival, Verdict> {
    let (header, _) = ipv4::Header::ref_from_prefix(bytes).map_err(|_| Verdict::Malformed)?;
    let total = usize::from(header.total_length.get());
    if header.version_ihl >> 4 != 4 || header.header_len() < ipv4::HEADER_LEN || header.header_len() > total {
        return Err(Verdict::Malformed);
    }
    let packet = bytes.get(..total).ok_or(Verdict::Malformed)?;
    let options = header.header_len() > ipv4::HEADER_LEN;
    let (source, destination) = (Ipv4Addr::from(header.source), Ipv4Addr::from(header.destination));
    if device.is_own(destination.into()) {
        if !device.is_wan() || header.protocol != ip::UDP {
            return Err(Verdict::Kernel);
        }
        if header.fragment.get() & (ipv4::MORE_FRAGMENTS | ipv4::FRAGMENT_OFFSET) != 0 {
            return Err(Verdict::Fragment);
        }
        if options {
            return Err(Verdict::Options);
        }
        let outer = (source.into(), destination.into(), header.tos);
        return datagram(packet, ipv4::HEADER_LEN, outer, device);
    }
    if !device.is_lan() || !is_routed_v4(source) || !is_routed_v4(destination) {
        return Err(Verdict::Kernel);
    }
    forwarded(destination.into(), options, header.ttl, total, device)
}

fn ipv6(bytes: &[u8], device: &impl Device) -> Result<Arrival, Verdict> {
    /// The next header of hop-by-hop options, and of a fragment (RFC 8200 sections 4.3 and 4.5).
    const HOP_BY_HOP: u8 = 0;
    const FRAGMENT: u8 = 44;

    let (header, _) = ipv6::Header::ref_from_prefix(bytes).map_err(|_| Verdict::Malformed)?;
    let total = ipv6::HEADER_LEN + usize::from(header.payload_length.get());
    if bytes[0] >> 4 != 6 {
        return Err(Verdict::Malformed);
    }
    let packet = bytes.get(..total).ok_or(Verdict::Malformed)?;
    let (source, destination) = (Ipv6Addr::from(header.source), Ipv6Addr::from(header.destination));
    if device.is_own(destination.into()) {
        return match header.next_header {
            _ if !device.is_wan() => Err(Verdict::Kernel),
            ip::UDP => {
                let outer = (source.into(), destination.into(), header.traffic_class());
                datagram(packet, ipv6::HEADER_LEN, outer, device)
            }
            FRAGMENT => Err(Verdict::Fragment),
            _ => Err(Verdict::Kernel),
        };
    }
    if !device.is_lan() || !is_routed_v6(source) || !is_routed_v6(destination) {
        return Err(Verdict::Kernel);
    }
    let options = header.next_header == HOP_BY_HOP;
    forwarded(destination.into(), options, header.hop_limit, total, device)
}

/// A datagram for this host: source and destination address and traffic class are its packet's.
#[inline]
fn datagram(
    packet: &[u8],
    header_len: usize,
    (source, destination, traffic_class): (IpAddr, IpAddr, u8),
    device: &impl Device,
) -> Result<Arrival, Verdict> {
    let segment = &packet[header_len..];
    let (header, _) = udp::Header::ref_from_prefix(segment).map_err(|_| Verdict::Malformed)?;
    if !device.is_port(header.destination.get()) {
        return Err(Verdict::Kernel);
    }
    let (_, payload) = udp::parse(segment).ok_or(Verdict::Malformed)?;
    match kind(payload) {
        Kind::WireGuard | Kind::Stun => Ok(Arrival::Wan(Datagram {
            payload: ethernet::HEADER_LEN + header_len + udp::HEADER_LEN,
            len: payload.len(),
            source: (source, header.source.get()),
            destination: (destination, header.destination.get()),
            traffic_class,
        })),
        Kind::Other => Err(Verdict::Unknown),
    }
}

/// A packet from and to addresses that routers forward.
#[inline]
fn forwarded(
    destination: IpAddr,
    options: bool,
    hop_limit: u8,
    len: usize,
    device: &impl Device,
) -> Result<Arrival, Verdict> {
    if !device.is_behind_peer(destination) {
        return Err(Verdict::Kernel);
    }
    if options {
        return Err(Verdict::Options);
    }
    if hop_limit <= 1 {
        return Err(Verdict::HopLimit);
    }
    Ok(Arrival::Lan { len })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];

    struct Both;

    impl Device for Both {
        fn mac(&self) -> [u8; 6] {
            MAC
        }
        fn is_wan(&self) -> bool {
            true
        }
        fn is_lan(&self) -> bool {
            true
        }
        fn is_port(&self, port: u16) -> bool {
            port == 51820
        }
        fn is_own(&self, address: IpAddr) -> bool {
            address == IpAddr::from([192, 0, 2, 1])
        }
        fn is_behind_peer(&self, address: IpAddr) -> bool {
            matches!(address, IpAddr::V4(address) if address.octets()[0] == 10)
        }
    }

    /// A frame for the device: a UDP datagram of that payload.
    fn frame(destination: [u8; 4], port: u16, payload: &[u8]) -> Vec<u8> {
        let total = (28 + payload.len()) as u16;
        let mut frame = [&MAC[..], &[2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0xb8]].concat();
        frame.extend(total.to_be_bytes());
        frame.extend([0, 0, 0x40, 0, 64, 17, 0, 0, 198, 51, 100, 7]);
        frame.extend(destination);
        for word in [4001, port, total - 20, 0] {
            frame.extend(word.to_be_bytes());
        }
        frame.extend(payload);
        frame
    }

    fn verdict(frame: &[u8]) -> Verdict {
        arrival(frame, &Both).verdict()
    }

    fn keepalive() -> [u8; 32] {
        let mut message = [7; 32];
        message[..4].copy_from_slice(&[4, 0, 0, 0]);
        message
    }

    /// Catches a payload read from the wrong place, with padding, or with ends or a class of another packet.
    #[test]
    fn a_datagram_is_found_where_it_is() {
        let mut frame = frame([192, 0, 2, 1], 51820, &keepalive());
        frame.extend([0; 9]);
        let Arrival::Wan(datagram) = arrival(&frame, &Both) else {
            panic!("{:?}", arrival(&frame, &Both));
        };
        assert_eq!(frame[datagram.payload..][..datagram.len], keepalive());
        assert_eq!(datagram.source, (IpAddr::from([198, 51, 100, 7]), 4001));
        assert_eq!(datagram.destination, (IpAddr::from([192, 0, 2, 1]), 51820));
        assert_eq!(datagram.traffic_class, 0xb8);
    }

    /// Catches traffic that is not Weir's being taken from the kernel, and Weir's own being left to it.
    #[test]
    fn only_what_is_weir_s_is_taken() {
        let own = [192, 0, 2, 1];
        assert_eq!(verdict(&frame(own, 22, &keepalive())), Verdict::Kernel);
        assert_eq!(verdict(&frame(own, 51820, b"GET / HTTP/1.1")), Verdict::Unknown);
        assert_eq!(verdict(&frame([10, 1, 2, 3], 51820, b"any")), Verdict::Lan);
        assert_eq!(
            verdict(&frame([192, 0, 2, 99], 51820, &keepalive())),
            Verdict::Kernel
        );
        let good = frame(own, 51820, &keepalive());
        for (at, value, expected) in [
            (0, 1, Verdict::OtherMac),
            (13, 6, Verdict::OtherEthertype),
            (12, 0x81, Verdict::Vlan),
            (14, 0x46, Verdict::Options),
            (14, 0x44, Verdict::Malformed),
            (14, 0x65, Verdict::Malformed),
            (16, 1, Verdict::Malformed),
            (20, 0x20, Verdict::Fragment),
            (21, 1, Verdict::Fragment),
            (23, 6, Verdict::Kernel),
            (39, 0, Verdict::Malformed),
        ] {
            let mut changed = good.clone();
            changed[at] = value;
            assert_eq!(verdict(&changed), expected, "byte {at} set to {value:#x}");
        }
        for len in 0..good.len() {
            assert_ne!(verdict(&good[..len]), Verdict::Wan, "cut to {len} bytes");
        }
    }

    /// Catches packets forwarded that a router must not forward, or that the kernel has to answer.
    #[test]
    fn only_what_routers_forward_is_forwarded() {
        let good = frame([10, 1, 2, 3], 80, b"any");
        for (at, value, expected) in [
            (22, 1, Verdict::HopLimit),
            (22, 0, Verdict::HopLimit),
            (22, 2, Verdict::Lan),
            (20, 0x20, Verdict::Lan),
            (26, 224, Verdict::Kernel),
            (26, 127, Verdict::Kernel),
            (30, 11, Verdict::Kernel),
            (14, 0x46, Verdict::Options),
        ] {
            let mut changed = good.clone();
            changed[at] = value;
            assert_eq!(verdict(&changed), expected, "byte {at} set to {value:#x}");
        }
    }
}
