//! The store: opening, committing, reading the audit log, keeping copies.

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use jiff::{SignedDuration, Timestamp};
use weir_model::record::{AuditEntry, CommitNumber, OutboxKey, State};

use crate::audit::{AuditPage, AuditVerification};
use crate::batch::{Batch, Committed};
use crate::blocks::{Mode, mode_of};
use crate::contents::Contents;
use crate::copy;
use crate::error::StoreError;
use crate::files;
use crate::history::{History, HistoryPlace, Loaded};
use crate::records::Manifest;
use crate::recovery::{Place, recover};
use crate::report::{Found, OpenReport, Opened};
use crate::sealing::{Algorithm, SealingKey};
use crate::state::StateFile;

/// Commits after which a copy is due.
const COPY_AFTER_COMMITS: u64 = 1_000;

/// Time after which a copy is due if anything changed.
const COPY_AFTER: SignedDuration = SignedDuration::from_secs(60);

/// Audit entries that a copy holds: a store with a longer log loses older ones with its file.
const COPY_AUDIT: usize = 10_000;

/// An open store; clones are the same one. Commits wait for each other, readers for none of them.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    directory: PathBuf,
    path: PathBuf,
    key: SealingKey,
    algorithm: Algorithm,
    /// The file; none after a write failed and until it could be opened again.
    file: RwLock<Option<StateFile>>,
    writer: Mutex<Writer>,
    history: History,
    /// Held while a copy is written: two at once would write into one file.
    copying: Mutex<()>,
    /// Keeps other processes out; let go when the last clone is dropped.
    _lock: File,
}

/// What the next commit goes by.
struct Writer {
    manifest: Manifest,
    mode: Mode,
    /// Commits since the last copy.
    uncopied: u64,
    copied_at: Timestamp,
}

impl Store {
    /// Opens the store in `directory`, which is made where it is not there, with the AEAD that is best for this CPU.
    pub fn open(directory: &Path, key: SealingKey, now: Timestamp) -> Result<Opened, StoreError> {
        Self::open_with(directory, key, Algorithm::best(), now)
    }

    /// Opens the store in `directory`. A damaged file is put aside and made anew from the last good copy; where there
    /// is none, this fails, and nothing is changed.
    pub fn open_with(
        directory: &Path,
        key: SealingKey,
        algorithm: Algorithm,
        now: Timestamp,
    ) -> Result<Opened, StoreError> {
        make_directory(directory)?;
        let lock = lock(directory)?;
        let path = directory.join(files::STATE);
        let place = Place {
            directory,
            key: &key,
            algorithm,
        };
        let mode = mode_of(&path)?;
        let is_fresh = mode.is_none() && files::any_of_a_store(directory).is_none();
        // A new store's history comes first: were it last, one that is killed in between would miss it ever after.
        let made = match is_fresh {
            true => Some(open_history(&place, Mode::Durable, true, now)?),
            false => None,
        };
        let (found, mode) = match mode {
            None if is_fresh => {
                let made = StateFile::make_beside(&path, &key, algorithm, &Contents::empty(now))?;
                files::put_in_place(&made, &path)?;
                (Found::Fresh, Mode::Durable)
            }
            None => {
                let gone = StoreError::damaged(&path, "it is gone, though copies of it are there");
                (Found::Recovered(recover(&place, &gone, now)?), Mode::Durable)
            }
            Some(mode) => (Found::Intact, mode),
        };
        let (opened, found) = match open_checked(&path, &key, algorithm, mode) {
            Err(error) if error.is_damage() && mode == Mode::Durable => {
                let recovery = recover(&place, &error, now)?;
                let opened = open_checked(&path, &key, algorithm, mode)?;
                (opened, Found::Recovered(recovery))
            }
            opened => (opened?, found),
        };
        let (file, state, manifest) = opened;
        let (history, history_lost) = match made {
            Some(made) => made,
            None => open_history(&place, mode, false, now)?,
        };
        let shared = Shared {
            directory: directory.to_owned(),
            path,
            key,
            algorithm,
            file: RwLock::new(Some(file)),
            writer: Mutex::new(Writer {
                manifest,
                mode,
                uncopied: 1,
                copied_at: now,
            }),
            history,
            copying: Mutex::new(()),
            _lock: lock,
        };
        let report = OpenReport {
            found,
            read_only: mode == Mode::Overlay,
            history_lost,
        };
        Ok(Opened {
            store: Self {
                shared: Arc::new(shared),
            },
            state,
            report,
        })
    }

