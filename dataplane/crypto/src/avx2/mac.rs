//! Poly1305 over a burst: which packets lie on lanes together.

use super::order::Order;
use crate::job::Job;
use crate::poly1305::avx2::{LANES, tag, tags as across};
use crate::poly1305::{OneTimeKey, Tag};

/// How many blocks longer than the shortest the longest of a vector may be: a lane whose text ended waits.
const UNEVEN: usize = 4;

/// The tags of a burst, by packet.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn tags<J: Job>(burst: &[J], order: &Order, keys: &[OneTimeKey], tags: &mut [Tag]) {
    let mut left = order.packets();
    while let Some(&first) = left.first() {
        let even = even(burst, left);
        if even >= 2 * LANES {
            let sets = [
                [left[0], left[1], left[2], left[3]],
                [left[4], left[5], left[6], left[7]],
            ];
            made(sets, burst, keys, tags);
            left = &left[2 * LANES..];
        } else if even >= LANES {
            made([[left[0], left[1], left[2], left[3]]], burst, keys, tags);
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
    let (keys, texts) = gathered(packets, burst, keys);
    let made = across::<SETS>(&keys, &texts, 0);
    for set in 0..SETS {
        for lane in 0..LANES {
            tags[usize::from(packets[set][lane])] = made[set][lane];
        }
    }
}

// How many of the first packets are about equally long: eight, four or less.
#[inline]
fn even<J: Job>(burst: &[J], packets: &[u8]) -> usize {
    let blocks = |packet: &u8| burst[usize::from(*packet)].ciphertext().len() / 16;
    let longest = blocks(&packets[0]);
    let reaches = |place: usize| {
        packets
            .get(place)
            .is_some_and(|last| longest <= blocks(last) + UNEVEN)
    };
    if reaches(2 * LANES - 1) {
        2 * LANES
    } else if reaches(LANES - 1) {
        LANES
    } else {
        1
    }
}

// Closures are outside of functions with the feature, in which they would not be inlined.
#[inline]
fn gathered<'a, const SETS: usize, J: Job>(
    packets: [[u8; LANES]; SETS],
    burst: &'a [J],
    keys: &'a [OneTimeKey],
) -> ([[&'a OneTimeKey; LANES]; SETS], [[&'a [u8]; LANES]; SETS]) {
    (
        packets.map(|set| set.map(|packet| &keys[usize::from(packet)])),
        packets.map(|set| set.map(|packet| burst[usize::from(packet)].ciphertext())),
    )
}
