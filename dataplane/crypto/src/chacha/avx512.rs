//! Sixteen blocks at a time: word i of sixteen states lies in the sixteen 32-bit lanes of vector i, and each lane has a
//! key, a nonce and a block number of its own. The 16 words with what they began from are the 32 registers that there are.

use super::{SIGMA, nonce};
use crate::batch::Key;
use crate::simd::avx512::{Vector, load_half};
use core::arch::x86_64::{
    _mm512_add_epi32, _mm512_castsi256_si512, _mm512_inserti64x4, _mm512_permutex2var_epi64,
    _mm512_rol_epi32, _mm512_set1_epi32, _mm512_setr_epi32, _mm512_setr_epi64, _mm512_setzero_si512,
    _mm512_shuffle_i32x4, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32,
    _mm512_unpacklo_epi64, _mm512_xor_si512,
};

/// Blocks that are made at once.
pub(crate) const LANES: usize = 16;

// Four quarter rounds side by side, step by step: a chain of dependent instructions in one waits while the others go on. A
// macro, because a function of this size is not inlined, and then the state goes through memory.
macro_rules! round {
    ($x:ident, $([$a:literal, $b:literal, $c:literal, $d:literal]),+) => {
        $($x[$a] = _mm512_add_epi32($x[$a], $x[$b]);)+
        $($x[$d] = _mm512_rol_epi32::<16>(_mm512_xor_si512($x[$d], $x[$a]));)+
        $($x[$c] = _mm512_add_epi32($x[$c], $x[$d]);)+
        $($x[$b] = _mm512_rol_epi32::<12>(_mm512_xor_si512($x[$b], $x[$c]));)+
        $($x[$a] = _mm512_add_epi32($x[$a], $x[$b]);)+
        $($x[$d] = _mm512_rol_epi32::<8>(_mm512_xor_si512($x[$d], $x[$a]));)+
        $($x[$c] = _mm512_add_epi32($x[$c], $x[$d]);)+
        $($x[$b] = _mm512_rol_epi32::<7>(_mm512_xor_si512($x[$b], $x[$c]));)+
    };
}

/// The keys and nonces of sixteen lanes: words 4 to 11 and 13 to 15 of their states.
#[derive(Clone, Copy)]
pub(crate) struct Lanes {
    key: [Vector; 8],
    nonce: [Vector; 3],
}

impl Lanes {
    /// Those of sixteen packets of WireGuard.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(crate) fn new(keys: [&Key; LANES], counters: [u64; LANES]) -> Self {
        Self::with_nonces(keys, nonces(counters))
    }

    /// Those of sixteen keys and nonces, word by word.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(crate) fn with_nonces(keys: [&Key; LANES], nonces: [[u32; LANES]; 3]) -> Self {
        Self {
            key: words_of_keys([
                pair(keys[0], keys[8]),
                pair(keys[1], keys[9]),
                pair(keys[2], keys[10]),
                pair(keys[3], keys[11]),
                pair(keys[4], keys[12]),
                pair(keys[5], keys[13]),
                pair(keys[6], keys[14]),
                pair(keys[7], keys[15]),
            ]),
            nonce: [words(nonces[0]), words(nonces[1]), words(nonces[2])],
        }
    }
}

