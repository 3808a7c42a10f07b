//! Which bursts are worth the lanes. No CPU with these instructions was at hand to set the limits by: they follow from what
//! the lanes do with few packets, on the safe side.

use crate::job::Job;

/// Fewer packets are done by ring: one vector of Poly1305 holds so many, and two packets to a block of ChaCha20 fill its
/// lanes with 64 bytes each.
const PACKETS: usize = 8;

/// Whether the lanes are faster than ring, packet by packet.
pub(super) fn worth<J: Job>(burst: &[J]) -> bool {
    burst.len() >= PACKETS
}
