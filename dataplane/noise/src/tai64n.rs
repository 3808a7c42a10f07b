//! The initiation's timestamp, and a source of them that no clock can turn back.

use crate::limits::TIMESTAMP_GRANULARITY_NS;

/// Nanoseconds in a second.
const SECOND_NS: u64 = 1_000_000_000;

/// TAI64 label of the Unix epoch: 2^62 plus the ten seconds by which TAI was
/// ahead in 1970; leap seconds are not counted, as in Linux.
const EPOCH_LABEL: u64 = (1 << 62) + 10;

/// A TAI64N label: big-endian seconds and nanoseconds, so that the order of
/// bytes is that of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tai64n([u8; 12]);

impl Tai64n {
    /// Before every other.
    pub const ZERO: Self = Self([0; 12]);

    /// The label of a time in nanoseconds since the Unix epoch.
    pub fn from_unix_nanos(nanos: u64) -> Self {
        let mut label = [0; 12];
        label[..8].copy_from_slice(&(EPOCH_LABEL + nanos / SECOND_NS).to_be_bytes());
        // Below 10^9, so it fits.
        label[8..].copy_from_slice(&((nanos % SECOND_NS) as u32).to_be_bytes());
        Self(label)
    }

    /// A label as a peer sent it; it need not be a possible time.
    pub const fn from_bytes(bytes: [u8; 12]) -> Self {
        Self(bytes)
    }

    /// The label's bytes.
    pub const fn as_bytes(&self) -> &[u8; 12] {
        &self.0
    }
}

/// The next timestamp would pass the ceiling on disk: write a higher one, then
/// [`TimestampSource::raise_ceiling`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the next timestamp needs a higher persisted ceiling")]
pub struct CeilingReached {
    /// The timestamp that could not be given, in ns since the Unix epoch.
    pub needed_ns: u64,
}

/// Timestamps that only grow, whatever the wall clock does and across
/// restarts, for all peers of one identity. It has one owner: two sources could
/// overtake one another in what a peer sees.
///
/// A responder refuses an initiation that is not newer than the last. So every
/// timestamp is max(wall clock, last given + 1 ns), and none passes a ceiling
/// that was written to disk before; a restart begins above that ceiling.
#[derive(Clone, Debug)]
pub struct TimestampSource {
    last_ns: u64,
    ceiling_ns: u64,
}

impl TimestampSource {
    /// A source whose first timestamp exceeds `persisted_ns`, the ceiling that
    /// the previous run left on disk (0 if none), all in ns since the Unix
    /// epoch. It gives none before the first [`TimestampSource::raise_ceiling`].
    pub fn new(persisted_ns: u64) -> Self {
        Self {
            last_ns: persisted_ns,
            ceiling_ns: persisted_ns,
        }
    }

    /// The next timestamp, at wall clock `wall_ns` (ns since the Unix epoch).
    ///
    /// The wall clock is rounded down as Linux does; the nanosecond steps that
    /// keep the order show only how many were given in between.
    pub fn next(&mut self, wall_ns: u64) -> Result<Tai64n, CeilingReached> {
        let next = self.peek(wall_ns);
        if next > self.ceiling_ns {
            return Err(CeilingReached { needed_ns: next });
        }
        self.last_ns = next;
        Ok(Tai64n::from_unix_nanos(next))
    }

    /// The ceiling to write to disk if timestamps might run out within
    /// `reserve_ns` from now: twice that above the next one. None while there is room.
    pub fn ceiling_due(&self, wall_ns: u64, reserve_ns: u64) -> Option<u64> {
        let next = self.peek(wall_ns);
        let wanted = next.saturating_add(reserve_ns);
        (self.ceiling_ns < wanted).then(|| wanted.saturating_add(reserve_ns))
    }

    /// Allows timestamps up to `ceiling_ns`, which is on disk by now. A lower
    /// ceiling than before changes nothing.
    pub fn raise_ceiling(&mut self, ceiling_ns: u64) {
        self.ceiling_ns = self.ceiling_ns.max(ceiling_ns);
    }

