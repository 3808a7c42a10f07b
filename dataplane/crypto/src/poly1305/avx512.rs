//! Eight Poly1305 at a time, lane = packet, or eight blocks of one packet at a time.
//!
//! A number modulo 2^130 - 5 is three limbs of 44, 44 and 42 bits, limb i of eight numbers in the eight 64-bit lanes of
//! vector i. vpmadd52luq and vpmadd52huq multiply the low 52 bits of two lanes and add the low or the high 52 bits of the
//! product to a third. 2^132, where limb 3 would be, is 4 * 2^130, and so 20. Bounds, which `limbs_stay_in_their_bounds`
//! tests:
//!
//! - A block has limbs below 2^44, 2^44 and 2^41 (40 bits, with the bit above them).
//! - An accumulator h comes out of [`carried`] with limbs below 2^44, 2^44 + 2^9 and 2^42, so h plus a block has limbs below
//!   2^45, 2^45.1 and 2^42.6: in 52 bits.
//! - A factor is r, clamped, or a power of r out of [`carried`]: limbs as an accumulator's, twenty times the upper two below
//!   2^48.4 and 2^46.4: in 52 bits.
//! - The low parts of a column's three products are below 2^53.6, and of two such columns added, as [`tags`] and [`tag`] do,
//!   below 2^54.6. The high parts are below 2^40.6 and 2^41.6, and 2^49.6 where they are moved up by eight bits, ten in the
//!   last column, to the next limb: all in 64 bits.

use super::shape::{Shape, finished_lanes, finished_sum, nth, r_bytes, rests};
use super::{CLAMP, OneTimeKey, Tag, lengths};
use crate::simd::avx512::{Vector, load, load_quarter, store};
use core::arch::x86_64::{
    __mmask8, _mm512_add_epi64, _mm512_and_si512, _mm512_castsi128_si512, _mm512_inserti32x4,
    _mm512_madd52hi_epu64, _mm512_madd52lo_epu64, _mm512_mask_mov_epi64, _mm512_maskz_set1_epi64,
    _mm512_or_si512, _mm512_permutex2var_epi64, _mm512_permutexvar_epi64, _mm512_set1_epi64,
    _mm512_setr_epi64, _mm512_setzero_si512, _mm512_slli_epi64, _mm512_srli_epi64, _mm512_unpackhi_epi64,
    _mm512_unpacklo_epi64,
};

/// Packets to a vector.
pub(crate) const LANES: usize = 8;

/// Bits of the lower limbs, and of the upper one.
const LIMB: u32 = 44;
const LAST: u32 = 42;

/// Eight numbers.
type Number = [Vector; 3];

/// A number to multiply by, and twenty times its upper limbs: what comes above 2^132 counts twenty times below.
#[derive(Clone, Copy)]
struct Factor {
    r: Number,
    twenty: [Vector; 2],
}

/// Sums of products, the low and the high 52 bits of each apart.
#[derive(Clone, Copy)]
struct Columns {
    low: Number,
    high: Number,
}

impl Factor {
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn new(r: Number) -> Self {
        Self {
            r,
            twenty: [times_twenty(r[1]), times_twenty(r[2])],
        }
    }
}

impl Columns {
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn zero() -> Self {
        let zero = _mm512_setzero_si512();
        Self {
            low: [zero; 3],
            high: [zero; 3],
        }
    }

    /// With h times a factor added.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn plus(self, h: Number, factor: &Factor) -> Self {
        let [r0, r1, r2] = factor.r;
        let [s1, s2] = factor.twenty;
        let ([l0, l1, l2], [h0, h1, h2]) = (self.low, self.high);
        Self {
            low: [
                low(l0, h, [r0, s2, s1]),
                low(l1, h, [r1, r0, s2]),
                low(l2, h, [r2, r1, r0]),
            ],
            high: [
                high(h0, h, [r0, s2, s1]),
                high(h1, h, [r1, r0, s2]),
                high(h2, h, [r2, r1, r0]),
            ],
        }
    }
}

