//! What was learnt of the data plane: its last status, its peers, and whether it is there.

use std::sync::Arc;
use std::time::Instant;
use weir_abi::key::PublicKey;
use weir_abi::status::{PeerStatus, Status};
use weir_model::Shared;

/// What is known at one moment. Replaced as a whole, never changed.
#[derive(Clone, Debug, Default)]
pub struct Learnt {
    /// Whether the data plane answers.
    pub connected: bool,
    /// Why not, in one line.
    pub trouble: Option<String>,
    /// The last overview, without peers.
    pub status: Option<Arc<Status>>,
    /// When that was read.
    pub status_at: Option<Instant>,
    /// The peers as last listed, with what was told of them since.
    pub peers: Shared<PublicKey, Arc<PeerStatus>>,
    /// When they were listed.
    pub peers_at: Option<Instant>,
}

impl Learnt {
    /// The status, while the data plane is there.
    pub fn live_status(&self) -> Option<&Arc<Status>> {
        self.status.as_ref().filter(|_| self.connected)
    }

    /// A peer's status, while the data plane is there.
    pub fn peer(&self, key: &PublicKey) -> Option<&Arc<PeerStatus>> {
        self.peers.get(key).filter(|_| self.connected)
    }
}
