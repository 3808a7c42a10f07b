//! The packets of a burst from the longest to the shortest, so that neighbours on lanes end at about the same time.

use super::BURST;
use crate::job::Job;

/// Bytes to a class. Within a class the order does not matter.
const CLASS_BYTES: usize = 64;

/// Classes; longer packets are all in the last one.
const CLASSES: usize = 32;

/// Packets by length, and how many bytes each has.
pub(crate) struct Order {
    packets: [u8; BURST],
    used: usize,
}

impl Order {
    /// That of no packets.
    pub(crate) fn empty() -> Self {
        Self {
            packets: [0; BURST],
            used: 0,
        }
    }

    /// That of a burst of at most [`BURST`] jobs.
    pub(crate) fn new<J: Job>(burst: &[J]) -> Self {
        let mut packets = [0; BURST];
        let used = burst.len();
        let class = |job: &J| (job.ciphertext().len() / CLASS_BYTES).min(CLASSES - 1);
        let Some(first) = burst.first().map(class) else {
            return Self { packets, used };
        };
        if burst.iter().all(|job| class(job) == first) {
            for (packet, place) in (0..).zip(&mut packets[..used]) {
                *place = packet;
            }
            return Self { packets, used };
        }
        // Where each class begins, the longest first.
        let mut begins = [0u8; CLASSES + 1];
        for job in burst {
            begins[CLASSES - class(job)] += 1;
        }
        for class in 1..=CLASSES {
            begins[class] += begins[class - 1];
        }
        for (packet, job) in (0..).zip(burst) {
            let begin = &mut begins[CLASSES - 1 - class(job)];
            packets[usize::from(*begin)] = packet;
            *begin += 1;
        }
        Self { packets, used }
    }

    /// The packets' numbers, the longest first.
    pub(crate) fn packets(&self) -> &[u8] {
        &self.packets[..self.used]
    }

    /// Leaves out packets.
    pub(crate) fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        let mut kept = 0;
        for place in 0..self.used {
            if keep(self.packets[place].into()) {
                self.packets[kept] = self.packets[place];
                kept += 1;
            }
        }
        self.used = kept;
    }

    /// Leaves out the packets at places without a bit in `keep`.
    pub(crate) fn retain_places(&mut self, keep: u64) {
        let mut kept = 0;
        for place in 0..self.used {
            if keep >> place & 1 == 1 {
                self.packets[kept] = self.packets[place];
                kept += 1;
            }
        }
        self.used = kept;
    }

    /// The packets of a burst of `len` that are not in it, a bit each.
    pub(crate) fn absent(&self, len: usize) -> u64 {
        let all = u64::MAX.checked_shr((BURST - len) as u32).unwrap_or(0);
        let present = self
            .packets()
            .iter()
            .fold(0, |bits, packet| bits | 1u64 << packet);
        all & !present
    }
}

/// The places of the bits that are set, in order.
pub(crate) fn bits(mut set: u64) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let place = (set != 0).then(|| set.trailing_zeros() as usize);
        set &= set.wrapping_sub(1);
        place
    })
}
