//! What readers of the log get.

use weir_model::record::{AuditEntry, AuditHash};

use super::chain::AuditFault;

/// Entries, the newest first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditPage {
    /// The entries.
    pub entries: Vec<AuditEntry>,
    /// Below which number to ask on; `None` where the oldest was reached.
    pub next: Option<u64>,
    /// The number of the oldest entry kept.
    pub oldest: u64,
    /// The number of the newest entry; 0 where there is none.
    pub newest: u64,
    /// The newest entry's hash: noted elsewhere, it proves what the log said up to there.
    pub head: AuditHash,
}

/// What checking the whole log came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditVerification {
    /// Entries that were found to be what was written, from the oldest on.
    pub checked: u64,
    /// The number of the oldest entry kept.
    pub oldest: u64,
    /// The number of the newest entry; 0 where there is none.
    pub newest: u64,
    /// The newest entry's hash.
    pub head: AuditHash,
    /// What is wrong; `None` where nothing is.
    pub fault: Option<AuditFault>,
}
