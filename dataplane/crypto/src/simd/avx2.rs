//! 256-bit vectors from and to byte arrays. The only accesses to memory through pointers in the AVX2 back ends: whoever
//! calls these shows with a reference that the bytes are there. And what the lanes of several ciphers need.
#![allow(unsafe_code)]

use core::arch::x86_64::{
    __m128i, __m256i, _mm_loadu_si128, _mm256_cmpgt_epi32, _mm256_loadu_si256, _mm256_maskload_epi32,
    _mm256_or_si256, _mm256_permute2x128_si256, _mm256_set1_epi32, _mm256_setr_epi32, _mm256_slli_epi32,
    _mm256_srli_epi32, _mm256_storeu_si256, _mm256_unpackhi_epi32, _mm256_unpackhi_epi64,
    _mm256_unpacklo_epi32, _mm256_unpacklo_epi64,
};

/// 32 bytes.
pub(crate) type Vector = __m256i;

/// 16 bytes.
pub(crate) type Half = __m128i;

/// At any alignment.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn load(bytes: &[u8; 32]) -> Vector {
    // SAFETY: the reference holds 32 readable bytes, and the instruction takes any alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

/// At any alignment.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn store(bytes: &mut [u8; 32], vector: Vector) {
    // SAFETY: the reference holds 32 bytes that are ours to write, and the instruction takes any alignment.
    unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), vector) }
}

/// At any alignment.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn load_half(bytes: &[u8; 16]) -> Half {
    // SAFETY: the reference holds 16 readable bytes, and the instruction takes any alignment.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

/// At most eight words, at any alignment, with zeros behind them.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn load_words(words: &[[u8; 4]]) -> Vector {
    let count = _mm256_set1_epi32(words.len().min(8) as i32);
    let mask = _mm256_cmpgt_epi32(count, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    // SAFETY: the slice holds the words of which the mask has the upper bit; the others the instruction does not touch,
    // and it takes any alignment.
    unsafe { _mm256_maskload_epi32(words.as_ptr().cast(), mask) }
}

/// Every word rotated to the left by `LEFT` bits, which with `RIGHT` makes 32.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn rotated<const LEFT: i32, const RIGHT: i32>(x: Vector) -> Vector {
    _mm256_or_si256(_mm256_slli_epi32::<LEFT>(x), _mm256_srli_epi32::<RIGHT>(x))
}

/// Rows become columns: lane j of row i becomes lane i of row j.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn transposed(rows: [Vector; 8]) -> [Vector; 8] {
    let [a, b, c, d, e, f, g, h] = rows;
    let [ab, cd] = [_mm256_unpacklo_epi32(a, b), _mm256_unpacklo_epi32(c, d)];
    let [ef, gh] = [_mm256_unpacklo_epi32(e, f), _mm256_unpacklo_epi32(g, h)];
    let [ab_high, cd_high] = [_mm256_unpackhi_epi32(a, b), _mm256_unpackhi_epi32(c, d)];
    let [ef_high, gh_high] = [_mm256_unpackhi_epi32(e, f), _mm256_unpackhi_epi32(g, h)];
    let [r0, s0] = [_mm256_unpacklo_epi64(ab, cd), _mm256_unpacklo_epi64(ef, gh)];
    let [r1, s1] = [_mm256_unpackhi_epi64(ab, cd), _mm256_unpackhi_epi64(ef, gh)];
    let [r2, s2] = [
        _mm256_unpacklo_epi64(ab_high, cd_high),
        _mm256_unpacklo_epi64(ef_high, gh_high),
    ];
    let [r3, s3] = [
        _mm256_unpackhi_epi64(ab_high, cd_high),
        _mm256_unpackhi_epi64(ef_high, gh_high),
    ];
    [
        _mm256_permute2x128_si256::<0x20>(r0, s0),
        _mm256_permute2x128_si256::<0x20>(r1, s1),
        _mm256_permute2x128_si256::<0x20>(r2, s2),
        _mm256_permute2x128_si256::<0x20>(r3, s3),
        _mm256_permute2x128_si256::<0x31>(r0, s0),
        _mm256_permute2x128_si256::<0x31>(r1, s1),
        _mm256_permute2x128_si256::<0x31>(r2, s2),
        _mm256_permute2x128_si256::<0x31>(r3, s3),
    ]
}
