//! A topology: the namespaces, processes and files of one test, removed together.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use crate::namespace::NETNS_FOLDER;
use crate::peer::SOCKET_FOLDERS;
use crate::{End, LabError, Namespace, Process, Result, programs, wait};

/// What every namespace and folder of ours is called, before the process id.
const PREFIX: &str = "weir-";

/// How long killed processes may take to vanish.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// Numbers the topologies of this process, whose tests may run side by side.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Owns the namespaces, processes and files of one test. Dropping it ends every process in the namespaces and removes
/// all of it.
#[derive(Debug)]
pub struct Topology {
    number: u32,
    folder: PathBuf,
    namespaces: Mutex<Vec<Namespace>>,
    processes: AtomicU32,
}

impl Topology {
    /// An empty topology. Also removes what processes that no longer live have left behind.
    pub fn new() -> Result<Self> {
        if !geteuid().is_root() {
            return Err(LabError::NotRoot);
        }
        remove_leftovers();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("{PREFIX}{}-{number}", std::process::id()));
        DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .map_err(LabError::io(format!("create {}", folder.display())))?;
        Ok(Self {
            number,
            folder,
            namespaces: Mutex::new(Vec::new()),
            processes: AtomicU32::new(0),
        })
    }

    /// A folder only root reads, for keys, configurations and logs; removed with the topology.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A folder that only this user reads, for a process without privileges; removed with the topology.
    pub fn folder_for(&self, label: &str, uid: u32) -> Result<PathBuf> {
        let folder = PathBuf::from(format!("{}-{label}", self.folder.display()));
        let made = DirBuilder::new().mode(0o700).create(&folder);
        made.and_then(|()| chown(&folder, Some(uid), Some(uid)))
            .map_err(LabError::io(format!("create {}", folder.display())))?;
        Ok(folder)
    }

    /// Makes a namespace named `weir-PID-NUMBER-LABEL`, its loopback up.
    pub fn namespace(&self, label: &str) -> Result<Namespace> {
        let name = format!("{PREFIX}{}-{}-{label}", std::process::id(), self.number);
        let namespace = Namespace::create(&name)?;
        self.namespaces().push(namespace.clone());
        Ok(namespace)
    }

    /// An interface name that no other topology on this machine uses, ending in `label` (at most 5 characters). The
    /// sockets of user-space WireGuard are named after their interfaces, in one folder for all namespaces.
    pub fn interface(&self, label: &str) -> String {
        let name = format!("{}{label}", self.interface_prefix());
        assert!(
            name.len() <= 15,
            "interface {name}: longer than Linux's 15 characters"
        );
        name
    }

    /// Joins two namespaces by a veth pair, both ends up and with their addresses.
    pub fn veth(&self, left: &End<'_>, right: &End<'_>) -> Result<()> {
        self.pair(left, right, ["", ""])
    }

    /// As [`Topology::veth`], with this many queues at both ends, each way, and more on which the left end sends.
    pub fn wide_veth(&self, left: &End<'_>, right: &End<'_>, queues: u16, more: u16) -> Result<()> {
        let words = |sending| format!("numrxqueues {queues} numtxqueues {sending}");
        self.pair(left, right, [&words(queues + more), &words(queues)])
    }

    fn pair(&self, left: &End<'_>, right: &End<'_>, queues: [&str; 2]) -> Result<()> {
        left.namespace.ip(&format!(
            "link add {} {} type veth peer name {} netns {} {}",
            left.interface,
            queues[0],
            right.interface,
            right.namespace.name(),
            queues[1]
        ))?;
        left.configure()?;
        right.configure()
    }

    /// Starts a program in a namespace; its output goes to a log named after `label`. It ends with the returned value
    /// or with the topology.
    pub fn start(&self, namespace: &Namespace, label: &str, command: &mut Command) -> Result<Process> {
        let number = self.processes.fetch_add(1, Ordering::Relaxed);
        let log = self.folder.join(format!("{label}.{number}.log"));
        Process::start(namespace, label, command, log)
    }

    /// Ends every process in the namespaces and removes namespaces and files, as dropping does; for a signal handler.
    pub fn remove(&self) {
        for namespace in self.namespaces().drain(..) {
            remove_namespace(&namespace.path());
        }
        // A program that was killed leaves its sockets behind.
        for socket in SOCKET_FOLDERS
            .iter()
            .flat_map(|folder| entries(Path::new(folder)))
        {
            let name = socket
                .file_name()
                .map(|name| name.to_string_lossy())
                .unwrap_or_default();
            if name.starts_with(&self.interface_prefix()) {
                // Another owner may have removed it since.
                let _ = fs::remove_file(&socket);
            }
        }
        let own = self.folder.as_os_str().as_encoded_bytes();
        for folder in entries(&std::env::temp_dir()) {
            // Those of others begin alike: weir-7-1 and weir-7-10.
            let rest = folder.as_os_str().as_encoded_bytes().strip_prefix(own);
            if rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'-') {
                // A file that cannot be removed is found by the next topology.
                let _ = fs::remove_dir_all(&folder);
            }
        }
    }

    fn interface_prefix(&self) -> String {
        format!("w{}-{}-", base36(std::process::id()), base36(self.number))
    }

    fn namespaces(&self) -> MutexGuard<'_, Vec<Namespace>> {
        // The list is whole even when a test panicked while holding it.
        self.namespaces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Topology {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Removes the namespaces and folders of processes that no longer live.
fn remove_leftovers() {
    for entry in entries(Path::new(NETNS_FOLDER)) {
        if is_leftover(&entry) {
            remove_namespace(&entry);
        }
    }
    for entry in entries(&std::env::temp_dir()) {
        if is_leftover(&entry) {
            // Another topology may be removing it at the same time.
            let _ = fs::remove_dir_all(&entry);
        }
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default()
}

/// Whether a path is named after a process of ours that no longer lives.
fn is_leftover(path: &Path) -> bool {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy())
        .unwrap_or_default();
    owner(&name).is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists())
}

