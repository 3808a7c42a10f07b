//! Making and opening the file.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use redb::{Builder, Database};
use weir_model::record::State;
use zeroize::Zeroizing;

use crate::blocks::{BlockFile, Mode};
use crate::contents::Contents;
use crate::error::StoreError;
use crate::files;
use crate::records::{AUDIT, MANIFEST, Manifest, RECORDS, Sealer};
use crate::sealing::{Algorithm, SealingKey};

/// Bytes of pages that redb keeps in memory: all of a store with 10,000 peers.
const CACHE: usize = 32 << 20;

/// What the key of the records' digest is for.
const DIGEST_PURPOSE: &str = "weir-store 2026 records digest key";

/// The file, open.
pub(crate) struct StateFile {
    pub(super) path: PathBuf,
    pub(super) database: Database,
    pub(super) sealer: Sealer,
    pub(super) digest_key: Zeroizing<[u8; 32]>,
}

impl StateFile {
    /// Makes the file with these contents beside `path`, whole, to be renamed there; returns its path.
    pub(crate) fn make_beside(
        path: &Path,
        key: &SealingKey,
        algorithm: Algorithm,
        contents: &Contents,
    ) -> Result<PathBuf, StoreError> {
        let partial = files::beside(path);
        let made = Self::make(path, &partial, key, algorithm, contents);
        if made.is_err() {
            // What is left of it would keep a full disk full. Where that fails as well, the next one is made over it.
            fs::remove_file(&partial).ok();
        }
        made.map(|()| partial)
    }

    fn make(
        path: &Path,
        partial: &Path,
        key: &SealingKey,
        algorithm: Algorithm,
        contents: &Contents,
    ) -> Result<(), StoreError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(partial)
            .map_err(|error| StoreError::from_io(path, error))?;
        let (blocks, root) = BlockFile::create(file, key, algorithm);
        let made = Self::with(path, blocks, Sealer::new(root, algorithm))?;
        made.fill(contents)?;
        made.close()
    }

    /// Opens the file and reads all of it that is no audit entry.
    pub(crate) fn open(
        path: &Path,
        key: &SealingKey,
        algorithm: Algorithm,
        mode: Mode,
    ) -> Result<(Self, State, Manifest), StoreError> {
        let opened = Self::open_unread(path, key, algorithm, mode)?;
        let (state, manifest) = opened.load()?;
        Ok((opened, state, manifest))
    }

    /// Opens the file without reading it.
    pub(crate) fn open_unread(
        path: &Path,
        key: &SealingKey,
        algorithm: Algorithm,
        mode: Mode,
    ) -> Result<Self, StoreError> {
        let file = File::options()
            .read(true)
            .write(mode == Mode::Durable)
            .open(path)
            .map_err(|error| StoreError::from_io(path, error))?;
        let (blocks, root) = BlockFile::open(file, path, key, mode)?;
        Self::with(path, blocks, Sealer::new(root, algorithm))
    }

    fn with(path: &Path, blocks: BlockFile, sealer: Sealer) -> Result<Self, StoreError> {
        let database = Builder::new()
            .set_cache_size(CACHE)
            .create_with_backend(blocks)
            .map_err(|error| StoreError::from_redb(path, error))?;
        let digest_key = sealer.derive(DIGEST_PURPOSE);
        Ok(Self {
            path: path.to_owned(),
            database,
            sealer,
            digest_key,
        })
    }

    /// Closes the file in order, so that it opens without repair.
    pub(crate) fn close(self) -> Result<(), StoreError> {
        let path = self.path;
        self.database
            .close()
            .map_err(|error| StoreError::from_redb(&path, error))
    }

    /// An error of redb's about this file.
    pub(super) fn fault<E: Into<redb::Error>>(&self, error: E) -> StoreError {
        StoreError::from_redb(&self.path, error)
    }

    pub(super) fn damaged(&self, why: impl ToString) -> StoreError {
        StoreError::damaged(&self.path, why)
    }
}

impl StateFile {
    /// Makes all tables and puts the contents into them.
    fn fill(&self, contents: &Contents) -> Result<(), StoreError> {
        let mut transaction = self.database.begin_write().map_err(|error| self.fault(error))?;
        transaction.set_quick_repair(true);
        transaction
            .open_table(RECORDS)
            .map_err(|error| self.fault(error))?;
        transaction.open_table(AUDIT).map_err(|error| self.fault(error))?;
        transaction
            .open_table(MANIFEST)
            .map_err(|error| self.fault(error))?;
        self.put_contents(&transaction, contents)?;
        transaction.commit().map_err(|error| self.fault(error))
    }
}
