//! How fast the processor's time-stamp counter runs: the unit in which work is told, since it is the same whatever
//! frequency a core has.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long it is watched.
const WATCHED: Duration = Duration::from_millis(50);

/// What the unit is called.
#[cfg(target_arch = "x86_64")]
pub(super) const UNIT: &str = "TSC cycles";
#[cfg(not(target_arch = "x86_64"))]
pub(super) const UNIT: &str = "ns";

/// A time in units.
pub(super) fn of(time: Duration) -> f64 {
    time.as_secs_f64() * per_second()
}

/// Units in a second, as measured when this was first asked.
pub(super) fn per_second() -> f64 {
    static PACE: OnceLock<f64> = OnceLock::new();
    *PACE.get_or_init(measured)
}

fn measured() -> f64 {
    let (began, first) = (Instant::now(), now());
    std::thread::sleep(WATCHED);
    let (took, last) = (began.elapsed(), now());
    last.wrapping_sub(first) as f64 / took.as_secs_f64()
}

/// The counter at this moment.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "the counter is read by an instruction")]
pub(super) fn now() -> u64 {
    // SAFETY: every x86-64 processor has the instruction.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// The counter at this moment.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn now() -> u64 {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    let began = BEGAN.get_or_init(Instant::now);
    u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches a counter that stands still or is read in the wrong unit.
    #[test]
    fn the_counter_runs_at_a_processors_pace() {
        let pace = measured();
        assert!((1e7..1e11).contains(&pace), "{pace}");
    }
}
