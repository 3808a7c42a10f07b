//! What is written at once.

use weir_model::record::{CommitNumber, NewAuditEntry, OutboxKey, Write};

/// Changes that become durable together, or not at all.
#[derive(Clone, Default, Debug)]
pub struct Batch {
    /// Changes of records, done in order.
    pub writes: Vec<Write>,
    /// What the data plane has to be told because of them; each gets the commit's number.
    pub outbox: Vec<OutboxKey>,
    /// What the data plane has confirmed, each by the number it had when it was pushed: an entry that a later commit
    /// touched stays.
    pub confirmed: Vec<(OutboxKey, CommitNumber)>,
    /// Entries for the audit log, in order.
    pub audit: Vec<NewAuditEntry>,
}

impl Batch {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.outbox.is_empty() && self.confirmed.is_empty() && self.audit.is_empty()
    }
}

/// What a commit came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Committed {
    /// Its number, which its outbox entries have.
    pub number: CommitNumber,
    /// The number of the newest audit entry; 0 where there is none.
    pub audit: u64,
}
