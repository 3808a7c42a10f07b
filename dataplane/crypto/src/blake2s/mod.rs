//! Keyed BLAKE2s with a result of 16 bytes (RFC 7693) over batches of messages: WireGuard's MAC, for mac1 and mac2
//! (whitepaper 5.4). Each message has a key of its own, of which the first compression is done once and kept.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod choose;
mod portable;
#[cfg(target_arch = "x86_64")]
mod sets;

use core::hint::black_box;
use zeroize::{Zeroize, ZeroizeOnDrop};

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
pub use choose::{able, best, warnings};
pub use portable::Portable;

/// Bytes of a mac.
pub const MAC_BYTES: usize = 16;

/// Bytes of a key at most.
pub const KEY_BYTES_MAX: usize = 32;

/// Bytes that are compressed at once.
const BLOCK_BYTES: usize = 64;

/// The eight words of a state, in little-endian order.
type State = [u8; 32];

/// What states begin with (RFC 7693 2.6): SHA-256's, fractions of the roots of the first primes.
const IV: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// Which words of a block each round takes, in pairs for its eight mixings (RFC 7693 2.7).
const SIGMA: [[usize; 16]; 10] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
    [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
    [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
    [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
    [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
    [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
    [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
    [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
    [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
];

/// A key and what its block, which comes before every message, makes of the state. Wiped when it is dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct MacKey {
    midstate: State,
    /// The block itself is the last one, and so is another, where the message is empty. Zeros follow the key.
    key: [u8; KEY_BYTES_MAX],
    bytes: u8,
}

impl MacKey {
    /// Of 1 to 32 bytes. Costs one compression.
    pub fn new<const BYTES: usize>(key: &[u8; BYTES]) -> Self {
        const {
            assert!(
                BYTES > 0 && BYTES <= KEY_BYTES_MAX,
                "a key of BLAKE2s has 1 to 32 bytes"
            )
        };
        let mut made = Self {
            midstate: [0; 32],
            key: [0; KEY_BYTES_MAX],
            bytes: BYTES as u8,
        };
        made.key[..BYTES].copy_from_slice(key);
        made.midstate = portable::of_key(&made, false);
        made
    }

    /// The mac of one message, which is not worth a batch.
    pub fn mac(&self, message: &[u8]) -> [u8; MAC_BYTES] {
        portable::mac(self, message)
    }
}

/// One mac to compute.
pub struct Mac<'a> {
    /// The key.
    pub key: &'a MacKey,
    /// What it is of, of any length.
    pub message: &'a [u8],
    /// Receives the mac.
    pub mac: [u8; MAC_BYTES],
}

impl<'a> Mac<'a> {
    /// One that is not computed yet.
    pub fn new(key: &'a MacKey, message: &'a [u8]) -> Self {
        let mac = [0; MAC_BYTES];
        Self { key, message, mac }
    }
}

/// One mac to check.
pub struct Check<'a> {
    /// The key.
    pub key: &'a MacKey,
    /// What it is of, of any length.
    pub message: &'a [u8],
    /// The mac that came with it.
    pub received: &'a [u8; MAC_BYTES],
    /// Set by the back end: whether the mac is the right one.
    pub valid: bool,
}

impl<'a> Check<'a> {
    /// One that nobody has looked at.
    pub fn new(key: &'a MacKey, message: &'a [u8], received: &'a [u8; MAC_BYTES]) -> Self {
        Self {
            key,
            message,
            received,
            valid: false,
        }
    }

    /// Whether the mac of this message, which is not worth a batch, is the right one.
    pub fn alone(mut self) -> bool {
        portable::each(core::slice::from_mut(&mut self));
        self.valid
    }
}

/// A back end. What one message's mac is makes no difference to its neighbours.
pub trait Blake2s: Send + Sync {
    /// Its name, as the AEAD's back ends have it.
    fn name(&self) -> &'static str;

    /// Computes every mac.
    fn mac(&self, batch: &mut [Mac<'_>]);

    /// Checks every mac and sets its `valid`, in a time that depends on the lengths alone.
    fn check(&self, batch: &mut [Check<'_>]);
}

/// What [`Mac`] and [`Check`] have in common.
trait Job {
    fn key(&self) -> &MacKey;
    fn message(&self) -> &[u8];
    fn made(&mut self, mac: &[u8; MAC_BYTES]);
}

impl Job for Mac<'_> {
    #[inline]
    fn key(&self) -> &MacKey {
        self.key
    }

    #[inline]
    fn message(&self) -> &[u8] {
        self.message
    }

    #[inline]
    fn made(&mut self, mac: &[u8; MAC_BYTES]) {
        self.mac = *mac;
    }
}

impl Job for Check<'_> {
    #[inline]
    fn key(&self) -> &MacKey {
        self.key
    }

    #[inline]
    fn message(&self) -> &[u8] {
        self.message
    }

    #[inline]
    fn made(&mut self, mac: &[u8; MAC_BYTES]) {
        let difference = u128::from_le_bytes(*mac) ^ u128::from_le_bytes(*self.received);
        // A whole-width difference in one comparison: there is no loop that could end early.
        self.valid = black_box(difference) == 0;
    }
}
