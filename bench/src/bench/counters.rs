//! What the kernel counts: of a process, and of an interface.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{LabError, Namespace, Result};

/// Ticks of /proc's processor times: USER_HZ, 100 on every architecture that Weir supports.
const TICKS_PER_S: u32 = 100;

/// What a process has used since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usage {
    /// User and system time, of ended threads too, in steps of 10 ms.
    pub cpu: Duration,
    /// Time on a core of the threads that live, exact.
    pub on_core: Duration,
    /// How often its threads went to sleep by themselves, and thus woke up again.
    pub sleeps: u64,
}

/// What an interface has received or sent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Traffic {
    pub received_bytes: u64,
    pub received_packets: u64,
}

impl Usage {
    /// Of the process with this id.
    pub fn of(pid: u32) -> Result<Self> {
        let process = PathBuf::from(format!("/proc/{pid}"));
        let stat = read(&process.join("stat"))?;
        let ticks = ticks(&stat).ok_or_else(|| unreadable("processor time", &stat))?;
        let mut usage = Self {
            cpu: Duration::from_secs(ticks) / TICKS_PER_S,
            ..Self::default()
        };
        let tasks = process.join("task");
        let threads = fs::read_dir(&tasks).map_err(LabError::io(format!("list {}", tasks.display())))?;
        for thread in threads.flatten() {
            // One that ended since has no figures any more.
            let (Ok(schedstat), Ok(status)) = (
                read(&thread.path().join("schedstat")),
                read(&thread.path().join("status")),
            ) else {
                continue;
            };
            usage.on_core += Duration::from_nanos(number(schedstat.split_whitespace().next()));
            usage.sleeps += number(field(&status, "voluntary_ctxt_switches:"));
        }
        Ok(usage)
    }
}

/// Bytes of a process that are in memory, those of its files included.
pub(super) fn resident_bytes(pid: u32) -> Result<u64> {
    let status = read(Path::new(&format!("/proc/{pid}/status")))?;
    field(&status, "VmRSS:")
        .and_then(|kib| kib.parse::<u64>().ok())
        .map(|kib| kib * 1024)
        .ok_or_else(|| unreadable("resident memory", &status))
}

/// What an interface of a namespace has received.
pub(super) fn traffic(namespace: &Namespace, interface: &str) -> Result<Traffic> {
    let table = namespace.enter(|| read(Path::new("/proc/thread-self/net/dev")))?;
    row(&table, interface).ok_or_else(|| unreadable("interface", &table))
}

fn row(table: &str, interface: &str) -> Option<Traffic> {
    table
        .lines()
        .find_map(|line| line.trim_start().strip_prefix(interface)?.strip_prefix(':'))
        .map(received)
}

fn received(columns: &str) -> Traffic {
    let mut columns = columns.split_whitespace();
    Traffic {
        received_bytes: number(columns.next()),
        received_packets: number(columns.next()),
    }
}

/// User and system ticks: the 14th and 15th field of /proc/PID/stat (proc(5)), whose second may hold spaces.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn field<'a>(table: &'a str, name: &str) -> Option<&'a str> {
    table
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|value| value.split_whitespace().next())
}

fn number(text: Option<&str>) -> u64 {
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(LabError::io(format!("read {}", path.display())))
}

fn unreadable(expected: &'static str, output: &str) -> LabError {
    LabError::Unreadable {
        program: "/proc",
        expected,
        output: output.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches a field counted wrongly because a program's name has spaces or parentheses.
    #[test]
    fn processor_time_is_found_behind_any_name() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194304 100 0 0 0 31 11 5 6 20 0 1 0 100 0 0";
        assert_eq!(ticks(stat), Some(42));
    }

    /// Catches an interface taken for another whose name begins alike.
    #[test]
    fn an_interface_is_told_from_its_namesakes() {
        let table = "Inter-|   Receive\n  wan0: 9 9 0 0 0 0 0 0 9 9 0 0 0 0 0 0\n   wan: 1500 3 0 0 0 0 0 0 700 1 0 0 0 0 0 0\n";
        let expected = Traffic {
            received_bytes: 1500,
            received_packets: 3,
        };
        assert_eq!(row(table, "wan"), Some(expected));
        assert_eq!(row(table, "lan"), None);
    }

    /// Catches figures of this process read as zero.
    #[test]
    fn this_process_has_run_and_has_memory() {
        let own = std::process::id();
        assert!(resident_bytes(own).unwrap() > 100_000);
        assert!(Usage::of(own).unwrap().on_core > Duration::ZERO);
    }
}
