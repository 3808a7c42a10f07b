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

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
            .collect()
    }

    /// RFC 7693 appendix B, and the reference implementation's first keyed vector
    /// (key 00..1f, empty input).
    #[test]
    fn the_published_vectors_hold() {
        let abc = hex("508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982");
        assert_eq!(hash(&[b"a", b"bc"])[..], abc);
        let key: [u8; 32] = core::array::from_fn(|i| i as u8);
        let empty = hex("48a8997da407876b3d79c0d92325ad3b89cbb754d86ab71aee047ad345fd2c49");
        assert_eq!(prf(&key, b"")[..], empty);
    }

    /// Catches a KDF whose outputs are not a prefix of one another.
    #[test]
    fn the_kdfs_agree_where_they_overlap() {
        let chain = [7; 32];
        let one = kdf1(&chain, b"input");
        let two = kdf2(&chain, b"input");
        let three = kdf3(&chain, b"input");
        assert_eq!((&one, &two[1]), (&three[0], &three[1]));
        assert_eq!(one, two[0]);
        assert!(three[0] != three[1] && three[1] != three[2]);
    }

    /// A 16-byte MAC is not a truncated 32-byte one: BLAKE2 takes the length in.
    #[test]
    fn the_mac_has_a_length_of_its_own() {
        let key = [9; 32];
        assert_ne!(mac(&key, &[b"text"]), prf(&key, b"text")[..16]);
        assert_eq!(mac(&key, &[b"te", b"xt"]), mac(&key, &[b"text"]));
    }
}
