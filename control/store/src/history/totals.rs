//! What a peer came to since it is known.

use serde::{Deserialize, Serialize};

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
