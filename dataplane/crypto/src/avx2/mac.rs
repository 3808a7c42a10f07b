//! Poly1305 over a burst: which packets lie on lanes together.

use crate::burst::{Order, even, side_by_side};
use crate::job::Job;
use crate::poly1305::avx2::{tag, tags as across};
use crate::poly1305::{OneTimeKey, Tag};

pub(super) use crate::poly1305::avx2::LANES;

/// The tags of a burst, by packet.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn tags<J: Job>(burst: &[J], order: &Order, keys: &[OneTimeKey], tags: &mut [Tag]) {
    let mut left = order.packets();
    while let Some(&first) = left.first() {
        let even = even(burst, left, LANES);
        let (vectors, _) = left.as_chunks::<LANES>();
        if even >= 2 * LANES {
            made([vectors[0], vectors[1]], burst, keys, tags);
            left = &left[2 * LANES..];
        } else if even >= LANES {
            made([vectors[0]], burst, keys, tags);
            left = &left[LANES..];
        } else {
            let packet = usize::from(first);
            tags[packet] = tag(&keys[packet], burst[packet].ciphertext(), 0);
            left = &left[1..];
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn made<const SETS: usize, J: Job>(
    packets: [[u8; LANES]; SETS],
    burst: &[J],
    keys: &[OneTimeKey],
    tags: &mut [Tag],
) {
    let (keys, texts) = side_by_side(packets, burst, keys);
    let made = across::<SETS>(&keys, &texts, 0);
    for set in 0..SETS {
        for lane in 0..LANES {
            tags[usize::from(packets[set][lane])] = made[set][lane];
        }
    }
}
