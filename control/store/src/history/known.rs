//! One peer in memory: its totals, how far its counters were counted, and the buckets that are still open.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::buckets::{Resolution, Sums};
use super::totals::{Observation, Totals};

/// What a peer's row in the file holds, and what copies keep.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct PeerHistory {
    /// What it came to.
    pub(crate) totals: Totals,
    /// The data plane's counters that are in the totals.
    rx_counted: u64,
    tx_counted: u64,
    /// The last handshake that is in the totals.
    handshake_counted_unix_ns: u64,
}

/// A bucket that is still open, or closed since the last flush.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Row {
    pub(crate) resolution: Resolution,
    pub(crate) bucket: u32,
    pub(crate) sums: Sums,
    /// Whether the sums hold what the file held before: else that is to be added.
    pub(crate) is_absolute: bool,
    /// Whether the file holds less than the sums.
    pub(crate) is_dirty: bool,
}

impl Row {
    /// The sums of the bucket, given what the file holds of it.
    pub(crate) fn over(&self, mut stored: Sums) -> Sums {
        if self.is_absolute {
            return self.sums;
        }
        stored.add(self.sums);
        stored
    }
}

/// A peer in memory.
pub(crate) struct Known {
    /// Its number in the rows of series, never given twice.
    pub(crate) id: u32,
    pub(crate) history: PeerHistory,
    /// Whether the file's row differs.
    pub(crate) is_dirty: bool,
    /// In the order of their buckets.
    rows: Vec<Row>,
}

impl Known {
    pub(crate) fn new(id: u32) -> Self {
        Self::stored(id, PeerHistory::default())
    }

    /// As the file has it.
    pub(crate) fn stored(id: u32, history: PeerHistory) -> Self {
        Self {
            id,
            history,
            is_dirty: false,
            rows: Vec::new(),
        }
    }

    /// Another data plane counts from zero.
    pub(crate) fn restart(&mut self) {
        (self.history.rx_counted, self.history.tx_counted) = (0, 0);
        self.is_dirty = true;
    }

    pub(crate) fn observe(&mut self, seen: &Observation, now: Timestamp) {
        let history = &mut self.history;
        // A counter that fell began anew: all of it is new.
        let moved = |counter: u64, counted: u64| counter.checked_sub(counted).unwrap_or(counter);
        let is_handshake = seen.last_handshake_unix_ns > history.handshake_counted_unix_ns;
        let sums = Sums {
            rx_bytes: moved(seen.rx_bytes, history.rx_counted),
            tx_bytes: moved(seen.tx_bytes, history.tx_counted),
            handshakes: u32::from(is_handshake),
        };
        (history.rx_counted, history.tx_counted) = (seen.rx_bytes, seen.tx_bytes);
        if sums.is_zero() {
            return;
        }
        if is_handshake {
            history.handshake_counted_unix_ns = seen.last_handshake_unix_ns;
        }
        let totals = &mut history.totals;
        totals.rx_bytes = totals.rx_bytes.saturating_add(sums.rx_bytes);
        totals.tx_bytes = totals.tx_bytes.saturating_add(sums.tx_bytes);
        totals.handshakes = totals.handshakes.saturating_add(sums.handshakes.into());
        self.is_dirty = true;
        for resolution in Resolution::ALL {
            self.add(resolution, resolution.bucket(now), sums);
        }
    }

    fn add(&mut self, resolution: Resolution, bucket: u32, sums: Sums) {
        let same = |row: &&mut Row| row.resolution == resolution && row.bucket == bucket;
        if let Some(row) = self.rows.iter_mut().find(same) {
            row.sums.add(sums);
            row.is_dirty = true;
            return;
        }
        let row = Row {
            resolution,
            bucket,
            sums,
            is_absolute: false,
            is_dirty: true,
        };
        // A clock that was set back puts an older bucket behind a newer one.
        let place = self.rows.partition_point(|other| other.bucket < bucket);
        self.rows.insert(place, row);
    }

    /// The rows of one resolution, the oldest first.
    pub(crate) fn rows(&self, resolution: Resolution) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.resolution == resolution)
    }

    /// All rows, to be written.
    pub(crate) fn rows_mut(&mut self) -> impl Iterator<Item = &mut Row> {
        self.rows.iter_mut().filter(|row| row.is_dirty)
    }

    /// Has everything written again, into a file that holds nothing of it.
    pub(crate) fn touch(&mut self) {
        self.is_dirty = true;
        for row in &mut self.rows {
            row.is_dirty = true;
        }
    }

    /// All is in the file: buckets that have ended need not stay in memory.
    pub(crate) fn flushed(&mut self, now: Timestamp) {
        self.is_dirty = false;
        self.rows.retain(|row| row.bucket >= row.resolution.bucket(now));
        for row in &mut self.rows {
            row.is_dirty = false;
        }
    }
}
