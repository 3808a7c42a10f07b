//! What an hour of mixed load with faults is made of.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

pub mod floods;
pub mod members;
pub mod relay;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// Something that goes on in a thread of its own until it is stopped.
pub struct Ongoing<T> {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<T>>,
}

impl<T: Send + 'static> Ongoing<T> {
    /// Begins it; it is to look at what it is given, and end when that is set.
    pub fn start(work: impl FnOnce(&AtomicBool) -> T + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        Self {
            stop,
            thread: Some(thread::spawn(move || work(&told))),
        }
    }

    /// Stops it, and says what came of it.
    pub fn finish(mut self) -> T {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().unwrap();
        thread.join().unwrap()
    }
}

impl<T> Drop for Ongoing<T> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its panic has been printed.
            let _ = thread.join();
        }
    }
}
