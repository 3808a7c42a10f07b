//! Poly1305 (RFC 8439 2.5) over what ChaCha20-Poly1305 authenticates: additional data, which packets of WireGuard do
//! not have, and the ciphertext, each padded with zeros to whole blocks, then a block with both lengths (RFC 8439
//! 2.8). Every block is therefore a whole one.

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
#[cfg(test)]
pub(crate) mod exact;
pub(crate) mod portable;
#[cfg(target_arch = "x86_64")]
mod shape;

use crate::batch::TAG_BYTES;

/// Bytes of a block of Poly1305.
pub(crate) const BLOCK_BYTES: usize = 16;

/// The first half of ChaCha20's block 0: r, not yet clamped, then s.
pub(crate) type OneTimeKey = [u8; 32];

/// A tag.
pub(crate) type Tag = [u8; TAG_BYTES];

/// Bits of r that are not forced to zero (RFC 8439 2.5: clamping), as two little-endian words of 64 bits.
pub(crate) const CLAMP: [u64; 2] = [0x0fff_fffc_0fff_ffff, 0x0fff_fffc_0fff_fffc];

/// The last block: how many bytes there were of additional data and of ciphertext. `text` counts both, the additional
/// data padded to whole blocks. Packets of WireGuard have none.
#[inline]
pub(crate) fn lengths(text: usize, additional: usize) -> [u8; BLOCK_BYTES] {
    let ciphertext = text - additional.next_multiple_of(BLOCK_BYTES);
    let mut block = [0; BLOCK_BYTES];
    block[..8].copy_from_slice(&(additional as u64).to_le_bytes());
    block[8..].copy_from_slice(&(ciphertext as u64).to_le_bytes());
    block
}

/// The text's last block, padded with zeros, if it is not a whole one.
pub(crate) fn padded(rest: &[u8]) -> [u8; BLOCK_BYTES] {
    let mut block = [0; BLOCK_BYTES];
    block[..rest.len()].copy_from_slice(rest);
    block
}

/// The tag: `(h mod 2^130 - 5) + s mod 2^128`, for an h whose five limbs of 26 bits may each be up to 2^32.
pub(crate) fn finished(limbs: [u64; 5], s: u128) -> Tag {
    const MASK: u64 = (1 << 26) - 1;
    let mut h = limbs;
    // The first round leaves 26 bits in every limb and up to 5 * 2^6 more in the first. The second may carry once more
    // through all of them, but then it leaves the first below 2^9, so h is below 2^130 and its limbs do not overlap.
    for _ in 0..2 {
        for limb in 0..4 {
            h[limb + 1] += h[limb] >> 26;
            h[limb] &= MASK;
        }
        h[0] += 5 * (h[4] >> 26);
        h[4] &= MASK;
    }
    let low = h[1..]
        .iter()
        .zip([26, 52, 78, 104])
        .fold(u128::from(h[0]), |low, (limb, shift)| {
            low | u128::from(*limb) << shift
        });
    // h is `top * 2^128 + low`.
    let top = h[4] >> 24;
    // At or above 2^130 - 5 adding 5 reaches 2^130. Adding the five or not by a mask, since a branch would tell.
    let (_, carried) = low.overflowing_add(5);
    let above = (top + u64::from(carried)) >> 2;
    low.wrapping_add(u128::from(above * 5))
        .wrapping_add(s)
        .to_le_bytes()
}

/// Whether two tags are equal, in a time that does not depend on where they differ.
pub(crate) fn equal(made: &Tag, received: &Tag) -> bool {
    let difference = u128::from_le_bytes(*made) ^ u128::from_le_bytes(*received);
    // A whole-width difference in one comparison: there is no loop that could end early.
    core::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(limbs: [u64; 5], s: u128) {
        let (_, low) = exact::value(limbs, 26);
        assert_eq!(
            finished(limbs, s),
            low.wrapping_add(s).to_le_bytes(),
            "limbs {limbs:x?}, s {s:x}"
        );
    }

    /// Catches a last reduction that is wrong where it is decided: around the prime, around 2^130, with every limb as large
    /// as it may be, and with a carry that goes around twice.
    #[test]
    fn the_last_reduction_is_right_at_its_edges() {
        const MASK: u64 = (1 << 26) - 1;
        for first in (MASK - 10..=MASK + 10).chain([0, 5, (1 << 32) - 1, 1 << 32]) {
            for others in [0, MASK - 1, MASK, MASK + 1, 1 << 32] {
                for last in [0, MASK >> 1, MASK - 1, MASK, MASK + 1, 1 << 32] {
                    for s in [0, u128::MAX] {
                        check([first, others, others, others, last], s);
                    }
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]

        /// Catches the same in between.
        #[test]
        fn the_last_reduction_is_arithmetic_modulo_the_prime(
            limbs in proptest::array::uniform5(prop_oneof![Just(1 << 32), Just((1 << 26) - 1), 0..=1u64 << 32]),
            s: u128,
        ) {
            check(limbs, s);
        }
    }
}
