//! One topology after the other, the last of which Ctrl-C removes.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;

use nix::sys::signal::{SigSet, Signal};

use crate::{LabError, Result, Topology};

/// The status of a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// Where measures build their topologies.
pub(super) struct Stage {
    current: Arc<Mutex<Weak<Topology>>>,
}

impl Stage {
    /// Blocks SIGINT and SIGTERM for every thread and program started later, so that one thread alone decides.
    pub fn new() -> Result<Self> {
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGINT);
        signals.add(Signal::SIGTERM);
        signals
            .thread_block()
            .map_err(|errno| LabError::io("block SIGINT")(errno.into()))?;
        let current = Arc::new(Mutex::new(Weak::<Topology>::new()));
        let watched = Arc::clone(&current);
        thread::spawn(move || {
            if signals.wait().is_ok() {
                let topology = watched.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
                if let Some(topology) = topology {
                    topology.remove();
                }
                std::process::exit(INTERRUPTED);
            }
        });
        Ok(Self { current })
    }

    /// An empty topology, removed when its last owner lets it go.
    pub fn topology(&self) -> Result<Arc<Topology>> {
        let topology = Arc::new(Topology::new()?);
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&topology);
        Ok(topology)
    }
}
