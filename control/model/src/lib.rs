//! Desired and learnt state of a gateway: records, checks, changes and what they come to. No I/O, clock or randomness.
#![forbid(unsafe_code)]

pub mod record;
