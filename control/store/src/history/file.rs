//! The file of the history: redb over authenticated blocks, as the state's. Its rows hold nothing secret and are not
//! sealed.

use std::collections::HashMap;
use std::fs::File;
use std::ops::RangeInclusive;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use jiff::Timestamp;
use redb::{Builder, Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};
use weir_abi::key::PublicKey;

use crate::blocks::{BlockFile, Mode};
use crate::error::StoreError;
use crate::files;
use crate::sealing::{Algorithm, SealingKey};

use super::Loaded;
use super::buckets::{Resolution, Sums};
use super::known::{Known, PeerHistory};

/// Bytes of pages that redb keeps in memory: the buckets of the last hours.
const CACHE: usize = 16 << 20;

/// Peers: public key, to [`Stored`].
const PEERS: TableDefinition<'static, &[u8; 32], &[u8]> = TableDefinition::new("peers");

/// The one row about all peers.
const META: TableDefinition<'static, (), &[u8]> = TableDefinition::new("meta");

/// Series: the bucket's number above the peer's, so that what is too old is one range, to [`Sums`].
const FIVE_MINUTES: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("five minutes");
const HOUR: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("hour");

#[derive(Serialize, Deserialize)]
struct Stored {
    id: u32,
    history: PeerHistory,
}

#[derive(Serialize, Deserialize, Default)]
struct Meta {
    next_id: u32,
    boot_id: [u8; 16],
}

/// Where the file lies and how it is keyed.
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    pub(crate) key: SealingKey,
    pub(crate) algorithm: Algorithm,
    pub(crate) mode: Mode,
}

impl Place {
    /// Opens the file and reads its peers.
    pub(crate) fn open(&self) -> Result<(HistoryFile, Loaded), StoreError> {
        let failed = |error| StoreError::from_io(&self.path, error);
        let file = File::options()
            .read(true)
            .write(self.mode == Mode::Durable)
            .open(&self.path)
            .map_err(failed)?;
        let (blocks, _) = BlockFile::open(file, &self.path, &self.key, self.mode)?;
        let file = HistoryFile::with(&self.path, blocks)?;
        let loaded = file.load()?;
        Ok((file, loaded))
    }

    /// Makes the file with these peers, whole, and opens it.
    pub(super) fn make(&self, contents: &mut Loaded, now: Timestamp) -> Result<HistoryFile, StoreError> {
        let failed = |error| StoreError::from_io(&self.path, error);
        let partial = files::beside(&self.path);
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&partial)
            .map_err(failed)?;
        let (blocks, _) = BlockFile::create(file, &self.key, self.algorithm);
        let file = HistoryFile::with(&self.path, blocks)?;
        file.write(contents, &[], now)?;
        // The open file goes with the name.
        files::put_in_place(&partial, &self.path)?;
        Ok(file)
    }

    /// Whether the file is there.
    pub(crate) fn exists(&self) -> bool {
        self.path.exists()
    }

    /// Renames a damaged file, so that it is kept.
    pub(crate) fn put_aside(&self) -> Result<PathBuf, StoreError> {
        files::put_aside(&self.path).map_err(|error| StoreError::from_io(&self.path, error))
    }
}

/// The file, open.
pub(crate) struct HistoryFile {
    path: PathBuf,
    database: Database,
}

impl HistoryFile {
    fn with(path: &std::path::Path, blocks: BlockFile) -> Result<Self, StoreError> {
        let database = Builder::new()
            .set_cache_size(CACHE)
            .create_with_backend(blocks)
            .map_err(|error| StoreError::from_redb(path, error))?;
        Ok(Self {
            path: path.to_owned(),
            database,
        })
    }

    pub(super) fn close(self) -> Result<(), StoreError> {
        let path = self.path;
        self.database
            .close()
            .map_err(|error| StoreError::from_redb(&path, error))
    }

    fn fault<E: Into<redb::Error>>(&self, error: E) -> StoreError {
        StoreError::from_redb(&self.path, error)
    }

    fn decode<'a, T: Deserialize<'a>>(&self, bytes: &'a [u8]) -> Result<T, StoreError> {
        postcard::from_bytes(bytes)
            .map_err(|_| StoreError::damaged(&self.path, "a row is not what was written"))
    }

