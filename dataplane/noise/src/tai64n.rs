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
/// restarts, for all peers of one identity.
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
