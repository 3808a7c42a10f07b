//! One message at a time, as RFC 7693 writes it down: what the lanes are compared with, and what single messages get.

use super::{BLOCK_BYTES, Blake2s, Check, IV, Job, MAC_BYTES, Mac, MacKey, SIGMA, State};

/// BLAKE2s in plain Rust, for any CPU.
pub struct Portable;

impl Blake2s for Portable {
    fn name(&self) -> &'static str {
        "portable"
    }

    fn mac(&self, batch: &mut [Mac<'_>]) {
        each(batch);
    }

    fn check(&self, batch: &mut [Check<'_>]) {
        each(batch);
    }
}

/// Every job by itself.
pub(super) fn each<J: Job>(batch: &mut [J]) {
    for job in batch {
        let mac = mac(job.key(), job.message());
        job.made(&mac);
    }
}

/// The mac of one message.
pub(super) fn mac(key: &MacKey, message: &[u8]) -> [u8; MAC_BYTES] {
    let state = match blocks(message) {
        None => of_key(key, true),
        Some((whole, last)) => {
            let mut state = words(&key.midstate);
            // The key's block counts too.
            let mut bytes = BLOCK_BYTES as u64;
            for block in whole {
                bytes += BLOCK_BYTES as u64;
                compress(&mut state, block, bytes, false);
            }
            let mut padded = [0; BLOCK_BYTES];
            padded[..last.len()].copy_from_slice(last);
            compress(&mut state, &padded, bytes + last.len() as u64, true);
            state_of(state)
        }
    };
    *state.first_chunk().expect("a mac is half of the state")
}

/// The state after the key's block, which is the last one if the message is empty (RFC 7693 3.3).
pub(super) fn of_key(key: &MacKey, last: bool) -> State {
    let mut state = IV;
    // The parameters (RFC 7693 2.5): one digest, not a tree, the lengths of key and result.
    state[0] ^= 0x0101_0000 ^ u32::from(key.bytes) << 8 ^ MAC_BYTES as u32;
    let mut block = [0; BLOCK_BYTES];
    block[..key.key.len()].copy_from_slice(&key.key);
    compress(&mut state, &block, BLOCK_BYTES as u64, last);
    zeroize::Zeroize::zeroize(&mut block);
    state_of(state)
}

// The blocks before the last one, and the last one's 1 to 64 bytes.
fn blocks(message: &[u8]) -> Option<(&[[u8; BLOCK_BYTES]], &[u8])> {
    let before = message.len().checked_sub(1)? / BLOCK_BYTES * BLOCK_BYTES;
    let (whole, last) = message.split_at(before);
    Some((whole.as_chunks().0, last))
}

// F (RFC 7693 3.2). `bytes` is how many were taken in with this block.
fn compress(state: &mut [u32; 8], block: &[u8; BLOCK_BYTES], bytes: u64, last: bool) {
    let block: [u32; 16] = words(block);
    let mut work = [0; 16];
    work[..8].copy_from_slice(state);
    work[8..].copy_from_slice(&IV);
    work[12] ^= bytes as u32;
    work[13] ^= (bytes >> 32) as u32;
    if last {
        work[14] = !work[14];
    }
    // Written out, since the words that a round takes are then known to the compiler.
    round(&mut work, &block, &SIGMA[0]);
    round(&mut work, &block, &SIGMA[1]);
    round(&mut work, &block, &SIGMA[2]);
    round(&mut work, &block, &SIGMA[3]);
    round(&mut work, &block, &SIGMA[4]);
    round(&mut work, &block, &SIGMA[5]);
    round(&mut work, &block, &SIGMA[6]);
    round(&mut work, &block, &SIGMA[7]);
    round(&mut work, &block, &SIGMA[8]);
    round(&mut work, &block, &SIGMA[9]);
    for (place, word) in state.iter_mut().enumerate() {
        *word ^= work[place] ^ work[place + 8];
    }
}

#[inline(always)]
fn round(work: &mut [u32; 16], block: &[u32; 16], order: &[usize; 16]) {
    let message = |place: usize| block[order[place]];
    mix(work, [0, 4, 8, 12], message(0), message(1));
    mix(work, [1, 5, 9, 13], message(2), message(3));
    mix(work, [2, 6, 10, 14], message(4), message(5));
    mix(work, [3, 7, 11, 15], message(6), message(7));
    mix(work, [0, 5, 10, 15], message(8), message(9));
    mix(work, [1, 6, 11, 12], message(10), message(11));
    mix(work, [2, 7, 8, 13], message(12), message(13));
    mix(work, [3, 4, 9, 14], message(14), message(15));
}

// G (RFC 7693 3.1).
#[inline(always)]
fn mix(work: &mut [u32; 16], [a, b, c, d]: [usize; 4], x: u32, y: u32) {
    work[a] = work[a].wrapping_add(work[b]).wrapping_add(x);
    work[d] = (work[d] ^ work[a]).rotate_right(16);
    work[c] = work[c].wrapping_add(work[d]);
    work[b] = (work[b] ^ work[c]).rotate_right(12);
    work[a] = work[a].wrapping_add(work[b]).wrapping_add(y);
    work[d] = (work[d] ^ work[a]).rotate_right(8);
    work[c] = work[c].wrapping_add(work[d]);
    work[b] = (work[b] ^ work[c]).rotate_right(7);
}

fn words<const BYTES: usize, const WORDS: usize>(bytes: &[u8; BYTES]) -> [u32; WORDS] {
    let mut words = [0; WORDS];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}

fn state_of(words: [u32; 8]) -> State {
    let mut state = [0; 32];
    for (bytes, word) in state.as_chunks_mut().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches a wrong constant, order of words or rotation: RFC 7693's example (appendix B) has no key and a result of
    /// 32 bytes, which the parameters tell.
    #[test]
    fn the_rfcs_example_holds() {
        let mut state = IV;
        state[0] ^= 0x0101_0020;
        let mut block = [0; BLOCK_BYTES];
        block[..3].copy_from_slice(b"abc");
        compress(&mut state, &block, 3, true);
        let expected = [
            0x50, 0x8c, 0x5e, 0x8c, 0x32, 0x7c, 0x14, 0xe2, 0xe1, 0xa7, 0x2b, 0xa3, 0x4e, 0xeb, 0x45, 0x2f,
            0x37, 0x45, 0x8b, 0x20, 0x9e, 0xd6, 0x3a, 0x29, 0x4d, 0x99, 0x9b, 0x4c, 0x86, 0x67, 0x59, 0x82,
        ];
        assert_eq!(state_of(state), expected);
    }

    /// Catches a count of bytes that loses its upper half, which no message of a test is long enough to show.
    #[test]
    fn the_count_has_64_bits() {
        let [mut low, mut high] = [IV; 2];
        compress(&mut low, &[7; BLOCK_BYTES], 64, false);
        compress(&mut high, &[7; BLOCK_BYTES], 64 + (1 << 32), false);
        assert_ne!(low, high);
    }
}
