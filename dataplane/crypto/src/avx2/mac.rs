//! Poly1305 over a burst: which packets lie on lanes together.

use super::BURST;
use super::order::Order;
use crate::job::Job;
use crate::poly1305::avx2::{LANES, tag, tags as across};
use crate::poly1305::{OneTimeKey, Tag};

/// The tags of a burst, by packet.
#[target_feature(enable = "avx2")]
pub(super) fn tags<J: Job>(burst: &[J], order: &Order, keys: &[OneTimeKey; BURST]) -> [Tag; BURST] {
    let mut made = [[0; 16]; BURST];
    let mut left = order.packets();
    while let Some((&eight, rest)) = left.split_first_chunk::<{ 2 * LANES }>() {
        let (fours, _) = eight.as_chunks::<LANES>();
        let (keys, texts) = gathered([fours[0], fours[1]], burst, keys);
        let tags = across::<2>(&keys, &texts);
        for place in 0..2 * LANES {
            made[usize::from(eight[place])] = tags[place / LANES][place % LANES];
        }
        left = rest;
    }
    for &packet in left {
        let packet = usize::from(packet);
        made[packet] = tag(&keys[packet], burst[packet].ciphertext());
    }
    made
}

// Closures are outside of functions with the feature, in which they would not be inlined.
#[inline]
#[expect(clippy::type_complexity, reason = "two results, each of the lanes' shape")]
fn gathered<'a, const SETS: usize, J: Job>(
    packets: [[u8; LANES]; SETS],
    burst: &'a [J],
    keys: &'a [OneTimeKey; BURST],
) -> ([[&'a OneTimeKey; LANES]; SETS], [[&'a [u8]; LANES]; SETS]) {
    (
        packets.map(|set| set.map(|packet| &keys[usize::from(packet)])),
        packets.map(|set| set.map(|packet| burst[usize::from(packet)].ciphertext())),
    )
}
