//! What a peer came to since it is known, and what is observed of it.

use serde::{Deserialize, Serialize};
use weir_abi::key::PublicKey;

/// Lifetime totals of a peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Bytes received from it, as `wg` counts them.
    pub rx_bytes: u64,
    /// Bytes sent to it, as `wg` counts them.
    pub tx_bytes: u64,
    /// Handshakes completed with it.
    pub handshakes: u64,
}

/// A peer's counters as the data plane tells them: they count from when it, or the peer in it, started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Observation {
    /// The peer.
    pub public_key: PublicKey,
    /// Bytes received from it.
    pub rx_bytes: u64,
    /// Bytes sent to it.
    pub tx_bytes: u64,
    /// When its last handshake completed: nanoseconds since 1970, 0 for never. One that is later than the last seen
    /// counts as one handshake; they are 5 seconds apart at least (REKEY_TIMEOUT, whitepaper section 6.1).
    pub last_handshake_unix_ns: u64,
}
