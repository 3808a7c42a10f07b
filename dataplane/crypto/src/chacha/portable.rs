//! One block at a time, as RFC 8439 writes it down: what the other back ends are compared with.

use super::{BLOCK_BYTES, Nonce, SIGMA};
use crate::batch::Key;

/// The keystream's block of that number. Number 0 keys Poly1305, the text begins at number 1 (RFC 8439 2.8).
pub(crate) fn block(key: &Key, nonce: Nonce, number: u32) -> [u8; BLOCK_BYTES] {
    let mut start = [0; 16];
    start[..4].copy_from_slice(&SIGMA);
    for (word, bytes) in start[4..12].iter_mut().zip(key.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    start[12] = number;
    start[13..].copy_from_slice(&nonce);
    let mut state = start;
    for _ in 0..10 {
        for [a, b, c, d] in COLUMNS.into_iter().chain(DIAGONALS) {
            quarter_round(&mut state, a, b, c, d);
        }
    }
    let mut keystream = [0; BLOCK_BYTES];
    for (bytes, (word, first)) in keystream.chunks_exact_mut(4).zip(state.iter().zip(start)) {
        bytes.copy_from_slice(&word.wrapping_add(first).to_le_bytes());
    }
    keystream
}

/// Words of the state that a column round joins.
pub(super) const COLUMNS: [[usize; 4]; 4] = [[0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15]];

/// Words of the state that a diagonal round joins.
pub(super) const DIAGONALS: [[usize; 4]; 4] = [[0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14]];

fn quarter_round(state: &mut [u32; 16], a: usize, b: usize, c: usize, d: usize) {
    for (left, right) in [(16, 12), (8, 7)] {
        state[a] = state[a].wrapping_add(state[b]);
        state[d] = (state[d] ^ state[a]).rotate_left(left);
        state[c] = state[c].wrapping_add(state[d]);
        state[b] = (state[b] ^ state[c]).rotate_left(right);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches a wrong rotation, order of words or counter: RFC 8439 A.1, test vector 3's key with its block 1, whose
    /// nonce is all zero as WireGuard's first.
    #[test]
    fn a_block_is_the_rfcs() {
        let mut key = [0; 32];
        key[31] = 1;
        let block = block(&key, [0; 3], 1);
        let begin = [
            0x3a, 0xeb, 0x52, 0x24, 0xec, 0xf8, 0x49, 0x92, 0x9b, 0x9d, 0x82, 0x8d, 0xb1, 0xce, 0xd4, 0xdd,
        ];
        assert_eq!(block[..16], begin);
    }
}
