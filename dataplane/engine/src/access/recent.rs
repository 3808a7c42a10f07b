//! What was seen a short while ago, in memory of fixed size: the oldest of a bucket gives way.

use core::hash::{Hash, Hasher};
use core::time::Duration;
use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;
use weir_noise::Instant;

/// A keyed hash of 64 bits, by which things are told apart that nobody outside may make alike.
pub(super) struct Marks(u64, SharedSeed);

impl Marks {
    /// The hash of this key, which is random.
    pub fn new(seed: [u64; 2]) -> Self {
        Self(seed[0], SharedSeed::from_u64(seed[1]))
    }

    /// The mark of `what`.
    pub fn of(&self, what: &impl Hash) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.0, &self.1);
        what.hash(&mut hasher);
        hasher.finish()
    }
}

/// Entries of a bucket: one cache line.
const WAYS: usize = 5;

const SECOND_NS: u64 = 1_000_000_000;

/// A set that forgets. Whether two things are the same is told by their marks.
pub(crate) struct Recent {
    buckets: Vec<Bucket>,
    marks: Marks,
    life_s: u32,
}

#[derive(Clone, Default)]
#[repr(align(64))]
struct Bucket {
    marks: [u64; WAYS],
    /// Seconds since boot, counted from 1; 0 is free.
    seen_s: [u32; WAYS],
}

impl Recent {
    /// An empty set of `buckets` buckets, whose entries live for `life`. `seed` is random.
    pub fn new(buckets: usize, life: Duration, seed: [u64; 2]) -> Self {
        Self {
            buckets: vec![Bucket::default(); buckets],
            marks: Marks::new(seed),
            life_s: life.as_secs() as u32,
        }
    }

    /// Takes note of `what`, which lives anew from now on.
    pub fn note(&mut self, what: &impl Hash, now: Instant) {
        let (place, mark) = self.place(what);
        let bucket = &mut self.buckets[place];
        let known = (0..WAYS).find(|&way| bucket.marks[way] == mark && bucket.seen_s[way] > 0);
        let oldest = || (0..WAYS).min_by_key(|&way| bucket.seen_s[way]).unwrap_or(0);
        let way = known.unwrap_or_else(oldest);
        bucket.marks[way] = mark;
        bucket.seen_s[way] = second(now);
    }

    /// Whether `what` was noted within its life.
    pub fn contains(&self, what: &impl Hash, now: Instant) -> bool {
        let (place, mark) = self.place(what);
        let bucket = &self.buckets[place];
        let lives = |seen_s: u32| seen_s > 0 && second(now).saturating_sub(seen_s) <= self.life_s;
        (0..WAYS).any(|way| bucket.marks[way] == mark && lives(bucket.seen_s[way]))
    }

    fn place(&self, what: &impl Hash) -> (usize, u64) {
        let mark = self.marks.of(what);
        (mark as usize % self.buckets.len(), mark)
    }
}

fn second(now: Instant) -> u32 {
    (now.as_nanos() / SECOND_NS) as u32 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * SECOND_NS)
    }

    // Catches entries that live for ever, end early, or are found though they were never noted.
    #[test]
    fn entries_live_as_long_as_they_should() {
        let mut recent = Recent::new(16, Duration::from_secs(60), [0x9e37_79b9_7f4a_7c15, 2]);
        assert!(!recent.contains(&0u64, at(0)), "a free entry is nobody's");
        recent.note(&7u64, at(0));
        assert!(recent.contains(&7u64, at(60)) && !recent.contains(&8u64, at(0)));
        assert!(!recent.contains(&7u64, at(61)));
        recent.note(&7u64, at(50));
        assert!(recent.contains(&7u64, at(110)) && !recent.contains(&7u64, at(111)));
    }

    // Catches a set that grows, and one that forgets the newest instead of the oldest.
    #[test]
    fn the_oldest_gives_way() {
        let mut recent = Recent::new(1, Duration::from_secs(1000), [0x9e37_79b9_7f4a_7c15, 2]);
        for n in 0..100u64 {
            recent.note(&n, at(n));
            recent.note(&0u64, at(n));
        }
        let kept: Vec<u64> = (0..100).filter(|n| recent.contains(n, at(100))).collect();
        assert_eq!(kept, [0, 96, 97, 98, 99]);
    }
}
