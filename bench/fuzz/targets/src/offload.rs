//! `weir-wire`: splitting and joining.

use crate::input::Input;
use crate::packet::{Flow, be16, hostile, is_right, repair};
use weir_wire::checksum::complete_partial;
use weir_wire::coalesce::{self, Append, MAX_LEN, MAX_PACKETS};
use weir_wire::ip::{Packet, TCP};
use weir_wire::segment::{Kind, Offload, Segments};
use weir_wire::tcp::{ACK, CWR, FIN, PSH};
use weir_wire::virtio::{self, Pending};

/// The packets that one packet is split into are right, hold its payload in order, and none is longer than said.
pub fn segment(data: &[u8]) {
    let mut input = Input::new(data);
    let offload = Offload {
        kind: input.pick(&[Kind::TcpV4, Kind::TcpV6, Kind::UdpL4]),
        header_len: input.u16(),
        segment_size: if input.flag() {
            u16::from(input.byte())
        } else {
            input.u16()
        },
    };
    let short = input.byte();
    let packet = if input.flag() {
        hostile(&mut input)
    } else {
        let flow = Flow::read(&mut input);
        let (flags, sequence) = (input.byte(), u32::from(input.u16()) << 16 | 0xff00);
        let payload: Vec<u8> = (0..input.u16() % 320).map(|at| at as u8).collect();
        flow.packet(0xfff0, sequence, flags, &payload)
    };
    let Ok(segments) = Segments::new(&packet, offload) else {
        return;
    };
    let parsed = Packet::parse(&packet).expect("only packets are split");
    let l4 = parsed.l4_offset;
    let header_len = match offload.kind {
        Kind::TcpV4 | Kind::TcpV6 => l4 + usize::from(packet[l4 + 12] >> 4) * 4,
        Kind::UdpL4 => l4 + 8,
    };
    let packets = split(segments, usize::from(short));
    let mut payload: Vec<u8> = Vec::new();
    for (place, segment) in packets.iter().enumerate() {
        let again = Packet::parse(segment).expect("a packet of our own");
        assert_eq!(
            again,
            Packet {
                total_length: segment.len(),
                ..parsed
            }
        );
        assert!(transport_right(segment, l4, parsed.protocol));
        if parsed.protocol == TCP {
            let (first, last) = (place == 0, place + 1 == packets.len());
            let masked = !(if last { 0 } else { FIN | PSH } | if first { 0 } else { CWR });
            assert_eq!(segment[l4 + 13], packet[l4 + 13] & masked);
            let number = |of: &[u8]| (be16(of, l4 + 4) as u32) << 16 | be16(of, l4 + 6) as u32;
            assert_eq!(
                number(segment),
                number(&packet).wrapping_add(payload.len() as u32)
            );
        }
        payload.extend(&segment[header_len..]);
    }
    assert_eq!(payload, &packet[header_len..parsed.total_length]);
}

/// All segments; the one at `short` is first offered a buffer that is a byte too short, and must not be lost by it.
fn split(mut segments: Segments<'_>, short: usize) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    let mut out = vec![0xee; segments.max_len()];
    while let Some(len) = {
        if packets.len() == short {
            let mut probe = segments.clone();
            if let Some(len) = probe.next_into(&mut out) {
                assert_eq!(segments.next_into(&mut out[..len - 1]), None);
            }
        }
        segments.next_into(&mut out)
    } {
        packets.push(out[..len].to_vec());
    }
    assert_eq!(packets.len(), segments.count());
    packets
}

/// As [`is_right`], also behind extension headers and IP options.
fn transport_right(packet: &[u8], l4: usize, protocol: u8) -> bool {
    crate::packet::naive_sum(&crate::packet::covered(packet, l4, protocol)) == 0xffff
        && (packet[0] >> 4 == 6
            || crate::packet::naive_sum(&packet[..usize::from(packet[0] & 15) * 4]) == 0xffff)
}

/// Joined packets can be split again into the same ones; what was not right is not joined.
pub fn coalesce(data: &[u8]) {
    let mut input = Input::new(data);
    let packets = packets(&mut input);
    let Some(head) = packets.first() else { return };
    let Some(mut state) = coalesce::start(head) else {
        return;
    };
    assert!(is_right(head));
    let mut joined = head.clone();
    let mut parts = vec![head.clone()];
    for packet in &packets[1..] {
        let before = (state.count(), state.total_len(), state.ended());
        match state.append(packet) {
            Append::Yes { payload_offset } => {
                assert!(!before.2 && is_right(packet) && payload_offset < packet.len());
                joined.extend(&packet[payload_offset..]);
                parts.push(packet.clone());
            }
            Append::No => assert_eq!((state.count(), state.total_len(), state.ended()), before),
        }
    }
    assert_eq!((state.count(), state.total_len()), (parts.len(), joined.len()));
    assert!(parts.len() <= MAX_PACKETS && joined.len() <= MAX_LEN);
    let header = state.finish(&mut joined);
    if parts.len() == 1 {
        assert_eq!(header, virtio::Header::default());
        return assert_eq!(&joined, head);
    }
    let Ok(Pending::Segmentation(offload)) = header.pending() else {
        panic!("several packets need an offload")
    };
    let again = split(
        Segments::new(&joined, offload).expect("a packet of our own"),
        usize::MAX,
    );
    assert_eq!(again.len(), parts.len());
    for (after, before) in again.iter().zip(&parts) {
        assert_eq!(without_atomic_id(after), without_atomic_id(before));
    }
    complete_partial(&mut joined, header.csum_start.get(), header.csum_offset.get()).expect("in bounds");
    assert!(is_right(&joined));
}

/// Packets of one flow in sequence, each perhaps with a changed byte; a hostile one now and then.
fn packets(input: &mut Input<'_>) -> Vec<Vec<u8>> {
    let flow = Flow::read(input);
    // The greatest is what reaches the bound on a joined packet's length.
    let size = match input.byte() {
        0xff => 1400,
        size => usize::from(size).max(1),
    };
    let (mut id, mut sequence) = (input.u16(), u32::from(input.u16()) << 16 | 0xff80);
    let mut packets = Vec::new();
    while !input.is_empty() && packets.len() < MAX_PACKETS + 8 {
        let op = input.byte();
        let payload = match op & 3 {
            0 | 1 => size,
            2 => input.below(256).min(size),
            _ => size + 1,
        };
        let repeat = if op & 0x44 == 0x44 { input.below(80) } else { 1 };
        for _ in 0..repeat {
            let flags = if op & 8 != 0 { input.byte() } else { ACK };
            let mut packet = flow.packet(id, sequence, flags, &vec![op; payload]);
            id = id.wrapping_add(1);
            sequence = sequence.wrapping_add(payload as u32);
            if op & 16 != 0 {
                let (at, flip) = (input.below(120), input.byte());
                if let Some(byte) = packet.get_mut(at) {
                    *byte ^= flip;
                }
                if op & 32 != 0 {
                    repair(&mut packet);
                }
            }
            packets.push(packet);
        }
        if op & 0xc0 == 0xc0 {
            packets.push(hostile(input));
        }
    }
    packets
}

/// The packet without IPv4's identification where that means nothing (RFC 6864), and so without the header checksum.
fn without_atomic_id(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    if packet[0] >> 4 == 4 && packet[6] & 0x40 != 0 {
        packet[4..6].fill(0);
        packet[10..12].fill(0);
    }
    packet
}