/// The tags of `8 * SETS` texts, of each of which so many bytes are additional data, padded; lane = packet. Best where the
/// texts are about equally long: a lane whose text ended waits for the longest. Sets are independent of each other, so that
/// one computes while the other waits for its carry.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub(crate) fn tags<const SETS: usize>(
    keys: &[[&OneTimeKey; LANES]; SETS],
    texts: &[[&[u8]; LANES]; SETS],
    additional: usize,
) -> [[Tag; LANES]; SETS] {
    let zero = _mm512_setzero_si512();
    let Shape {
        blocks,
        whole,
        ends,
        same,
    } = Shape::new(texts);
    let mut r = [Factor::new([zero; 3]); SETS];
    for set in 0..SETS {
        r[set] = clamped(&keys[set]);
    }
    let mut h = [[zero; 3]; SETS];
    let mut done = 0;
    // Below that a carry more is cheaper than the square.
    if whole >= 6 {
        let mut squares = r;
        for set in 0..SETS {
            squares[set] = Factor::new(product(r[set].r, &r[set]));
        }
        // (h + block) r^2 + next r: two blocks to a carry.
        while done + 2 <= whole {
            for set in 0..SETS {
                let first = gathered(nths(&blocks[set], done));
                let second = gathered(nths(&blocks[set], done + 1));
                let columns = Columns::zero().plus(sum(h[set], first), &squares[set]);
                h[set] = carried(columns.plus(second, &r[set]));
            }
            done += 2;
        }
    }
    while done < whole {
        for set in 0..SETS {
            let all = gathered(nths(&blocks[set], done));
            h[set] = product(sum(h[set], all), &r[set]);
        }
        done += 1;
    }
    if let Some(len) = same {
        if !len.is_multiple_of(16) {
            for set in 0..SETS {
                let rests = rests(texts[set]);
                let all = gathered(borrowed(&rests));
                h[set] = product(sum(h[set], all), &r[set]);
            }
        }
        let last = lengths(len, additional);
        for set in 0..SETS {
            let all = gathered([&last; LANES]);
            h[set] = product(sum(h[set], all), &r[set]);
        }
    } else {
        for block in done..ends {
            for set in 0..SETS {
                let (bytes, active) = last_blocks(&texts[set], block, additional);
                let all = gathered(borrowed(&bytes));
                let next = product(sum(h[set], all), &r[set]);
                for limb in 0..3 {
                    h[set][limb] = _mm512_mask_mov_epi64(h[set][limb], active, next[limb]);
                }
            }
        }
    }
    let mut limbs = [[[0; LANES]; 5]; SETS];
    for set in 0..SETS {
        limbs[set] = narrow(lanes(h[set]));
    }
    finished_lanes(limbs, keys)
}

/// The tag of one text, of which so many bytes are additional data, padded. Lane i holds every eighth block from block i on;
/// at the end each is multiplied by the power of r that it lacks.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub(crate) fn tag(key: &OneTimeKey, text: &[u8], additional: usize) -> Tag {
    let (powers, eighth) = powers(&clamped(&[key; LANES]));
    let total = text.len().div_ceil(16) + 1;
    // As if zeros stood before the text, which change nothing, so that its last block is the last of eight.
    let lead = total.wrapping_neg() % LANES;
    let steps = (total + lead) / LANES;
    let mut h = [_mm512_setzero_si512(); 3];
    // Step 0 has the zeros; the last has the rest and the lengths.
    if steps > 1 {
        let mut first = [0; 128];
        let have = 128 - 16 * lead;
        first[16 * lead..].copy_from_slice(&text[..have]);
        h = product(eight(&first, lead), &eighth);
        let (middle, _) = text[have..].as_chunks::<128>();
        let (pairs, single) = middle[..steps - 2].as_chunks::<2>();
        if !pairs.is_empty() {
            let sixteenth = Factor::new(product(eighth.r, &eighth));
            for [a, b] in pairs {
                // (h + a) r^16 + b r^8: two vectors to a carry.
                let columns = Columns::zero().plus(sum(h, eight(a, 0)), &sixteenth);
                h = carried(columns.plus(eight(b, 0), &eighth));
            }
        }
        for bytes in single {
            h = product(sum(h, eight(bytes, 0)), &eighth);
        }
    }
    let mut last = [0; 128];
    let from = (128 * (steps - 1)).saturating_sub(16 * lead);
    let rest = &text[from..];
    let at = if steps == 1 { 16 * lead } else { 0 };
    last[at..at + rest.len()].copy_from_slice(rest);
    last[112..].copy_from_slice(&lengths(text.len(), additional));
    h = sum(h, eight(&last, if steps == 1 { lead } else { 0 }));
    finished_sum(narrow(lanes(product(h, &powers))), key)
}

