//! Durations counted in power-of-two buckets: coarse, of fixed size, and cheap to count.

use serde::{Deserialize, Serialize};

/// Buckets of a [`Histogram`].
pub const BUCKETS: usize = 24;

/// Counts of durations.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Histogram {
    /// The first counts durations below 1 µs, the n-th after it those below 2ⁿ µs that fit no earlier one; the last, with
    /// 4.2 s and more, has no upper end.
    pub buckets: [u64; BUCKETS],
    /// The sum of all durations, in µs.
    pub sum_us: u64,
}

impl Histogram {
    /// Counts `times` durations of `us` µs each.
    #[inline]
    pub fn count(&mut self, us: u64, times: u64) {
        self.buckets[Self::place(us)] += times;
        self.sum_us = self.sum_us.wrapping_add(us.wrapping_mul(times));
    }

    /// The bucket of a duration of `us` µs.
    #[inline]
    pub fn place(us: u64) -> usize {
        ((u64::BITS - us.leading_zeros()) as usize).min(BUCKETS - 1)
    }

    /// The end of a bucket, in µs, which lies outside it; `None` of the last.
    pub fn end_us(place: usize) -> Option<u64> {
        (place + 1 < BUCKETS).then(|| 1 << place)
    }

    /// How many durations were counted.
    pub fn total(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Adds what another counted.
    pub fn add(&mut self, other: &Histogram) {
        for (count, others) in self.buckets.iter_mut().zip(other.buckets) {
            *count += others;
        }
        self.sum_us = self.sum_us.wrapping_add(other.sum_us);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches a duration counted in its neighbour's bucket, and one lost beyond the last.
    #[test]
    fn durations_fall_into_their_buckets() {
        for us in [0, 1, 2, 3, 4, 1023, 1024, 4_194_303, 4_194_304, u64::MAX] {
            let place = Histogram::place(us);
            let from = if place == 0 {
                0
            } else {
                Histogram::end_us(place - 1).unwrap()
            };
            assert!(from <= us, "{us}");
            assert!(Histogram::end_us(place).is_none_or(|end| us < end), "{us}");
        }
        let mut one = Histogram::default();
        one.count(3, 5);
        one.add(&one.clone());
        assert_eq!((one.total(), one.sum_us, one.buckets[2]), (10, 30, 10));
    }
}
