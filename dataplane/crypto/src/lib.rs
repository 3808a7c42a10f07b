//! ChaCha20-Poly1305 (RFC 8439) over batches of packets, each with its own key, counter, length and place.
//!
//! The shard describes a burst as [`Seal`] and [`Open`] jobs and calls the back end once; which instructions do the
//! work is decided once at start. A job reads the received frame and writes a fresh one, so bytes change their home
//! for free. [`x25519`] has batches of independent scalar multiplications, for handshakes. This crate knows no packet
//! formats, keeps no keys, and allocates nothing once a back end is chosen; the engine and, for X25519, `noise` are its
//! callers.
#![deny(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
mod batch;
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
pub use batch::{Aead, Key, Open, Plaintext, Seal, TAG_BYTES};
pub use choose::{Choice, ChooseError, VARIABLE, able, best, choose};
pub use portable_backend::Portable;
pub use ring_backend::Ring;
