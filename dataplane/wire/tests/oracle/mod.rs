//! What the property tests compare with: a checksum computed word by word, packets built field by field, and
//! strategies for packets that are almost right.

#![allow(dead_code, reason = "each test program uses a part of this module")]

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// The same cases in every run, unless PROPTEST_RNG_SEED and PROPTEST_CASES say otherwise.
pub fn config() -> ProptestConfig {
    let mut config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    if matches!(config.rng_seed, RngSeed::Random) {
        config.rng_seed = RngSeed::Fixed(0x5eed);
    }
    config
}

/// RFC 1071's sum, one word at a time, folded after each.
pub fn naive_sum(bytes: &[u8]) -> u16 {
    let mut sum = 0u32;
    for (index, byte) in bytes.iter().enumerate() {
        sum += u32::from(*byte) << if index % 2 == 0 { 8 } else { 0 };
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// A flow's constant fields, from which packets are built.
#[derive(Clone, Debug)]
pub struct Flow {
    pub v6: bool,
    pub udp: bool,
    pub tos: u8,
    pub ttl: u8,
    pub dont_fragment: bool,
    pub id: u16,
    pub sequence: u32,
    pub acknowledgement: u32,
    pub window: u16,
    pub addresses: [u8; 32],
    pub ports: [u8; 4],
    pub options: Vec<u8>,
}

impl Flow {
    pub fn l4_offset(&self) -> usize {
        if self.v6 { 40 } else { 20 }
    }

    pub fn header_len(&self) -> usize {
        self.l4_offset() + if self.udp { 8 } else { 20 + self.options.len() }
    }

    pub fn protocol(&self) -> u8 {
        if self.udp { 17 } else { 6 }
    }

    /// A packet with this payload, its checksums right.
    pub fn packet(&self, flags: u8, payload: &[u8]) -> Vec<u8> {
        let total = self.header_len() + payload.len();
        let mut packet = Vec::with_capacity(total);
        if self.v6 {
            packet.extend([0x60 | self.tos >> 4, self.tos << 4, 0x12, 0x34]);
            packet.extend(((total - 40) as u16).to_be_bytes());
            packet.extend([self.protocol(), self.ttl]);
            packet.extend(self.addresses);
        } else {
            packet.extend([0x45, self.tos]);
            packet.extend((total as u16).to_be_bytes());
            packet.extend(self.id.to_be_bytes());
            packet.extend([
                if self.dont_fragment { 0x40 } else { 0 },
                0,
                self.ttl,
                self.protocol(),
                0,
                0,
            ]);
            packet.extend(&self.addresses[..8]);
        }
        packet.extend(self.ports);
        if self.udp {
            packet.extend(((total - self.l4_offset()) as u16).to_be_bytes());
            packet.extend([0, 0]);
        } else {
            packet.extend(self.sequence.to_be_bytes());
            packet.extend(self.acknowledgement.to_be_bytes());
            packet.extend([((20 + self.options.len()) as u8 / 4) << 4, flags]);
            packet.extend(self.window.to_be_bytes());
            packet.extend([0, 0, 0, 0]);
            packet.extend(&self.options);
        }
        packet.extend(payload);
        repair_checksums(&mut packet);
        packet
    }
}

/// Bytes of pseudo header for a packet without extension headers.
fn pseudo_header(packet: &[u8], l4_offset: usize) -> Vec<u8> {
    let length = (packet.len() - l4_offset) as u16;
    let v6 = packet[0] >> 4 == 6;
    let mut bytes = if v6 {
        packet[8..40].to_vec()
    } else {
        packet[12..20].to_vec()
    };
    bytes.extend([0, if v6 { packet[6] } else { packet[9] }]);
    bytes.extend(length.to_be_bytes());
    bytes
}

/// Where the transport and its checksum are, in a packet of TCP or UDP without options or extensions.
fn layout(packet: &[u8]) -> Option<(usize, usize)> {
    let (l4_offset, protocol) = match packet.first()? >> 4 {
        4 if packet.len() >= 20 => (20, packet[9]),
        6 if packet.len() >= 40 => (40, packet[6]),
        _ => return None,
    };
    let at = match protocol {
        6 => l4_offset + 16,
        17 => l4_offset + 6,
        _ => return None,
    };
    (packet.len() >= at + 2).then_some((l4_offset, at))
}

/// Writes right checksums where the packet has them.
pub fn repair_checksums(packet: &mut [u8]) {
    if packet.len() >= 20 && packet[0] >> 4 == 4 {
        packet[10..12].fill(0);
        let checksum = !naive_sum(&packet[..20]);
        packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    }
    let Some((l4_offset, at)) = layout(packet) else {
        return;
    };
    packet[at..at + 2].fill(0);
    let mut covered = pseudo_header(packet, l4_offset);
    covered.extend(&packet[l4_offset..]);
    let checksum = match !naive_sum(&covered) {
        0 if at == l4_offset + 6 => 0xffff,
        checksum => checksum,
    };
    packet[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
}

/// Whether a packet's lengths and checksums are right.
pub fn is_right(packet: &[u8]) -> bool {
    let v6 = packet[0] >> 4 == 6;
    let stated = if v6 { 40 + be16(packet, 4) } else { be16(packet, 2) };
    let Some((l4_offset, at)) = layout(packet) else {
        return false;
    };
    let mut covered = pseudo_header(packet, l4_offset);
    covered.extend(&packet[l4_offset..]);
    let udp = at == l4_offset + 6;
    stated == packet.len()
        && (v6 || naive_sum(&packet[..20]) == 0xffff)
        && (!udp || (be16(packet, l4_offset + 4) == packet.len() - l4_offset && be16(packet, at) != 0))
        && naive_sum(&covered) == 0xffff
}

pub fn be16(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]))
}

prop_compose! {
    pub fn flow()(
        (v6, udp, dont_fragment) in any::<(bool, bool, bool)>(),
        (tos, ttl, id) in any::<(u8, u8, u16)>(),
        (sequence, acknowledgement, window) in any::<(u32, u32, u16)>(),
        (addresses, ports) in any::<([u8; 32], [u8; 4])>(),
        options in (0usize..=10).prop_flat_map(|words| prop::collection::vec(any::<u8>(), words * 4)),
    ) -> Flow {
        Flow {
            v6, udp, tos, ttl, dont_fragment, id, sequence, acknowledgement, window, addresses, ports, options,
        }
    }
}

/// Some bytes changed in a packet.
pub fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)
}

/// Changes bytes among the first `within` of a packet.
pub fn change(packet: &mut [u8], within: usize, changes: &[(prop::sample::Index, u8)]) {
    let within = within.min(packet.len());
    for (index, value) in changes {
        packet[index.index(within)] = *value;
    }
}

/// Packets that are right but for a few changed bytes in their headers and a cut end, with checksums repaired or
/// not; and bytes without any order.
pub fn hostile_packet() -> impl Strategy<Value = Vec<u8>> {
    let almost_right = (
        flow(),
        any::<u8>(),
        prop::collection::vec(any::<u8>(), 0..200),
        changes(),
        any::<bool>(),
        prop::option::weighted(0.2, any::<prop::sample::Index>()),
    )
        .prop_map(|(flow, flags, payload, changes, repaired, cut)| {
            let mut packet = flow.packet(flags, &payload);
            let within = flow.header_len();
            change(&mut packet, within, &changes);
            if let Some(cut) = cut {
                packet.truncate(cut.index(packet.len()));
            }
            if repaired {
                repair_checksums(&mut packet);
            }
            packet
        });
    prop_oneof![4 => almost_right, 1 => prop::collection::vec(any::<u8>(), 0..300)]
}
