//! Waiting for something to become true, with a deadline and never by a fixed sleep.

use std::thread;
use std::time::{Duration, Instant};

use crate::{LabError, Result};

/// Time between two looks.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Looks until `probe` finds something, at most for `limit`; `what` names it in the error.
pub fn until<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = probe() {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            return Err(LabError::Late {
                what: what.to_owned(),
                limit,
            });
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// Looks until `probe` says yes, at most for `limit`; `what` names it in the error.
pub fn until_true(what: &str, limit: Duration, mut probe: impl FnMut() -> bool) -> Result<()> {
    until(what, limit, || probe().then_some(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches a wait that gives up before a last look, or that reports another limit than its own.
    #[test]
    fn looks_at_least_once_and_names_what_was_awaited() {
        assert_eq!(until("a value", Duration::ZERO, || Some(7)).unwrap(), 7);
        let error = until_true("the moon", Duration::from_millis(20), || false).unwrap_err();
        assert_eq!(error.to_string(), "the moon: not within 20 ms");
    }
}
