//! Network namespaces: entering them, running programs in them, and the veth pairs between them.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};

use crate::{LabError, Result, programs, wait};

/// Where iproute2 keeps the names of network namespaces.
pub(crate) const NETNS_FOLDER: &str = "/run/netns";

/// A network namespace that a [`Topology`](crate::Topology) owns and removes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Namespace {
    name: Arc<str>,
}

/// One end of a veth pair: where it lies, its name there, and its addresses with prefix lengths.
pub struct End<'a> {
    /// The namespace it lies in.
    pub namespace: &'a Namespace,
    /// Its name there, at most 15 characters; two namespaces may use the same.
    pub interface: &'a str,
    /// Addresses like `192.0.2.1/24` or `2001:db8::1/64`.
    pub addresses: &'a [&'a str],
}

impl<'a> End<'a> {
    /// The end `interface` in `namespace`.
    pub fn new(namespace: &'a Namespace, interface: &'a str, addresses: &'a [&'a str]) -> Self {
        Self {
            namespace,
            interface,
            addresses,
        }
    }
}

impl Namespace {
    /// Makes an empty namespace with its loopback interface up.
    pub(crate) fn create(name: &str) -> Result<Self> {
        run(programs::tool("ip")?.args(["netns", "add", name]))?;
        let namespace = Self { name: name.into() };
        namespace.ip("link set lo up")?;
        // Addresses are usable at once: nobody else can hold them here.
        namespace.sysctl("net.ipv6.conf.default.accept_dad", "0")?;
        Ok(namespace)
    }

    /// The name under which `ip netns` knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that stands for it.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(NETNS_FOLDER).join(&*self.name)
    }

    /// Runs `work` on a thread of its own inside this namespace. Sockets opened there stay in the namespace. Only the
    /// network namespace changes: files, /sys and /sys/fs/bpf are those of the caller, unlike with `ip netns exec`.
    ///
    /// Panics when the namespace cannot be entered, or when `work` does.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let entered = scope.spawn(|| {
                self.bind_thread();
                work()
            });
            match entered.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Moves the calling thread into this namespace for the rest of its life; for threads made for that.
    pub(crate) fn bind_thread(&self) {
        let namespace = File::open(self.path()).expect("the topology keeps the namespace while it is in use");
        setns(namespace, CloneFlags::CLONE_NEWNET).expect("a test of topologies runs as root");
    }

    /// Starts a program in this namespace. Most callers want [`Topology::start`](crate::Topology::start), which also
    /// ends it.
    pub fn spawn(&self, command: &mut Command) -> Result<Child> {
        let doing = format!("start {}", described(command));
        self.enter(|| command.spawn()).map_err(LabError::io(doing))
    }

    /// Runs a program in this namespace to its end, whatever its status.
    pub fn output(&self, command: &mut Command) -> Result<Output> {
        let doing = format!("run {}", described(command));
        command.stdin(Stdio::null());
        self.enter(|| command.output()).map_err(LabError::io(doing))
    }

    /// Runs a program in this namespace, expects it to succeed, and returns its standard output.
    pub fn run(&self, command: &mut Command) -> Result<String> {
        command.stdin(Stdio::null());
        self.enter(|| run(command))
    }

    /// Runs `ip` on this namespace, its arguments separated by spaces: `link set eth0 up`.
    pub fn ip(&self, arguments: &str) -> Result<String> {
        run(programs::tool("ip")?
            .args(["-n", &self.name])
            .args(arguments.split_whitespace()))
    }

    /// The number and the MAC address of one of its Ethernet devices.
    pub fn device(&self, name: &str) -> Result<(u32, [u8; 6])> {
        let text = self.ip(&format!("-json link show dev {name}"))?;
        let links: Option<serde_json::Value> = serde_json::from_str(&text).ok();
        let read = || {
            let link = links?.get(0)?.clone();
            let bytes = link["address"].as_str()?.split(':');
            let bytes: Vec<u8> = bytes
                .map(|byte| u8::from_str_radix(byte, 16).ok())
                .collect::<Option<_>>()?;
            Some((
                u32::try_from(link["ifindex"].as_u64()?).ok()?,
                bytes.try_into().ok()?,
            ))
        };
        read().ok_or(LabError::Unreadable {
            program: "ip",
            expected: "device with a MAC address",
            output: text,
        })
    }

    /// Sets one of the namespace's kernel parameters: `net.ipv4.ip_forward` to `1`.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        let path = format!("/proc/sys/{}", key.replace('.', "/"));
        // /proc/sys/net shows the namespace of the thread that opens it.
        self.enter(|| fs::write(&path, value))
            .map_err(LabError::io(format!("write {path}")))
    }

    /// Writes to a file of /sys as the namespace has it: `class/net/eth0/threaded`.
    pub fn sysfs(&self, file: &str, value: &str) -> Result<()> {
        let path = format!("/sys/{file}");
        // /sys shows the namespace of the thread that mounted it, so this thread's own mount, which ends with it.
        let write = || -> std::io::Result<()> {
            let nothing = None::<&str>;
            unshare(CloneFlags::CLONE_NEWNS)?;
            mount(
                nothing,
                "/",
                nothing,
                MsFlags::MS_REC | MsFlags::MS_PRIVATE,
                nothing,
            )?;
            mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), nothing)?;
            fs::write(&path, value)
        };
        self.enter(write).map_err(LabError::io(format!("write {path}")))
    }

    /// Lets the namespace forward packets, IPv4 and IPv6.
    pub fn forward(&self) -> Result<()> {
        self.sysctl("net.ipv4.ip_forward", "1")?;
        self.sysctl("net.ipv6.conf.all.forwarding", "1")
    }

    /// Waits until a TCP socket listens on `address` or on its port for any address.
    pub fn await_listener(&self, address: SocketAddr, limit: Duration) -> Result<()> {
        let suffix = format!(":{:04X}", address.port());
        wait::until_true(
            &format!("a listener on {address} in {}", self.name),
            limit,
            || {
                self.enter(|| {
                    ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"]
                        .iter()
                        .filter_map(|table| fs::read_to_string(table).ok())
                        .any(|table| table.lines().any(|line| is_listener(line, &suffix)))
                })
            },
        )
    }
}

