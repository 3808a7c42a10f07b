//! What sealing and opening have in common, seen by the back ends of our own.

use crate::batch::{Key, Open, Plaintext, Seal, TAG_BYTES};

/// A job whose text is to be combined with the keystream.
pub(crate) trait Job {
    fn key(&self) -> &Key;

    fn counter(&self) -> u64;

    /// What Poly1305 authenticates.
    fn ciphertext(&self) -> &[u8];

    /// Where the keystream goes.
    fn text(&mut self) -> Text<'_>;
}

/// A text to combine with the keystream: `to` becomes what is read, continued with zeros, xor the keystream.
pub(crate) struct Text<'a> {
    /// What is read; nothing where it is already at the front of `to`, this many bytes.
    pub(crate) from: Result<&'a [u8], usize>,
    /// What is written, without the tag.
    pub(crate) to: &'a mut [u8],
}

impl Job for Seal<'_> {
    #[inline]
    fn key(&self) -> &Key {
        self.key
    }

    #[inline]
    fn counter(&self) -> u64 {
        self.counter
    }

    #[inline]
    fn ciphertext(&self) -> &[u8] {
        &self.out[..self.out.len() - TAG_BYTES]
    }

    #[inline]
    fn text(&mut self) -> Text<'_> {
        let len = self.out.len() - TAG_BYTES;
        Text {
            from: match self.plaintext {
                Plaintext::At(from) => Ok(from),
                Plaintext::InPlace(plain) => Err(plain),
            },
            to: &mut self.out[..len],
        }
    }
}

impl Job for Open<'_> {
    #[inline]
    fn key(&self) -> &Key {
        self.key
    }

    #[inline]
    fn counter(&self) -> u64 {
        self.counter
    }

    #[inline]
    fn ciphertext(&self) -> &[u8] {
        &self.ciphertext[..self.ciphertext.len() - TAG_BYTES]
    }

    #[inline]
    fn text(&mut self) -> Text<'_> {
        Text {
            from: Ok(&self.ciphertext[..self.ciphertext.len() - TAG_BYTES]),
            to: self.out,
        }
    }
}

impl Seal<'_> {
    /// # Panics
    /// If `out` is shorter than the plaintext and the tag.
    pub(crate) fn check(&self) {
        let sealed = self
            .out
            .len()
            .checked_sub(TAG_BYTES)
            .expect("a job's out holds the tag");
        assert!(self.plaintext.len() <= sealed, "a job's out holds its plaintext");
    }
}

impl Open<'_> {
    /// # Panics
    /// If the ciphertext is shorter than the tag or `out` is of another length than the plaintext.
    pub(crate) fn check(&self) {
        let text = self
            .ciphertext
            .len()
            .checked_sub(TAG_BYTES)
            .expect("a job's ciphertext holds the tag");
        assert_eq!(text, self.out.len(), "a job's out is as long as its plaintext");
    }
}

/// Combines one block of the text, which begins at `at`, with the keystream, byte by byte.
pub(crate) fn combine(text: &mut Text<'_>, at: usize, keystream: &[u8; 64]) {
    let end = text.to.len().min(at + 64);
    let mut block = [0; 64];
    let read = match text.from {
        Ok(from) => &from[at.min(from.len())..end.min(from.len())],
        Err(plain) => &text.to[at.min(plain)..end.min(plain)],
    };
    block[..read.len()].copy_from_slice(read);
    for ((to, byte), key) in text.to[at..end].iter_mut().zip(block).zip(keystream) {
        *to = byte ^ key;
    }
}
