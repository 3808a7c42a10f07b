//! `weir-wire` at a port of AF_XDP: what becomes of a frame, what a router does to a packet, and the headers of what leaves.
//!
//! The oracles read the bytes one by one and in the order of the RFCs, and share no code with what they judge.

use crate::input::Input;
use crate::packet::{be16, covered, hostile, naive_sum};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use weir_wire::arrival::{Arrival, Datagram, Device, Verdict, arrival};
use weir_wire::forward::{Onward, decrement_hop_limit, onward};
use weir_wire::icmp::{self, Reason};
use weir_wire::outer::Outer;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];
const PORT: u16 = 51820;

/// A device of a host that owns the addresses whose last byte is small, with peers behind those whose last byte is odd. The
/// packets' addresses are made of one or two bytes again and again, so that both are met.
struct Place {
    wan: bool,
    lan: bool,
}

fn last(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(address) => address.octets()[3],
        IpAddr::V6(address) => address.octets()[15],
    }
}

impl Device for Place {
    fn mac(&self) -> [u8; 6] {
        MAC
    }
    fn is_wan(&self) -> bool {
        self.wan
    }
    fn is_lan(&self) -> bool {
        self.lan
    }
    fn is_port(&self, port: u16) -> bool {
        port == PORT
    }
    fn is_own(&self, address: IpAddr) -> bool {
        last(address) < 64
    }
    fn is_behind_peer(&self, address: IpAddr) -> bool {
        last(address) & 1 == 1
    }
}

/// A router forwards a packet as the RFCs say: only the hop limit and IPv4's checksum change, which stays as right as it
/// was; and where it is too long, the error about it may be sent at all and says what it must.
pub fn forward(data: &[u8]) {
    let mut input = Input::new(data);
    let mtu = input.below(256) + 20;
    let packet = hostile(&mut input);
    let decided = onward(&packet);
    assert_eq!(decided, slow_onward(&packet));

    let mut after = packet.clone();
    let fell = decrement_hop_limit(&mut after);
    let (header, at) = match packet.first().map(|first| first >> 4) {
        Some(4) => (20, 8),
        Some(6) => (40, 7),
        _ => (usize::MAX, 0),
    };
    let has_hops = packet.len() >= header && packet[at] > 0;
    assert_eq!(fell, has_hops);
    assert!(fell || after == packet, "what does not fall stays as it is");
    assert!(fell || decided.is_none());
    if fell {
        assert_eq!(after[at], packet[at] - 1);
        let free = |index: usize| index == at || (at == 8 && (10..12).contains(&index));
        assert!((0..packet.len()).all(|index| free(index) || after[index] == packet[index]));
        if at == 8 {
            let header = (usize::from(packet[0] & 15) * 4).clamp(20, packet.len());
            let right = |packet: &[u8]| naive_sum(&packet[..header]) == 0xffff;
            assert_eq!(right(&packet), right(&after), "a checksum is as right as it was");
        }
    }
    if let Some(Onward { source, len, .. }) = decided {
        if len > mtu {
            too_big(&packet[..len], source, mtu);
        }
        let again = onward(&after);
        assert_eq!(
            again.is_some(),
            after[at] > 1,
            "the next router finds nothing else changed"
        );
        assert!(again.is_none() || again == decided);
    }
}

/// The error about a packet that is longer than the tunnel's MTU.
fn too_big(packet: &[u8], sender: IpAddr, mtu: usize) {
    let (router, most, header) = match sender {
        IpAddr::V4(_) => (IpAddr::from([192, 0, 2, 1]), 576, 20),
        IpAddr::V6(_) => (IpAddr::from([0x20; 16]), 1280, 40),
    };
    let mut room = [0xee; 1300];
    let reason = Reason::TooBig { mtu: mtu as u32 };
    let written = icmp::write_error(packet, router, reason, &mut room);
    assert_eq!(written.is_some(), slow_answers(packet));
    let Some(len) = written else { return };
    let error = &room[..len];
    assert_eq!(len, (header + 8 + packet.len()).min(most));
    assert_eq!(
        error[header + 8..],
        packet[..len - header - 8],
        "it quotes the packet as it arrived"
    );
    assert_eq!(be16(error, header + 6), mtu);
    let expected = if header == 20 { [3, 4] } else { [2, 0] };
    assert_eq!(error[header..header + 2], expected);
    let sum = if header == 20 {
        naive_sum(&error[20..])
    } else {
        naive_sum(&covered(error, 40, 58))
    };
    assert_eq!(sum, 0xffff);
    assert!(!slow_answers(error), "an error about an error");
    let back = onward(error).expect("an error that routers forward");
    assert_eq!((back.source, back.destination), (router, sender));
}

