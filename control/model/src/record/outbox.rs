//! What the data plane has not yet confirmed, and which data plane was last spoken to.

use serde::{Deserialize, Serialize};
use weir_abi::desired::Revision;
use weir_abi::key::PublicKey;

/// Numbers the store's commits, from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommitNumber(pub u64);

/// One thing that the data plane has to be told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum OutboxKey {
    /// A peer: as its record is now, or that it has none.
    Peer(PublicKey),
    /// The access rules.
    Rules,
}

/// The data plane that was last in step with the store.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct DataPlaneSeen {
    /// Drawn by it at its start: another one has forgotten what control told it.
    pub boot_id: [u8; 16],
    /// The revision last seen of it.
    pub revision: Revision,
}
