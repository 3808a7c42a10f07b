//! Four Poly1305 at a time, lane = packet, or four blocks of one packet at a time.
//!
//! A number modulo 2^130 - 5 is five limbs of 26 bits, limb i of four numbers in the four 64-bit lanes of vector i.
//! vpmuludq multiplies the low 32 bits of each lane into all 64. Bounds, which `limbs_stay_in_their_bounds` tests:
//!
//! - A block has limbs below 2^26 (the last, with the bit above it, below 2^25).
//! - An accumulator h comes out of [`carried`] with limbs below 2^26 + 2^11, so h plus a block is below 2^27.1, and in
//!   32 bits.
//! - A factor is r, clamped, or a power of r out of [`carried`]: limbs below 2^26 + 2^11, five times them below 2^28.4.
//! - A product is below 2^55.5, the sum of five below 2^57.9, and two such columns, added before one carry, below 2^58.9:
//!   in 64 bits.
//! - The four lanes of one packet, added at its end, have limbs below 2^28.1, and [`finished`] takes them up to 2^32.

use super::shape::{Shape, finished_lanes, finished_sum, nth, r_bytes, rests};
use super::{CLAMP, OneTimeKey, Tag, lengths};
use crate::simd::avx2::{Half, Vector, load, load_half, store};
use core::arch::x86_64::{
    _mm256_add_epi64, _mm256_and_si256, _mm256_blendv_epi8, _mm256_castsi128_si256, _mm256_inserti128_si256,
    _mm256_mul_epu32, _mm256_or_si256, _mm256_set1_epi64x, _mm256_setr_epi64x, _mm256_setzero_si256,
    _mm256_slli_epi64, _mm256_srli_epi64, _mm256_unpackhi_epi64, _mm256_unpacklo_epi64,
};

/// Packets to a vector.
pub(crate) const LANES: usize = 4;

/// Four numbers.
type Number = [Vector; 5];

/// A number to multiply by, and five times its limbs: what comes above 2^130 counts five times below.
#[derive(Clone, Copy)]
struct Factor {
    r: Number,
    five: Number,
}

impl Factor {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new(r: Number) -> Self {
        let [r0, r1, r2, r3, r4] = r;
        // The compiler is not to know where they come from: it would multiply by five after each product.
        core::hint::black_box(Self {
            r,
            five: [
                times_five(r0),
                times_five(r1),
                times_five(r2),
                times_five(r3),
                times_five(r4),
            ],
        })
    }
}

/// The tags of `4 * SETS` texts, of each of which so many bytes are additional data, padded; lane = packet. Best where
/// the texts are about equally long: a lane whose text ended waits for the longest. Sets are independent of each other,
/// so that one computes while the other waits for its carry.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn tags<const SETS: usize>(
    keys: &[[&OneTimeKey; LANES]; SETS],
    texts: &[[&[u8]; LANES]; SETS],
    additional: usize,
) -> [[Tag; LANES]; SETS] {
    let zero = _mm256_setzero_si256();
    let Shape {
        blocks,
        whole,
        ends,
        same,
    } = Shape::new(texts);
    let mut r = [Factor {
        r: [zero; 5],
        five: [zero; 5],
    }; SETS];
    for set in 0..SETS {
        r[set] = clamped(&keys[set]);
    }
    let mut h = [[zero; 5]; SETS];
    let mut done = 0;
    // Below that a carry more is cheaper than the square.
    if whole >= 6 {
        let mut squares = r;
        for set in 0..SETS {
            squares[set] = Factor::new(carried(product(r[set].r, &r[set])));
        }
        // (h + block) r^2 + next r: two blocks to a carry.
        while done + 2 <= whole {
            for set in 0..SETS {
                let [a, b, c, d] = blocks[set];
                let first = gathered([&a[done], &b[done], &c[done], &d[done]]);
                let second = gathered([&a[done + 1], &b[done + 1], &c[done + 1], &d[done + 1]]);
                h[set] = carried(sum(
                    product(sum(h[set], first), &squares[set]),
                    product(second, &r[set]),
                ));
            }
            done += 2;
        }
    }
    while done < whole {
        for set in 0..SETS {
            let [a, b, c, d] = blocks[set];
            let all = gathered([&a[done], &b[done], &c[done], &d[done]]);
            h[set] = carried(product(sum(h[set], all), &r[set]));
        }
        done += 1;
    }
    if let Some(len) = same {
        if !len.is_multiple_of(16) {
            for set in 0..SETS {
                let [a, b, c, d] = rests(texts[set]);
                let all = gathered([&a, &b, &c, &d]);
                h[set] = carried(product(sum(h[set], all), &r[set]));
            }
        }
        let last = lengths(len, additional);
        for set in 0..SETS {
            let all = gathered([&last; LANES]);
            h[set] = carried(product(sum(h[set], all), &r[set]));
        }
    } else {
        for block in done..ends {
            for set in 0..SETS {
                let [a, b, c, d] = texts[set];
                let [a, b, c, d] = [
                    nth(a, block, additional),
                    nth(b, block, additional),
                    nth(c, block, additional),
                    nth(d, block, additional),
                ];
                let all = gathered([&a.0, &b.0, &c.0, &d.0]);
                let active = _mm256_setr_epi64x(mask(a.1), mask(b.1), mask(c.1), mask(d.1));
                let next = carried(product(sum(h[set], all), &r[set]));
                for limb in 0..5 {
                    h[set][limb] = _mm256_blendv_epi8(h[set][limb], next[limb], active);
                }
            }
        }
    }
    let mut limbs = [[[0; LANES]; 5]; SETS];
    for set in 0..SETS {
        limbs[set] = lanes(h[set]);
    }
    finished_lanes(limbs, keys)
}

