//! The record about all other records, written with each commit.

use serde::{Deserialize, Serialize};
use weir_model::record::{AuditHash, CommitNumber};

use super::digest::Digest;
use super::sealer::SEALS_PER_EPOCH;

/// Which records there are. Sealed like them, so that it vouches for them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// The last commit.
    pub(crate) commit: CommitNumber,
    /// The epoch whose data key seals what is written now.
    pub(crate) epoch: u32,
    /// Values sealed in that epoch.
    pub(crate) seals: u64,
    /// All records but the audit log.
    pub(crate) records: Digest,
    /// The ends of the audit log.
    pub(crate) audit: AuditAnchor,
}

/// The ends of the audit log, held fast: without this a log cut short at either end would look whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct AuditAnchor {
    /// The number of the oldest entry; one behind the newest where there is none.
    pub(crate) first: u64,
    /// What the oldest entry is chained to.
    pub(crate) before: AuditHash,
    /// The number of the newest entry; 0 before the first.
    pub(crate) last: u64,
    /// The newest entry's hash.
    pub(crate) head: AuditHash,
}

impl Default for AuditAnchor {
    fn default() -> Self {
        Self {
            first: 1,
            before: AuditHash::ORIGIN,
            last: 0,
            head: AuditHash::ORIGIN,
        }
    }
}

impl Default for Manifest {
    fn default() -> Self {
        Self {
            commit: CommitNumber(0),
            epoch: 1,
            seals: 0,
            records: Digest::default(),
            audit: AuditAnchor::default(),
        }
    }
}

impl Manifest {
    /// Counts values sealed, and begins the next epoch where they are enough.
    pub(crate) fn count_seals(&mut self, seals: u64) {
        self.seals += seals;
        if self.seals >= SEALS_PER_EPOCH {
            self.epoch += 1;
            self.seals = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches a data key that is used for ever, and a count that is lost from one commit to the next.
    #[test]
    fn a_new_epoch_begins_in_time() {
        let mut manifest = Manifest::default();
        manifest.count_seals(SEALS_PER_EPOCH - 1);
        assert_eq!((manifest.epoch, manifest.seals), (1, SEALS_PER_EPOCH - 1));
        manifest.count_seals(5);
        assert_eq!((manifest.epoch, manifest.seals), (2, 0));
    }
}
