//! The sealing key, the root key it wraps, and the keys that derive from that.

use core::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::aead::{Algorithm, Cipher, NONCE_LEN, OpenError, TAG_LEN};
use super::random;

/// Bytes of a wrapped root key: nonce, ciphertext and tag.
pub(crate) const WRAPPED_LEN: usize = NONCE_LEN + 32 + TAG_LEN;

/// The key from outside, which wraps the root key of each file.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SealingKey([u8; 32]);

/// Tells sealing keys apart without telling anything of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId(pub(crate) [u8; 8]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl SealingKey {
    /// The key with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A new random key.
    pub fn generate() -> Self {
        Self(random())
    }

    /// By what it is told apart: 8 bytes derived from it.
    pub fn id(&self) -> KeyId {
        let derived = Zeroizing::new(blake3::derive_key("weir-store 2026 sealing key id", &self.0));
        KeyId(derived[..8].try_into().expect("the derived key has 32 bytes"))
    }

    pub(super) const fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Wraps a root key; `bound` is what else the file says of it.
    pub(crate) fn wrap(&self, algorithm: Algorithm, root: &RootKey, bound: &[u8]) -> [u8; WRAPPED_LEN] {
        let nonce = random();
        let sealed = self.cipher(algorithm).seal(&nonce, bound, &root.0);
        let mut wrapped = [0; WRAPPED_LEN];
        wrapped[..NONCE_LEN].copy_from_slice(&nonce);
        wrapped[NONCE_LEN..].copy_from_slice(&sealed);
        wrapped
    }

    /// Unwraps a root key.
    pub(crate) fn unwrap(
        &self,
        algorithm: Algorithm,
        wrapped: &[u8; WRAPPED_LEN],
        bound: &[u8],
    ) -> Result<RootKey, OpenError> {
        let (nonce, sealed) = wrapped
            .split_first_chunk()
            .expect("a wrapped key is longer than a nonce");
        let opened = self.cipher(algorithm).open(nonce, bound, sealed)?;
        let mut root = RootKey([0; 32]);
        root.0.copy_from_slice(&opened);
        Ok(root)
    }

    fn cipher(&self, algorithm: Algorithm) -> Cipher {
        let key = Zeroizing::new(blake3::derive_key("weir-store 2026 wrapping key", &self.0));
        Cipher::new(algorithm, &key)
    }
}

/// A file's own key, drawn when the file is made.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct RootKey([u8; 32]);

impl RootKey {
    pub(crate) fn generate() -> Self {
        Self(random())
    }

    /// The key for one purpose.
    pub(crate) fn derive(&self, purpose: &'static str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(blake3::derive_key(purpose, &self.0))
    }

    /// The data key of an epoch, for one algorithm: no two of them ever share a key.
    pub(crate) fn data_cipher(&self, algorithm: Algorithm, epoch: u32) -> Cipher {
        let mut material = Zeroizing::new([0; 37]);
        material[..32].copy_from_slice(&self.0);
        material[32] = algorithm.code();
        material[33..].copy_from_slice(&epoch.to_le_bytes());
        let key = Zeroizing::new(blake3::derive_key("weir-store 2026 data key", &*material));
        Cipher::new(algorithm, &key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches a root key that another sealing key unwraps, or that unwraps in another file's place.
    #[test]
    fn a_root_key_unwraps_where_it_was_wrapped() {
        for algorithm in [Algorithm::Aes256Gcm, Algorithm::ChaCha20Poly1305] {
            let (key, other) = (SealingKey::generate(), SealingKey::generate());
            let root = RootKey::generate();
            let wrapped = key.wrap(algorithm, &root, b"file");
            let unwrapped = key.unwrap(algorithm, &wrapped, b"file").ok();
            assert_eq!(unwrapped.map(|key| key.0), Some(root.0));
            assert!(key.unwrap(algorithm, &wrapped, b"another").is_err());
            assert!(other.unwrap(algorithm, &wrapped, b"file").is_err());
            assert!(key.id() != other.id() && key.id() == key.clone().id());
        }
    }

    // Catches two epochs, or two algorithms, that share a data key.
    #[test]
    fn data_keys_differ() {
        let root = RootKey([1; 32]);
        let sealed = |algorithm, epoch| root.data_cipher(algorithm, epoch).seal(&[0; 12], b"", b"x");
        let opens = |algorithm, epoch, sealed: &[u8]| {
            root.data_cipher(algorithm, epoch)
                .open(&[0; 12], b"", sealed)
                .is_ok()
        };
        for algorithm in [Algorithm::Aes256Gcm, Algorithm::ChaCha20Poly1305] {
            let one = sealed(algorithm, 1);
            assert!(opens(algorithm, 1, &one) && !opens(algorithm, 2, &one));
        }
    }
}
