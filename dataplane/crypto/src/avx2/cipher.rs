//! ChaCha20 over a burst: which blocks lie on the lanes together, and where their keystream goes.

use super::order::Order;
use crate::batch::Key;
use crate::chacha::BLOCK_BYTES;
use crate::chacha::avx2::{LANES, Lanes, keystream};
use crate::job::{Job, Text, combine};
use crate::poly1305::OneTimeKey;
use crate::simd::avx2::{Vector, load, store};
use core::arch::x86_64::{_mm256_setzero_si256, _mm256_xor_si256};

/// Blocks that are made at once.
const PLACES: usize = 2 * LANES;

/// Blocks that wait to be made, and what was made.
pub(super) struct Cipher<'a> {
    packets: [u8; PLACES],
    numbers: [u32; PLACES],
    used: usize,
    /// The packets whose keys `lanes` hold.
    loaded: [Option<[u8; LANES]>; 2],
    lanes: [Lanes; 2],
    keystream: [[Vector; 16]; 2],
    /// Poly1305's keys of the packets whose block 0 was made.
    one_time: &'a mut [OneTimeKey],
}

impl<'a> Cipher<'a> {
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn new(one_time: &'a mut [OneTimeKey]) -> Self {
        Self {
            packets: [0; PLACES],
            numbers: [0; PLACES],
            used: 0,
            loaded: [None; 2],
            lanes: [Lanes::new([&[0; 32]; LANES], [0; LANES]); 2],
            keystream: [[_mm256_setzero_si256(); 16]; 2],
            one_time,
        }
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
            // A packet to a lane while all of them have two blocks more; what is left is not so regular.
            let (lasts, common) = lasts(burst, eight);
            let mut number = from;
            while number < common {
                self.make::<2, J>(burst, [eight; 2], [[number; LANES], [number + 1; LANES]], PLACES);
                number += 2;
            }
            for lane in 0..LANES {
                for number in number..=lasts[lane] {
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
        if self.used == PLACES {
            self.flush(burst);
        }
    }

    // Lanes in excess repeat the first one's packet, and what they make is dropped.
    #[target_feature(enable = "avx2")]
    fn flush<J: Job>(&mut self, burst: &mut [J]) {
        let used = core::mem::take(&mut self.used);
        let first = self.packets[0];
        self.packets[used..].fill(first);
        let (packets, _) = self.packets.as_chunks();
        let (numbers, _) = self.numbers.as_chunks();
        let (packets, numbers) = ([packets[0], packets[1]], [numbers[0], numbers[1]]);
        if used > LANES {
            self.make::<2, J>(burst, packets, numbers, used);
        } else if used > 0 {
            self.make::<1, J>(burst, [packets[0]], [numbers[0]], used);
        }
    }

    #[target_feature(enable = "avx2")]
    fn make<const SETS: usize, J: Job>(
        &mut self,
        burst: &mut [J],
        packets: [[u8; LANES]; SETS],
        numbers: [[u32; LANES]; SETS],
        used: usize,
    ) {
        for (set, packets) in packets.into_iter().enumerate() {
            if self.loaded[set] != Some(packets) {
                let (keys, counters) = keys(burst, packets);
                self.lanes[set] = Lanes::new(keys, counters);
                self.loaded[set] = Some(packets);
            }
        }
        let lanes = self.lanes.first_chunk::<SETS>().expect("there are two sets");
        let made = self
            .keystream
            .first_chunk_mut::<SETS>()
            .expect("there are two sets");
        keystream(lanes, numbers, made);
        for place in 0..used {
            let (set, lane) = (place / LANES, place % LANES);
            let packet = usize::from(packets[set][lane]);
            let keystream = [self.keystream[set][2 * lane], self.keystream[set][2 * lane + 1]];
            match numbers[set][lane] {
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