    fn peek(&self, wall_ns: u64) -> u64 {
        let whitened = wall_ns - wall_ns % TIMESTAMP_GRANULARITY_NS;
        whitened.max(self.last_ns.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY_NS: u64 = 86_400 * SECOND_NS;
    const NOW_NS: u64 = 1_790_000_000 * SECOND_NS;

    fn boundless(persisted_ns: u64) -> TimestampSource {
        let mut source = TimestampSource::new(persisted_ns);
        source.raise_ceiling(u64::MAX);
        source
    }

    #[test]
    fn the_label_is_big_endian_seconds_and_nanoseconds() {
        let label = Tai64n::from_unix_nanos(SECOND_NS + 2);
        assert_eq!(label.as_bytes(), &[0x40, 0, 0, 0, 0, 0, 0, 11, 0, 0, 0, 2]);
        assert!(Tai64n::from_unix_nanos(SECOND_NS - 1) < Tai64n::from_unix_nanos(SECOND_NS));
    }

    /// Catches a label that tells the clock to the nanosecond.
    #[test]
    fn the_clock_is_whitened() {
        let mut source = boundless(0);
        let rounded = NOW_NS - NOW_NS % TIMESTAMP_GRANULARITY_NS;
        let first = source.next(rounded + TIMESTAMP_GRANULARITY_NS - 1);
        assert_eq!(first, Ok(Tai64n::from_unix_nanos(rounded)));
        assert_eq!(source.next(rounded), Ok(Tai64n::from_unix_nanos(rounded + 1)));
    }

    /// Catches a lockout after the clock was set back (OPNsense), or forward and back.
    #[test]
    fn a_clock_set_back_or_forward_locks_nobody_out() {
        let mut source = boundless(0);
        let walls = [
            NOW_NS,
            NOW_NS - DAY_NS,
            NOW_NS + DAY_NS,
            NOW_NS,
            0,
            NOW_NS + 2 * DAY_NS,
        ];
        let stamps = walls.map(|wall_ns| source.next(wall_ns).unwrap());
        assert!(stamps.is_sorted_by(|a, b| a < b), "{stamps:?}");
    }

    /// Catches timestamps that a crash forgets: those after it must exceed all before.
    #[test]
    fn a_restart_begins_above_the_ceiling() {
        let mut before = TimestampSource::new(0);
        let reserve_ns = 60 * SECOND_NS;
        let on_disk = before.ceiling_due(NOW_NS, reserve_ns).unwrap();
        before.raise_ceiling(on_disk);
        let mut last = Tai64n::ZERO;
        let walls = (0..1_000).map(|second| NOW_NS + second * SECOND_NS);
        let given = walls.map_while(|wall_ns| before.next(wall_ns).ok().inspect(|stamp| last = *stamp));
        let seconds = given.count();
        assert!((60..1_000).contains(&seconds), "{seconds} s of room");
        let mut after = TimestampSource::new(on_disk);
        assert!(
            after.next(NOW_NS - DAY_NS).is_err(),
            "nothing is on disk for this run yet"
        );
        after.raise_ceiling(after.ceiling_due(NOW_NS - DAY_NS, reserve_ns).unwrap());
        assert!(after.next(NOW_NS - DAY_NS).unwrap() > last);
    }

    #[test]
    fn a_refusal_changes_nothing_and_names_what_is_needed() {
        let mut source = TimestampSource::new(NOW_NS);
        let CeilingReached { needed_ns } = source.next(0).unwrap_err();
        assert_eq!(needed_ns, NOW_NS + 1);
        source.raise_ceiling(needed_ns);
        source.raise_ceiling(0);
        assert_eq!(source.next(0), Ok(Tai64n::from_unix_nanos(needed_ns)));
    }

    #[test]
    fn the_ceiling_is_due_before_it_is_reached() {
        let mut source = TimestampSource::new(0);
        let ceiling = source.ceiling_due(NOW_NS, SECOND_NS).unwrap();
        source.raise_ceiling(ceiling);
        assert_eq!(source.ceiling_due(NOW_NS, SECOND_NS), None);
        let late = ceiling - SECOND_NS / 2;
        assert!(source.ceiling_due(late, SECOND_NS).is_some());
        assert!(source.next(late).is_ok());
    }

    proptest! {
        /// Whatever the wall clock, with restarts anywhere, timestamps only grow.
        #[test]
        fn timestamps_only_grow(steps in prop::collection::vec((any::<u64>(), any::<bool>()), 1..50)) {
            let mut source = TimestampSource::new(0);
            let mut on_disk = 0;
            let mut last = Tai64n::ZERO;
            for (wall_ns, restart) in steps {
                // Room above, so that saturation at the end of time stays out of the test.
                let wall_ns = wall_ns / 2;
                if restart {
                    source = TimestampSource::new(on_disk);
                }
                if let Some(ceiling_ns) = source.ceiling_due(wall_ns, SECOND_NS) {
                    on_disk = ceiling_ns;
                    source.raise_ceiling(ceiling_ns);
                }
                let stamp = source.next(wall_ns).unwrap();
                prop_assert!(stamp > last);
                last = stamp;
            }
        }
    }
}
