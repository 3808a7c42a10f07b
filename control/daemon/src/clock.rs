//! Time and randomness, which the model is given as arguments.

use jiff::Timestamp;
use std::time::{SystemTime, UNIX_EPOCH};

/// Now.
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// Seconds since 1970.
pub fn unix_s() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// A time that the data plane tells in milliseconds since 1970; `None` for 0, which is never.
pub fn from_unix_ms(ms: u64) -> Option<Timestamp> {
    let ms = i64::try_from(ms).ok().filter(|ms| *ms > 0)?;
    Timestamp::from_millisecond(ms).ok()
}

/// A time that the data plane tells in nanoseconds since 1970; `None` for 0, which is never.
pub fn from_unix_ns(ns: u64) -> Option<Timestamp> {
    (ns > 0)
        .then(|| Timestamp::from_nanosecond(i128::from(ns)).ok())
        .flatten()
}

/// Bytes that nobody can guess. The kernel gives them from the first second after its start.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("Linux gives random bytes without failing once it has started");
    bytes
}