/// The tag of one text, of which so many bytes are additional data, padded. Each lane holds every fourth block and goes
/// on by r^4; the power that it is then short of, r^4 to r, is multiplied in at the end, where lanes are added.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn tag(key: &OneTimeKey, text: &[u8], additional: usize) -> Tag {
    let r = clamped(&[key; LANES]);
    let second = Factor::new(carried(product(r.r, &r)));
    let third = carried(product(second.r, &r));
    let fourth = carried(product(second.r, &second));
    let fourth_factor = Factor::new(fourth);
    let total = text.len().div_ceil(16) + 1;
    // As if zeros stood before the text, which change nothing, so that its last block is the last of four.
    let lead = total.wrapping_neg() % 4;
    let zero = _mm256_setzero_si256();
    let mut h = [zero; 5];
    let steps = (total + lead) / 4;
    // Step 0 has the zeros; the last has the rest and the lengths.
    if steps > 1 {
        let mut first = [0; 64];
        let have = 64 - 16 * lead;
        first[16 * lead..].copy_from_slice(&text[..have]);
        h = four(&first, lead);
        let (middle, _) = text[have..].as_chunks::<64>();
        let (pairs, single) = middle[..steps - 2].as_chunks::<2>();
        if !pairs.is_empty() {
            // (h r^4 + a) r^4 + b: two vectors to a carry.
            let eighth_factor = Factor::new(carried(product(fourth, &fourth_factor)));
            for [a, b] in pairs {
                let columns = sum(product(h, &eighth_factor), product(four(a, 0), &fourth_factor));
                h = sum(carried(columns), four(b, 0));
            }
        }
        for bytes in single {
            h = sum(carried(product(h, &fourth_factor)), four(bytes, 0));
        }
        h = carried(product(h, &fourth_factor));
    }
    let mut last = [0; 64];
    let from = (64 * (steps - 1)).saturating_sub(16 * lead);
    let rest = &text[from..];
    let at = if steps == 1 { 16 * lead } else { 0 };
    last[at..at + rest.len()].copy_from_slice(rest);
    last[48..].copy_from_slice(&lengths(text.len(), additional));
    h = sum(h, four(&last, if steps == 1 { lead } else { 0 }));
    // Lanes are blocks 0, 2, 1, 3 of each four.
    let mut powers = [zero; 5];
    for limb in 0..5 {
        let even = _mm256_unpacklo_epi64(fourth[limb], second.r[limb]);
        let odd = _mm256_unpacklo_epi64(third[limb], r.r[limb]);
        powers[limb] = core::arch::x86_64::_mm256_permute2x128_si256::<0x20>(even, odd);
    }
    let h = carried(product(h, &Factor::new(powers)));
    finished_sum(lanes(h), key)
}

// All ones or all zeros.
#[inline]
fn mask(set: bool) -> i64 {
    -i64::from(set)
}

#[inline]
#[target_feature(enable = "avx2")]
fn clamped(keys: &[&OneTimeKey; LANES]) -> Factor {
    let (low, high) = words(r_bytes(keys));
    let low = _mm256_and_si256(low, _mm256_set1_epi64x(CLAMP[0] as i64));
    let high = _mm256_and_si256(high, _mm256_set1_epi64x(CLAMP[1] as i64));
    Factor::new(limbs(low, high))
}

