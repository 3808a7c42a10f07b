//! Eight messages at a time: word i of eight states lies in the eight 32-bit lanes of vector i, and each lane has a
//! message, a key and a count of bytes of its own. A lane whose message has ended keeps its state.

use super::sets::{BURST, Sets};
use super::{BLOCK_BYTES, Blake2s, Check, IV, Job, Mac, SIGMA, portable};
use crate::simd::avx2::{Vector, load, load_words, rotated, store, transposed};
use core::arch::x86_64::{
    _mm256_add_epi32, _mm256_blendv_epi8, _mm256_cmpeq_epi32, _mm256_cmpgt_epi32, _mm256_min_epi32,
    _mm256_set1_epi32, _mm256_setr_epi8, _mm256_setr_epi32, _mm256_setzero_si256, _mm256_shuffle_epi8,
    _mm256_xor_si256,
};

/// Messages that are compressed at once.
const LANES: usize = 8;

/// So few messages are faster one by one.
const WORTH: usize = 2;

/// Longer messages, which no datagram holds, are for the portable code: a lane counts bytes in 31 bits.
const LONGEST: usize = u16::MAX as usize;

/// BLAKE2s across messages. A value of it exists only where the CPU has AVX2.
pub struct Avx2 {
    /// The fewest messages that lie on the lanes.
    worth: usize,
}

impl Avx2 {
    /// The back end, if this CPU has the instructions. It leaves to the portable code what is not worth the lanes.
    pub fn detected() -> Option<&'static Self> {
        is_x86_feature_detected!("avx2").then_some(&Self { worth: WORTH })
    }

    /// The same with every message on a lane, however few they are: for tests, and to measure by.
    pub fn alone() -> Option<&'static Self> {
        is_x86_feature_detected!("avx2").then_some(&Self { worth: 1 })
    }

    #[allow(unsafe_code)]
    fn run<J: Job>(&self, batch: &mut [J]) {
        for burst in batch.chunks_mut(BURST) {
            // SAFETY: `self` exists, so the CPU was seen to have AVX2.
            unsafe { run(burst, self.worth) }
        }
    }
}

