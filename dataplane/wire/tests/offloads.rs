//! Splitting and joining undo each other, and neither makes a packet that was not there.

mod oracle;

use oracle::{Flow, config, flow, is_right, repair_checksums};
use proptest::prelude::*;
use weir_wire::checksum::complete_partial;
use weir_wire::coalesce::{self, Append, MAX_PACKETS};
use weir_wire::segment::{Kind, Offload, Segments};
use weir_wire::tcp::{ACK, PSH};
use weir_wire::virtio::{self, Pending};

fn kind(flow: &Flow) -> Kind {
    match (flow.udp, flow.v6) {
        (true, _) => Kind::UdpL4,
        (false, false) => Kind::TcpV4,
        (false, true) => Kind::TcpV6,
    }
}

fn split(packet: &[u8], offload: Offload) -> Vec<Vec<u8>> {
    let mut segments = Segments::new(packet, offload).expect("a right super-packet");
    let mut out = vec![0xee; segments.max_len()];
    let mut packets = Vec::new();
    while let Some(len) = segments.next_into(&mut out) {
        packets.push(out[..len].to_vec());
    }
    assert_eq!(packets.len(), segments.count());
    packets
}

/// Joins packets from the first on, as a TUN port does. Returns the joined packet, its offload header and how many
/// packets it holds.
fn join(packets: &[Vec<u8>]) -> Option<(Vec<u8>, virtio::Header, usize)> {
    let mut state = coalesce::start(&packets[0])?;
    let mut joined = packets[0].clone();
    for packet in &packets[1..] {
        match state.append(packet) {
            Append::Yes { payload_offset } => joined.extend(&packet[payload_offset..]),
            Append::No => break,
        }
    }
    assert_eq!(joined.len(), state.total_len());
    let header = state.finish(&mut joined);
    Some((joined, header, state.count()))
}

/// What a packet that was joined and split again may differ in: IPv4's identification where it has no meaning, and
/// with it the header checksum.
fn without_atomic_id(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    if packet[0] >> 4 == 4 && packet[6] & 0x40 != 0 {
        packet[4..6].fill(0);
        packet[10..12].fill(0);
    }
    packet
}

/// The packet with less payload, its lengths and checksums right.
fn shortened(packet: &[u8], by: usize) -> Vec<u8> {
    let mut packet = packet[..packet.len() - by].to_vec();
    let len = packet.len();
    let (at, l4_offset, stated) = if packet[0] >> 4 == 6 {
        (4, 40, len - 40)
    } else {
        (2, 20, len)
    };
    packet[at..at + 2].copy_from_slice(&(stated as u16).to_be_bytes());
    let udp = packet[if l4_offset == 40 { 6 } else { 9 }] == 17;
    if udp {
        packet[l4_offset + 4..l4_offset + 6].copy_from_slice(&((len - l4_offset) as u16).to_be_bytes());
    }
    repair_checksums(&mut packet);
    packet
}

/// A flow, a payload, and a segment size of which it fills at most as many as are joined.
fn cut_payload() -> impl Strategy<Value = (Flow, Vec<u8>, u16)> {
    (flow(), 1u16..200, 1usize..=MAX_PACKETS).prop_flat_map(|(flow, size, count)| {
        let most = usize::from(size) * count;
        (
            Just(flow),
            prop::collection::vec(any::<u8>(), most - usize::from(size) + 1..=most),
            Just(size),
        )
    })
}

proptest! {
    #![proptest_config(config())]

    /// Catches payload lost, doubled or reordered; headers not advanced; wrong checksums; a run that ends too early;
    /// and a joined packet that the kernel would split otherwise.
    #[test]
    fn splitting_and_joining_undo_each_other((flow, payload, size) in cut_payload(), push: bool) {
        let flags = if push { ACK | PSH } else { ACK };
        let original = flow.packet(flags, &payload);
        let packets = split(&original, Offload { kind: kind(&flow), header_len: 0, segment_size: size });
        let header_len = flow.header_len();
        let stream: Vec<u8> = packets.iter().flat_map(|packet| packet[header_len..].to_vec()).collect();
        prop_assert_eq!(&stream, &payload);
        for packet in &packets {
            prop_assert!(is_right(packet));
        }

        if packets.len() == 1 {
            prop_assert_eq!(&packets[0], &original);
            return Ok(());
        }
        let (mut joined, header, count) = join(&packets).expect("the head is right");
        prop_assert_eq!(count, packets.len());
        let expected = Offload { kind: kind(&flow), header_len: header_len as u16, segment_size: size };
        prop_assert_eq!(header.pending(), Ok(Pending::Segmentation(expected)));
        prop_assert_eq!(split(&joined, expected), packets);
        complete_partial(&mut joined, header.csum_start.get(), header.csum_offset.get()).expect("in bounds");
        prop_assert_eq!(joined, original);
    }

    /// Catches any difference between two packets that joining would hide: whichever byte of the second one's
    /// headers is changed, either it is not appended, or splitting gives back both.
    #[test]
    fn joining_hides_no_difference(
        flow in flow(),
        payload in prop::collection::vec(any::<u8>(), 4..200),
        flip in prop_oneof![(0u32..8).prop_map(|bit| 1u8 << bit), 1u8..],
        shorten in 0usize..3,
        repaired in prop::bool::weighted(0.9),
    ) {
        let size = payload.len().div_ceil(2) as u16;
        let original = flow.packet(ACK, &payload);
        let mut packets = split(&original, Offload { kind: kind(&flow), header_len: 0, segment_size: size });
        let second = shortened(&packets[1], shorten.min(packets[1].len() - flow.header_len()));
        for at in 0..flow.header_len() {
            packets[1].clone_from(&second);
            packets[1][at] ^= flip;
            if repaired {
                repair_checksums(&mut packets[1]);
            }
            let Some((joined, header, 2)) = join(&packets) else { continue };
            let Ok(Pending::Segmentation(offload)) = header.pending() else { panic!("two packets need an offload") };
            let again = split(&joined, offload);
            prop_assert_eq!(again.len(), 2);
            for (before, after) in packets.iter().zip(&again) {
                prop_assert_eq!(without_atomic_id(before), without_atomic_id(after), "byte {} changed", at);
            }
        }
    }
}