// A block of each of four packets, with the bit that RFC 8439 2.5.1 puts above it.
#[inline]
#[target_feature(enable = "avx2")]
fn gathered(blocks: [&[u8; 16]; LANES]) -> Number {
    let (low, high) = words(blocks);
    let [l0, l1, l2, l3, l4] = limbs(low, high);
    [l0, l1, l2, l3, _mm256_or_si256(l4, _mm256_set1_epi64x(1 << 24))]
}

// Four blocks of one packet, in the order 0, 2, 1, 3, of which the first are no blocks but zeros.
#[inline]
#[target_feature(enable = "avx2")]
fn four(bytes: &[u8; 64], zeros: usize) -> Number {
    const BIT: i64 = 1 << 24;
    let (halves, _) = bytes.as_chunks();
    let (x, y) = (load(&halves[0]), load(&halves[1]));
    let [l0, l1, l2, l3, l4] = limbs(_mm256_unpacklo_epi64(x, y), _mm256_unpackhi_epi64(x, y));
    let bits = match zeros {
        0 => _mm256_set1_epi64x(BIT),
        1 => _mm256_setr_epi64x(0, BIT, BIT, BIT),
        2 => _mm256_setr_epi64x(0, BIT, 0, BIT),
        _ => _mm256_setr_epi64x(0, 0, 0, BIT),
    };
    [l0, l1, l2, l3, _mm256_or_si256(l4, bits)]
}

// The low and the high 64 bits of 16 bytes of each packet.
#[inline]
#[target_feature(enable = "avx2")]
fn words([a, b, c, d]: [&[u8; 16]; LANES]) -> (Vector, Vector) {
    let ac = joined(load_half(a), load_half(c));
    let bd = joined(load_half(b), load_half(d));
    (_mm256_unpacklo_epi64(ac, bd), _mm256_unpackhi_epi64(ac, bd))
}

#[inline]
#[target_feature(enable = "avx2")]
fn joined(low: Half, high: Half) -> Vector {
    _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(low), high)
}

// 26, 26, 26, 26 and 24 bits of 128.
#[inline]
#[target_feature(enable = "avx2")]
fn limbs(low: Vector, high: Vector) -> Number {
    let mask = _mm256_set1_epi64x((1 << 26) - 1);
    let across = _mm256_or_si256(_mm256_srli_epi64::<52>(low), _mm256_slli_epi64::<12>(high));
    [
        _mm256_and_si256(low, mask),
        _mm256_and_si256(_mm256_srli_epi64::<26>(low), mask),
        _mm256_and_si256(across, mask),
        _mm256_and_si256(_mm256_srli_epi64::<14>(high), mask),
        _mm256_srli_epi64::<40>(high),
    ]
}

// h times a factor: five columns that are not carried.
#[inline]
#[target_feature(enable = "avx2")]
fn product(h: Number, factor: &Factor) -> Number {
    let [h0, h1, h2, h3, h4] = h;
    let [r0, r1, r2, r3, r4] = factor.r;
    let [_, s1, s2, s3, s4] = factor.five;
    [
        column(h, [r0, s4, s3, s2, s1]),
        column(h, [r1, r0, s4, s3, s2]),
        column(h, [r2, r1, r0, s4, s3]),
        column(h, [r3, r2, r1, r0, s4]),
        column([h0, h1, h2, h3, h4], [r4, r3, r2, r1, r0]),
    ]
}

#[inline]
#[target_feature(enable = "avx2")]
fn column(h: Number, by: Number) -> Vector {
    let left = _mm256_add_epi64(_mm256_mul_epu32(h[0], by[0]), _mm256_mul_epu32(h[1], by[1]));
    let right = _mm256_add_epi64(_mm256_mul_epu32(h[2], by[2]), _mm256_mul_epu32(h[3], by[3]));
    _mm256_add_epi64(_mm256_add_epi64(left, right), _mm256_mul_epu32(h[4], by[4]))
}

#[inline]
#[target_feature(enable = "avx2")]
fn sum(x: Number, y: Number) -> Number {
    [
        _mm256_add_epi64(x[0], y[0]),
        _mm256_add_epi64(x[1], y[1]),
        _mm256_add_epi64(x[2], y[2]),
        _mm256_add_epi64(x[3], y[3]),
        _mm256_add_epi64(x[4], y[4]),
    ]
}

