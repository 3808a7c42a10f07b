//! Which bursts are worth the lanes. No CPU with these instructions was at hand to set the limit by figures.

use crate::job::Job;

/// Fewer packets are ring's: so many fill a vector of Poly1305, and ChaCha20's lanes with two blocks of each.
const PACKETS: usize = 8;

/// Whether the lanes are faster than ring, packet by packet.
pub(super) fn worth<J: Job>(burst: &[J]) -> bool {
    burst.len() >= PACKETS
}
