//! What a peer remembers of the initiations it took, to refuse replays and floods.

use core::time::Duration;

use crate::limits::INITIATIONS_PER_SECOND;
use crate::{Instant, Tai64n};

/// Least distance between two initiations of one peer that are answered.
const LEAST_DISTANCE: Duration = Duration::from_nanos(1_000_000_000 / INITIATIONS_PER_SECOND as u64);

/// Why an authentic initiation is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InitiationRefused {
    /// Its timestamp is not newer than the greatest taken (whitepaper section 5.1).
    #[error("an initiation sent before")]
    Replay,
    /// The last one was taken less than a fiftieth of a second ago (Linux).
    #[error("initiations too close together")]
    Flood,
}

/// A peer's greatest timestamp and when it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InitiationGate {
    greatest: Tai64n,
    taken: Option<Instant>,
}

impl InitiationGate {
    /// A gate that takes timestamps above `greatest`: [`Tai64n::ZERO`] for a
    /// new peer, or what was persisted, so that a restart opens no replay.
    pub const fn new(greatest: Tai64n) -> Self {
        Self {
            greatest,
            taken: None,
        }
    }

    /// The greatest timestamp taken, to be persisted.
    pub const fn greatest(&self) -> Tai64n {
        self.greatest
    }

    /// Takes an initiation that was authenticated, or changes nothing.
    pub fn take(&mut self, timestamp: Tai64n, now: Instant) -> Result<(), InitiationRefused> {
        if timestamp <= self.greatest {
            return Err(InitiationRefused::Replay);
        }
        if self.taken.is_some_and(|taken| now.since(taken) < LEAST_DISTANCE) {
            return Err(InitiationRefused::Flood);
        }
        self.greatest = timestamp;
        self.taken = Some(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    fn stamp(nanos: u64) -> Tai64n {
        Tai64n::from_unix_nanos(nanos)
    }

    /// Catches a gate that takes the same timestamp twice or goes back.
    #[test]
    fn only_newer_timestamps_pass() {
        let mut gate = InitiationGate::new(stamp(10));
        assert_eq!(gate.take(stamp(10), at(0)), Err(InitiationRefused::Replay));
        assert_eq!(gate.take(stamp(12), at(0)), Ok(()));
        assert_eq!(gate.take(stamp(11), at(1_000)), Err(InitiationRefused::Replay));
        assert_eq!(gate.take(stamp(12), at(1_000)), Err(InitiationRefused::Replay));
        assert_eq!(gate.greatest(), stamp(12));
    }

    /// Catches a flood that moves the timestamp on, or one that keeps the gate shut for good.
    #[test]
    fn fifty_a_second_pass() {
        let mut gate = InitiationGate::new(Tai64n::ZERO);
        assert_eq!(gate.take(stamp(1), at(0)), Ok(()));
        assert_eq!(gate.take(stamp(2), at(19)), Err(InitiationRefused::Flood));
        assert_eq!(gate.greatest(), stamp(1));
        assert_eq!(gate.take(stamp(2), at(20)), Ok(()));
    }
}
