//! IP packets that are right, or right but for a few bytes, and a slow oracle for what "right" means.

use crate::input::Input;
use weir_wire::ip::{ICMP, ICMPV6, TCP, UDP};

/// The fields that all packets of one flow share.
pub(crate) struct Flow {
    pub(crate) v6: bool,
    pub(crate) protocol: u8,
    class: u8,
    hop_limit: u8,
    dont_fragment: bool,
    addresses: [u8; 32],
    options: Vec<u8>,
}

impl Flow {
    /// A flow of TCP, UDP, ICMP, or now and then another protocol.
    pub(crate) fn read(input: &mut Input<'_>) -> Self {
        let shape = input.byte();
        let v6 = shape & 1 == 1;
        let protocol = match shape >> 1 & 7 {
            0..=2 => TCP,
            3 | 4 => UDP,
            5 | 6 if v6 => ICMPV6,
            5 | 6 => ICMP,
            _ => input.byte(),
        };
        let options = if protocol == TCP { input.below(11) * 4 } else { 0 };
        let class = input.byte();
        let hop_limit = input.byte();
        let [a, b] = input.array();
        let mut addresses = [a; 32];
        addresses[4..8].fill(b);
        addresses[16..].fill(b);
        Self {
            v6,
            protocol,
            class,
            hop_limit,
            dont_fragment: shape & 0x80 != 0,
            addresses,
            options: input.take(options).to_vec(),
        }
    }

    /// Where the transport begins.
    pub(crate) fn l4_offset(&self) -> usize {
        if self.v6 { 40 } else { 20 }
    }

    /// Bytes before the payload; options that the input was too short for are missing, so this is a multiple of 4 only
    /// where it must be.
    pub(crate) fn header_len(&self) -> usize {
        self.l4_offset()
            + match self.protocol {
                TCP => 20 + self.options.len() / 4 * 4,
                UDP | ICMP | ICMPV6 => 8,
                _ => 0,
            }
    }

    /// A packet with right lengths and checksums. `id` and `sequence` are IPv4's and TCP's.
    pub(crate) fn packet(&self, id: u16, sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
        let total = self.header_len() + payload.len();
        let mut packet = Vec::with_capacity(total);
        if self.v6 {
            packet.extend([0x60 | self.class >> 4, self.class << 4, 0x12, 0x34]);
            packet.extend(((total - 40) as u16).to_be_bytes());
            packet.extend([self.protocol, self.hop_limit]);
            packet.extend(self.addresses);
        } else {
            packet.extend([0x45, self.class]);
            packet.extend((total as u16).to_be_bytes());
            packet.extend(id.to_be_bytes());
            let fragment = if self.dont_fragment { 0x40 } else { 0 };
            packet.extend([fragment, 0, self.hop_limit, self.protocol, 0, 0]);
            packet.extend(&self.addresses[..8]);
        }
        match self.protocol {
            TCP => {
                let options = &self.options[..self.options.len() / 4 * 4];
                packet.extend([1, 2, 3, 4]);
                packet.extend(sequence.to_be_bytes());
                packet.extend([
                    0,
                    0,
                    0,
                    1,
                    (20 + options.len() as u8) << 2,
                    flags,
                    1,
                    0,
                    0,
                    0,
                    0,
                    0,
                ]);
                packet.extend(options);
            }
            UDP => {
                packet.extend([1, 2, 3, 4]);
                packet.extend(((total - self.l4_offset()) as u16).to_be_bytes());
                packet.extend([0, 0]);
            }
            ICMP | ICMPV6 => packet.extend([flags, 0, 0, 0, 0, 0, 0, 1]),
            _ => {}
        }
        packet.extend(payload);
        repair(&mut packet);
        packet
    }
}

/// A packet that is right but for up to three bytes and its end, or bytes without any order.
pub(crate) fn hostile(input: &mut Input<'_>) -> Vec<u8> {
    let shape = input.byte();
    if shape & 7 == 7 {
        return input.take(200).to_vec();
    }
    let flow = Flow::read(input);
    let flags = input.byte();
    let payload = vec![input.byte(); input.below(256)];
    let mut packet = flow.packet(input.u16(), 7, flags, &payload);
    for _ in 0..shape >> 3 & 3 {
        let (at, value) = (input.below(120), input.byte());
        if let Some(byte) = packet.get_mut(at) {
            *byte = value;
        }
    }
    if shape & 0x40 != 0 {
        packet.truncate(input.below(256));
    }
    if shape & 0x80 == 0 {
        repair(&mut packet);
    }
    packet
}

/// RFC 1071's sum, one word at a time.
pub(crate) fn naive_sum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|word| u64::from(word[0]) << 8 | word.get(1).copied().map_or(0, u64::from));
    let mut sum: u64 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The number at `at`, as far as the bytes go.
pub(crate) fn be16(bytes: &[u8], at: usize) -> usize {
    let byte = |at| bytes.get(at).copied().map_or(0, usize::from);
    byte(at) << 8 | byte(at + 1)
}

/// Pseudo header and segment of a packet whose transport begins at `l4_offset`.
pub(crate) fn covered(packet: &[u8], l4_offset: usize, protocol: u8) -> Vec<u8> {
    let mut bytes = if packet[0] >> 4 == 6 {
        packet[8..40].to_vec()
    } else {
        packet[12..20].to_vec()
    };
    bytes.extend(((packet.len() - l4_offset) as u32).to_be_bytes());
    bytes.extend([0, protocol]);
    bytes.extend(&packet[l4_offset..]);
    bytes
}

/// Writes right checksums into a packet without IP options or extension headers, where it has them.
pub(crate) fn repair(packet: &mut [u8]) {
    let (l4_offset, protocol) = match packet.first().map(|first| first >> 4) {
        Some(4) if packet.len() >= 20 => {
            packet[10..12].fill(0);
            let checksum = !naive_sum(&packet[..20]);
            packet[10..12].copy_from_slice(&checksum.to_be_bytes());
            (20, packet[9])
        }
        Some(6) if packet.len() >= 40 => (40, packet[6]),
        _ => return,
    };
    let at = l4_offset
        + match protocol {
            TCP => 16,
            UDP => 6,
            ICMP | ICMPV6 => 2,
            _ => return,
        };
    if packet.len() < at + 2 {
        return;
    }
    packet[at..at + 2].fill(0);
    let sum = if protocol == ICMP {
        naive_sum(&packet[l4_offset..])
    } else {
        naive_sum(&covered(packet, l4_offset, protocol))
    };
    let checksum = match !sum {
        0 if protocol == UDP => 0xffff,
        checksum => checksum,
    };
    packet[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
}

/// Whether a packet of TCP or UDP without IP options or extension headers is right in its lengths and checksums.
pub(crate) fn is_right(packet: &[u8]) -> bool {
    let v6 = packet[0] >> 4 == 6;
    let (l4_offset, stated, protocol) = if v6 {
        (40, 40 + be16(packet, 4), packet[6])
    } else {
        (20, be16(packet, 2), packet[9])
    };
    let udp = protocol == UDP;
    stated == packet.len()
        && (v6 || naive_sum(&packet[..20]) == 0xffff)
        && (!udp
            || (be16(packet, l4_offset + 4) == packet.len() - l4_offset && be16(packet, l4_offset + 6) != 0))
        && naive_sum(&covered(packet, l4_offset, protocol)) == 0xffff
}