impl Blake2s for Avx2 {
    fn name(&self) -> &'static str {
        if self.worth == WORTH { "avx2" } else { "avx2-alone" }
    }

    fn mac(&self, batch: &mut [Mac<'_>]) {
        self.run(batch);
    }

    fn check(&self, batch: &mut [Check<'_>]) {
        self.run(batch);
    }
}

#[target_feature(enable = "avx2")]
fn run<J: Job>(burst: &mut [J], worth: usize) {
    let sets = Sets::new(burst);
    for set in sets.messages().chunks(LANES) {
        if set.len() < worth || irregular(burst, set) {
            for &message in set {
                portable::each(&mut burst[usize::from(message)..][..1]);
            }
        } else {
            eight(burst, set);
        }
    }
}

// Whether there is a message without a block, of which the key's is the last, or one that is too long.
#[inline]
fn irregular<J: Job>(burst: &[J], set: &[u8]) -> bool {
    set.iter().any(|&message| {
        let len = burst[usize::from(message)].message().len();
        len == 0 || len > LONGEST
    })
}

// The macs of one to eight messages. Lanes in excess repeat the first one's message, and what they make is dropped.
#[target_feature(enable = "avx2")]
fn eight<J: Job>(burst: &mut [J], set: &[u8]) {
    let mut lanes = [usize::from(set[0]); LANES];
    for (lane, &message) in lanes.iter_mut().zip(set) {
        *lane = message.into();
    }
    let mut messages = [&[][..]; LANES];
    let mut keys = [_mm256_setzero_si256(); LANES];
    let mut lens = [0; LANES];
    let (mut shortest, mut longest) = (LONGEST, 0);
    for lane in 0..LANES {
        let job = &burst[lanes[lane]];
        keys[lane] = load(&job.key().midstate);
        messages[lane] = job.message();
        let len = messages[lane].len();
        lens[lane] = len as i32;
        shortest = shortest.min(len);
        longest = longest.max(len);
    }
    let lens = words(lens);
    let mut state = transposed(keys);
    let rotations = rotations();
    let mut at = 0;
    while at < longest {
        let block = blocks(&messages, at, shortest);
        // Below 2^31, as no message is longer than LONGEST.
        let (begin, end) = (at as i32, (at + BLOCK_BYTES) as i32);
        let taken = _mm256_min_epi32(lens, _mm256_set1_epi32(end));
        let last = _mm256_cmpeq_epi32(taken, lens);
        // The key's block counts too.
        let count = _mm256_add_epi32(taken, _mm256_set1_epi32(BLOCK_BYTES as i32));
        let next = compressed(&state, &block, count, last, rotations);
        let lasts = _mm256_cmpgt_epi32(lens, _mm256_set1_epi32(begin));
        for word in 0..8 {
            state[word] = _mm256_blendv_epi8(state[word], next[word], lasts);
        }
        at += BLOCK_BYTES;
    }
    let state = transposed(state);
    for (&message, state) in set.iter().zip(state) {
        let mut bytes = [0; 32];
        store(&mut bytes, state);
        let mac = bytes.first_chunk().expect("a mac is half of the state");
        burst[usize::from(message)].made(mac);
    }
}

// G (RFC 7693 3.1) twice side by side. A macro, because a function of this size is not inlined, and then the state goes
// through memory.
macro_rules! mixings {
    ($v:ident, $m:ident, $by:ident, $order:expr, $at:literal, [$a:literal, $b:literal, $c:literal, $d:literal], [$e:literal, $f:literal, $g:literal, $h:literal]) => {
        $v[$a] = _mm256_add_epi32(_mm256_add_epi32($v[$a], $m[$order[$at]]), $v[$b]);
        $v[$e] = _mm256_add_epi32(_mm256_add_epi32($v[$e], $m[$order[$at + 2]]), $v[$f]);
        $v[$d] = _mm256_shuffle_epi8(_mm256_xor_si256($v[$d], $v[$a]), $by[0]);
        $v[$h] = _mm256_shuffle_epi8(_mm256_xor_si256($v[$h], $v[$e]), $by[0]);
        $v[$c] = _mm256_add_epi32($v[$c], $v[$d]);
        $v[$g] = _mm256_add_epi32($v[$g], $v[$h]);
        $v[$b] = rotated::<20, 12>(_mm256_xor_si256($v[$b], $v[$c]));
        $v[$f] = rotated::<20, 12>(_mm256_xor_si256($v[$f], $v[$g]));
        $v[$a] = _mm256_add_epi32(_mm256_add_epi32($v[$a], $m[$order[$at + 1]]), $v[$b]);
        $v[$e] = _mm256_add_epi32(_mm256_add_epi32($v[$e], $m[$order[$at + 3]]), $v[$f]);
        $v[$d] = _mm256_shuffle_epi8(_mm256_xor_si256($v[$d], $v[$a]), $by[1]);
        $v[$h] = _mm256_shuffle_epi8(_mm256_xor_si256($v[$h], $v[$e]), $by[1]);
        $v[$c] = _mm256_add_epi32($v[$c], $v[$d]);
        $v[$g] = _mm256_add_epi32($v[$g], $v[$h]);
        $v[$b] = rotated::<25, 7>(_mm256_xor_si256($v[$b], $v[$c]));
        $v[$f] = rotated::<25, 7>(_mm256_xor_si256($v[$f], $v[$g]));
    };
}

macro_rules! round {
    ($v:ident, $m:ident, $by:ident, $number:literal) => {
        mixings!($v, $m, $by, SIGMA[$number], 0, [0, 4, 8, 12], [1, 5, 9, 13]);
        mixings!(
            $v,
            $m,
            $by,
            SIGMA[$number],
            4,
            [2, 6, 10, 14],
            [3, 7, 11, 15]
        );
        mixings!(
            $v,
            $m,
            $by,
            SIGMA[$number],
            8,
            [0, 5, 10, 15],
            [1, 6, 11, 12]
        );
        mixings!(
            $v,
            $m,
            $by,
            SIGMA[$number],
            12,
            [2, 7, 8, 13],
            [3, 4, 9, 14]
        );
    };
}

// F (RFC 7693 3.2) on eight lanes. `count` is how many bytes each took in with this block, `last` has all bits of a lane
// whose last one it is.
#[inline]
#[target_feature(enable = "avx2")]
fn compressed(
    state: &[Vector; 8],
    block: &[Vector; 16],
    count: Vector,
    last: Vector,
    by: [Vector; 2],
) -> [Vector; 8] {
    let mut v = [_mm256_setzero_si256(); 16];
    v[..8].copy_from_slice(state);
    for word in 0..8 {
        v[8 + word] = _mm256_set1_epi32(IV[word] as i32);
    }
    v[12] = _mm256_xor_si256(v[12], count);
    v[14] = _mm256_xor_si256(v[14], last);
    round!(v, block, by, 0);
    round!(v, block, by, 1);
    round!(v, block, by, 2);
    round!(v, block, by, 3);
    round!(v, block, by, 4);
    round!(v, block, by, 5);
    round!(v, block, by, 6);
    round!(v, block, by, 7);
    round!(v, block, by, 8);
    round!(v, block, by, 9);
    let mut next = *state;
    for word in 0..8 {
        next[word] = _mm256_xor_si256(next[word], _mm256_xor_si256(v[word], v[8 + word]));
    }
    next
}

// Word i of the blocks that begin at `at`, in vector i. What lies beyond a message's end is zero.
#[inline]
#[target_feature(enable = "avx2")]
fn blocks(messages: &[&[u8]; LANES], at: usize, shortest: usize) -> [Vector; 16] {
    let mut rows = [[_mm256_setzero_si256(); LANES]; 2];
    for lane in 0..LANES {
        let whole = if at + BLOCK_BYTES <= shortest {
            messages[lane][at..].first_chunk::<BLOCK_BYTES>()
        } else {
            None
        };
        if let Some(whole) = whole {
            let (halves, _) = whole.as_chunks();
            rows[0][lane] = load(&halves[0]);
            rows[1][lane] = load(&halves[1]);
        } else {
            rows[0][lane] = half(messages[lane], at);
            rows[1][lane] = half(messages[lane], at + BLOCK_BYTES / 2);
        }
    }
    let [low, high] = [transposed(rows[0]), transposed(rows[1])];
    let mut block = [_mm256_setzero_si256(); 16];
    block[..8].copy_from_slice(&low);
    block[8..].copy_from_slice(&high);
    block
}

// The 32 bytes of a message that begin at `at`.
#[inline]
#[target_feature(enable = "avx2")]
fn half(message: &[u8], at: usize) -> Vector {
    let Some(rest) = message.get(at..) else {
        return _mm256_setzero_si256();
    };
    if let Some(whole) = rest.first_chunk() {
        return load(whole);
    }
    // WireGuard's are all of whole words, and then nothing needs a copy.
    let (words, odd) = rest.as_chunks();
    if odd.is_empty() {
        return load_words(words);
    }
    let mut padded = [0; 32];
    padded[..rest.len()].copy_from_slice(rest);
    load(&padded)
}

// To the right by 16 bits, then by 8, as moves of bytes. The compiler is not to know them: it takes a rotation that it
// recognises apart.
#[inline]
#[target_feature(enable = "avx2")]
fn rotations() -> [Vector; 2] {
    core::hint::black_box([
        _mm256_setr_epi8(
            2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14,
            15, 12, 13,
        ),
        _mm256_setr_epi8(
            1, 2, 3, 0, 5, 6, 7, 4, 9, 10, 11, 8, 13, 14, 15, 12, 1, 2, 3, 0, 5, 6, 7, 4, 9, 10, 11, 8, 13,
            14, 15, 12,
        ),
    ])
}

#[inline]
#[target_feature(enable = "avx2")]
fn words([a, b, c, d, e, f, g, h]: [i32; LANES]) -> Vector {
    _mm256_setr_epi32(a, b, c, d, e, f, g, h)
}
