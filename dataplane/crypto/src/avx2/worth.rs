//! Which bursts are worth the lanes. Figures are of an AMD EPYC of Zen 3, in `dataplane/docs/09-crypto.md`; the limits
//! are on the safe side of them.

use crate::job::Job;

/// Fewer packets leave lanes of ChaCha20 empty.
const PACKETS: usize = 8;

/// But so many short ones, whose one-time keys alone fill half of the lanes, are worth it.
const SHORT_PACKETS: usize = 5;

/// How long those may be.
const SHORT_BYTES: usize = 64;

/// Unequal packets share fewer vectors of Poly1305, which takes more of them to pay.
const UNEQUAL_PACKETS: usize = 12;

/// How much lengths may differ and be equal all the same: by a block of ChaCha20.
const EQUAL_BYTES: usize = 64;

/// ring computes both parts of a packet at once, one in the vector units and the other beside them, and needs some
/// length to come to speed. From this mean length on it is faster.
const LONG_BYTES: usize = 1280;

/// Whether the lanes are faster than ring, packet by packet.
pub(super) fn worth<J: Job>(burst: &[J]) -> bool {
    let (mut shortest, mut longest, mut all) = (usize::MAX, 0, 0);
    for job in burst {
        let len = job.ciphertext().len();
        shortest = shortest.min(len);
        longest = longest.max(len);
        all += len;
    }
    let equal = longest <= shortest.saturating_add(EQUAL_BYTES);
    match burst.len() {
        few if few < SHORT_PACKETS => false,
        few if few < PACKETS => longest <= SHORT_BYTES,
        some if some < UNEQUAL_PACKETS && !equal => false,
        packets => all <= packets * LONG_BYTES,
    }
}