// r^8 to r^1, from the first lane to the last, and r^8 in all of them. Lane i lacks 7 - i powers, bit by bit.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn powers(r: &Factor) -> (Factor, Factor) {
    let one = [
        _mm512_set1_epi64(1),
        _mm512_setzero_si512(),
        _mm512_setzero_si512(),
    ];
    let second = product(r.r, r);
    let fourth = product(second, &Factor::new(second));
    let up_to_two = blended(r.r, second, 0b0101_0101);
    let up_to_four = product(up_to_two, &Factor::new(blended(one, second, 0b0011_0011)));
    let all = product(up_to_four, &Factor::new(blended(one, fourth, 0b0000_1111)));
    let first = _mm512_setzero_si512();
    let eighth = [
        _mm512_permutexvar_epi64(first, all[0]),
        _mm512_permutexvar_epi64(first, all[1]),
        _mm512_permutexvar_epi64(first, all[2]),
    ];
    (Factor::new(all), Factor::new(eighth))
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn blended(unset: Number, set: Number, lanes: __mmask8) -> Number {
    [
        _mm512_mask_mov_epi64(unset[0], lanes, set[0]),
        _mm512_mask_mov_epi64(unset[1], lanes, set[1]),
        _mm512_mask_mov_epi64(unset[2], lanes, set[2]),
    ]
}

// The block of that number of each text.
#[inline]
fn nths<'a>(blocks: &[&'a [[u8; 16]]; LANES], number: usize) -> [&'a [u8; 16]; LANES] {
    blocks.map(|blocks| &blocks[number])
}

#[inline]
fn borrowed(blocks: &[[u8; 16]; LANES]) -> [&[u8; 16]; LANES] {
    blocks.each_ref()
}

// As [`nth`], of each text.
#[inline]
fn last_blocks(texts: &[&[u8]; LANES], block: usize, additional: usize) -> ([[u8; 16]; LANES], __mmask8) {
    let mut bytes = [[0; 16]; LANES];
    let mut active = 0;
    for (lane, text) in texts.iter().enumerate() {
        let (block, is_active) = nth(text, block, additional);
        bytes[lane] = block;
        active |= u8::from(is_active) << lane;
    }
    (bytes, active)
}

// Limbs of 26 bits, each below 2^32, as `finished` takes them: also of eight numbers added up.
#[inline]
fn narrow(limbs: [[u64; LANES]; 3]) -> [[u64; LANES]; 5] {
    const MASK: u64 = (1 << 26) - 1;
    let mut narrow = [[0; LANES]; 5];
    for lane in 0..LANES {
        let [h0, h1, h2] = limbs.map(|limb| limb[lane]);
        // They begin at bits 0, 26, 52, 78 and 104; those of h at 0, 44 and 88.
        narrow[0][lane] = h0 & MASK;
        narrow[1][lane] = (h0 >> 26) + ((h1 & 0xff) << 18);
        narrow[2][lane] = (h1 >> 8) & MASK;
        narrow[3][lane] = (h1 >> 34) + ((h2 & 0xffff) << 10);
        narrow[4][lane] = h2 >> 16;
    }
    narrow
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn clamped(keys: &[&OneTimeKey; LANES]) -> Factor {
    let (low, high) = words(r_bytes(keys));
    let low = _mm512_and_si512(low, _mm512_set1_epi64(CLAMP[0] as i64));
    let high = _mm512_and_si512(high, _mm512_set1_epi64(CLAMP[1] as i64));
    Factor::new(limbs(low, high))
}

// A block of each of eight packets, with the bit that RFC 8439 2.5.1 puts above it.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn gathered(blocks: [&[u8; 16]; LANES]) -> Number {
    let (low, high) = words(blocks);
    let [l0, l1, l2] = limbs(low, high);
    [l0, l1, _mm512_or_si512(l2, _mm512_set1_epi64(1 << 40))]
}

// Eight blocks of one packet, of which the first are no blocks but zeros.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn eight(bytes: &[u8; 128], zeros: usize) -> Number {
    let (halves, _) = bytes.as_chunks();
    let (x, y) = (load(&halves[0]), load(&halves[1]));
    let even = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
    let odd = _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15);
    let [l0, l1, l2] = limbs(
        _mm512_permutex2var_epi64(x, even, y),
        _mm512_permutex2var_epi64(x, odd, y),
    );
    let bits = _mm512_maskz_set1_epi64(0xff << zeros, 1 << 40);
    [l0, l1, _mm512_or_si512(l2, bits)]
}

