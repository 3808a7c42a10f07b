//! BLAKE2s in the four uses WireGuard makes of it (whitepaper section 5.4).

use blake2::digest::{FixedOutput, KeyInit, Update};
use blake2::{Blake2s256, Blake2sMac, Digest, digest::consts::U16};
use zeroize::{Zeroize, Zeroizing};

/// Bytes of a BLAKE2s block, which HMAC pads its key to (RFC 2104).
const BLOCK_LEN: usize = 64;

/// HASH: BLAKE2s-256 of the parts joined.
pub(crate) fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut state = Blake2s256::new();
    for part in parts {
        Update::update(&mut state, part);
    }
    state.finalize_fixed().into()
}

/// MAC: keyed BLAKE2s with a 16-byte result. A key of 16 or 32 bytes.
pub(crate) fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 16] {
    let mut state = Blake2sMac::<U16>::new_from_slice(key).expect("keys are at most 32 bytes");
    for part in parts {
        state.update(part);
    }
    state.finalize_fixed().into()
}

/// Keyed BLAKE2s with a 32-byte result: the PRF behind the cookie secrets.
pub(crate) fn prf(key: &[u8; 32], input: &[u8]) -> [u8; 32] {
    let mut state = blake2::Blake2sMac256::new_from_slice(key).expect("keys are at most 32 bytes");
    state.update(input);
    state.finalize_fixed().into()
}

/// HMAC-BLAKE2s-256 (RFC 2104) of the parts joined.
fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut inner_pad = Zeroizing::new([0x36; BLOCK_LEN]);
    let mut outer_pad = Zeroizing::new([0x5c; BLOCK_LEN]);
    for (i, byte) in key.iter().enumerate() {
        inner_pad[i] ^= byte;
        outer_pad[i] ^= byte;
    }
    let mut inner = Blake2s256::new();
    Update::update(&mut inner, &*inner_pad);
    for part in parts {
        Update::update(&mut inner, part);
    }
    let mut digest: [u8; 32] = inner.finalize_fixed().into();
    let tag = Zeroizing::new(hash(&[&*outer_pad, &digest]));
    digest.zeroize();
    tag
}

/// KDF1: one key from a chaining key and an input.
pub(crate) fn kdf1(chain: &[u8; 32], input: &[u8]) -> Zeroizing<[u8; 32]> {
    let secret = hmac(chain, &[input]);
    hmac(&secret, &[&[1]])
}

/// KDF2: two keys.
pub(crate) fn kdf2(chain: &[u8; 32], input: &[u8]) -> [Zeroizing<[u8; 32]>; 2] {
    let secret = hmac(chain, &[input]);
    let first = hmac(&secret, &[&[1]]);
    let second = hmac(&secret, &[&*first, &[2]]);
    [first, second]
}

/// KDF3: three keys.
pub(crate) fn kdf3(chain: &[u8; 32], input: &[u8]) -> [Zeroizing<[u8; 32]>; 3] {
    let secret = hmac(chain, &[input]);
    let first = hmac(&secret, &[&[1]]);
    let second = hmac(&secret, &[&*first, &[2]]);
    let third = hmac(&secret, &[&*second, &[3]]);
    [first, second, third]
}
