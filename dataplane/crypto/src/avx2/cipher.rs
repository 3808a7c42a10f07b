//! ChaCha20 over a burst: which blocks lie on the lanes together, and where their keystream goes.

use super::BURST;
use super::order::Order;
use crate::batch::Key;
use crate::chacha::BLOCK_BYTES;
use crate::chacha::avx2::{LANES, Lanes};
use crate::job::{Job, Text, combine};
use crate::poly1305::OneTimeKey;
use crate::simd::avx2::{Vector, load, store};
use core::arch::x86_64::{_mm256_setzero_si256, _mm256_xor_si256};

/// Eight blocks at most that wait to be made, and what was made.
pub(super) struct Cipher {
    packets: [u8; LANES],
    numbers: [u32; LANES],
    used: usize,
    /// The packets whose keys `lanes` holds.
    loaded: Option<[u8; LANES]>,
    lanes: Lanes,
    keystream: [Vector; 16],
    one_time: [OneTimeKey; BURST],
}

impl Cipher {
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn new() -> Self {
        Self {
            packets: [0; LANES],
            numbers: [0; LANES],
            used: 0,
            loaded: None,
            lanes: Lanes::new([&[0; 32]; LANES], [0; LANES]),
            keystream: [_mm256_setzero_si256(); 16],
            one_time: [[0; 32]; BURST],
        }
    }

    /// Poly1305's keys of the packets whose block 0 was made.
    pub(super) fn one_time_keys(&self) -> &[OneTimeKey; BURST] {
        &self.one_time
    }

    /// Makes block 0 of every packet.
    #[target_feature(enable = "avx2")]
    pub(super) fn one_time<J: Job>(&mut self, burst: &mut [J], order: &Order) {
        for &packet in order.packets() {
            self.add(burst, packet, 0);
        }
        self.flush(burst);
    }

    /// Makes the blocks of every packet from number `from` to its text's end.
    #[target_feature(enable = "avx2")]
    pub(super) fn run<J: Job>(&mut self, burst: &mut [J], order: &Order, from: u32) {
        let (eights, rest) = order.packets().as_chunks::<LANES>();
        for &eight in eights {
            // A packet to a lane while all of them have blocks; what is left of the longer ones is not so regular.
            let (lasts, common) = lasts(burst, eight);
            for number in from..=common {
                self.make(burst, eight, [number; LANES], LANES);
            }
            for lane in 0..LANES {
                for number in from.max(common + 1)..=lasts[lane] {
                    self.add(burst, eight[lane], number);
                }
            }
        }
        for &packet in rest {
            for number in from..=last(&burst[usize::from(packet)]) {
                self.add(burst, packet, number);
            }
        }
        self.flush(burst);
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn add<J: Job>(&mut self, burst: &mut [J], packet: u8, number: u32) {
        self.packets[self.used] = packet;
        self.numbers[self.used] = number;
        self.used += 1;
        if self.used == LANES {
            self.flush(burst);
        }
    }

    // Lanes in excess repeat the first one's packet, and what they make is dropped.
    #[target_feature(enable = "avx2")]
    fn flush<J: Job>(&mut self, burst: &mut [J]) {
        if self.used > 0 {
            let first = self.packets[0];
            self.packets[self.used..].fill(first);
            self.make(burst, self.packets, self.numbers, self.used);
            self.used = 0;
        }
    }

    #[target_feature(enable = "avx2")]
    fn make<J: Job>(&mut self, burst: &mut [J], packets: [u8; LANES], numbers: [u32; LANES], used: usize) {
        if self.loaded != Some(packets) {
            let (keys, counters) = keys(burst, packets);
            self.lanes = Lanes::new(keys, counters);
            self.loaded = Some(packets);
        }
        self.lanes.keystream(numbers, &mut self.keystream);
        for lane in 0..used {
            let packet = usize::from(packets[lane]);
            let keystream = [self.keystream[2 * lane], self.keystream[2 * lane + 1]];
            match numbers[lane] {
                0 => store(&mut self.one_time[packet], keystream[0]),
                number => {
                    let at = (number as usize - 1) * BLOCK_BYTES;
                    apply(burst[packet].text(), at, keystream);
                }
            }
        }
    }
}

// The number of the last block of a job's text; 0 is the one-time key's.
#[inline]
fn last(job: &impl Job) -> u32 {
    let blocks = job.ciphertext().len().div_ceil(BLOCK_BYTES);
    u32::try_from(blocks).expect("a packet is shorter than ChaCha20's limit of 256 GiB")
}

// Closures are outside of functions with the feature, in which they would not be inlined.
#[inline]
fn lasts<J: Job>(burst: &[J], packets: [u8; LANES]) -> ([u32; LANES], u32) {
    let lasts = packets.map(|packet| last(&burst[usize::from(packet)]));
    (lasts, lasts.into_iter().min().unwrap_or(0))
}

#[inline]
fn keys<J: Job>(burst: &[J], packets: [u8; LANES]) -> ([&Key; LANES], [u64; LANES]) {
    let jobs = packets.map(|packet| &burst[usize::from(packet)]);
    (jobs.map(J::key), jobs.map(J::counter))
}

#[inline]
#[target_feature(enable = "avx2")]
fn apply(mut text: Text<'_>, at: usize, keystream: [Vector; 2]) {
    let whole = match text.from {
        Ok(from) => from.get(at..at + BLOCK_BYTES).is_some(),
        Err(plain) => at + BLOCK_BYTES <= plain,
    };
    if !whole {
        let mut bytes = [0; BLOCK_BYTES];
        let (halves, _) = bytes.as_chunks_mut();
        store(&mut halves[0], keystream[0]);
        store(&mut halves[1], keystream[1]);
        return combine(&mut text, at, &bytes);
    }
    let (to, _) = text.to[at..at + BLOCK_BYTES].as_chunks_mut::<32>();
    for half in 0..2 {
        let plain = match text.from {
            Ok(from) => load(&from[at..].as_chunks().0[half]),
            Err(_) => load(&to[half]),
        };
        store(&mut to[half], _mm256_xor_si256(plain, keystream[half]));
    }
}
