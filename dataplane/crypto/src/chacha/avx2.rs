//! Eight blocks at a time: word i of eight states lies in the eight 32-bit lanes of vector i, and each lane has a
//! key, a nonce and a block number of its own.

use super::{SIGMA, nonce};
use crate::batch::Key;
use crate::simd::avx2::{Vector, load, rotated, transposed};
use core::arch::x86_64::{
    _mm256_add_epi32, _mm256_set1_epi32, _mm256_setr_epi8, _mm256_setr_epi32, _mm256_setzero_si256,
    _mm256_shuffle_epi8, _mm256_xor_si256,
};

/// Blocks that are made at once.
pub(crate) const LANES: usize = 8;

// Two quarter rounds side by side: eight vectors in work beside their temporaries are what 16 registers hold. The
// processor overlaps them with the next two, which join other words. A macro, because a function of this size is not
// inlined, and then the state goes through memory.
macro_rules! quarter_rounds {
    ($x:expr, $by:ident, [$a:literal, $b:literal, $c:literal, $d:literal], [$e:literal, $f:literal, $g:literal, $h:literal]) => {
        $x[$a] = _mm256_add_epi32($x[$a], $x[$b]);
        $x[$e] = _mm256_add_epi32($x[$e], $x[$f]);
        $x[$d] = _mm256_shuffle_epi8(_mm256_xor_si256($x[$d], $x[$a]), $by[0]);
        $x[$h] = _mm256_shuffle_epi8(_mm256_xor_si256($x[$h], $x[$e]), $by[0]);
        $x[$c] = _mm256_add_epi32($x[$c], $x[$d]);
        $x[$g] = _mm256_add_epi32($x[$g], $x[$h]);
        $x[$b] = rotated::<12, 20>(_mm256_xor_si256($x[$b], $x[$c]));
        $x[$f] = rotated::<12, 20>(_mm256_xor_si256($x[$f], $x[$g]));
        $x[$a] = _mm256_add_epi32($x[$a], $x[$b]);
        $x[$e] = _mm256_add_epi32($x[$e], $x[$f]);
        $x[$d] = _mm256_shuffle_epi8(_mm256_xor_si256($x[$d], $x[$a]), $by[1]);
        $x[$h] = _mm256_shuffle_epi8(_mm256_xor_si256($x[$h], $x[$e]), $by[1]);
        $x[$c] = _mm256_add_epi32($x[$c], $x[$d]);
        $x[$g] = _mm256_add_epi32($x[$g], $x[$h]);
        $x[$b] = rotated::<7, 25>(_mm256_xor_si256($x[$b], $x[$c]));
        $x[$f] = rotated::<7, 25>(_mm256_xor_si256($x[$f], $x[$g]));
    };
}

/// The keys and nonces of eight lanes: words 4 to 11 and 13 to 15 of their states.
#[derive(Clone, Copy)]
pub(crate) struct Lanes {
    key: [Vector; 8],
    nonce: [Vector; 3],
    rotations: [Vector; 2],
}

impl Lanes {
    /// Those of eight packets of WireGuard.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn new(keys: [&Key; LANES], counters: [u64; LANES]) -> Self {
        Self::with_nonces(keys, nonces(counters))
    }

    /// Those of eight keys and nonces, word by word.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn with_nonces(keys: [&Key; LANES], nonces: [[u32; LANES]; 3]) -> Self {
        Self {
            key: transposed([
                load(keys[0]),
                load(keys[1]),
                load(keys[2]),
                load(keys[3]),
                load(keys[4]),
                load(keys[5]),
                load(keys[6]),
                load(keys[7]),
            ]),
            nonce: [words(nonces[0]), words(nonces[1]), words(nonces[2])],
            rotations: rotations(),
        }
    }

    // The states before the first round.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn start(&self, numbers: [u32; LANES]) -> [Vector; 16] {
        let [s0, s1, s2, s3] = signed(SIGMA);
        let [k0, k1, k2, k3, k4, k5, k6, k7] = self.key;
        [
            _mm256_set1_epi32(s0),
            _mm256_set1_epi32(s1),
            _mm256_set1_epi32(s2),
            _mm256_set1_epi32(s3),
            k0,
            k1,
            k2,
            k3,
            k4,
            k5,
            k6,
            k7,
            words(numbers),
            self.nonce[0],
            self.nonce[1],
            self.nonce[2],
        ]
    }
}

