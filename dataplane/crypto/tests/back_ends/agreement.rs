//! Every back end against the RustCrypto implementation: lengths, alignments, batches, padding. Each packet is sealed
//! and opened by each back end; together more than a million.

use super::opening::check_open;
use super::packet::{Packet, back_ends, random, unchanged};
use super::sealing::check_seal;
use rand_core::Rng;
use std::ops::Range;
use std::thread;

/// How often every size of batch is made.
const SEEDS: u64 = 100;

/// Catches a wrong block, a copy that misses a byte, an access that needs alignment, and a write beyond the packet, at
/// every length and alignment.
#[test]
fn every_length_at_every_alignment() {
    in_parts(0..2049, at_every_alignment);
}

fn at_every_alignment(len: u64) {
    let mut random = random(len);
    let len = len as usize;
    let packets: Vec<Packet> = (0..64)
        .map(|offset| {
            let padding = if offset % 3 == 0 { (16 - len % 16) % 16 } else { 0 };
            Packet::new(&mut random, len, padding, offset)
        })
        .collect();
    for aead in back_ends() {
        check_seal(aead, &packets, "lengths");
        check_open(aead, &packets, &unchanged(&packets), &[], "lengths");
    }
}

/// Catches a batch whose remainder is forgotten or done twice, and packets that get another's keystream or tag, at
/// every size of batch, with lengths equal, similar and mixed.
#[test]
fn every_size_of_batch() {
    in_parts(0..SEEDS, with_every_size);
}

fn with_every_size(seed: u64) {
    let mut random = random(seed);
    for batch in (1..=64).chain([256]) {
        let told = format!("seed {seed}, batch of {batch}");
        let base = random.next_u32() as usize % 300;
        let packets: Vec<Packet> = (0..batch)
            .map(|_| {
                let other = random.next_u32() as usize;
                let len = match seed % 4 {
                    0 => base,
                    1 => base + other % 40,
                    2 => [64, 576, 64, 1500, 64, 0, 576, 65][other % 8],
                    _ => other % (1 << ((other >> 8) % 11)),
                };
                let padding = if seed.is_multiple_of(2) {
                    (16 - len % 16) % 16
                } else {
                    0
                };
                Packet::new(&mut random, len, padding, other % 64)
            })
            .collect();
        for aead in back_ends() {
            check_seal(aead, &packets, &told);
            check_open(aead, &packets, &unchanged(&packets), &[], &told);
        }
    }
}

/// Catches a counter of blocks that overflows, and a text that is longer than what is laid out at once.
#[test]
fn long_packets() {
    let mut random = random(3);
    for len in [2049, 4096, 8192, 9000, 65_519, 65_535] {
        for batch in [1, 2, 5, 8, 13] {
            let packets: Vec<Packet> = (0..batch)
                .map(|place| Packet::new(&mut random, len - 17 * place, 0, place))
                .collect();
            for aead in back_ends() {
                check_seal(aead, &packets, "long packets");
                check_open(aead, &packets, &unchanged(&packets), &[], "long packets");
            }
        }
    }
}

// The longest tests are divided among cores.
fn in_parts(numbers: Range<u64>, test: fn(u64)) {
    thread::scope(|scope| {
        for part in 0..4 {
            let numbers = numbers.clone().skip(part).step_by(4);
            scope.spawn(move || numbers.for_each(test));
        }
    });
}

/// Catches a million cases that became fewer: what the other tests check, counted.
#[test]
fn there_are_a_million_cases() {
    let lengths = 2049 * 64;
    let batches = SEEDS as usize * ((1..=64).sum::<usize>() + 256);
    // Sealed and opened.
    let cases = 2 * back_ends().len() * (lengths + batches);
    assert!(cases >= 1_000_000 || !cfg!(target_arch = "x86_64"), "{cases}");
}
