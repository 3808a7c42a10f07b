//! The back end in plain Rust, a packet at a time: the oracle of the others. Slow, and never chosen by itself.

use crate::batch::{Aead, Open, Seal, TAG_BYTES};
use crate::chacha;
use crate::job::{Job, combine};
use crate::poly1305::{self, OneTimeKey, Tag};

/// ChaCha20-Poly1305 as RFC 8439 writes it down.
pub struct Portable;

impl Aead for Portable {
    fn name(&self) -> &'static str {
        "portable"
    }

    fn seal(&self, batch: &mut [Seal<'_>]) {
        for job in batch {
            job.check();
            encrypt(job);
            let tag = tag(job);
            let text = job.out.len() - TAG_BYTES;
            job.out[text..].copy_from_slice(&tag);
        }
    }

    fn open(&self, batch: &mut [Open<'_>]) {
        for job in batch {
            job.check();
            let (_, received) = job.ciphertext.split_last_chunk().expect("checked above");
            job.authentic = poly1305::equal(&tag(job), received);
            if job.authentic {
                encrypt(job);
            } else {
                job.out.fill(0);
            }
        }
    }
}

fn encrypt(job: &mut impl Job) {
    let (key, nonce) = (*job.key(), chacha::nonce(job.counter()));
    let mut text = job.text();
    for (at, number) in (0..text.to.len()).step_by(chacha::BLOCK_BYTES).zip(1..) {
        combine(&mut text, at, &chacha::portable::block(&key, nonce, number));
    }
}

fn tag(job: &impl Job) -> Tag {
    let block = chacha::portable::block(job.key(), chacha::nonce(job.counter()), 0);
    let one_time: &OneTimeKey = block.first_chunk().expect("a block is twice as long");
    poly1305::portable::tag(one_time, job.ciphertext(), 0)
}
