//! The two clocks of the data plane: one for timers, one for timestamps.

use nix::time::{ClockId, clock_gettime};

const SECOND_NS: u64 = 1_000_000_000;

/// Nanoseconds since boot, time asleep included (CLOCK_BOOTTIME): what timers run on.
pub fn boot_nanos() -> u64 {
    nanos(ClockId::CLOCK_BOOTTIME)
}

/// Nanoseconds since 1970 by the wall clock, which may be set back and forth; 0 where it stands before 1970.
pub fn wall_nanos() -> u64 {
    nanos(ClockId::CLOCK_REALTIME)
}

fn nanos(clock: ClockId) -> u64 {
    let now = clock_gettime(clock).expect("every Linux since 2.6.39 has both clocks");
    let seconds = u64::try_from(now.tv_sec()).unwrap_or(0);
    // Below 10^9 by definition.
    seconds
        .saturating_mul(SECOND_NS)
        .saturating_add(now.tv_nsec().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{SystemTime, UNIX_EPOCH};

    // Catches the clocks taken for each other, and a unit that is wrong.
    #[test]
    fn each_clock_is_the_one_it_says() {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        let off = wall_nanos().abs_diff(u64::try_from(wall.as_nanos()).expect("before 2554"));
        assert!(off < 60 * SECOND_NS, "{off}");
        let uptime = std::fs::read_to_string("/proc/uptime").expect("procfs");
        let uptime: f64 = uptime
            .split(' ')
            .next()
            .and_then(|s| s.parse().ok())
            .expect("a number");
        let off = (boot_nanos() as f64 / SECOND_NS as f64 - uptime).abs();
        assert!(off < 60.0, "{off}");
    }
}
