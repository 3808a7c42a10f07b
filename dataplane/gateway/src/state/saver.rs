//! Writes the state beside the packet path: on change, at a bounded pace, and once more at the end.

use super::{Loaded, PeerState, Source, State, encode, replace};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Between two writings at least.
const PACE: Duration = Duration::from_secs(1);

/// A writing is followed by this many times its duration without one, so that a large state on a slow disk does not
/// keep it busy.
const REST: u32 = 20;

/// After a writing that failed.
const RETRY: Duration = Duration::from_secs(10);

/// For which a flush waits for a disk that does not answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Keeps the file up to date. Dropping it writes what is not yet written.
#[derive(Debug)]
pub struct Saver {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    slot: Mutex<Slot>,
    /// Something is to be written, or the end has come.
    wanted: Condvar,
    /// Something was written, or failed to be.
    tried: Condvar,
}

#[derive(Debug, Default)]
struct Slot {
    state: State,
    /// Counts changes; the file has those up to `written`.
    changes: u64,
    written: u64,
    written_ceiling_ns: u64,
    /// The changes that someone waits for.
    awaited: u64,
    failure: Option<Failure>,
    stop: bool,
}

#[derive(Debug)]
struct Failure {
    tries: u64,
    message: String,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Saver {
    /// Starts from what was loaded.
    pub fn start(path: PathBuf, loaded: &Loaded) -> io::Result<Self> {
        Self::at_pace(path, loaded, PACE)
    }

    fn at_pace(path: PathBuf, loaded: &Loaded, pace: Duration) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let current = loaded.source == Source::Current;
        {
            let mut slot = shared.lock();
            slot.state = loaded.state.clone();
            // A ceiling that is only in the older file is not relied on until it is in the current one.
            slot.written_ceiling_ns = if current {
                loaded.state.timestamp_ceiling_ns
            } else {
                0
            };
        }
        let mut writer = Writer {
            path,
            shared: Arc::clone(&shared),
            last: current.then(|| encode(&loaded.state)),
            // What is damaged is not worth keeping, and what is whole is worth more than what is damaged.
            keep_previous: current,
            pace,
        };
        let thread = thread::Builder::new()
            .name("weir-state".into())
            .spawn(move || writer.run())?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Replaces what is kept of the peers; it is written within seconds, if it differs.
    pub fn keep_peers(&self, peers: Vec<PeerState>) {
        let mut slot = self.shared.lock();
        if *slot.state.peers != peers {
            slot.state.peers = Arc::new(peers);
            slot.changes += 1;
            self.shared.wanted.notify_one();
        }
    }

    /// Raises the ceiling of this host's timestamps (ns since 1970). It holds once [`Saver::ceiling_ns`] says so.
    pub fn raise_ceiling(&self, ceiling_ns: u64) {
        let mut slot = self.shared.lock();
        if slot.state.timestamp_ceiling_ns < ceiling_ns {
            slot.state.timestamp_ceiling_ns = ceiling_ns;
            slot.changes += 1;
            self.shared.wanted.notify_one();
        }
    }

    /// The ceiling that is on the disk (ns since 1970).
    pub fn ceiling_ns(&self) -> u64 {
        self.shared.lock().written_ceiling_ns
    }

    /// Writes now what is not yet written and waits for it; an error says why it could not be. It will be tried again
    /// all the same.
    pub fn flush(&self) -> Result<(), String> {
        let begun = Instant::now();
        let mut slot = self.shared.lock();
        let wanted = slot.changes;
        let tries = slot.failure.as_ref().map_or(0, |f| f.tries);
        slot.awaited = wanted;
        self.shared.wanted.notify_one();
        loop {
            if slot.written >= wanted {
                return Ok(());
            }
            if let Some(failure) = slot.failure.as_ref().filter(|f| f.tries > tries) {
                return Err(failure.message.clone());
            }
            let left = PATIENCE.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Err(format!("not written within {} s", PATIENCE.as_secs()));
            }
            let waited = self.shared.tried.wait_timeout(slot, left);
            slot = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.wanted.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was told by the panic itself.
            let _ = thread.join();
        }
    }
}

struct Writer {
    path: PathBuf,
    shared: Arc<Shared>,
    last: Option<Vec<u8>>,
    keep_previous: bool,
    pace: Duration,
}

/// One thing to write.
struct Job {
    state: State,
    changes: u64,
    /// Nothing comes after it.
    last: bool,
}

impl Writer {
    fn run(&mut self) {
        let mut not_before = Instant::now();
        while let Some(job) = self.wait(not_before) {
            let begun = Instant::now();
            let result = self.write(&job.state);
            not_before = Instant::now()
                + if result.is_ok() {
                    self.pace.max(REST * begun.elapsed())
                } else {
                    RETRY
                };
            let mut slot = self.shared.lock();
            match result {
                Ok(()) => {
                    slot.written = job.changes;
                    slot.written_ceiling_ns = job.state.timestamp_ceiling_ns;
                    if slot.failure.take().is_some() {
                        tracing::info!("{}: can be written again", self.path.display());
                    }
                }
                Err(error) => self.fail(&mut slot, &error),
            }
            self.shared.tried.notify_all();
            if job.last {
                return;
            }
        }
    }