/// The block of each lane's number: lane i's 64 bytes are `[2 * i]` and `[2 * i + 1]` of its set.
///
/// A round's chain of 14 dependent instructions leaves a processor with four vector units idle half of the time. Two
/// sets, of which one computes while the other waits, take little longer than one.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn keystream<const SETS: usize>(
    lanes: &[Lanes; SETS],
    numbers: [[u32; LANES]; SETS],
    keystream: &mut [[Vector; 16]; SETS],
) {
    const {
        assert!(
            SETS == 1 || SETS == 2,
            "the rounds below are written for one set or two"
        )
    };
    let mut start = [[_mm256_setzero_si256(); 16]; SETS];
    for set in 0..SETS {
        start[set] = lanes[set].start(numbers[set]);
    }
    let rotations = lanes[0].rotations;
    let mut x = start;
    for _ in 0..10 {
        quarter_rounds!(x[0], rotations, [0, 4, 8, 12], [1, 5, 9, 13]);
        if SETS == 2 {
            quarter_rounds!(x[SETS - 1], rotations, [0, 4, 8, 12], [1, 5, 9, 13]);
        }
        quarter_rounds!(x[0], rotations, [2, 6, 10, 14], [3, 7, 11, 15]);
        if SETS == 2 {
            quarter_rounds!(x[SETS - 1], rotations, [2, 6, 10, 14], [3, 7, 11, 15]);
        }
        quarter_rounds!(x[0], rotations, [0, 5, 10, 15], [1, 6, 11, 12]);
        if SETS == 2 {
            quarter_rounds!(x[SETS - 1], rotations, [0, 5, 10, 15], [1, 6, 11, 12]);
        }
        quarter_rounds!(x[0], rotations, [2, 7, 8, 13], [3, 4, 9, 14]);
        if SETS == 2 {
            quarter_rounds!(x[SETS - 1], rotations, [2, 7, 8, 13], [3, 4, 9, 14]);
        }
    }
    for set in 0..SETS {
        for word in 0..16 {
            x[set][word] = _mm256_add_epi32(x[set][word], start[set][word]);
        }
        let [
            x0,
            x1,
            x2,
            x3,
            x4,
            x5,
            x6,
            x7,
            x8,
            x9,
            x10,
            x11,
            x12,
            x13,
            x14,
            x15,
        ] = x[set];
        let left = transposed([x0, x1, x2, x3, x4, x5, x6, x7]);
        let right = transposed([x8, x9, x10, x11, x12, x13, x14, x15]);
        for lane in 0..LANES {
            keystream[set][2 * lane] = left[lane];
            keystream[set][2 * lane + 1] = right[lane];
        }
    }
}

// By 16 bits, then by 8, as moves of bytes. The compiler is not to know them: it takes a rotation that it recognises
// apart into two instructions.
#[inline]
#[target_feature(enable = "avx2")]
fn rotations() -> [Vector; 2] {
    core::hint::black_box([
        _mm256_setr_epi8(
            2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14,
            15, 12, 13,
        ),
        _mm256_setr_epi8(
            3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14, 3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15,
            12, 13, 14,
        ),
    ])
}

// Closures stand in functions without the feature: the standard library's code around them has it not, so that they
// would be called and not inlined.
#[inline]
fn nonces(counters: [u64; LANES]) -> [[u32; LANES]; 3] {
    [
        [0; LANES],
        counters.map(|counter| nonce(counter)[1]),
        counters.map(|counter| nonce(counter)[2]),
    ]
}

#[inline]
fn signed<const WORDS: usize>(words: [u32; WORDS]) -> [i32; WORDS] {
    words.map(|word| word as i32)
}

#[inline]
#[target_feature(enable = "avx2")]
fn words(words: [u32; 8]) -> Vector {
    let [a, b, c, d, e, f, g, h] = signed(words);
    _mm256_setr_epi32(a, b, c, d, e, f, g, h)
}
