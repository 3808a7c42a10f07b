//! A ceiling for the errors that a port sends by itself.

use std::time::{Duration, Instant};

/// ICMP errors that one port sends in a second (RFC 4443, section 2.4 f), as many as a shard of the engine.
const ICMP_ERRORS_PER_S: u32 = 1000;

const SECOND: Duration = Duration::from_secs(1);
const COST: Duration = Duration::from_nanos(SECOND.as_nanos() as u64 / ICMP_ERRORS_PER_S as u64);

/// Lets [`ICMP_ERRORS_PER_S`] through in a second, and as many at once after silence.
pub(crate) struct ErrorLimit {
    began: Instant,
    /// The time of this batch, once it was asked for.
    now: Option<Duration>,
    /// Up to when the time is used up: each error uses its share of a second, and what is older than one is forfeit.
    used: Duration,
}

impl ErrorLimit {
    pub fn new() -> Self {
        Self {
            began: Instant::now(),
            now: None,
            used: Duration::ZERO,
        }
    }

    /// Begins a batch, in which the clock is read once if at all.
    pub fn begin(&mut self) {
        self.now = None;
    }

    /// Whether one more may be sent.
    pub fn take(&mut self) -> bool {
        // A second ahead, so that the first one is there to be used.
        let now = *self.now.get_or_insert_with(|| self.began.elapsed() + SECOND);
        self.take_at(now)
    }

    fn take_at(&mut self, now: Duration) -> bool {
        let used = self.used.max(now.saturating_sub(SECOND)) + COST;
        let taken = used <= now;
        if taken {
            self.used = used;
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(limit: &mut ErrorLimit, now: Duration) -> u32 {
        (0..5000).map(|_| u32::from(limit.take_at(now))).sum()
    }

    /// Catches a ceiling that is none, one that never lets through again, and silence that adds up beyond a second.
    #[test]
    fn so_many_in_a_second() {
        let mut limit = ErrorLimit::new();
        assert_eq!(taken(&mut limit, SECOND), ICMP_ERRORS_PER_S);
        assert_eq!(taken(&mut limit, SECOND), 0);
        assert_eq!(taken(&mut limit, SECOND + SECOND / 10), ICMP_ERRORS_PER_S / 10);
        assert_eq!(taken(&mut limit, SECOND * 100), ICMP_ERRORS_PER_S);
    }

    /// Catches a clock read for each error, by which a batch would go on for as long as it takes.
    #[test]
    fn time_stands_still_in_a_batch() {
        let mut limit = ErrorLimit::new();
        limit.begin();
        assert!(limit.take());
        let now = limit.now;
        assert!(limit.take());
        assert_eq!(limit.now, now);
        limit.begin();
        assert_eq!(limit.now, None);
    }
}
