//! Seals values: AEAD under the data key of the current epoch, bound to the table, the key and the form of the value.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use zeroize::Zeroizing;

use crate::sealing::{Algorithm, Cipher, NONCE_LEN, OpenError, RootKey, TAG_LEN, random};

/// The form of sealed values.
const FORM: u8 = 1;

/// What precedes the ciphertext: form, algorithm, epoch, nonce.
const HEADER: usize = 1 + 1 + 4 + NONCE_LEN;

/// Values sealed under one data key at most, before the next epoch begins: with 2^28 random nonces of 96 bits the odds
/// that two are alike are 2^-41, and NIST SP 800-38D section 8.3 allows 2^32.
pub(crate) const SEALS_PER_EPOCH: u64 = 1 << 28;

/// The keys of one file.
pub(crate) struct Sealer {
    root: RootKey,
    algorithm: Algorithm,
    ciphers: Mutex<HashMap<(u8, u32), Arc<Cipher>>>,
    /// Values sealed since the file was opened.
    seals: AtomicU64,
}

impl Sealer {
    pub(crate) fn new(root: RootKey, algorithm: Algorithm) -> Self {
        Self {
            root,
            algorithm,
            ciphers: Mutex::default(),
            seals: AtomicU64::new(0),
        }
    }

    /// The key for another purpose than sealing.
    pub(crate) fn derive(&self, purpose: &'static str) -> Zeroizing<[u8; 32]> {
        self.root.derive(purpose)
    }

    /// Values sealed since the file was opened.
    pub(crate) fn seals(&self) -> u64 {
        self.seals.load(Ordering::Relaxed)
    }

    /// The sealed form of a value that is to lie at `key` of `table`.
    pub(crate) fn seal(&self, epoch: u32, table: &str, key: &[u8], value: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(HEADER + value.len() + TAG_LEN);
        sealed.extend_from_slice(&[FORM, self.algorithm.code()]);
        sealed.extend_from_slice(&epoch.to_le_bytes());
        let nonce: [u8; NONCE_LEN] = random();
        let bound = bound(&sealed, table, key);
        let cipher = self.cipher(self.algorithm, epoch);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&cipher.seal(&nonce, &bound, value));
        self.seals.fetch_add(1, Ordering::Relaxed);
        sealed
    }

    /// The value that was sealed for this place.
    pub(crate) fn open(
        &self,
        table: &str,
        key: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let (header, ciphertext) = sealed.split_at_checked(HEADER).ok_or(OpenError)?;
        let (said, nonce) = header.split_at(HEADER - NONCE_LEN);
        let algorithm = Algorithm::from_code(said[1]).ok_or(OpenError)?;
        if said[0] != FORM {
            return Err(OpenError);
        }
        let epoch = u32::from_le_bytes(said[2..].try_into().expect("an epoch has four bytes"));
        let nonce = nonce.try_into().expect("the header ends with a nonce");
        self.cipher(algorithm, epoch)
            .open(nonce, &bound(said, table, key), ciphertext)
    }

    fn cipher(&self, algorithm: Algorithm, epoch: u32) -> Arc<Cipher> {
        let mut ciphers = self.ciphers.lock().unwrap_or_else(PoisonError::into_inner);
        // A forged epoch costs a key set up and a failed tag; that many of them are no file of ours.
        if ciphers.len() > EPOCHS_CACHED {
            ciphers.clear();
        }
        let cipher = ciphers
            .entry((algorithm.code(), epoch))
            .or_insert_with(|| Arc::new(self.root.data_cipher(algorithm, epoch)));
        Arc::clone(cipher)
    }
}

/// Data keys kept set up at most.
const EPOCHS_CACHED: usize = 64;

/// What a value is bound to; the name's length keeps names and keys apart.
fn bound(said: &[u8], table: &str, key: &[u8]) -> Vec<u8> {
    let mut bound = Vec::with_capacity(said.len() + 1 + table.len() + key.len());
    bound.extend_from_slice(said);
    bound.push(u8::try_from(table.len()).expect("names of tables are short"));
    bound.extend_from_slice(table.as_bytes());
    bound.extend_from_slice(key);
    bound
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    fn sealer(algorithm: Algorithm) -> Sealer {
        Sealer::new(RootKey::generate(), algorithm)
    }

    // Catches a record that could be moved: to another key, another table, another epoch, another file.
    #[test]
    fn a_record_opens_only_where_it_was_sealed() {
        for algorithm in [Algorithm::Aes256Gcm, Algorithm::ChaCha20Poly1305] {
            let sealer = sealer(algorithm);
            let sealed = sealer.seal(3, "records", b"alice", b"her hash");
            assert_eq!(
                sealer.open("records", b"alice", &sealed).as_deref(),
                Ok(&b"her hash".to_vec())
            );
            assert!(sealer.open("records", b"mallory", &sealed).is_err());
            assert!(sealer.open("audit", b"alice", &sealed).is_err());
            assert!(sealer.open("recordsa", b"lice", &sealed).is_err());
            assert!(
                self::sealer(algorithm)
                    .open("records", b"alice", &sealed)
                    .is_err()
            );
            let again = sealer.seal(3, "records", b"alice", b"her hash");
            assert_ne!(sealed, again, "a nonce was used twice");
            assert_eq!(sealer.seals(), 2);
        }
    }

    // Catches a store that cannot be read after the CPU, or the option, changed.
    #[test]
    fn either_algorithm_reads_what_the_other_sealed() {
        let root = RootKey::generate();
        let one = Sealer::new(root.clone(), Algorithm::Aes256Gcm);
        let other = Sealer::new(root, Algorithm::ChaCha20Poly1305);
        let sealed = one.seal(1, "t", b"k", b"v");
        assert_eq!(other.open("t", b"k", &sealed).as_deref(), Ok(&b"v".to_vec()));
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(0x7765_6972), failure_persistence: None, cases: 256, ..ProptestConfig::default() })]

        // Catches a byte of a sealed value that is not authenticated, and bytes that make the reader panic.
        #[test]
        fn whatever_else_lies_there_is_refused(
            value in proptest::collection::vec(any::<u8>(), 0..200),
            at in any::<prop::sample::Index>(),
            flip in 1u8..,
            noise in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let sealer = sealer(Algorithm::best());
            let mut sealed = sealer.seal(1, "t", b"k", &value);
            let at = at.index(sealed.len());
            sealed[at] ^= flip;
            prop_assert!(sealer.open("t", b"k", &sealed).is_err());
            prop_assert!(sealer.open("t", b"k", &sealed[..at]).is_err());
            prop_assert!(sealer.open("t", b"k", &noise).is_err());
        }
    }
}