/// Whether routers forward from and to an address (RFC 6890).
fn slow_is_routed(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let reserved = v4.octets()[0] == 0 || v4.octets()[0] >= 240;
            !(reserved || v4.is_loopback() || v4.is_link_local() || v4.is_multicast())
        }
        IpAddr::V6(v6) => !(v6.to_bits() >> 32 == 0 || v6.is_multicast() || v6.is_unicast_link_local()),
    }
}

/// The addresses of a packet whose fixed header is whole.
fn ends(packet: &[u8]) -> (IpAddr, IpAddr) {
    let v4 = |at: usize| {
        IpAddr::from(Ipv4Addr::from(
            *packet[at..].first_chunk::<4>().expect("a whole header"),
        ))
    };
    let v6 = |at: usize| {
        IpAddr::from(Ipv6Addr::from(
            *packet[at..].first_chunk::<16>().expect("a whole header"),
        ))
    };
    if packet[0] >> 4 == 4 {
        (v4(12), v4(16))
    } else {
        (v6(8), v6(24))
    }
}

fn slow_onward(packet: &[u8]) -> Option<Onward> {
    let (header, len, hops) = match packet.first()? >> 4 {
        4 => (20, be16(packet, 2), *packet.get(8)?),
        6 => (40, be16(packet, 4) + 40, *packet.get(7)?),
        _ => return None,
    };
    if packet.len() < header || len < header || len > packet.len() || hops < 2 {
        return None;
    }
    let kernel_s = match header {
        20 => packet[0] != 0x45 || naive_sum(&packet[..20]) != 0xffff,
        _ => packet[6] == 0,
    };
    let (source, destination) = ends(packet);
    let routed = !kernel_s && slow_is_routed(source) && slow_is_routed(destination);
    routed.then_some(Onward {
        source,
        destination,
        len,
    })
}

/// Whether "too big" may be said of a packet that is whole and routed, or of our own error (RFC 1812, section 4.3.2.7; RFC
/// 4443, section 2.4).
fn slow_answers(packet: &[u8]) -> bool {
    let (offset, protocol, at) = if packet[0] >> 4 == 4 {
        (
            be16(packet, 6) & 0x1fff,
            packet[9],
            usize::from(packet[0] & 15) * 4,
        )
    } else {
        match slow_chain(packet, packet[6], 40, 8) {
            Some(found) => found,
            None => return false,
        }
    };
    if offset != 0 {
        return false;
    }
    match (protocol, packet.get(at)) {
        // Errors, redirects, and what nobody knows to be a question; what shows no type could be any of them.
        (1, message) if at <= 60 && packet[0] >> 4 == 4 => {
            message.is_some_and(|kind| [0, 8, 9, 10, 13, 14, 15, 16, 17, 18, 42, 43].contains(kind))
        }
        (58, message) if packet[0] >> 4 == 6 => message.is_some_and(|kind| *kind >= 128 && *kind != 137),
        _ => true,
    }
}

/// The fragment's offset, the protocol and where it begins, behind IPv6's extension headers; `None` where they do not end in
/// the packet or are more than eight.
fn slow_chain(packet: &[u8], protocol: u8, at: usize, left: usize) -> Option<(usize, u8, usize)> {
    if ![0, 43, 44, 60].contains(&protocol) {
        return Some((0, protocol, at));
    }
    if left == 0 || packet.len() < at + 8 {
        return None;
    }
    let size = match protocol {
        43 if packet[at + 3] != 0 => return Some((0, protocol, at)),
        44 => 8,
        _ => 8 * (usize::from(packet[at + 1]) + 1),
    };
    if packet.len() < at + size {
        return None;
    }
    match be16(packet, at + 2) >> 3 {
        offset if protocol == 44 && offset != 0 => Some((offset, packet[at], at + size)),
        _ => slow_chain(packet, packet[at], at + size, left - 1),
    }
}

