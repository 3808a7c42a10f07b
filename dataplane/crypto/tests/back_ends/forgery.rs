//! What is not authentic is refused, at every place in a batch, and nothing else is.

use super::opening::check_open;
use super::packet::{Packet, back_ends, random, unchanged};
use rand_core::Rng;
use weir_crypto::TAG_BYTES;

/// Ways to change a packet.
pub const WAYS: usize = 6;

/// Changes a packet in one of the ways; `at` says where.
pub fn forge(sealed: &mut Vec<u8>, way: usize, at: u32) {
    let (len, bit) = (sealed.len(), 1 << (at % 8));
    let text = len - TAG_BYTES;
    let at = at as usize / 8;
    match way {
        // A bit of the text, of the tag, the first one, the last one.
        0 if text > 0 => sealed[at % text] ^= bit,
        0 | 1 => sealed[text + at % TAG_BYTES] ^= bit,
        2 => sealed[0] ^= 1,
        3 => sealed[len - 1] ^= 0x80,
        // Truncated, so that another 16 bytes are taken for the tag; lengthened.
        4 if text > 0 => sealed.truncate(len - 1 - at % text),
        _ => sealed.extend([0; 16]),
    }
}

/// Catches a forgery that passes, one that yields plaintext, and one that spoils a neighbour, wherever it stands.
#[test]
fn a_forgery_is_refused_alone_at_every_place() {
    let mut random = random(11);
    for batch in [1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 31, 32, 33, 63, 64, 65] {
        for equal in [true, false] {
            let packets: Vec<Packet> = (0..batch)
                .map(|place| {
                    let other = random.next_u32() as usize;
                    let len = if equal { 80 + batch } else { other % 700 };
                    Packet::new(&mut random, len, 0, place)
                })
                .collect();
            for place in 0..batch {
                for way in 0..WAYS {
                    let mut received = unchanged(&packets);
                    forge(&mut received[place], way, random.next_u32());
                    let told = format!("batch of {batch}, way {way}");
                    for aead in back_ends() {
                        check_open(aead, &packets, &received, &[place], &told);
                    }
                }
            }
        }
    }
}

/// Catches forgeries that hide each other, up to a batch of nothing else.
#[test]
fn many_forgeries_are_refused_and_nothing_else() {
    for seed in 0..200 {
        let mut random = random(seed);
        let batch = 1 + random.next_u32() as usize % 70;
        let packets: Vec<Packet> = (0..batch)
            .map(|place| {
                let len = random.next_u32() as usize % 300;
                Packet::new(&mut random, len, 0, place)
            })
            .collect();
        let mut received = unchanged(&packets);
        let of_four = seed as u32 % 5;
        let forged: Vec<usize> = (0..batch).filter(|_| random.next_u32() % 4 < of_four).collect();
        for place in &forged {
            forge(&mut received[*place], seed as usize % WAYS, random.next_u32());
        }
        for aead in back_ends() {
            check_open(aead, &packets, &received, &forged, &format!("seed {seed}"));
        }
    }
}

/// Catches a bit of a tag or of a short packet that nobody looks at.
#[test]
fn every_bit_counts() {
    let mut random = random(17);
    for len in [0, 1, 16, 33] {
        let packets: Vec<Packet> = (0..8)
            .map(|place| Packet::new(&mut random, len, 0, place))
            .collect();
        for bit in 0..8 * (len + TAG_BYTES) {
            let mut received = unchanged(&packets);
            let place = bit % 8;
            received[place][bit / 8] ^= 1 << (bit % 8);
            for aead in back_ends() {
                check_open(aead, &packets, &received, &[place], "every bit");
            }
        }
    }
}

/// Catches a key or a counter that is not part of what is authenticated.
#[test]
fn another_key_or_counter_opens_nothing() {
    let mut random = random(19);
    let mut packets: Vec<Packet> = (0..20)
        .map(|place| Packet::new(&mut random, 100, 0, place))
        .collect();
    for bit in 0..64 {
        packets[3].counter ^= 1 << bit;
        packets[12].key[bit % 32] ^= 1 << (bit / 8);
        for aead in back_ends() {
            check_open(
                aead,
                &packets,
                &unchanged(&packets),
                &[3, 12],
                "another key or counter",
            );
        }
        packets[3].counter ^= 1 << bit;
        packets[12].key[bit % 32] ^= 1 << (bit / 8);
    }
}
