//! The back end that calls ring packet by packet: good on every CPU, and what others are measured against.

use crate::batch::{Aead, Key, Open, Plaintext, Seal, TAG_BYTES};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, Tag, UnboundKey};
use zeroize::Zeroize;

/// ring's ChaCha20-Poly1305.
pub struct Ring;

impl Aead for Ring {
    fn name(&self) -> &'static str {
        "ring"
    }

    fn seal(&self, batch: &mut [Seal<'_>]) {
        for job in batch {
            let sealed = job
                .out
                .len()
                .checked_sub(TAG_BYTES)
                .expect("a job's out holds the tag");
            let (text, tag) = job.out.split_at_mut(sealed);
            let plain = job.plaintext.len();
            if let Plaintext::At(source) = job.plaintext {
                text[..plain].copy_from_slice(source);
            }
            text[plain..].fill(0);
            let made = key(job.key)
                .seal_in_place_separate_tag(nonce(job.counter), Aad::empty(), text)
                .expect("a packet is shorter than ChaCha20's limit of 256 GiB");
            tag.copy_from_slice(made.as_ref());
        }
    }

    fn open(&self, batch: &mut [Open<'_>]) {
        for job in batch {
            let len = job
                .ciphertext
                .len()
                .checked_sub(TAG_BYTES)
                .expect("a job's ciphertext holds the tag");
            let (text, tag) = job.ciphertext.split_at(len);
            job.out.copy_from_slice(text);
            let tag = Tag::try_from(tag).expect("a tag has 16 bytes");
            job.authentic = key(job.key)
                .open_in_place_separate_tag(nonce(job.counter), Aad::empty(), tag, job.out, 0..)
                .is_ok();
            if !job.authentic {
                job.out.zeroize();
            }
        }
    }
}

// Bound anew for each packet: ring's bound key is over 500 bytes, a session's worth of memory, and binding ChaCha20
// only copies the 32 bytes.
fn key(key: &Key) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).expect("the key has 32 bytes"))
}

fn nonce(counter: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&counter.to_le_bytes());
    Nonce::assume_unique_for_key(bytes)
}
