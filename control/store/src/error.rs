//! Why the store could not do what it was asked.

use std::io;
use std::path::{Path, PathBuf};

use crate::sealing::KeyId;

/// Why a store cannot be opened, read or written. Nothing of a batch that failed was written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No room is left for the file (ENOSPC, EDQUOT).
    #[error("{}: no space is left on the device; make room, then try again", .0.display())]
    DiskFull(PathBuf),
    /// The file system does not take writes (EROFS, EACCES).
    #[error("{}: the file system is read-only for this process; mount it writable, then try again", .0.display())]
    ReadOnly(PathBuf),
    /// What was read is not what was written.
    #[error("{}: damaged: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// The store and its copies are all damaged, or gone.
    #[error(
        "{}; no good copy is left: {}. Restore a backup into an empty directory, or put back good copies of these files; \
         nothing was changed",
        .state, .copies.join("; ")
    )]
    NoGoodCopy {
        /// What is wrong with the store.
        state: String,
        /// What is wrong with each copy.
        copies: Vec<String>,
    },
    /// It was sealed with another key. That is no damage: nothing was changed.
    #[error("{}: sealed with key {expected}, but the key given is {given}; expected the key it was made with", path.display())]
    WrongKey {
        /// The file.
        path: PathBuf,
        /// The identifier of the key it wants.
        expected: KeyId,
        /// The identifier of the key that was given.
        given: KeyId,
    },
    /// A newer version of Weir wrote it.
    #[error("{}: format {found}, but this version of weir knows up to {known}; expected the version that wrote it, or newer", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u16,
        /// The newest format known here.
        known: u16,
    },
    /// Another process has it open.
    #[error("{}: another weir-control has this store open", .0.display())]
    Locked(PathBuf),
    /// A commit that was told as failed turned out to be in the file: what the caller holds in memory is not what is
    /// stored, and has to be read again.
    #[error("{}: a change that failed is in the file after all; open the store again", .0.display())]
    Diverged(PathBuf),
    /// Anything else that the system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl StoreError {
    /// The error for this file.
    pub(crate) fn from_io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::DiskFull(path),
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => StoreError::ReadOnly(path),
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => StoreError::Damaged {
                path,
                why: source.to_string(),
            },
            _ => StoreError::Io { path, source },
        }
    }

    /// The error of redb for this file.
    pub(crate) fn from_redb(path: &Path, error: impl Into<redb::Error>) -> Self {
        match error.into() {
            redb::Error::Io(source) => Self::from_io(path, source),
            redb::Error::Corrupted(why) => Self::damaged(path, why),
            redb::Error::PreviousIo => Self::Io {
                path: path.to_owned(),
                source: io::Error::other("an earlier write failed"),
            },
            // Tables that are missing or of other types: redb's file is whole, but not of a store.
            other => Self::damaged(path, other),
        }
    }

    pub(crate) fn damaged(path: &Path, why: impl ToString) -> Self {
        StoreError::Damaged {
            path: path.to_owned(),
            why: why.to_string(),
        }
    }

    /// Whether another copy may do better.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            StoreError::Damaged { .. } => true,
            // A device that cannot read a file back has lost it as well.
            StoreError::Io { source, .. } => source.raw_os_error() == Some(EIO),
            StoreError::DiskFull(_)
            | StoreError::ReadOnly(_)
            | StoreError::NoGoodCopy { .. }
            | StoreError::WrongKey { .. }
            | StoreError::Newer { .. }
            | StoreError::Locked(_)
            | StoreError::Diverged(_) => false,
        }
    }
}

/// Linux's number of an input or output error.
const EIO: i32 = 5;
