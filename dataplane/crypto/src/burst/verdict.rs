//! What becomes of tags that were made.

use crate::batch::{Open, Seal, TAG_BYTES};
use crate::poly1305::{self, Tag};

/// Puts each packet's tag behind its text.
pub(crate) fn put_tags(burst: &mut [Seal<'_>], tags: &[Tag]) {
    for (job, tag) in burst.iter_mut().zip(tags) {
        let text = job.out.len() - TAG_BYTES;
        job.out[text..].copy_from_slice(tag);
    }
}

/// Judges every packet, and says whether one was forged. Nothing of such a one is decrypted.
pub(crate) fn verdicts(burst: &mut [Open<'_>], tags: &[Tag]) -> bool {
    let mut forged = false;
    for (job, tag) in burst.iter_mut().zip(tags) {
        let (_, received) = job.ciphertext.split_last_chunk().expect("every job is checked");
        job.authentic = poly1305::equal(tag, received);
        if !job.authentic {
            job.out.fill(0);
            forged = true;
        }
    }
    forged
}
