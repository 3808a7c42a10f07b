//! The kernel's forwarding, switched on while a gateway needs it and then set back to what it was.
//!
//! What was switched is written down in `/run/weir/forwarding` before it is switched, so that the next start and stop
//! sets back what a killed process could not; and each gateway of a network namespace holds a lock there, so that the
//! last one to go sets back what the first one switched. Namespaces may share `/run`, but forwarding is each one's own:
//! it has a directory of its own, named after its cookie.

use crate::netlink::{self, Netlink};
use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

const DIRECTORY: &str = "/run/weir/forwarding";
const SYSCTLS: &str = "/proc/sys";

const IPV4: &str = "net/ipv4/ip_forward";
const IPV6: &str = "net/ipv6/conf/all/forwarding";

/// Begins the names of the files that running gateways hold locked.
const HOLDER: &str = "holder.";

/// Begins the names of the notes of what was switched.
const SWITCHED: &str = "switched.";

/// Why forwarding could not be switched.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}; forwarding needs root, and /proc/sys writable")]
pub struct ForwardingError {
    path: PathBuf,
    source: io::Error,
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> ForwardingError {
    let path = path.to_owned();
    move |source| ForwardingError { path, source }
}

/// Forwarding is on while this lives.
#[derive(Debug)]
pub struct Forwarding {
    directory: PathBuf,
    /// This gateway's file, locked; the lock ends with the process at the latest.
    holder: Option<(PathBuf, Flock<File>)>,
    switched: Vec<String>,
}

impl Forwarding {
    /// Switches forwarding on for a gateway with this interface, where it is off.
    ///
    /// A host that forwards IPv6 ignores router advertisements (`accept_ra` of 1); interfaces that have routes by them
    /// are switched to 2, lest the host lose its own way out.
    pub fn switch_on(interface: &str, ipv4: bool, ipv6: bool) -> Result<Self, ForwardingError> {
        let directory = Self::directory()?;
        make(Path::new(DIRECTORY))?;
        let lock = lock_all()?;
        make(&directory)?;
        let path = directory.join(format!("{HOLDER}{interface}"));
        let file = File::create(&path).map_err(at(&path))?;
        let holder = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|(_, errno)| at(&path)(errno.into()))?;
        let mut forwarding = Self {
            directory,
            holder: Some((path, holder)),
            switched: Vec::new(),
        };
        let engaged = forwarding.engage(ipv4, ipv6);
        // Given up first: where this fails, what was done is set back under the same lock.
        drop(lock);
        engaged.map(|()| forwarding)
    }

    /// Switches on what is wanted by now, where it is off: addresses of another family may have come, or somebody may
    /// have switched it off.
    pub fn renew(&mut self, ipv4: bool, ipv6: bool) -> Result<(), ForwardingError> {
        let _lock = lock_all()?;
        self.engage(ipv4, ipv6)
    }

    fn engage(&mut self, ipv4: bool, ipv6: bool) -> Result<(), ForwardingError> {
        if ipv4 {
            self.switch(IPV4, "0", "1")?;
        }
        if ipv6 && Path::new(SYSCTLS).join(IPV6).exists() {
            for link in advertised() {
                self.switch(&format!("net/ipv6/conf/{link}/accept_ra"), "1", "2")?;
            }
            self.switch(IPV6, "0", "1")?;
        }
        Ok(())
    }

    /// Where notes and locks of the calling thread's network namespace are.
    pub fn directory() -> Result<PathBuf, ForwardingError> {
        let all = Path::new(DIRECTORY);
        let cookie = netlink::namespace_cookie().map_err(at(all))?;
        Ok(all.join(cookie.to_string()))
    }

    /// What this gateway switched, as the names of sysctls.
    pub fn switched(&self) -> &[String] {
        &self.switched
    }

    fn switch(&mut self, sysctl: &str, from: &str, to: &str) -> Result<(), ForwardingError> {
        if read(sysctl)? != from {
            return Ok(());
        }
        let note = self
            .directory
            .join(format!("{SWITCHED}{}", sysctl.replace('/', ":")));
        fs::write(&note, format!("{from} {to}")).map_err(at(&note))?;
        write(sysctl, to)?;
        let name = sysctl.replace('/', ".");
        if !self.switched.contains(&name) {
            self.switched.push(name);
        }
        Ok(())
    }

    fn release(&mut self) -> Result<(), ForwardingError> {
        let _lock = lock_all()?;
        if let Some((path, holder)) = self.holder.take() {
            fs::remove_file(&path).map_err(at(&path))?;
            drop(holder);
        }
        let names = || -> io::Result<Vec<String>> {
            let entries = fs::read_dir(&self.directory)?;
            entries
                .map(|e| Ok(e?.file_name().to_string_lossy().into_owned()))
                .collect()
        };
        let mut names = names().map_err(at(&self.directory))?;
        // Forwarding before what depends on it: "accept_ra" of 2 is needed until it is off.
        names.sort_by_key(|n| n.ends_with("accept_ra"));
        if names
            .iter()
            .any(|n| n.starts_with(HOLDER) && is_held(&self.directory.join(n)))
        {
            return Ok(());
        }
        for name in names {
            let path = self.directory.join(&name);
            if let Some(sysctl) = name.strip_prefix(SWITCHED) {
                set_back(&path, &sysctl.replace(':', "/"))?;
            }
            fs::remove_file(&path).map_err(at(&path))?;
        }
        fs::remove_dir(&self.directory).map_err(at(&self.directory))
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        if let Err(error) = self.release() {
            tracing::warn!("setting forwarding back: {error}");
        }
    }
}

fn make(directory: &Path) -> Result<(), ForwardingError> {
    let mut builder = DirBuilder::new();
    builder
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(at(directory))
}

/// Held while notes and locks are read or changed; one for all network namespaces, so that their directories may be
/// made and removed under it.
fn lock_all() -> Result<Flock<File>, ForwardingError> {
    let directory = Path::new(DIRECTORY);
    let file = File::open(directory).map_err(at(directory))?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| at(directory)(errno.into()))
}

/// Whether a living gateway has the file.
fn is_held(path: &Path) -> bool {
    let locked = File::open(path).map(|f| Flock::lock(f, FlockArg::LockSharedNonblock));
    // One that cannot be opened has just been removed by its owner.
    matches!(locked, Ok(Err(_)))
}

/// Sets a sysctl back as its note says, unless somebody else has changed it since.
fn set_back(note: &Path, sysctl: &str) -> Result<(), ForwardingError> {
    let text = fs::read_to_string(note).map_err(at(note))?;
    let Some((from, to)) = text.split_once(' ') else {
        // Cut off while it was written, before anything was switched.
        return Ok(());
    };
    match read(sysctl) {
        Ok(value) if value == to => write(sysctl, from),
        Ok(_) => Ok(()),
        // The interface that it belonged to is gone.
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn read(sysctl: &str) -> Result<String, ForwardingError> {
    let path = Path::new(SYSCTLS).join(sysctl);
    let value = fs::read_to_string(&path).map_err(at(&path))?;
    Ok(value.trim().to_owned())
}

fn write(sysctl: &str, value: &str) -> Result<(), ForwardingError> {
    let path = Path::new(SYSCTLS).join(sysctl);
    fs::write(&path, value).map_err(at(&path))
}

/// The interfaces that have routes by the kernel's own reading of router advertisements.
fn advertised() -> Vec<String> {
    let links = Netlink::open().and_then(|mut netlink| netlink.advertised_links());
    links.unwrap_or_else(|error| {
        tracing::warn!("routes by router advertisements are not known and may be lost: {error}");
        Vec::new()
    })
}
