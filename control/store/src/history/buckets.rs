//! Buckets of time, and what is summed in them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How finely time is cut.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Resolution {
    /// 5 minutes, kept for 48 hours.
    FiveMinutes,
    /// An hour, kept for 30 days.
    Hour,
}

impl Resolution {
    pub(crate) const ALL: [Resolution; 2] = [Resolution::FiveMinutes, Resolution::Hour];

    /// Seconds of a bucket.
    pub const fn step_s(self) -> u32 {
        match self {
            Resolution::FiveMinutes => 300,
            Resolution::Hour => 3_600,
        }
    }

    /// Buckets kept: 48 hours, and 30 days.
    pub(crate) const fn kept(self) -> u32 {
        match self {
            Resolution::FiveMinutes => 48 * 12,
            Resolution::Hour => 30 * 24,
        }
    }

    /// The number of the bucket that a time lies in; times that no clock shows lie in the first or the last one.
    pub(crate) fn bucket(self, at: Timestamp) -> u32 {
        let bucket = at.as_second() / i64::from(self.step_s());
        u32::try_from(bucket.max(0)).unwrap_or(u32::MAX)
    }

    pub(crate) fn point(self, bucket: u32, sums: Sums) -> Point {
        Point {
            unix_s: i64::from(bucket) * i64::from(self.step_s()),
            sums,
        }
    }
}

/// What was counted in a bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Sums {
    /// Bytes received from the peer.
    pub rx_bytes: u64,
    /// Bytes sent to the peer.
    pub tx_bytes: u64,
    /// Handshakes completed.
    pub handshakes: u32,
}

impl Sums {
    pub(crate) fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn add(&mut self, other: Sums) {
        self.rx_bytes = self.rx_bytes.saturating_add(other.rx_bytes);
        self.tx_bytes = self.tx_bytes.saturating_add(other.tx_bytes);
        self.handshakes = self.handshakes.saturating_add(other.handshakes);
    }
}

/// One bucket of a series.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Point {
    /// When the bucket begins, in seconds since 1970.
    pub unix_s: i64,
    /// What was counted in it.
    pub sums: Sums,
}
