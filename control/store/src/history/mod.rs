//! What each peer's traffic was: series in buckets of 5 minutes for 48 hours and of an hour for 30 days, and totals for
//! life. Peers without traffic cost nothing.

mod totals;

pub use totals::Totals;