/// The process id in the name of one of our namespaces or folders.
fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

/// Ends the processes in a namespace and removes it. Failures are left to the next topology: this runs in Drop.
fn remove_namespace(path: &Path) {
    if let Ok(identity) = identity(path) {
        let _ = wait::until_true("the end of a namespace's processes", KILL_LIMIT, || {
            let inhabitants = inhabitants(identity);
            for &pid in &inhabitants {
                let _ = kill(pid, Signal::SIGKILL);
            }
            inhabitants.is_empty()
        });
    }
    if let (Ok(mut ip), Some(name)) = (programs::tool("ip"), path.file_name()) {
        let _ = ip.args(["netns", "delete"]).arg(name).output();
    }
}

/// What tells a namespace from all others: the device and inode behind its name.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// The processes whose network namespace this is. This process's own main thread never enters one.
fn inhabitants(namespace: (u64, u64)) -> Vec<Pid> {
    entries(Path::new("/proc"))
        .into_iter()
        .filter_map(|process| {
            let pid = process.file_name()?.to_str()?.parse().ok()?;
            (identity(&process.join("ns/net")).ok()? == namespace).then(|| Pid::from_raw(pid))
        })
        .filter(|&pid| pid != Pid::this())
        .collect()
}

fn base36(number: u32) -> String {
    let mut rest = number;
    let mut digits = Vec::new();
    loop {
        digits.push(char::from_digit(rest % 36, 36).expect("a remainder of 36 is a digit"));
        rest /= 36;
        if rest == 0 {
            return digits.iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches removal of what belongs to somebody else, or to a process that lives.
    #[test]
    fn only_what_a_dead_process_left_is_a_leftover() {
        assert_eq!(owner("weir-4194304-0-client"), Some(4_194_304));
        assert_eq!(owner("weir-lab"), None);
        assert_eq!(owner("container-12"), None);
        // Linux hands out process ids below 2^22 only.
        assert!(is_leftover(Path::new("/run/netns/weir-4194305-0-client")));
        assert!(!is_leftover(&PathBuf::from(format!(
            "/run/netns/weir-{}-0-x",
            std::process::id()
        ))));
    }

    #[test]
    fn numbers_are_short_in_base_36() {
        assert_eq!(base36(0), "0");
        assert_eq!(base36(35), "z");
        assert_eq!(base36(36), "10");
        assert_eq!(base36((1 << 22) - 1).len(), 5);
    }
}