    /// Makes a batch durable, all of it or nothing. It is when this returns.
    pub fn commit(&self, batch: &Batch) -> Result<Committed, StoreError> {
        let mut writer = self.writer();
        if batch.is_empty() {
            return Ok(committed(&writer.manifest));
        }
        self.write(&mut writer, |file, manifest| file.commit(manifest, batch))
    }

    /// Takes confirmed entries out of the outbox; see [`Batch::confirmed`], by which it costs no commit of its own.
    pub fn confirm(&self, confirmed: &[(OutboxKey, CommitNumber)]) -> Result<Committed, StoreError> {
        self.commit(&Batch {
            confirmed: confirmed.to_vec(),
            ..Batch::default()
        })
    }

    /// At most `limit` entries of the audit log that `keep` takes, the newest first, of those with numbers below `below`.
    pub fn audit(
        &self,
        below: Option<u64>,
        limit: usize,
        keep: impl FnMut(&AuditEntry) -> bool,
    ) -> Result<AuditPage, StoreError> {
        self.reading(|file| file.audit_page(below, limit, keep))
    }

    /// Checks the whole audit log: that no entry was removed, altered, moved or cut off at either end.
    pub fn verify_audit(&self) -> Result<AuditVerification, StoreError> {
        self.reading(StateFile::verify_audit)
    }

    /// Takes away audit entries older than `before`, but for the newest one, to which the next is chained. Gives back
    /// how many there were.
    pub fn prune_audit(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut writer = self.writer();
        let anchor = writer.manifest.audit;
        let kept = self.reading(|file| file.first_audit_since(before))?;
        let kept = kept.unwrap_or(anchor.last).min(anchor.last);
        if kept <= anchor.first {
            return Ok(0);
        }
        let last = self.reading(|file| file.audit_entry(kept - 1))?;
        let last = last.ok_or_else(|| {
            StoreError::damaged(&self.shared.path, format!("audit entry {} is missing", kept - 1))
        })?;
        self.write(&mut writer, |file, manifest| {
            file.prune_audit(manifest, kept, last.hash)
        })?;
        Ok(kept - anchor.first)
    }

    /// Whether [`keep_copy`](Self::keep_copy) should be called: a thousand commits, or a minute and one.
    pub fn is_copy_due(&self, now: Timestamp) -> bool {
        let writer = self.writer();
        writer.uncopied >= COPY_AFTER_COMMITS
            || writer.uncopied > 0 && now.duration_since(writer.copied_at) >= COPY_AFTER
    }

    /// Writes the last good copy; the one that was it becomes the one before. Takes long enough (some 50 ms at 10,000
    /// peers) to be called from a thread of its own; commits go on meanwhile.
    pub fn keep_copy(&self, now: Timestamp) -> Result<(), StoreError> {
        let _alone = self.shared.copying.lock().unwrap_or_else(PoisonError::into_inner);
        let uncopied = self.writer().uncopied;
        let contents = self.contents(now)?;
        let shared = &self.shared;
        copy::write(&shared.directory, &contents, shared.algorithm, &shared.key)?;
        let mut writer = self.writer();
        writer.uncopied = writer.uncopied.saturating_sub(uncopied);
        writer.copied_at = now;
        Ok(())
    }

    /// Writes a last copy if anything changed, and closes the files in order.
    pub fn close(self, now: Timestamp) -> Result<(), StoreError> {
        let (is_durable, is_changed) = {
            let writer = self.writer();
            (writer.mode == Mode::Durable, writer.uncopied > 0)
        };
        if is_durable {
            self.shared.history.close(now)?;
        }
        if is_durable && is_changed {
            self.keep_copy(now)?;
        }
        let mut file = self.shared.file.write().unwrap_or_else(PoisonError::into_inner);
        file.take().map_or(Ok(()), StateFile::close)
    }

    /// The history of traffic.
    pub fn history(&self) -> &History {
        &self.shared.history
    }

    /// Whether the disk takes no writes, as far as is known.
    pub fn is_read_only(&self) -> bool {
        self.writer().mode == Mode::Overlay
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        // A commit that panicked has left the manifest as it was.
        self.shared.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self) -> RwLockReadGuard<'_, Option<StateFile>> {
        self.shared.file.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn reading<T>(&self, read: impl FnOnce(&StateFile) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let file = self.file();
        let file = file.as_ref().ok_or_else(|| StoreError::Io {
            path: self.shared.path.clone(),
            source: io::Error::other("it could not be opened again after a write failed"),
        })?;
        read(file)
    }

