//! Texts side by side on lanes: what is the same for vectors of any size.
//!
//! These stand in functions without a target feature, because the standard library's code around closures has it not, and
//! would call them instead of inlining them.

use super::{OneTimeKey, Tag, finished, lengths, padded};

/// What a kernel has to know of `SETS` vectors of texts, lane = packet.
pub(super) struct Shape<'a, const LANES: usize, const SETS: usize> {
    /// The whole blocks.
    pub(super) blocks: [[&'a [[u8; 16]]; LANES]; SETS],
    /// Of how many every text has that many.
    pub(super) whole: usize,
    /// How many the longest has, with a padded one and the lengths.
    pub(super) ends: usize,
    /// The length, if all have the same.
    pub(super) same: Option<usize>,
}

impl<'a, const LANES: usize, const SETS: usize> Shape<'a, LANES, SETS> {
    #[inline]
    pub(super) fn new(texts: &[[&'a [u8]; LANES]; SETS]) -> Self {
        let mut blocks: [[&[[u8; 16]]; LANES]; SETS] = [[&[]; LANES]; SETS];
        let (mut shortest, mut longest) = (usize::MAX, 0);
        for (blocks, text) in blocks.iter_mut().flatten().zip(texts.iter().flatten()) {
            *blocks = text.as_chunks().0;
            shortest = shortest.min(text.len());
            longest = longest.max(text.len());
        }
        Self {
            blocks,
            whole: shortest / 16,
            ends: longest.div_ceil(16) + 1,
            same: (shortest == longest).then_some(longest),
        }
    }
}

/// The texts' last blocks, which are not whole ones.
#[inline]
pub(super) fn rests<const LANES: usize>(texts: [&[u8]; LANES]) -> [[u8; 16]; LANES] {
    texts.map(|text| padded(text.as_chunks::<16>().1))
}

/// A text's block of that number, and whether the lane is still at work: whole blocks, a padded one, the lengths.
#[inline]
pub(super) fn nth(text: &[u8], block: usize, additional: usize) -> ([u8; 16], bool) {
    let (whole, rest) = text.as_chunks::<16>();
    match block.checked_sub(whole.len()) {
        None => (whole[block], true),
        Some(0) if !rest.is_empty() => (padded(rest), true),
        Some(after) if after == usize::from(!rest.is_empty()) => (lengths(text.len(), additional), true),
        Some(_) => ([0; 16], false),
    }
}

/// The halves of one-time keys that are r, not yet clamped.
#[inline]
pub(super) fn r_bytes<'a, const LANES: usize>(keys: &[&'a OneTimeKey; LANES]) -> [&'a [u8; 16]; LANES] {
    keys.map(|key| &key.as_chunks().0[0])
}

/// The tags of accumulators whose limbs are as [`finished`] takes them, limb by limb.
#[inline]
pub(super) fn finished_lanes<const LANES: usize, const SETS: usize>(
    limbs: [[[u64; LANES]; 5]; SETS],
    keys: &[[&OneTimeKey; LANES]; SETS],
) -> [[Tag; LANES]; SETS] {
    let mut tags = [[[0; 16]; LANES]; SETS];
    for set in 0..SETS {
        for lane in 0..LANES {
            tags[set][lane] = finished(limbs[set].map(|limb| limb[lane]), s(keys[set][lane]));
        }
    }
    tags
}

/// The tag of an accumulator that is the sum of its lanes.
#[inline]
pub(super) fn finished_sum<const LANES: usize>(limbs: [[u64; LANES]; 5], key: &OneTimeKey) -> Tag {
    finished(limbs.map(|limb| limb.iter().sum()), s(key))
}

fn s(key: &OneTimeKey) -> u128 {
    u128::from_le_bytes(key.as_chunks().0[1])
}
