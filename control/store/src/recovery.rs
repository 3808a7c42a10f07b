//! What is done when the store's file is damaged or gone: its records come from where they are whole.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use weir_model::record::{Action, Actor, AuditEntry, CommitNumber, Facts, NewAuditEntry, Source};

use crate::audit::hash_of;
use crate::blocks::Mode;
use crate::contents::Contents;
use crate::copy;
use crate::error::StoreError;
use crate::files;
use crate::report::Recovery;
use crate::sealing::{Algorithm, SealingKey};
use crate::state::StateFile;

/// Where the store lies and how it is sealed.
pub(crate) struct Place<'a> {
    pub(crate) directory: &'a Path,
    pub(crate) key: &'a SealingKey,
    pub(crate) algorithm: Algorithm,
}

/// Puts a whole file in the place of the damaged one, which is kept. `error` says what is wrong with it.
pub(crate) fn recover(place: &Place<'_>, error: &StoreError, now: Timestamp) -> Result<Recovery, StoreError> {
    let path = place.directory.join(files::STATE);
    let (own, last) = what_is_left(place, &path, now);
    let (source, mut contents) = match own {
        Some(contents) => (path.clone(), contents),
        None => {
            let (newest, faults) = copy::newest(place.directory, place.key)?;
            newest.ok_or_else(|| StoreError::NoGoodCopy {
                state: error.to_string(),
                copies: faults,
            })?
        }
    };
    let is_copy = source != path;
    let mut recovery = Recovery {
        why: error.to_string(),
        kept: None,
        source,
        copied_at: is_copy.then_some(contents.made_at),
        commit: contents.commit,
        lost_to: last,
        peers: contents.peers(),
        audit: (contents.anchor.first, contents.anchor.last),
    };
    append_entry(&mut contents, &recovery, now);
    // Numbers of commits that are lost are not given again: what the data plane was told of them is no confirmation.
    contents.commit = CommitNumber(contents.commit.0.max(last.map_or(0, |last| last.0)) + 1);
    // Until the new file is whole, the damaged one stays where it is: its records may be the only ones.
    let made = StateFile::make_beside(&path, place.key, place.algorithm, &contents)?;
    recovery.kept = keep(&path)?;
    files::put_in_place(&made, &path)?;
    Ok(recovery)
}

/// The damaged file's own contents where its records are whole and only what lies around them is not; and its last
/// commit, where that can be read.
fn what_is_left(place: &Place<'_>, path: &Path, now: Timestamp) -> (Option<Contents>, Option<CommitNumber>) {
    // Nothing is written to what may have to be looked at.
    let Ok(file) = StateFile::open_unread(path, place.key, place.algorithm, Mode::Overlay) else {
        return (None, None);
    };
    let last = file.last_commit().ok();
    let contents = file.load().ok().and_then(|(state, _)| {
        let (anchor, audit) = file.newest_audit(usize::MAX).ok()?;
        Some(Contents::of(state, anchor, audit, now))
    });
    (contents, last)
}

fn keep(path: &Path) -> Result<Option<PathBuf>, StoreError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        _ => files::put_aside(path)
            .map(Some)
            .map_err(|error| StoreError::from_io(path, error)),
    }
}

/// Writes into the log that it, and all else, was recovered.
fn append_entry(contents: &mut Contents, recovery: &Recovery, now: Timestamp) {
    let fact = |field: &str, value: String| (field.to_owned(), value);
    let entry = NewAuditEntry {
        at: now,
        actor: Actor::Weir,
        source: Source::Internal,
        action: Action::StoreRecovered,
        target: String::new(),
        before: Facts::from([fact("damage", recovery.why.clone())]),
        after: Facts::from([
            fact("source", recovery.source.display().to_string()),
            fact("commit", recovery.commit.0.to_string()),
            fact("peers", recovery.peers.to_string()),
        ]),
    };
    let number = contents.anchor.last + 1;
    let hash = hash_of(contents.anchor.head, number, &entry);
    contents.audit.push(AuditEntry { number, entry, hash });
    (contents.anchor.last, contents.anchor.head) = (number, hash);
}
