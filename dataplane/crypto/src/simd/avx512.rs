//! 512-bit vectors from and to byte arrays. The only accesses to memory through pointers in the AVX-512 back end: whoever
//! calls these shows with a reference that the bytes are there.
#![allow(unsafe_code)]

use core::arch::x86_64::{
    __m128i, __m256i, __m512i, _mm_loadu_si128, _mm256_loadu_si256, _mm512_loadu_si512, _mm512_storeu_si512,
};

/// 64 bytes.
pub(crate) type Vector = __m512i;

/// 32 bytes.
pub(crate) type Half = __m256i;

/// 16 bytes.
pub(crate) type Quarter = __m128i;

/// At any alignment.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn load(bytes: &[u8; 64]) -> Vector {
    // SAFETY: the reference holds 64 readable bytes, and the instruction takes any alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

/// At any alignment.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn store(bytes: &mut [u8; 64], vector: Vector) {
    // SAFETY: the reference holds 64 bytes that are ours to write, and the instruction takes any alignment.
    unsafe { _mm512_storeu_si512(bytes.as_mut_ptr().cast(), vector) }
}

/// At any alignment.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn load_half(bytes: &[u8; 32]) -> Half {
    // SAFETY: the reference holds 32 readable bytes, and the instruction takes any alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

/// At any alignment.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn load_quarter(bytes: &[u8; 16]) -> Quarter {
    // SAFETY: the reference holds 16 readable bytes, and the instruction takes any alignment.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}