// The low and the high 64 bits of 16 bytes of each packet.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn words([a, b, c, d, e, f, g, h]: [&[u8; 16]; LANES]) -> (Vector, Vector) {
    let even = quarters([a, c, e, g]);
    let odd = quarters([b, d, f, h]);
    (_mm512_unpacklo_epi64(even, odd), _mm512_unpackhi_epi64(even, odd))
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn quarters([a, b, c, d]: [&[u8; 16]; 4]) -> Vector {
    let ab = _mm512_inserti32x4::<1>(_mm512_castsi128_si512(load_quarter(a)), load_quarter(b));
    _mm512_inserti32x4::<3>(_mm512_inserti32x4::<2>(ab, load_quarter(c)), load_quarter(d))
}

// 44, 44 and 40 bits of 128.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn limbs(low: Vector, high: Vector) -> Number {
    let mask = _mm512_set1_epi64((1 << LIMB) - 1);
    let across = _mm512_or_si512(_mm512_srli_epi64::<LIMB>(low), _mm512_slli_epi64::<20>(high));
    [
        _mm512_and_si512(low, mask),
        _mm512_and_si512(across, mask),
        _mm512_srli_epi64::<24>(high),
    ]
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn product(h: Number, factor: &Factor) -> Number {
    carried(Columns::zero().plus(h, factor))
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn low(to: Vector, h: Number, by: Number) -> Vector {
    let to = _mm512_madd52lo_epu64(to, h[0], by[0]);
    let to = _mm512_madd52lo_epu64(to, h[1], by[1]);
    _mm512_madd52lo_epu64(to, h[2], by[2])
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn high(to: Vector, h: Number, by: Number) -> Vector {
    let to = _mm512_madd52hi_epu64(to, h[0], by[0]);
    let to = _mm512_madd52hi_epu64(to, h[1], by[1]);
    _mm512_madd52hi_epu64(to, h[2], by[2])
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn sum(x: Number, y: Number) -> Number {
    [
        _mm512_add_epi64(x[0], y[0]),
        _mm512_add_epi64(x[1], y[1]),
        _mm512_add_epi64(x[2], y[2]),
    ]
}

// From limb 0 to 1 to 2, around to 0, and to 1. The high 52 bits of a product stand 52 bits higher, eight above the next
// limb, and ten above 2^130 where the limb is the last. What comes around is five times less than 2^49.6 + 2^12.7, below
// 2^52, of which 2^8.1 reach limb 1 after its mask.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn carried(columns: Columns) -> Number {
    let mask = _mm512_set1_epi64((1 << LIMB) - 1);
    let last_mask = _mm512_set1_epi64((1 << LAST) - 1);
    let [d0, d1, d2] = columns.low;
    let [e0, e1, e2] = columns.high;
    let d1 = sum3(d1, _mm512_srli_epi64::<LIMB>(d0), _mm512_slli_epi64::<8>(e0));
    let d0 = _mm512_and_si512(d0, mask);
    let d2 = sum3(d2, _mm512_srli_epi64::<LIMB>(d1), _mm512_slli_epi64::<8>(e1));
    let d1 = _mm512_and_si512(d1, mask);
    let above = _mm512_add_epi64(_mm512_srli_epi64::<LAST>(d2), _mm512_slli_epi64::<10>(e2));
    let d2 = _mm512_and_si512(d2, last_mask);
    let d0 = sum3(d0, above, _mm512_slli_epi64::<2>(above));
    let d1 = _mm512_add_epi64(d1, _mm512_srli_epi64::<LIMB>(d0));
    let d0 = _mm512_and_si512(d0, mask);
    [d0, d1, d2]
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn sum3(x: Vector, y: Vector, z: Vector) -> Vector {
    _mm512_add_epi64(_mm512_add_epi64(x, y), z)
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn times_twenty(x: Vector) -> Vector {
    _mm512_add_epi64(_mm512_slli_epi64::<4>(x), _mm512_slli_epi64::<2>(x))
}

// Limb by limb, the eight lanes.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn lanes(h: Number) -> [[u64; LANES]; 3] {
    let mut limbs = [[0; LANES]; 3];
    for limb in 0..3 {
        let mut bytes = [0; 64];
        store(&mut bytes, h[limb]);
        let (words, _) = bytes.as_chunks();
        for lane in 0..LANES {
            limbs[limb][lane] = u64::from_le_bytes(words[lane]);
        }
    }
    limbs
}

#[cfg(test)]
#[allow(unsafe_code)]
mod tests {
    use super::*;
    use crate::poly1305::exact::{self, Exact, plus, times};
    use proptest::prelude::*;

    /// What the limbs of an accumulator and of a factor stay below.
    const CARRIED: [u64; 3] = [1 << 44, (1 << 44) + (1 << 9), 1 << 42];

    /// What a block's limbs stay below.
    const BLOCK: [u64; 3] = [1 << 44, 1 << 44, 1 << 41];

    type Numbers = [[u64; LANES]; 3];

    #[target_feature(enable = "avx512f,avx512ifma")]
    fn vectors(limbs: &Numbers) -> Number {
        let mut number = [_mm512_setzero_si512(); 3];
        for limb in 0..3 {
            let mut bytes = [0; 64];
            for (lane, word) in limbs[limb].iter().enumerate() {
                bytes[8 * lane..][..8].copy_from_slice(&word.to_le_bytes());
            }
            number[limb] = load(&bytes);
        }
        number
    }

    /// (h + block) by + other with: as much as is ever added up before a carry.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn step([h, block, by, other, with]: [&Numbers; 5]) -> Numbers {
        let added = sum(vectors(h), vectors(block));
        let columns = Columns::zero().plus(added, &Factor::new(vectors(by)));
        lanes(carried(columns.plus(vectors(other), &Factor::new(vectors(with)))))
    }

    fn value(limbs: &Numbers, lane: usize) -> Exact {
        exact::value(limbs.map(|limb| limb[lane]), LIMB)
    }

    fn check(numbers: [&Numbers; 5]) {
        if crate::Avx512::alone().is_none() {
            return;
        }
        // SAFETY: the CPU has the instructions.
        let result = unsafe { step(numbers) };
        let [h, block, by, other, with] = numbers;
        for lane in 0..LANES {
            let added = plus(value(h, lane), value(block, lane));
            let first = times(added, value(by, lane));
            let expected = plus(first, times(value(other, lane), value(with, lane)));
            assert_eq!(value(&result, lane), expected, "lane {lane} of {numbers:x?}");
            for (limb, lanes) in result.iter().enumerate() {
                assert!(lanes[lane] < CARRIED[limb], "limb {limb} of {numbers:x?}");
            }
        }
    }

    fn below(bounds: [u64; 3]) -> impl Strategy<Value = Numbers> {
        // The largest as often as all the others: what overflows does so there.
        bounds.map(|bound| proptest::array::uniform8(prop_oneof![Just(bound - 1), Just(0), 0..bound]))
    }

    /// Catches a bound that the comment above states and that does not hold: with every limb as large as it may be, one
    /// beyond the 52 bits that are multiplied, a column that overflows its 64, and a carry that leaves more than the next
    /// step bears.
    #[test]
    fn limbs_stay_in_their_bounds() {
        let most = CARRIED.map(|bound| [bound - 1; LANES]);
        let block = BLOCK.map(|bound| [bound - 1; LANES]);
        check([&most, &block, &most, &block, &most]);
        check([&most, &block, &most, &most, &most]);
    }

    /// Catches limbs of 26 bits that leave out a bit of what they are made of, or are too large to be finished.
    #[test]
    fn narrow_limbs_are_the_same_number() {
        for bits in 0..=47 {
            let sum = [(1 << bits) - 1, (1 << bits) - 1, ((1u64 << bits) - 1) >> 2];
            let wide = sum.map(|limb| [limb; LANES]);
            let narrow = narrow(wide);
            let narrowed = exact::value(narrow.map(|limb| limb[0]), 26);
            assert_eq!(narrowed, value(&wide, 0), "{bits} bits");
            assert!(
                narrow.as_flattened().iter().all(|limb| limb >> 32 == 0),
                "{bits} bits"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Catches the same in between, and a limb that goes to the wrong column.
        #[test]
        fn a_step_is_arithmetic_modulo_the_prime(
            h in below(CARRIED),
            block in below(BLOCK),
            by in below(CARRIED),
            other in below(BLOCK),
            with in below(CARRIED),
        ) {
            check([&h, &block, &by, &other, &with]);
        }
    }
}
