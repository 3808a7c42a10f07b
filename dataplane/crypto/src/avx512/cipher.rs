//! ChaCha20 over a burst: from keys on lanes to texts.

use crate::burst::{Blocks, Order, PLACES, Schedule, keys_and_counters};
use crate::chacha::BLOCK_BYTES;
use crate::chacha::avx512::{LANES, Lanes, keystream};
use crate::job::{Job, Text, combine};
use crate::poly1305::OneTimeKey;
use crate::simd::avx512::{Vector, load, store};
use core::arch::x86_64::{_mm512_setzero_si512, _mm512_xor_si512};

const _: () = assert!(LANES == PLACES, "a schedule's places are the lanes");

/// What was made.
pub(super) struct Cipher<'a> {
    /// The packets whose keys `lanes` holds.
    loaded: Option<[u8; LANES]>,
    lanes: Lanes,
    keystream: [Vector; LANES],
    /// Poly1305's keys of the packets whose block 0 was made.
    one_time: &'a mut [OneTimeKey],
}

impl<'a> Cipher<'a> {
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn new(one_time: &'a mut [OneTimeKey]) -> Self {
        Self {
            loaded: None,
            lanes: Lanes::new([&[0; 32]; LANES], [0; LANES]),
            keystream: [_mm512_setzero_si512(); LANES],
            one_time,
        }
    }

    /// Makes block 0 of every packet.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn keys<J: Job>(&mut self, burst: &mut [J], order: &Order) {
        self.run(burst, Schedule::of_keys(order.packets(), LANES));
    }

    /// Makes the blocks of every packet from number `from` to its text's end.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn texts<J: Job>(&mut self, burst: &mut [J], order: &Order, from: u32) {
        self.run(burst, Schedule::of_texts(order.packets(), LANES, from));
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    fn run<J: Job>(&mut self, burst: &mut [J], mut schedule: Schedule<'_>) {
        while let Some(blocks) = schedule.next(burst) {
            self.make(burst, &blocks);
        }
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    fn make<J: Job>(&mut self, burst: &mut [J], blocks: &Blocks) {
        if self.loaded != Some(blocks.packets) {
            let (keys, counters) = keys_and_counters(burst, blocks.packets);
            self.lanes = Lanes::new(keys, counters);
            self.loaded = Some(blocks.packets);
        }
        keystream(&self.lanes, blocks.numbers, &mut self.keystream);
        for place in 0..blocks.used {
            let packet = usize::from(blocks.packets[place]);
            let keystream = self.keystream[place];
            match blocks.numbers[place] {
                0 => {
                    let mut block = [0; BLOCK_BYTES];
                    store(&mut block, keystream);
                    self.one_time[packet].copy_from_slice(&block[..32]);
                }
                number => {
                    let at = (number as usize - 1) * BLOCK_BYTES;
                    apply(burst[packet].text(), at, keystream);
                }
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn apply(mut text: Text<'_>, at: usize, keystream: Vector) {
    let whole = match text.from {
        Ok(from) => from.get(at..at + BLOCK_BYTES).is_some(),
        Err(plain) => at + BLOCK_BYTES <= plain,
    };
    if !whole {
        let mut bytes = [0; BLOCK_BYTES];
        store(&mut bytes, keystream);
        return combine(&mut text, at, &bytes);
    }
    let (to, _) = text.to[at..].split_first_chunk_mut().expect("a whole block");
    let plain = match text.from {
        Ok(from) => load(from[at..].first_chunk().expect("a whole block")),
        Err(_) => load(to),
    };
    store(to, _mm512_xor_si512(plain, keystream));
}
