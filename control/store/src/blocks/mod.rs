//! A file of authenticated blocks, under redb's B-trees.
//!
//! redb checks its pages' checksums only when asked to, and may panic on a page that changed under it. So it never sees
//! one: every block of 4096 bytes lies in the file with a keyed BLAKE3 of itself and its place, checked at each read, and
//! a block that is not what was written is an I/O error. What redb calls its header, which it rewrites in place, lies
//! with the file's own in two pairs of slots, written in turn: a crash leaves one pair whole, a flipped bit one of a pair.

mod backend;
mod file;
mod header;
mod overlay;

pub(crate) use file::{BlockFile, Mode, mode_of};

/// Bytes of a block.
const BLOCK: usize = 4096;

/// Bytes of a keyed hash.
const MAC: usize = 32;

/// Bytes that a block takes in the file.
const STRIDE: usize = BLOCK + MAC;