/// The block of each lane's number.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn keystream(lanes: &Lanes, numbers: [u32; LANES], keystream: &mut [Vector; LANES]) {
    let [s0, s1, s2, s3] = signed(SIGMA);
    let [k0, k1, k2, k3, k4, k5, k6, k7] = lanes.key;
    let [n0, n1, n2] = lanes.nonce;
    let start = [
        _mm512_set1_epi32(s0),
        _mm512_set1_epi32(s1),
        _mm512_set1_epi32(s2),
        _mm512_set1_epi32(s3),
        k0,
        k1,
        k2,
        k3,
        k4,
        k5,
        k6,
        k7,
        words(numbers),
        n0,
        n1,
        n2,
    ];
    let mut x = start;
    for _ in 0..10 {
        round!(x, [0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15]);
        round!(x, [0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14]);
    }
    for word in 0..16 {
        x[word] = _mm512_add_epi32(x[word], start[word]);
    }
    transpose(x, keystream);
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
#[target_feature(enable = "avx512f")]
fn words(words: [u32; LANES]) -> Vector {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = signed(words);
    _mm512_setr_epi32(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn pair(low: &Key, high: &Key) -> Vector {
    _mm512_inserti64x4::<1>(_mm512_castsi256_si512(load_half(low)), load_half(high))
}

// Row i has the keys of lanes i and i + 8; word by word, those of all lanes in order.
#[inline]
#[target_feature(enable = "avx512f")]
fn words_of_keys(rows: [Vector; 8]) -> [Vector; 8] {
    let [a, b, c, d, e, f, g, h] = rows;
    let first = four(a, b, c, d);
    let second = four(e, f, g, h);
    // Quarters of each: words 0 to 3 and 4 to 7 of the first lanes, then those of the lanes from 8 on.
    let low = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13);
    let high = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
    [
        _mm512_permutex2var_epi64(first[0], low, second[0]),
        _mm512_permutex2var_epi64(first[1], low, second[1]),
        _mm512_permutex2var_epi64(first[2], low, second[2]),
        _mm512_permutex2var_epi64(first[3], low, second[3]),
        _mm512_permutex2var_epi64(first[0], high, second[0]),
        _mm512_permutex2var_epi64(first[1], high, second[1]),
        _mm512_permutex2var_epi64(first[2], high, second[2]),
        _mm512_permutex2var_epi64(first[3], high, second[3]),
    ]
}

// Within each quarter, rows of four words become columns.
#[inline]
#[target_feature(enable = "avx512f")]
fn four(a: Vector, b: Vector, c: Vector, d: Vector) -> [Vector; 4] {
    let [ab, ab_high] = [_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b)];
    let [cd, cd_high] = [_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d)];
    [
        _mm512_unpacklo_epi64(ab, cd),
        _mm512_unpackhi_epi64(ab, cd),
        _mm512_unpacklo_epi64(ab_high, cd_high),
        _mm512_unpackhi_epi64(ab_high, cd_high),
    ]
}

// Word i of sixteen lanes becomes sixteen blocks, lane by lane.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose(x: [Vector; 16], blocks: &mut [Vector; LANES]) {
    // Quarter q of `quads[k][j]` has words 4k to 4k + 3 of lane 4q + j.
    let quads = [
        four(x[0], x[1], x[2], x[3]),
        four(x[4], x[5], x[6], x[7]),
        four(x[8], x[9], x[10], x[11]),
        four(x[12], x[13], x[14], x[15]),
    ];
    let mut made = [_mm512_setzero_si512(); LANES];
    for j in 0..4 {
        let [a, b, c, d] = [quads[0][j], quads[1][j], quads[2][j], quads[3][j]];
        // Quarters 0 and 2 of two, then 1 and 3.
        let [ab_even, cd_even] = [
            _mm512_shuffle_i32x4::<0x88>(a, b),
            _mm512_shuffle_i32x4::<0x88>(c, d),
        ];
        let [ab_odd, cd_odd] = [
            _mm512_shuffle_i32x4::<0xdd>(a, b),
            _mm512_shuffle_i32x4::<0xdd>(c, d),
        ];
        made[j] = _mm512_shuffle_i32x4::<0x88>(ab_even, cd_even);
        made[4 + j] = _mm512_shuffle_i32x4::<0x88>(ab_odd, cd_odd);
        made[8 + j] = _mm512_shuffle_i32x4::<0xdd>(ab_even, cd_even);
        made[12 + j] = _mm512_shuffle_i32x4::<0xdd>(ab_odd, cd_odd);
    }
    *blocks = made;
}
