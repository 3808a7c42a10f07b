//! Backups: one file, sealed with a passphrase, that restores everything control owns.

use jiff::Timestamp;
use weir_model::record::{AuditEntry, CommitNumber, NewAuditEntry, OutboxKey, State, Write};
use zeroize::Zeroizing;

use crate::archive::{self, ArchiveError, Cost, Key};
use crate::batch::{Batch, Committed};
use crate::contents::{Contents, writes_of};
use crate::error::StoreError;
use crate::sealing::Algorithm;
use crate::store::Store;

/// Bytes of the shortest passphrase that a backup is made with.
pub const PASSPHRASE_MIN: usize = 12;

/// A passphrase, zeroized when dropped.
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// The passphrase with these bytes, as they were typed.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

/// Why there is no backup, or nothing in it.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Too short a passphrase to keep secrets with.
    #[error("passphrase: {0} bytes; expected {PASSPHRASE_MIN} or more")]
    ShortPassphrase(usize),
    /// Another passphrase than it was made with.
    #[error("passphrase: not the one that the backup was made with")]
    WrongPassphrase,
    /// Not what was written, or no backup at all.
    #[error("backup: damaged, cut short, or not a backup of weir's")]
    Damaged,
    /// A newer version of Weir wrote it.
    #[error(
        "backup: its format is {0}, which this version of weir does not know; expected the version that made it, or newer"
    )]
    Newer(u16),
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a backup holds. Nothing of the store has changed yet.
pub struct Restored {
    /// When it was made.
    pub made_at: Timestamp,
    /// All records.
    pub state: State,
    /// The newest audit entries at that time, the oldest of them first.
    pub audit: Vec<AuditEntry>,
}

/// Reads a backup, all of it, or fails.
pub fn read_backup(bytes: &[u8], passphrase: &Passphrase) -> Result<Restored, BackupError> {
    let contents = archive::read(bytes, &Key::Passphrase(&passphrase.0)).map_err(|error| match error {
        ArchiveError::WrongPassphrase => BackupError::WrongPassphrase,
        ArchiveError::Newer(format) => BackupError::Newer(format),
        // A last good copy is no backup: its key lies beside it.
        ArchiveError::Damaged
        | ArchiveError::WrongKey(_)
        | ArchiveError::NeedsKey
        | ArchiveError::NeedsPassphrase => BackupError::Damaged,
    })?;
    let (made_at, audit) = (contents.made_at, contents.audit.clone());
    Ok(Restored {
        made_at,
        audit,
        state: contents.into_state(),
    })
}

impl Store {
    /// A backup of all records, the newest audit entries and the totals of traffic. Takes about a third of a second and
    /// 64 MiB, which is what a guess at the passphrase costs as well.
    pub fn backup(&self, passphrase: &Passphrase, now: Timestamp) -> Result<Vec<u8>, BackupError> {
        if passphrase.0.len() < PASSPHRASE_MIN {
            return Err(BackupError::ShortPassphrase(passphrase.0.len()));
        }
        let contents = self.contents(now)?;
        Ok(seal(&contents, passphrase))
    }

    /// Puts a restored state in the place of `current`, in one commit that `audit` tells of. Sessions end, changes that
    /// wait for a confirmation no longer do, and everything is to be told to the data plane again. The audit log
    /// goes on. The records in force, with their outbox, are given back.
    pub fn restore(
        &self,
        current: &State,
        restored: &State,
        audit: NewAuditEntry,
    ) -> Result<(Committed, State), StoreError> {
        let batch = replacing(current, restored, audit);
        let committed = self.commit(&batch)?;
        let mut state = restored.clone();
        state.sessions.clear();
        state.pending.clear();
        state.data_plane = current.data_plane;
        state.commit = committed.number;
        state.outbox = current.outbox.clone();
        let told = batch.outbox.into_iter();
        state.outbox.extend(told.map(|key| (key, committed.number)));
        Ok((committed, state))
    }
}

fn seal(contents: &Contents, passphrase: &Passphrase) -> Vec<u8> {
    archive::write(
        contents,
        Algorithm::best(),
        &Key::Passphrase(&passphrase.0),
        Cost::BACKUP,
    )
}

/// The batch that makes the records those of `restored`.
fn replacing(current: &State, restored: &State, audit: NewAuditEntry) -> Batch {
    let mut writes = Vec::new();
    writes.extend(current.peers.keys().copied().map(Write::RemovePeer));
    writes.extend(current.users.keys().cloned().map(Write::RemoveUser));
    writes.extend(current.tokens.keys().copied().map(Write::RemoveToken));
    writes.extend(current.sessions.keys().copied().map(Write::RemoveSession));
    writes.extend(current.pending.keys().copied().map(Write::RemovePending));
    let kept = State {
        sessions: Default::default(),
        pending: Default::default(),
        data_plane: None,
        outbox: Default::default(),
        commit: CommitNumber(0),
        ..restored.clone()
    };
    writes.extend(writes_of(kept));
    let peers = current.peers.keys().chain(restored.peers.keys());
    let mut outbox: Vec<_> = peers.copied().map(OutboxKey::Peer).collect();
    outbox.push(OutboxKey::Rules);
    Batch {
        writes,
        outbox,
        confirmed: Vec::new(),
        audit: vec![audit],
    }
}
