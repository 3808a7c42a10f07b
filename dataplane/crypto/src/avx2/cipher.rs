//! ChaCha20 over a burst: which blocks lie on the lanes together, and where their keystream goes.

use crate::burst::{Blocks, Order, Schedule, keys_and_counters};
use crate::chacha::BLOCK_BYTES;
use crate::chacha::avx2::{LANES, Lanes, keystream};
use crate::job::{Job, Text, combine};
use crate::poly1305::OneTimeKey;
use crate::simd::avx2::{Vector, load, store};
use core::arch::x86_64::{_mm256_setzero_si256, _mm256_xor_si256};

/// Packets side by side: a vector of them, of which two are worked on at once.
const WIDTH: usize = LANES;

/// What was made.
pub(super) struct Cipher<'a> {
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
            loaded: [None; 2],
            lanes: [Lanes::new([&[0; 32]; LANES], [0; LANES]); 2],
            keystream: [[_mm256_setzero_si256(); 16]; 2],
            one_time,
        }
    }

    /// Makes block 0 of every packet.
    #[target_feature(enable = "avx2")]
    pub(super) fn keys<J: Job>(&mut self, burst: &mut [J], order: &Order) {
        self.run(burst, Schedule::of_keys(order.packets(), WIDTH));
    }

    /// Makes the blocks of every packet from number `from` to its text's end.
    #[target_feature(enable = "avx2")]
    pub(super) fn texts<J: Job>(&mut self, burst: &mut [J], order: &Order, from: u32) {
        self.run(burst, Schedule::of_texts(order.packets(), WIDTH, from));
    }

    #[target_feature(enable = "avx2")]
    fn run<J: Job>(&mut self, burst: &mut [J], mut schedule: Schedule<'_>) {
        while let Some(Blocks {
            packets,
            numbers,
            used,
        }) = schedule.next(burst)
        {
            let (packets, _) = packets.as_chunks();
            let (numbers, _) = numbers.as_chunks();
            if used > LANES {
                self.make::<2, J>(burst, [packets[0], packets[1]], [numbers[0], numbers[1]], used);
            } else {
                self.make::<1, J>(burst, [packets[0]], [numbers[0]], used);
            }
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
                let (keys, counters) = keys_and_counters(burst, packets);
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