/// Every frame has the verdict that a slow reading gives it; what is taken lies within the frame, and is what an ordinary
/// socket or a router would have been given.
pub fn arrivals(data: &[u8]) {
    let mut input = Input::new(data);
    let shape = input.byte();
    let place = Place {
        wan: shape & 1 == 0,
        lan: shape & 2 == 0,
    };
    let packet = hostile(&mut input);
    let mut frame = [&MAC[..], &[2, 0, 0, 0, 0, 1]].concat();
    frame.extend(match packet.first().map(|first| first >> 4) {
        _ if shape & 0x1c == 0x1c => input.array(),
        Some(6) => [0x86, 0xdd],
        _ => [8, 0],
    });
    frame.extend(&packet);
    if shape & 0x20 != 0 {
        datagram(&mut frame, &mut input);
    }
    if shape & 0xc0 == 0xc0 {
        let (at, value) = (input.below(64), input.byte());
        if let Some(byte) = frame.get_mut(at) {
            *byte = value;
        }
        frame.truncate(frame.len().saturating_sub(input.below(64)));
    }
    let found = arrival(&frame, &place);
    assert_eq!(found, slow_arrival(&frame, &place));
    match found {
        Arrival::Wan(Datagram { payload, len, .. }) => {
            assert!(payload + len <= frame.len());
            weir_wire::classify::kind(&frame[payload..payload + len]);
        }
        Arrival::Lan { len } => {
            // All that the port itself still asks is IPv4's checksum.
            let packet = &frame[14..14 + len];
            let right = packet[0] >> 4 == 6 || naive_sum(&packet[..20]) == 0xffff;
            assert_eq!(onward(packet).is_some(), right);
        }
        Arrival::Not(_) => {}
    }
}

/// Makes the packet of a frame a datagram to Weir's port, if it is long enough, of a kind that the input chooses.
fn datagram(frame: &mut [u8], input: &mut Input<'_>) {
    let start: &[u8] = input.pick(&[
        &[4, 0, 0, 0],
        &[1, 0, 0, 0],
        &[2, 0, 0, 0],
        &[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42],
    ]);
    let segment = if frame.get(14).is_some_and(|first| first >> 4 == 6) {
        54
    } else {
        34
    };
    if let Some(bytes) = frame.get_mut(segment + 2..segment + 4) {
        bytes.copy_from_slice(&PORT.to_be_bytes());
    }
    if let Some(bytes) = frame.get_mut(segment + 8..segment + 8 + start.len()) {
        bytes.copy_from_slice(start);
    }
}

fn slow_arrival(frame: &[u8], place: &Place) -> Arrival {
    let not = Arrival::Not;
    if frame.len() < 14 {
        return not(Verdict::Malformed);
    }
    if frame[..6] != MAC {
        return not(Verdict::OtherMac);
    }
    let packet = &frame[14..];
    let (header, len, options) = match be16(frame, 12) {
        0x0800 if packet.len() >= 20 => {
            let header = usize::from(packet[0] & 15) * 4;
            let contradiction = packet[0] >> 4 != 4 || header < 20 || be16(packet, 2) < header;
            let len = if contradiction {
                usize::MAX
            } else {
                be16(packet, 2)
            };
            (20, len, header > 20)
        }
        0x86dd if packet.len() >= 40 => {
            let len = if packet[0] >> 4 == 6 {
                be16(packet, 4) + 40
            } else {
                usize::MAX
            };
            (40, len, packet[6] == 0)
        }
        0x0800 | 0x86dd => return not(Verdict::Malformed),
        0x8100 | 0x88a8 => return not(Verdict::Vlan),
        _ => return not(Verdict::OtherEthertype),
    };
    if len > packet.len() {
        return not(Verdict::Malformed);
    }
    let packet = &packet[..len];
    let (source, destination) = ends(packet);
    if place.is_own(destination) {
        if !place.wan {
            return not(Verdict::Kernel);
        }
        return slow_datagram(packet, header, options, (source, destination));
    }
    let hops = packet[if header == 20 { 8 } else { 7 }];
    let routed = place.lan && slow_is_routed(source) && slow_is_routed(destination);
    match routed && place.is_behind_peer(destination) {
        false => not(Verdict::Kernel),
        true if options => not(Verdict::Options),
        true if hops < 2 => not(Verdict::HopLimit),
        true => Arrival::Lan { len },
    }
}

