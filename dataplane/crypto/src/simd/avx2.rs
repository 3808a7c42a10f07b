//! 256-bit vectors from and to byte arrays. The only accesses to memory through pointers in the AVX2 back end: whoever
//! calls these shows with a reference that the bytes are there.
#![allow(unsafe_code)]

use core::arch::x86_64::{__m128i, __m256i, _mm_loadu_si128, _mm256_loadu_si256, _mm256_storeu_si256};

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
