//! The two AEADs, behind one face.

use core::fmt;
use core::str::FromStr;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use chacha20poly1305::ChaCha20Poly1305;
use zeroize::Zeroizing;

/// Bytes of a nonce.
pub(crate) const NONCE_LEN: usize = 12;

/// Bytes by which a ciphertext is longer than its plaintext.
pub(crate) const TAG_LEN: usize = 16;

/// Which AEAD seals what is written from now on; what is read says its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Algorithm {
    /// AES-256-GCM (NIST SP 800-38D).
    Aes256Gcm,
    /// ChaCha20-Poly1305 (RFC 8439).
    ChaCha20Poly1305,
}

/// Why a text names no algorithm.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("\"{0}\" is no algorithm; expected auto, aes-256-gcm or chacha20-poly1305")]
pub struct AlgorithmError(pub String);

impl Algorithm {
    /// The faster one on this CPU: AES where it has instructions for it and for GHASH.
    pub fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        let fast_aes =
            std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq");
        #[cfg(target_arch = "aarch64")]
        let fast_aes = std::arch::is_aarch64_feature_detected!("aes")
            && std::arch::is_aarch64_feature_detected!("pmull");
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let fast_aes = false;
        if fast_aes {
            Algorithm::Aes256Gcm
        } else {
            Algorithm::ChaCha20Poly1305
        }
    }

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::Aes256Gcm => "aes-256-gcm",
            Algorithm::ChaCha20Poly1305 => "chacha20-poly1305",
        }
    }

    /// Its number in files.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Algorithm::Aes256Gcm => 1,
            Algorithm::ChaCha20Poly1305 => 2,
        }
    }

    /// The one with this number in files.
    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Algorithm::Aes256Gcm),
            2 => Some(Algorithm::ChaCha20Poly1305),
            _ => None,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// `auto` is the best one; the others are named.
impl FromStr for Algorithm {
    type Err = AlgorithmError;

    fn from_str(text: &str) -> Result<Self, AlgorithmError> {
        match text {
            "auto" => Ok(Self::best()),
            "aes-256-gcm" => Ok(Algorithm::Aes256Gcm),
            "chacha20-poly1305" => Ok(Algorithm::ChaCha20Poly1305),
            _ => Err(AlgorithmError(text.to_owned())),
        }
    }
}

/// What was opened is not what was sealed: other bytes, another place, another key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct OpenError;

/// A key, set up for one algorithm.
pub(crate) enum Cipher {
    Aes256Gcm(Box<Aes256Gcm>),
    ChaCha20Poly1305(Box<ChaCha20Poly1305>),
}

impl Cipher {
    pub(crate) fn new(algorithm: Algorithm, key: &[u8; 32]) -> Self {
        match algorithm {
            Algorithm::Aes256Gcm => Self::Aes256Gcm(Box::new(Aes256Gcm::new(key.into()))),
            Algorithm::ChaCha20Poly1305 => {
                Self::ChaCha20Poly1305(Box::new(ChaCha20Poly1305::new(key.into())))
            }
        }
    }

    /// The ciphertext of `plaintext`, [`TAG_LEN`] longer; `bound` is authenticated with it.
    pub(crate) fn seal(&self, nonce: &[u8; NONCE_LEN], bound: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let payload = Payload {
            msg: plaintext,
            aad: bound,
        };
        let nonce: &Nonce<_> = nonce.into();
        match self {
            Self::Aes256Gcm(cipher) => cipher.encrypt(nonce, payload),
            Self::ChaCha20Poly1305(cipher) => cipher.encrypt(nonce, payload),
        }
        .expect("records are shorter than an AEAD's longest message, 64 GiB")
    }

    /// The plaintext, where all of it is as it was sealed.
    pub(crate) fn open(
        &self,
        nonce: &[u8; NONCE_LEN],
        bound: &[u8],
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let payload = Payload {
            msg: ciphertext,
            aad: bound,
        };
        let nonce: &Nonce<_> = nonce.into();
        match self {
            Self::Aes256Gcm(cipher) => cipher.decrypt(nonce, payload),
            Self::ChaCha20Poly1305(cipher) => cipher.decrypt(nonce, payload),
        }
        .map(Zeroizing::new)
        .map_err(|_| OpenError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches an algorithm that takes what is not what was sealed: a byte, the nonce, the place, the key.
    #[test]
    fn only_what_was_sealed_opens() {
        for algorithm in [Algorithm::Aes256Gcm, Algorithm::ChaCha20Poly1305] {
            let cipher = Cipher::new(algorithm, &[7; 32]);
            let sealed = cipher.seal(&[1; 12], b"place", b"secret");
            assert_eq!(sealed.len(), 6 + TAG_LEN);
            assert_eq!(
                cipher.open(&[1; 12], b"place", &sealed).as_deref(),
                Ok(&b"secret".to_vec())
            );
            for at in 0..sealed.len() {
                let mut damaged = sealed.clone();
                damaged[at] ^= 1;
                assert!(cipher.open(&[1; 12], b"place", &damaged).is_err(), "{at}");
            }
            assert!(cipher.open(&[2; 12], b"place", &sealed).is_err());
            assert!(cipher.open(&[1; 12], b"other", &sealed).is_err());
            assert!(cipher.open(&[1; 12], b"place", &sealed[..5]).is_err());
            let other = Cipher::new(algorithm, &[8; 32]);
            assert!(other.open(&[1; 12], b"place", &sealed).is_err());
            assert_eq!(Algorithm::from_code(algorithm.code()), Some(algorithm));
            assert_eq!(algorithm.name().parse(), Ok(algorithm));
        }
        assert_eq!("auto".parse(), Ok(Algorithm::best()));
        assert!("aes".parse::<Algorithm>().is_err());
    }

    // Catches an AEAD that is wired up wrongly but consistently: against the vector of RFC 8439 section 2.8.2, and test
    // case 14 of the GCM specification (McGrew and Viega, 2005).
    #[test]
    fn published_vectors() {
        let zero = Cipher::new(Algorithm::Aes256Gcm, &[0; 32]);
        let sealed = zero.seal(&[0; 12], b"", &[0; 16]);
        let expected = [
            0xce, 0xa7, 0x40, 0x3d, 0x4d, 0x60, 0x6b, 0x6e, 0x07, 0x4e, 0xc5, 0xd3, 0xba, 0xf3, 0x9d, 0x18,
            0xd0, 0xd1, 0xc8, 0xa7, 0x99, 0x99, 0x6b, 0xf0, 0x26, 0x5b, 0x98, 0xb5, 0xd4, 0x8a, 0xb9, 0x19,
        ];
        assert_eq!(sealed, expected);
        let key: [u8; 32] = core::array::from_fn(|i| 0x80 + i as u8);
        let nonce = [7, 0, 0, 0, 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47];
        let bound = [
            0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7,
        ];
        let text = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
        let sealed = Cipher::new(Algorithm::ChaCha20Poly1305, &key).seal(&nonce, &bound, text);
        let tag = [
            0x1a, 0xe1, 0x0b, 0x59, 0x4f, 0x09, 0xe2, 0x6a, 0x7e, 0x90, 0x2e, 0xcb, 0xd0, 0x60, 0x06, 0x91,
        ];
        assert_eq!(sealed[text.len()..], tag);
    }
}