// Two chains of carries side by side, 0 to 1 to 2 to 3 to 4 and 3 to 4 to 0 to 1. A column below 2^59 carries below
// 2^33 and what comes around is below 2^35.4; of that 2^9.4 reach limb 1 after its mask, and limb 4 gets 2^8 after its.
#[inline]
#[target_feature(enable = "avx2")]
fn carried(columns: Number) -> Number {
    let mask = _mm256_set1_epi64x((1 << 26) - 1);
    let [d0, d1, d2, d3, d4] = columns;
    let d1 = _mm256_add_epi64(d1, _mm256_srli_epi64::<26>(d0));
    let d0 = _mm256_and_si256(d0, mask);
    let d4 = _mm256_add_epi64(d4, _mm256_srli_epi64::<26>(d3));
    let d3 = _mm256_and_si256(d3, mask);
    let d2 = _mm256_add_epi64(d2, _mm256_srli_epi64::<26>(d1));
    let d1 = _mm256_and_si256(d1, mask);
    let d0 = _mm256_add_epi64(d0, times_five(_mm256_srli_epi64::<26>(d4)));
    let d4 = _mm256_and_si256(d4, mask);
    let d3 = _mm256_add_epi64(d3, _mm256_srli_epi64::<26>(d2));
    let d2 = _mm256_and_si256(d2, mask);
    let d1 = _mm256_add_epi64(d1, _mm256_srli_epi64::<26>(d0));
    let d0 = _mm256_and_si256(d0, mask);
    let d4 = _mm256_add_epi64(d4, _mm256_srli_epi64::<26>(d3));
    let d3 = _mm256_and_si256(d3, mask);
    [d0, d1, d2, d3, d4]
}

#[inline]
#[target_feature(enable = "avx2")]
fn times_five(x: Vector) -> Vector {
    _mm256_add_epi64(_mm256_slli_epi64::<2>(x), x)
}

// Limb by limb, the four lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn lanes(h: Number) -> [[u64; LANES]; 5] {
    let mut limbs = [[0; LANES]; 5];
    for limb in 0..5 {
        let mut bytes = [0; 32];
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

    /// What an accumulator's limbs and a factor's stay below.
    const CARRIED: u64 = (1 << 26) + (1 << 11);

    /// A block's limbs stay below this.
    const BLOCK: u64 = 1 << 26;

    type Numbers = [[u64; LANES]; 5];

    #[target_feature(enable = "avx2")]
    fn vectors(limbs: &Numbers) -> Number {
        let mut number = [_mm256_setzero_si256(); 5];
        for limb in 0..5 {
            let [a, b, c, d] = limbs[limb];
            number[limb] = _mm256_setr_epi64x(a as i64, b as i64, c as i64, d as i64);
        }
        number
    }

    /// (h + block) by + other with: as much as is ever added up before a carry.
    #[target_feature(enable = "avx2")]
    fn step([h, block, by, other, with]: [&Numbers; 5]) -> Numbers {
        let first = product(sum(vectors(h), vectors(block)), &Factor::new(vectors(by)));
        let second = product(vectors(other), &Factor::new(vectors(with)));
        lanes(carried(sum(first, second)))
    }

    fn value(limbs: &Numbers, lane: usize) -> Exact {
        exact::value(limbs.map(|limb| limb[lane]), 26)
    }

    fn check(numbers: [&Numbers; 5]) {
        if !is_x86_feature_detected!("avx2") {
            return;
        }
        // SAFETY: the CPU has AVX2.
        let result = unsafe { step(numbers) };
        let [h, block, by, other, with] = numbers;
        for lane in 0..LANES {
            let added = plus(value(h, lane), value(block, lane));
            let first = times(added, value(by, lane));
            let expected = plus(first, times(value(other, lane), value(with, lane)));
            assert_eq!(value(&result, lane), expected, "lane {lane} of {numbers:x?}");
            for (limb, lanes) in result.iter().enumerate() {
                assert!(lanes[lane] < CARRIED, "limb {limb} of {numbers:x?}");
            }
        }
    }

    fn below(bound: u64) -> impl Strategy<Value = Numbers> {
        // The largest as often as all the others: what overflows does so there.
        let limb = prop_oneof![Just(bound - 1), Just(0), 0..bound];
        proptest::array::uniform5(proptest::array::uniform4(limb))
    }

    /// Catches a bound that the comment above states and that does not hold: with every limb as large as it may be,
    /// a column that overflows its 64 bits or a limb its 32, and a carry that leaves more than the next step bears.
    #[test]
    fn limbs_stay_in_their_bounds() {
        let most = [[CARRIED - 1; LANES]; 5];
        let block = [[BLOCK - 1; LANES]; 5];
        check([&most, &block, &most, &block, &most]);
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
