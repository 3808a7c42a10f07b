//! Time that threads have spent on a core, exact to the scheduler's own accounts. What the kernel does in softirqs while
//! a thread runs is the thread's.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::{LabError, Result};

/// A thread of some process.
#[derive(Debug)]
pub(super) struct Thread {
    number: i32,
    folder: PathBuf,
}

impl Thread {
    /// A thread of this process.
    pub fn own(number: i32) -> Self {
        Self {
            number,
            folder: PathBuf::from(format!("/proc/self/task/{number}")),
        }
    }

    /// The thread of a process that has this name.
    pub fn named(pid: u32, name: &str) -> Result<Self> {
        Self::find(&format!("/proc/{pid}/task"), name)
    }

    /// The kernel's thread that serves softirqs of a core which nobody else had time for.
    pub fn of_softirqs(core: usize) -> Result<Self> {
        Self::find("/proc", &format!("ksoftirqd/{core}"))
    }

    /// The kernel's threads that poll the queues of devices of this name (NAPI), those of every namespace.
    pub fn of_napi(device: &str) -> Result<Vec<Self>> {
        let prefix = format!("napi/{device}-");
        Self::all("/proc", |name| name.starts_with(&prefix))
    }

    fn find(folder: &str, name: &str) -> Result<Self> {
        let found = Self::all(folder, |other| other == name)?.into_iter().next();
        found.ok_or_else(|| LabError::Missing {
            program: format!("thread {name}"),
            remedy: "it runs while its process does",
        })
    }

    fn all(folder: &str, is_wanted: impl Fn(&str) -> bool) -> Result<Vec<Self>> {
        let entries = fs::read_dir(folder).map_err(LabError::io(format!("list {folder}")))?;
        let wanted = entries.flatten().filter_map(|entry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            let comm = fs::read_to_string(entry.path().join("comm")).ok()?;
            is_wanted(comm.trim_end()).then(|| Self {
                number,
                folder: entry.path(),
            })
        });
        Ok(wanted.collect())
    }

    /// Its number.
    pub fn number(&self) -> i32 {
        self.number
    }

    /// Time on a core since it began: the first number of its `schedstat`.
    pub fn on_core(&self) -> Result<Duration> {
        let path = self.folder.join("schedstat");
        let text = fs::read_to_string(&path).map_err(LabError::io(format!("read {}", path.display())))?;
        let nanos = text
            .split_whitespace()
            .next()
            .and_then(|number| number.parse().ok());
        nanos.map(Duration::from_nanos).ok_or(LabError::Unreadable {
            program: "/proc",
            expected: "time on a core",
            output: text,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    /// Catches another thread's time, or another number of the line, taken for this thread's.
    #[test]
    fn a_thread_that_works_is_on_a_core() {
        let own = Thread::own(nix::unistd::gettid().as_raw());
        let (began, before) = (Instant::now(), own.on_core().unwrap());
        while own.on_core().unwrap() - before < Duration::from_millis(20) {
            assert!(began.elapsed() < Duration::from_secs(20), "its time stands still");
        }
        assert!(own.on_core().unwrap() - before <= began.elapsed() + Duration::from_millis(10));
    }
}
