//! What each peer's traffic was: series in buckets of 5 minutes for 48 hours and of an hour for 30 days, and totals for
//! life. Peers without traffic cost nothing.
//!
//! Counters are observed in memory and written now and then; how far they had been counted is written with the sums of
//! them, in one commit, and sums are written as what they are, not as what to add. So a process that is killed, or a
//! write that fails and may have been done all the same, counts nothing twice.

mod buckets;
mod file;
mod known;
mod totals;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use weir_abi::key::PublicKey;

pub use buckets::{Point, Resolution, Sums};
pub use totals::{Observation, Totals};

pub(crate) use file::Place as HistoryPlace;
pub(crate) use known::PeerHistory;

use crate::blocks::{Mode, mode_of};
use crate::error::StoreError;
use file::{HistoryFile, Place};
use known::Known;

/// Peers known at most; further ones are not recorded until some are forgotten.
const PEERS_MAX: usize = 200_000;

/// The history of traffic, in memory and in its file.
pub struct History {
    inner: Mutex<Inner>,
}

struct Inner {
    place: Place,
    /// The file; none where it could not be opened or written: then everything stays in memory until it can.
    file: Option<HistoryFile>,
    contents: Loaded,
    /// Peers forgotten since the last flush, whose rows are still in the file.
    forgotten: Vec<PublicKey>,
}

impl History {
    pub(crate) fn new(place: Place, file: HistoryFile, contents: Loaded) -> Self {
        Self::with(place, Some(file), contents)
    }

    /// Makes a new file that goes on from what a copy kept; where the disk takes none now, a later flush does.
    pub(crate) fn anew(place: Place, mut contents: Loaded, now: Timestamp) -> Self {
        let file = match place.mode {
            Mode::Durable => place.make(&mut contents, now).ok(),
            Mode::Overlay => None,
        };
        Self::with(place, file, contents)
    }

