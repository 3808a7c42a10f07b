//! ChaCha20 (RFC 8439 2.3).

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
pub(crate) mod portable;

/// Bytes of keystream that one block counter gives.
pub(crate) const BLOCK_BYTES: usize = 64;

/// The first four words of every state: "expand 32-byte k" in ASCII.
pub(crate) const SIGMA: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

/// The three words of a nonce.
pub(crate) type Nonce = [u32; 3];

/// WireGuard's nonce of a counter: 32 zero bits, then the counter (whitepaper 5.4.6).
#[inline]
pub(crate) fn nonce(counter: u64) -> Nonce {
    [0, counter as u32, (counter >> 32) as u32]
}