    /// Reads all peers.
    fn load(&self) -> Result<Loaded, StoreError> {
        let transaction = self.database.begin_read().map_err(|error| self.fault(error))?;
        let meta = transaction.open_table(META).map_err(|error| self.fault(error))?;
        let meta = meta.get(()).map_err(|error| self.fault(error))?;
        let meta: Meta = match meta {
            Some(bytes) => self.decode(bytes.value())?,
            None => return Err(StoreError::damaged(&self.path, "its first row is missing")),
        };
        let mut loaded = Loaded {
            next_id: meta.next_id,
            boot_id: meta.boot_id,
            ..Loaded::default()
        };
        let peers = transaction.open_table(PEERS).map_err(|error| self.fault(error))?;
        for peer in peers.iter().map_err(|error| self.fault(error))? {
            let (key, stored) = peer.map_err(|error| self.fault(error))?;
            let stored: Stored = self.decode(stored.value())?;
            let known = Known::stored(stored.id, stored.history);
            loaded.peers.insert(PublicKey::from_bytes(*key.value()), known);
        }
        Ok(loaded)
    }

    /// Writes everything that changed, in one commit.
    pub(super) fn write(
        &self,
        contents: &mut Loaded,
        forgotten: &[PublicKey],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.database.begin_write().map_err(|error| self.fault(error))?;
        transaction.set_quick_repair(true);
        {
            let mut meta = transaction.open_table(META).map_err(|error| self.fault(error))?;
            let row = encode(&Meta {
                next_id: contents.next_id,
                boot_id: contents.boot_id,
            });
            meta.insert((), row.as_slice())
                .map_err(|error| self.fault(error))?;
            let mut table = transaction.open_table(PEERS).map_err(|error| self.fault(error))?;
            for key in forgotten {
                table.remove(key.as_bytes()).map_err(|error| self.fault(error))?;
            }
            for (key, known) in contents.peers.iter().filter(|(_, known)| known.is_dirty) {
                let row = encode(&Stored {
                    id: known.id,
                    history: known.history,
                });
                table
                    .insert(key.as_bytes(), row.as_slice())
                    .map_err(|error| self.fault(error))?;
            }
        }
        for resolution in Resolution::ALL {
            self.write_series(&transaction, resolution, &mut contents.peers, now)?;
        }
        transaction.commit().map_err(|error| self.fault(error))
    }

    fn write_series(
        &self,
        transaction: &WriteTransaction,
        resolution: Resolution,
        peers: &mut HashMap<PublicKey, Known>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut table = transaction
            .open_table(table(resolution))
            .map_err(|error| self.fault(error))?;
        let oldest = resolution.bucket(now).saturating_sub(resolution.kept());
        table
            .retain_in(..row_key(oldest, 0), |_, _| false)
            .map_err(|error| self.fault(error))?;
        for known in peers.values_mut() {
            let id = known.id;
            for row in known.rows_mut().filter(|row| row.resolution == resolution) {
                let key = row_key(row.bucket, id);
                if !row.is_absolute {
                    let stored = table.get(key).map_err(|error| self.fault(error))?;
                    let stored = stored.map(|bytes| self.decode(bytes.value())).transpose()?;
                    row.sums = row.over(stored.unwrap_or_default());
                    row.is_absolute = true;
                }
                table
                    .insert(key, encode(&row.sums).as_slice())
                    .map_err(|error| self.fault(error))?;
            }
        }
        Ok(())
    }

    /// What the file holds of a peer's buckets, the oldest first.
    pub(super) fn series(
        &self,
        id: u32,
        resolution: Resolution,
        buckets: RangeInclusive<u32>,
    ) -> Result<Vec<(u32, Sums)>, StoreError> {
        let transaction = self.database.begin_read().map_err(|error| self.fault(error))?;
        let table = transaction
            .open_table(table(resolution))
            .map_err(|error| self.fault(error))?;
        let newest = table.last().map_err(|error| self.fault(error))?;
        let Some(newest) = newest.map(|(key, _)| (key.value() >> 32) as u32) else {
            return Ok(Vec::new());
        };
        // No row lies outside these, whatever range was asked for.
        let last = newest.min(*buckets.end());
        let first = newest.saturating_sub(resolution.kept()).max(*buckets.start());
        let mut rows = Vec::new();
        for bucket in first..=last {
            let row = table
                .get(row_key(bucket, id))
                .map_err(|error| self.fault(error))?;
            if let Some(row) = row {
                rows.push((bucket, self.decode(row.value())?));
            }
        }
        Ok(rows)
    }
}

fn table(resolution: Resolution) -> TableDefinition<'static, u64, &'static [u8]> {
    match resolution {
        Resolution::FiveMinutes => FIVE_MINUTES,
        Resolution::Hour => HOUR,
    }
}

fn row_key(bucket: u32, id: u32) -> u64 {
    u64::from(bucket) << 32 | u64::from(id)
}

fn encode(row: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(row).expect("rows are plain data")
}
