//! How a burst's packets are laid out on lanes, whatever the instructions: in which order, and which blocks of ChaCha20
//! and which packets of Poly1305 lie side by side.

mod order;
mod schedule;
mod verdict;

use crate::batch::Key;
use crate::job::Job;
use crate::poly1305::{BLOCK_BYTES, OneTimeKey};

pub(crate) use order::{Order, bits};
pub(crate) use schedule::{Blocks, PLACES, Schedule};
pub(crate) use verdict::{put_tags, verdicts};

/// Packets that are laid out together. Their texts fit the second-level cache.
pub(crate) const BURST: usize = 64;

/// A burst of so many is spared the larger one's memory.
pub(crate) const SMALL: usize = 8;

/// How many blocks of Poly1305 longer than the shortest the longest of a vector may be: a lane whose text ended waits.
const UNEVEN: usize = 4;

/// Of the first packets, which are the longest, as many as are about equally long: two vectors of `lanes` packets, one, or
/// one packet.
#[inline]
pub(crate) fn even<J: Job>(burst: &[J], packets: &[u8], lanes: usize) -> usize {
    let blocks = |packet: &u8| burst[usize::from(*packet)].ciphertext().len() / BLOCK_BYTES;
    let longest = blocks(&packets[0]);
    let reaches = |place: usize| {
        packets
            .get(place)
            .is_some_and(|last| longest <= blocks(last) + UNEVEN)
    };
    if reaches(2 * lanes - 1) {
        2 * lanes
    } else if reaches(lanes - 1) {
        lanes
    } else {
        1
    }
}

/// The keys and texts of packets that lie on vectors of lanes.
// Closures are outside of functions with a target feature, in which they would not be inlined.
#[inline]
pub(crate) fn side_by_side<'a, const LANES: usize, const SETS: usize, J: Job>(
    packets: [[u8; LANES]; SETS],
    burst: &'a [J],
    keys: &'a [OneTimeKey],
) -> ([[&'a OneTimeKey; LANES]; SETS], [[&'a [u8]; LANES]; SETS]) {
    (
        packets.map(|set| set.map(|packet| &keys[usize::from(packet)])),
        packets.map(|set| set.map(|packet| burst[usize::from(packet)].ciphertext())),
    )
}

/// The keys and counters of packets that lie on lanes.
#[inline]
pub(crate) fn keys_and_counters<const LANES: usize, J: Job>(
    burst: &[J],
    packets: [u8; LANES],
) -> ([&Key; LANES], [u64; LANES]) {
    let jobs = packets.map(|packet| &burst[usize::from(packet)]);
    (jobs.map(J::key), jobs.map(J::counter))
}