    /// Waits until something is to be written, and may be; `None` at the end.
    fn wait(&self, not_before: Instant) -> Option<Job> {
        let mut slot = self.shared.lock();
        loop {
            let dirty = slot.changes > slot.written;
            let pause = not_before.saturating_duration_since(Instant::now());
            let urgent = slot.stop || slot.awaited > slot.written;
            if dirty && (urgent || pause.is_zero()) {
                // One try for those who wait; if it fails they are told.
                slot.awaited = 0;
                return Some(Job {
                    state: slot.state.clone(),
                    changes: slot.changes,
                    last: slot.stop,
                });
            }
            if slot.stop {
                return None;
            }
            slot = if dirty {
                let waited = self.shared.wanted.wait_timeout(slot, pause);
                waited.unwrap_or_else(PoisonError::into_inner).0
            } else {
                let waited = self.shared.wanted.wait(slot);
                waited.unwrap_or_else(PoisonError::into_inner)
            };
        }
    }

    fn write(&mut self, state: &State) -> io::Result<()> {
        let bytes = encode(state);
        if self.last.as_ref() == Some(&bytes) {
            return Ok(());
        }
        replace(&self.path, &bytes, self.keep_previous)?;
        self.keep_previous = true;
        self.last = Some(bytes);
        Ok(())
    }

    fn fail(&self, slot: &mut Slot, error: &io::Error) {
        let message = format!("{}: cannot be written: {error}", self.path.display());
        let tries = slot.failure.as_ref().map_or(0, |f| f.tries);
        if tries == 0 {
            tracing::warn!("{message}; after a restart, peers may have to call in first");
        }
        slot.failure = Some(Failure {
            tries: tries + 1,
            message,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Directory, state};
    use super::super::{beside, load};
    use super::*;
    use std::fs;

    // Catches changes that are lost at the end, and a ceiling relied on before it is on the disk.
    #[test]
    fn what_is_kept_is_on_the_disk() {
        let directory = Directory::new("saver");
        let path = directory.0.join("weir0.state");
        let saver = Saver::start(path.clone(), &load(&path)).expect("a thread");
        assert_eq!(saver.ceiling_ns(), 0);
        saver.raise_ceiling(10);
        saver.flush().expect("written");
        assert_eq!(saver.ceiling_ns(), 10);
        saver.raise_ceiling(9);
        saver.keep_peers(state(0).peers.to_vec());
        drop(saver);
        assert_eq!(load(&path).state, state(10));
        let saver = Saver::start(path.clone(), &load(&path)).expect("a thread");
        assert_eq!(saver.ceiling_ns(), 10);
    }

    // Catches a damaged file that takes the place of the whole one, which then is lost.
    #[test]
    fn a_damaged_file_does_not_displace_the_previous_one() {
        let directory = Directory::new("displace");
        let path = directory.0.join("weir0.state");
        for ceiling in [1, 2] {
            replace(&path, &encode(&state(ceiling)), true).expect("written");
        }
        fs::write(&path, "damaged").expect("the test's own file");
        let saver = Saver::start(path.clone(), &load(&path)).expect("a thread");
        assert_eq!(saver.ceiling_ns(), 0);
        saver.raise_ceiling(3);
        saver.flush().expect("written");
        assert_eq!(load(&path).state, state(3));
        assert_eq!(load(&beside(&path, "old")).state, state(1));
    }

    // Catches writing more often than the pace allows, and writing what did not change.
    #[test]
    fn the_disk_is_written_at_a_pace() {
        const HOUR: Duration = Duration::from_secs(3600);
        let directory = Directory::new("pace");
        let path = directory.0.join("weir0.state");
        let saver = Saver::at_pace(path.clone(), &load(&path), HOUR).expect("a thread");
        saver.raise_ceiling(1);
        saver.flush().expect("written");
        for ceiling in 2..100 {
            saver.raise_ceiling(ceiling);
        }
        drop(saver);
        // Between the first writing and the last there was none.
        assert_eq!(load(&beside(&path, "old")).state.timestamp_ceiling_ns, 1);
        assert_eq!(load(&path).state.timestamp_ceiling_ns, 99);
        let saver = Saver::start(path.clone(), &load(&path)).expect("a thread");
        saver.keep_peers(Vec::new());
        saver.flush().expect("nothing to do");
        drop(saver);
        assert_eq!(load(&beside(&path, "old")).state.timestamp_ceiling_ns, 1);
    }

    // Catches a disk that cannot be written and stops the gateway, or hides it.
    #[test]
    fn a_failure_is_told_and_blocks_nothing() {
        let directory = Directory::new("failure");
        let path = directory.0.join("file/weir0.state");
        fs::write(directory.0.join("file"), "in the way").expect("the test's own file");
        let saver = Saver::start(path.clone(), &load(&path)).expect("a thread");
        saver.raise_ceiling(1);
        let told = saver.flush().expect_err("no directory");
        assert!(told.contains("weir0.state"), "{told}");
        saver.flush().expect_err("still none");
        assert_eq!(saver.ceiling_ns(), 0);
        fs::remove_file(directory.0.join("file")).expect("it is there");
        saver.flush().expect("the way is free");
        assert_eq!(saver.ceiling_ns(), 1);
    }
}
