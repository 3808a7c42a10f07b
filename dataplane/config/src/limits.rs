//! `[limits]`: ceilings against floods. What is not given is the data plane's own default.

use crate::reader::{Reader, Section};

pub(crate) const KEYS: &[&str] = &[
    "handshakes_per_second",
    "handshakes_per_second_per_source",
    "handshake_queue",
];

/// Ceilings; `None` is the data plane's own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Limits {
    /// Handshake messages a second and shard from sources that proved nothing; above it cookies are demanded.
    pub handshakes_per_second: Option<u32>,
    /// Initiations a second from one proved source.
    pub handshakes_per_second_per_source: Option<u32>,
    /// Handshake messages that wait for the worker.
    pub handshake_queue: Option<u32>,
}

pub(crate) fn read(reader: &mut Reader<'_>, section: &Section<'_>) -> Limits {
    let mut number = |key, most| section.number(reader, key, 1, most).map(|n| n.value as u32);
    Limits {
        handshakes_per_second: number("handshakes_per_second", 1_000_000),
        handshakes_per_second_per_source: number("handshakes_per_second_per_source", 100_000),
        handshake_queue: number("handshake_queue", 65_536),
    }
}