    fn with(place: Place, file: Option<HistoryFile>, contents: Loaded) -> Self {
        let inner = Inner {
            place,
            file,
            contents,
            forgotten: Vec::new(),
        };
        Self {
            inner: Mutex::new(inner),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Sums are absolute: whatever was left half done is written whole by the next flush.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what peers' counters moved since they were last observed. `boot_id` is the data plane's, which counts from
    /// zero when it starts; a counter that fell was started anew as well. Costs no I/O.
    pub fn observe(&self, boot_id: [u8; 16], observations: &[Observation], now: Timestamp) {
        let mut inner = self.inner();
        let inner = &mut inner.contents;
        if inner.boot_id != boot_id {
            inner.boot_id = boot_id;
            inner.peers.values_mut().for_each(Known::restart);
        }
        for observation in observations {
            let is_full = inner.peers.len() >= PEERS_MAX;
            match inner.peers.entry(observation.public_key) {
                Entry::Occupied(mut known) => known.get_mut().observe(observation, now),
                Entry::Vacant(_) if is_full => {}
                Entry::Vacant(room) => {
                    inner.next_id += 1;
                    room.insert(Known::new(inner.next_id)).observe(observation, now);
                }
            }
        }
    }

    /// Writes what was observed since the last flush, and takes away what is too old. To be called every 10 seconds or
    /// so, from a thread of its own: what it has not written is counted later, not lost, as long as the data plane runs.
    /// A damaged file is put aside and made anew; the word about that is given back.
    pub fn flush(&self, now: Timestamp) -> Result<Option<String>, StoreError> {
        let mut inner = self.inner();
        let inner = &mut *inner;
        let written = inner.write(now);
        let Err(error) = written else { return Ok(None) };
        inner.reopen();
        if !error.is_damage() {
            return Err(error);
        }
        inner.file = None;
        inner.place.put_aside()?;
        inner.contents.peers.values_mut().for_each(Known::touch);
        inner.write(now)?;
        Ok(Some(format!(
            "{error}; series of traffic begin anew, totals go on"
        )))
    }

    /// Totals of one peer; zero for one that was never observed.
    pub fn totals(&self, peer: &PublicKey) -> Totals {
        self.inner()
            .contents
            .peers
            .get(peer)
            .map(|known| known.history.totals)
            .unwrap_or_default()
    }

    /// A peer's points from `from` to `to`, the oldest first, those without traffic left out.
    pub fn series(
        &self,
        peer: &PublicKey,
        resolution: Resolution,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Point>, StoreError> {
        let inner = self.inner();
        let Some(known) = inner.contents.peers.get(peer) else {
            return Ok(Vec::new());
        };
        let buckets = resolution.bucket(from)..=resolution.bucket(to);
        let mut points = Vec::new();
        let stored = inner
            .file
            .as_ref()
            .map(|file| file.series(known.id, resolution, buckets.clone()));
        let stored = stored.transpose()?.unwrap_or_default();
        let mut fresh = known
            .rows(resolution)
            .filter(|row| buckets.contains(&row.bucket))
            .peekable();
        for (bucket, sums) in stored {
            while let Some(row) = fresh.next_if(|row| row.bucket < bucket) {
                points.push(resolution.point(row.bucket, row.sums));
            }
            let row = fresh.next_if(|row| row.bucket == bucket);
            points.push(resolution.point(bucket, row.map_or(sums, |row| row.over(sums))));
        }
        points.extend(fresh.map(|row| resolution.point(row.bucket, row.sums)));
        Ok(points)
    }

    /// Forgets a peer that is no more: its totals with the next flush, its series as they grow old.
    pub fn forget(&self, peer: &PublicKey) {
        let mut inner = self.inner();
        if inner.contents.peers.remove(peer).is_some() {
            inner.forgotten.push(*peer);
        }
    }

    /// What a copy keeps of the history.
    pub(crate) fn snapshot(&self) -> ([u8; 16], Vec<(PublicKey, PeerHistory)>) {
        let inner = self.inner();
        let contents = &inner.contents;
        let peers = contents.peers.iter().map(|(key, known)| (*key, known.history));
        (contents.boot_id, peers.collect())
    }

    /// Writes what is left and closes the file in order.
    pub(crate) fn close(&self, now: Timestamp) -> Result<(), StoreError> {
        self.flush(now)?;
        let mut inner = self.inner();
        inner.file.take().map_or(Ok(()), HistoryFile::close)
    }
}

impl Inner {
    /// Opens the file again, to be read at least; what a failed write left in memory is dropped first.
    fn reopen(&mut self) {
        self.file = None;
        if let Ok(Some(mode)) = mode_of(&self.place.path) {
            self.place.mode = mode;
            self.file = self.place.open().ok().map(|(file, _)| file);
        }
    }

    fn write(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if self.place.mode == Mode::Overlay {
            self.reopen();
        }
        if self.place.mode == Mode::Overlay {
            return Err(StoreError::ReadOnly(self.place.path.clone()));
        }
        let file = match self.file.take() {
            Some(file) => file,
            None if self.place.exists() => self.place.open()?.0,
            None => self.place.make(&mut self.contents, now)?,
        };
        let written = file.write(&mut self.contents, &self.forgotten, now);
        self.file = Some(file);
        written?;
        self.forgotten.clear();
        self.contents
            .peers
            .values_mut()
            .for_each(|known| known.flushed(now));
        Ok(())
    }
}

/// What a file holds of peers, but for their series.
#[derive(Default)]
pub(crate) struct Loaded {
    pub(crate) peers: HashMap<PublicKey, Known>,
    /// The greatest number that a peer was given.
    pub(crate) next_id: u32,
    /// The data plane whose counters were seen last.
    pub(crate) boot_id: [u8; 16],
}

impl Loaded {
    /// What a last good copy kept, for a file that is made anew.
    pub(crate) fn of_copy(boot_id: [u8; 16], peers: Vec<(PublicKey, PeerHistory)>) -> Self {
        let mut loaded = Self {
            boot_id,
            ..Self::default()
        };
        for (key, history) in peers {
            loaded.next_id += 1;
            let mut known = Known::new(loaded.next_id);
            known.history = history;
            known.touch();
            loaded.peers.insert(key, known);
        }
        loaded
    }
}
