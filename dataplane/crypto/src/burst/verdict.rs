//! What becomes of tags that were made.

use super::Order;
use crate::batch::{Open, Seal, TAG_BYTES};
use crate::poly1305::{self, Tag};

/// Puts each ordered packet's tag behind its text.
pub(crate) fn put_tags(burst: &mut [Seal<'_>], order: &Order, tags: &[Tag]) {
    for &packet in order.packets() {
        let job = &mut burst[usize::from(packet)];
        let text = job.out.len() - TAG_BYTES;
        job.out[text..].copy_from_slice(&tags[usize::from(packet)]);
    }
}

/// Judges every ordered packet, and says whether one was forged. Nothing of such a one is decrypted.
pub(crate) fn verdicts(burst: &mut [Open<'_>], order: &Order, tags: &[Tag]) -> bool {
    let mut forged = false;
    for &packet in order.packets() {
        let (job, tag) = (&mut burst[usize::from(packet)], &tags[usize::from(packet)]);
        let (_, received) = job.ciphertext.split_last_chunk().expect("every job is checked");
        job.authentic = poly1305::equal(tag, received);
        if !job.authentic {
            job.out.fill(0);
            forged = true;
        }
    }
    forged
}
