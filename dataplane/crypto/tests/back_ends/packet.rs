//! Packets with their expected seals, made by the RustCrypto implementation.

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use weir_crypto::{Aead, Key, TAG_BYTES, able};

/// Bytes around a packet that nobody may write.
pub const CANARY: u8 = 0xc5;

/// A packet, and where its bytes lie.
pub struct Packet {
    pub key: Key,
    pub counter: u64,
    pub plain: Vec<u8>,
    /// Zero bytes after the plaintext.
    pub padding: usize,
    /// Bytes in front of the texts, which decide their alignment.
    pub offset: usize,
    /// Ciphertext and tag, as the oracle makes them.
    pub sealed: Vec<u8>,
}

impl Packet {
    pub fn new(random: &mut ChaCha8Rng, len: usize, padding: usize, offset: usize) -> Self {
        let (mut key, mut plain) = ([0; 32], vec![0; len]);
        random.fill_bytes(&mut key);
        random.fill_bytes(&mut plain);
        Self::of(key, random.next_u64(), plain, padding, offset)
    }

    pub fn of(key: Key, counter: u64, plain: Vec<u8>, padding: usize, offset: usize) -> Self {
        let mut sealed = Vec::with_capacity(plain.len() + padding + TAG_BYTES);
        sealed.extend_from_slice(&plain);
        sealed.resize(plain.len() + padding, 0);
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&counter.to_le_bytes());
        let tag = ChaCha20Poly1305::new(&key.into())
            .encrypt_inout_detached(&Nonce::from(nonce), &[], (&mut sealed[..]).into())
            .expect("the oracle seals");
        sealed.extend(tag);
        Self {
            key,
            counter,
            plain,
            padding,
            offset,
            sealed,
        }
    }

    /// Bytes to keep behind a text: canaries, which show what is written there, or none at all, so that a sanitizer
    /// sees what is only read. Both occur with `Plaintext::At` and `InPlace`, which take turns too.
    pub fn behind(&self, number: usize) -> usize {
        if (number / 2 + self.offset).is_multiple_of(2) {
            64
        } else {
            0
        }
    }

    /// What is to come out when it is opened.
    pub fn opened(&self) -> Vec<u8> {
        let mut text = self.plain.clone();
        text.resize(self.plain.len() + self.padding, 0);
        text
    }
}

/// Random numbers that are the same in each run.
pub fn random(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// Every back end of this CPU, and those that leave some batches to another also alone.
pub fn back_ends() -> Vec<&'static dyn Aead> {
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(unused_mut, reason = "all of them are able")
    )]
    let mut all = able();
    #[cfg(target_arch = "x86_64")]
    all.extend(weir_crypto::Avx2::alone().map(|avx2| avx2 as &dyn Aead));
    #[cfg(target_arch = "x86_64")]
    all.extend(weir_crypto::Avx512::alone().map(|avx512| avx512 as &dyn Aead));
    all
}

/// What is received when nobody changes anything.
pub fn unchanged(packets: &[Packet]) -> Vec<Vec<u8>> {
    packets.iter().map(|packet| packet.sealed.clone()).collect()
}
