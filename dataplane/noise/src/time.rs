//! A point on the boot clock, handed in by whoever reads it.

use core::ops::{Add, Sub};
use core::time::Duration;

/// Nanoseconds since boot, time asleep included (CLOCK_BOOTTIME). Arithmetic
/// saturates: 2^64 ns are 584 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The boot itself.
    pub const BOOT: Self = Self(0);

    /// Later than everything that happens.
    pub const NEVER: Self = Self(u64::MAX);

    /// The point `nanos` ns after boot.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since boot.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whether `duration` or more has passed since `earlier`. As [`Instant::since`] compared, without a division by the
    /// nanoseconds of a second.
    #[inline]
    pub const fn is_past(self, earlier: Self, duration: Duration) -> bool {
        self.0.saturating_sub(earlier.0) as u128 >= duration.as_nanos()
    }

    /// The time passed since `earlier`; zero if that lies ahead.
    #[inline]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    #[inline]
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(duration)))
    }
}

#[inline]
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let second = Duration::from_secs(1);
        assert_eq!(Instant::BOOT - second, Instant::BOOT);
        assert_eq!(Instant::NEVER + second, Instant::NEVER);
        assert_eq!(Instant::BOOT + Duration::MAX, Instant::NEVER);
        assert_eq!(Instant::BOOT.since(Instant::NEVER), Duration::ZERO);
        assert_eq!((Instant::BOOT + second).since(Instant::BOOT), second);
        for (now, past) in [(0, false), (999_999_999, false), (1_000_000_000, true)] {
            assert_eq!(Instant::from_nanos(now).is_past(Instant::BOOT, second), past);
        }
        assert!(!Instant::BOOT.is_past(Instant::NEVER, second));
        assert!(!Instant::NEVER.is_past(Instant::BOOT, Duration::MAX));
    }
}
