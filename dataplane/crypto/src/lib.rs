//! ChaCha20-Poly1305 (RFC 8439) over batches of packets, each with its own key, counter, length and place, and keyed
//! BLAKE2s (RFC 7693, [`blake2s`]) over batches of messages.
//!
//! The shard describes a burst as [`Seal`] and [`Open`] jobs and calls the back end once; which instructions do the
//! work is decided once at start. A job reads the received frame and writes a fresh one, so bytes change their home
//! for free. Macs of handshake messages are checked in the same way, and [`x25519`] takes batches of independent scalar
//! multiplications. This crate knows no packet formats, keeps no keys, and allocates nothing once a back end is chosen. The
//! engine calls it in batches, `noise` for single messages and for X25519.
#![deny(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod batch;
pub mod blake2s;
#[cfg(target_arch = "x86_64")]
mod burst;
mod chacha;
mod choose;
mod job;
mod poly1305;
mod portable_backend;
mod ring_backend;
mod selftest;
mod simd;
#[cfg(test)]
mod vectors;
pub mod x25519;

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub use avx512::Avx512;
pub use batch::{Aead, Key, Open, Plaintext, Seal, TAG_BYTES};
pub use choose::{Choice, ChooseError, VARIABLE, able, best, choose};
pub use portable_backend::Portable;
pub use ring_backend::Ring;