impl End<'_> {
    pub(crate) fn configure(&self) -> Result<()> {
        for address in self.addresses {
            self.namespace
                .ip(&format!("address add {address} dev {}", self.interface))?;
        }
        self.namespace
            .ip(&format!("link set {} up", self.interface))
            .map(drop)
    }
}

/// Whether a line of /proc/net/tcp is a socket in LISTEN (state 0A) whose local address ends in `suffix`.
fn is_listener(line: &str, suffix: &str) -> bool {
    let mut columns = line.split_whitespace().skip(1);
    let local = columns.next().is_some_and(|local| local.ends_with(suffix));
    let state = columns.nth(1);
    local && state == Some("0A")
}

/// Runs a program to its end and expects success; returns its standard output.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .map_err(LabError::io(format!("run {}", described(command))))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(failed(command, &output))
}

/// The error of a program that ended badly.
pub(crate) fn failed(command: &Command, output: &Output) -> LabError {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    LabError::Failed {
        command: described(command),
        status: output.status,
        output: String::from_utf8_lossy(&text).trim_end().to_owned(),
    }
}

fn described(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches a table row of a connected socket, or of another port, taken for a listener.
    #[test]
    fn listeners_are_told_from_connections() {
        let row =
            |local: &str, state: &str| format!("   0: 00000000:{local} 00000000:0000 {state} 00000000:0");
        assert!(is_listener(&row("1451", "0A"), ":1451"));
        assert!(!is_listener(&row("1451", "01"), ":1451"));
        assert!(!is_listener(&row("1452", "0A"), ":1451"));
        assert!(!is_listener(
            "  sl  local_address rem_address   st tx_queue",
            ":1451"
        ));
    }
}