    /// What copies and backups hold.
    pub(crate) fn contents(&self, now: Timestamp) -> Result<Contents, StoreError> {
        let mut contents = self.reading(|file| {
            let (state, _) = file.load()?;
            let (anchor, audit) = file.newest_audit(COPY_AUDIT)?;
            Ok(Contents::of(state, anchor, audit, now))
        })?;
        (contents.boot_id, contents.history) = self.shared.history.snapshot();
        Ok(contents)
    }

    /// Runs what writes; where it fails, finds out whether it was written all the same.
    fn write(
        &self,
        writer: &mut Writer,
        write: impl FnOnce(&StateFile, &Manifest) -> Result<Manifest, StoreError>,
    ) -> Result<Committed, StoreError> {
        self.make_writable(writer)?;
        let written = self.reading(|file| write(file, &writer.manifest));
        let next = match written {
            Ok(next) => next,
            Err(error) => {
                let expected = CommitNumber(writer.manifest.commit.0 + 1);
                match self.reopen(writer) {
                    Ok(found) if found.commit == expected => found,
                    Ok(_) | Err(_) => return Err(error),
                }
            }
        };
        writer.manifest = next;
        writer.uncopied += 1;
        Ok(committed(&writer.manifest))
    }

    /// Opens the file again where a write failed before, or where the disk took no writes and now does.
    fn make_writable(&self, writer: &mut Writer) -> Result<(), StoreError> {
        let broken = self.file().is_none();
        if !broken && writer.mode == Mode::Durable {
            return Ok(());
        }
        let found = self.reopen(writer)?;
        if writer.mode == Mode::Overlay {
            return Err(StoreError::ReadOnly(self.shared.path.clone()));
        }
        if found.commit != writer.manifest.commit {
            return Err(StoreError::Diverged(self.shared.path.clone()));
        }
        Ok(())
    }

    /// Closes the file, opens it again, and tells what is in it.
    fn reopen(&self, writer: &mut Writer) -> Result<Manifest, StoreError> {
        let shared = &self.shared;
        let mut file = shared.file.write().unwrap_or_else(PoisonError::into_inner);
        // What a failed write left in memory must not reach the file behind the one that is opened now.
        drop(file.take());
        let mode = mode_of(&shared.path)?.ok_or_else(|| StoreError::damaged(&shared.path, "it is gone"))?;
        let (opened, _, manifest) = StateFile::open(&shared.path, &shared.key, shared.algorithm, mode)?;
        *file = Some(opened);
        writer.mode = mode;
        Ok(manifest)
    }
}

fn committed(manifest: &Manifest) -> Committed {
    Committed {
        number: manifest.commit,
        audit: manifest.audit.last,
    }
}

/// Opens the file and proves that it can be gone on with: the newest audit entries are whole.
fn open_checked(
    path: &Path,
    key: &SealingKey,
    algorithm: Algorithm,
    mode: Mode,
) -> Result<(StateFile, State, Manifest), StoreError> {
    let opened = StateFile::open(path, key, algorithm, mode)?;
    opened.0.check_audit_tail()?;
    Ok(opened)
}

/// Opens the history; where it is damaged or gone, a new one goes on from the totals in the last good copy, and why is
/// said.
fn open_history(
    place: &Place<'_>,
    mode: Mode,
    is_fresh: bool,
    now: Timestamp,
) -> Result<(History, Option<String>), StoreError> {
    let own = HistoryPlace {
        path: place.directory.join(files::HISTORY),
        key: place.key.clone(),
        algorithm: place.algorithm,
        mode,
    };
    let lost = if own.exists() {
        match own.open() {
            Ok((file, loaded)) => return Ok((History::new(own, file, loaded), None)),
            Err(error) if error.is_damage() && mode == Mode::Durable => {
                let kept = own.put_aside()?;
                Some(format!("{error}; it is kept as {}", kept.display()))
            }
            Err(error) => return Err(error),
        }
    } else {
        (!is_fresh).then(|| format!("{}: it is gone", own.path.display()))
    };
    let (newest, _) = copy::newest(place.directory, place.key)?;
    let loaded = newest.map_or_else(Loaded::default, |(_, contents)| {
        Loaded::of_copy(contents.boot_id, contents.history)
    });
    Ok((History::anew(own, loaded, now), lost))
}

fn make_directory(directory: &Path) -> Result<(), StoreError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| StoreError::from_io(directory, error))
}

pub(crate) fn lock(directory: &Path) -> Result<File, StoreError> {
    let path = directory.join(files::LOCK);
    let existing = File::options().read(true).open(&path);
    let file = existing.or_else(|_| {
        File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
    });
    let file = file.map_err(|error| StoreError::from_io(&path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked(directory.to_owned())),
        Err(TryLockError::Error(error)) => Err(StoreError::from_io(&path, error)),
    }
}