/// A packet for this host.
fn slow_datagram(packet: &[u8], header: usize, options: bool, ends: (IpAddr, IpAddr)) -> Arrival {
    let not = Arrival::Not;
    let protocol = packet[if header == 20 { 9 } else { 6 }];
    if (header, protocol) == (40, 44) {
        return not(Verdict::Fragment);
    }
    if protocol != 17 {
        return not(Verdict::Kernel);
    }
    if header == 20 && be16(packet, 6) & 0x3fff != 0 {
        return not(Verdict::Fragment);
    }
    if header == 20 && options {
        return not(Verdict::Options);
    }
    let segment = &packet[header..];
    if segment.len() < 8 {
        return not(Verdict::Malformed);
    }
    if be16(segment, 2) != usize::from(PORT) {
        return not(Verdict::Kernel);
    }
    let stated = be16(segment, 4);
    // A shorter datagram than its packet is the kernel's to cut.
    if stated != segment.len() {
        return not(Verdict::Malformed);
    }
    let payload = &segment[8..stated];
    let wireguard = match (payload.first_chunk::<4>(), payload.len()) {
        (Some([1, 0, 0, 0]), 148) | (Some([2, 0, 0, 0]), 92) | (Some([3, 0, 0, 0]), 64) => true,
        (Some([4, 0, 0, 0]), len) => len >= 32,
        _ => false,
    };
    let stun = payload.len() >= 20
        && payload[0] < 64
        && payload[4..8] == [0x21, 0x12, 0xa4, 0x42]
        && be16(payload, 2) == payload.len() - 20
        && payload.len().is_multiple_of(4);
    if !wireguard && !stun {
        return not(Verdict::Unknown);
    }
    let traffic_class = if header == 20 {
        packet[1]
    } else {
        packet[0] << 4 | packet[1] >> 4
    };
    Arrival::Wan(Datagram {
        payload: 14 + header + 8,
        len: payload.len(),
        source: (ends.0, be16(segment, 0) as u16),
        destination: (ends.1, PORT),
        traffic_class,
    })
}

/// What leaves by a WAN port arrives at another as it was meant, with right checksums; what cannot be written is refused.
pub fn outer(data: &[u8]) {
    let mut input = Input::new(data);
    let shape = input.byte();
    let mut end = |v6: bool, port: u16| -> SocketAddr {
        let address = if v6 {
            IpAddr::from(input.array::<16>())
        } else {
            IpAddr::from(input.array::<4>())
        };
        SocketAddr::new(address, port)
    };
    let (source, destination) = (end(shape & 1 != 0, 7777), end(shape & 2 != 0, PORT));
    let [traffic_class] = input.array();
    let outer = Outer {
        macs: (MAC, [2, 0, 0, 0, 0, 1]),
        source,
        destination,
        traffic_class,
    };
    let id = input.u16();
    let payload = match shape >> 2 & 3 {
        0 => input.take(256).to_vec(),
        1 => vec![input.byte(); usize::from(input.u16())],
        _ => [
            &[4, 0, 0, 0][..],
            &vec![input.byte(); 28 + input.below(256)],
            input.rest(),
        ]
        .concat(),
    };
    let Some(headers) = outer.headers() else {
        assert_ne!(source.is_ipv4(), destination.is_ipv4());
        return;
    };
    assert_eq!(source.is_ipv4(), destination.is_ipv4());
    let header = headers.header_len();
    let mut frame = [&vec![0xee; header][..], &payload].concat();
    if shape & 0x70 == 0x70 {
        frame.truncate(input.below(64));
    }
    let written = headers.write(&mut frame, id);
    let room = if destination.is_ipv4() {
        65_535 - 20
    } else {
        65_535
    };
    let fits = frame.len() >= header && frame.len() - (header - 8) <= room;
    assert_eq!(written, fits);
    if !written {
        return;
    }
    assert_eq!(
        frame[header..],
        payload[..frame.len() - header],
        "the payload is left alone"
    );
    let packet = &frame[14..];
    let l4 = if destination.is_ipv4() { 20 } else { 40 };
    assert!(l4 == 40 || naive_sum(&packet[..20]) == 0xffff);
    assert_eq!(naive_sum(&covered(packet, l4, 17)), 0xffff);
    assert_ne!(packet[l4 + 6..l4 + 8], [0, 0], "zero says that there is none");
    let place = Place {
        wan: true,
        lan: false,
    };
    match arrival(&frame, &place) {
        Arrival::Wan(datagram) => {
            assert_eq!(frame[datagram.payload..][..datagram.len], frame[header..]);
            assert_eq!(datagram.source, (source.ip(), source.port()));
            assert_eq!(datagram.destination, (destination.ip(), destination.port()));
            assert_eq!(datagram.traffic_class, traffic_class);
        }
        Arrival::Not(Verdict::Kernel) => assert!(!place.is_own(destination.ip())),
        found => assert_eq!(found, Arrival::Not(Verdict::Unknown)),
    }
}
