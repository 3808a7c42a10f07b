//! A running WireGuard interface of any implementation, configured with the `wg` tool as a user would.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::str::FromStr;
use std::time::Duration;

use weir_abi::key::PublicKey;

use crate::device_config::DeviceConfig;
use crate::{LabError, Namespace, Process, Result, Topology, private_file, programs, wait};

/// Where user-space implementations put their sockets (the cross-platform interface of wireguard-tools).
const SOCKET_FOLDER: &str = "/var/run/wireguard";

/// Every folder with sockets named after interfaces: also that of Weir's own.
pub(crate) const SOCKET_FOLDERS: [&str; 2] = [SOCKET_FOLDER, weir_abi::ipc::DIRECTORY];

/// How long a program may take to make its interface and its socket.
const START_LIMIT: Duration = Duration::from_secs(10);

/// Who speaks WireGuard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Implementation {
    /// `weir-dataplane IFNAME`, as a drop-in for wireguard-go.
    Weir,
    /// wireguard-go.
    WireguardGo,
    /// boringtun-cli.
    Boringtun,
    /// gotatun.
    Gotatun,
    /// The kernel's own, where the kernel has it: in the virtual machine.
    Kernel,
}

/// A WireGuard interface in a namespace. Dropping it ends its process; the interface ends with the process or with the
/// namespace.
#[derive(Debug)]
pub struct Peer {
    implementation: Implementation,
    namespace: Namespace,
    interface: String,
    conf: PathBuf,
    environment: Vec<(&'static str, String)>,
    process: Option<Process>,
}

/// What an interface knows of one of its peers.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerStatus {
    /// The peer's key.
    pub public_key: PublicKey,
    /// Where it was last heard.
    pub endpoint: Option<SocketAddr>,
    /// When the last handshake with it completed, in seconds since 1970.
    pub latest_handshake_s: Option<u64>,
    /// Bytes received from it.
    pub received_bytes: u64,
    /// Bytes sent to it.
    pub sent_bytes: u64,
}

impl Implementation {
    /// Those that run in user space and thus anywhere.
    pub const USER_SPACE: [Self; 4] = [Self::Weir, Self::WireguardGo, Self::Boringtun, Self::Gotatun];

    /// The name by which [`FromStr`] knows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Weir => "weir",
            Self::WireguardGo => "wireguard-go",
            Self::Boringtun => "boringtun",
            Self::Gotatun => "gotatun",
            Self::Kernel => "kernel",
        }
    }

    /// The program that it is; none for the kernel.
    pub fn program(self) -> Result<Option<PathBuf>> {
        match self {
            Self::Weir => programs::weir("weir-dataplane").map(Some),
            Self::WireguardGo => programs::peer("wireguard-go").map(Some),
            Self::Boringtun => programs::peer("boringtun-cli").map(Some),
            Self::Gotatun => programs::peer("gotatun").map(Some),
            Self::Kernel => Ok(None),
        }
    }

    /// The command that runs it in the foreground on an interface; none for the kernel, which is always running.
    fn command(self, interface: &str) -> Result<Option<Command>> {
        let Some(path) = self.program()? else {
            return Ok(None);
        };
        let mut command = Command::new(path);
        command.args(["-f", interface]);
        if matches!(self, Self::Boringtun | Self::Gotatun) {
            // They look for a login to become, and without root could not bind a port again.
            command.arg("--disable-drop-privileges");
        }
        Ok(Some(command))
    }
}

impl fmt::Display for Implementation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Implementation {
    type Err = String;

    fn from_str(text: &str) -> core::result::Result<Self, String> {
        Self::USER_SPACE
            .into_iter()
            .chain([Self::Kernel])
            .find(|known| known.name() == text)
            .ok_or_else(|| {
                format!("implementation {text}: expected weir, wireguard-go, boringtun, gotatun or kernel")
            })
    }
}

impl Peer {
    /// Starts an implementation in a namespace, on an interface of its own named after `label` (at most 5 characters),
    /// and waits until it can be configured.
    pub fn start(
        topology: &Topology,
        namespace: &Namespace,
        label: &str,
        implementation: Implementation,
    ) -> Result<Self> {
        Self::start_with(topology, namespace, label, implementation, &[])
    }

    /// As [`Peer::start`], with variables of the environment that only this program gets.
    pub fn start_with(
        topology: &Topology,
        namespace: &Namespace,
        label: &str,
        implementation: Implementation,
        environment: &[(&'static str, String)],
    ) -> Result<Self> {
        let interface = topology.interface(label);
        let mut peer = Self {
            implementation,
            namespace: namespace.clone(),
            conf: topology.folder().join(format!("{interface}.conf")),
            interface,
            environment: environment.to_vec(),
            process: None,
        };
        peer.launch(topology)?;
        Ok(peer)
    }

    /// Kills it as `kill -9` does and starts it anew on the same interface, without configuration.
    pub fn restart(&mut self, topology: &Topology) -> Result<()> {
        self.kill()?;
        self.launch(topology)
    }

    /// Kills it as `kill -9` does; a kernel's interface is deleted.
    pub fn kill(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.kill().map(drop)?,
            None => self
                .namespace
                .ip(&format!("link delete {}", self.interface))
                .map(drop)?,
        }
        let what = format!("the end of interface {}", self.interface);
        wait::until_true(&what, START_LIMIT, || !self.has_interface())
    }

    /// The namespace it lives in.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Its interface's name.
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// Its process, unless it is the kernel.
    pub fn process(&mut self) -> Option<&mut Process> {
        self.process.as_mut()
    }

    /// Replaces its whole configuration (`wg setconf`).
    pub fn configure(&self, device: &DeviceConfig) -> Result<()> {
        self.with_conf("setconf", device)
    }

    /// Replaces its configuration without disturbing peers that stay (`wg syncconf`).
    pub fn synchronize(&self, device: &DeviceConfig) -> Result<()> {
        self.with_conf("syncconf", device)
    }

    /// Replaces its whole configuration by a text that `wg setconf` reads.
    pub fn set_conf(&self, text: &str) -> Result<()> {
        self.with_text("setconf", text)
    }

    /// Gives it an address with a prefix length: `10.0.0.1/24`.
    pub fn address(&self, address: &str) -> Result<()> {
        self.ip(&format!("address add {address} dev {}", self.interface))
    }

    /// Sets its MTU and brings it up.
    pub fn up(&self, mtu: u16) -> Result<()> {
        self.ip(&format!("link set {} mtu {mtu} up", self.interface))
    }

    /// Routes a prefix to it.
    pub fn route(&self, prefix: &str) -> Result<()> {
        self.ip(&format!("route add {prefix} dev {}", self.interface))
    }

    /// Runs `wg` in its namespace, arguments separated by spaces. No secret belongs in them.
    pub fn wg(&self, arguments: &str) -> Result<String> {
        self.namespace
            .run(programs::tool("wg")?.args(arguments.split_whitespace()))
    }

    /// What it knows of its peers.
    pub fn peers(&self) -> Result<Vec<PeerStatus>> {
        let endpoints = self.show("endpoints")?;
        let handshakes = self.show("latest-handshakes")?;
        let transfers = self.show("transfer")?;
        let value = |table: &[(PublicKey, String)], key| -> String {
            table
                .iter()
                .find(|(known, _)| *known == key)
                .map(|(_, value)| value.clone())
                .unwrap_or_default()
        };
        Ok(endpoints
            .iter()
            .map(|(key, endpoint)| {
                let transfer = value(&transfers, *key);
                let mut bytes = transfer.split('\t').map(|bytes| bytes.parse().unwrap_or(0));
                PeerStatus {
                    public_key: *key,
                    endpoint: endpoint.parse().ok(),
                    latest_handshake_s: value(&handshakes, *key)
                        .parse()
                        .ok()
                        .filter(|&seconds| seconds != 0),
                    received_bytes: bytes.next().unwrap_or(0),
                    sent_bytes: bytes.next().unwrap_or(0),
                }
            })
            .collect())
    }

    /// Waits until a handshake with this peer has completed after `after_s` (seconds since 1970; 0 for any), and
    /// returns when it did. Two handshakes within one second cannot be told apart.
    pub fn await_handshake(&self, peer: PublicKey, after_s: u64, limit: Duration) -> Result<u64> {
        let what = format!("a handshake of {} with {peer}", self.interface);
        wait::until(&what, limit, || {
            let peers = self.peers().ok()?;
            let status = peers.into_iter().find(|status| status.public_key == peer)?;
            status.latest_handshake_s.filter(|&seconds| seconds > after_s)
        })
    }

    fn launch(&mut self, topology: &Topology) -> Result<()> {
        let Some(mut command) = self.implementation.command(&self.interface)? else {
            return self.ip(&format!("link add {} type wireguard", self.interface));
        };
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        // Whatever a killed predecessor left would pass for readiness.
        self.remove_socket();
        let mut process = topology.start(&self.namespace, self.implementation.name(), &mut command)?;
        let what = format!("{} on {}", self.implementation, self.interface);
        let ended = wait::until(&what, START_LIMIT, || match process.ended() {
            Ok(None) => (self.answers() && self.has_interface()).then_some(Ok(None)),
            ended => Some(ended),
        })??;
        if let Some(status) = ended {
            return Err(LabError::Failed {
                command: format!("{} -f {}", self.implementation, self.interface),
                status,
                output: process.log(),
            });
        }
        self.process = Some(process);
        Ok(())
    }

    fn with_conf(&self, verb: &str, device: &DeviceConfig) -> Result<()> {
        self.with_text(verb, &device.expose_conf())
    }

    fn with_text(&self, verb: &str, text: &str) -> Result<()> {
        private_file::write(&self.conf, text)?;
        self.wg(&format!("{verb} {} {}", self.interface, self.conf.display()))
            .map(drop)
    }

    fn show(&self, table: &str) -> Result<Vec<(PublicKey, String)>> {
        let output = self.wg(&format!("show {} {table}", self.interface))?;
        let row = |line: &str| -> Option<_> {
            let (key, value) = line.split_once('\t')?;
            Some((key.parse().ok()?, value.to_owned()))
        };
        output
            .lines()
            .map(row)
            .collect::<Option<_>>()
            .ok_or(LabError::Unreadable {
                program: "wg",
                expected: "key in every line",
                output,
            })
    }

    fn ip(&self, arguments: &str) -> Result<()> {
        self.namespace.ip(arguments).map(drop)
    }

    fn has_interface(&self) -> bool {
        self.namespace
            .ip(&format!("link show dev {}", self.interface))
            .is_ok()
    }

    /// The socket by which it is configured.
    pub fn socket(&self) -> PathBuf {
        PathBuf::from(SOCKET_FOLDER).join(format!("{}.sock", self.interface))
    }

    /// Whether somebody listens at the socket. That it is there is not enough: `wg` removes one that refuses it, as it does
    /// between its making and the first listening.
    fn answers(&self) -> bool {
        UnixStream::connect(self.socket()).is_ok()
    }

    fn remove_socket(&self) {
        // It is there only after the process was killed.
        let _ = fs::remove_file(self.socket());
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if self.process.take().is_some() {
            self.remove_socket();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn implementations_go_by_their_names() {
        for implementation in Implementation::USER_SPACE {
            assert_eq!(implementation.to_string().parse(), Ok(implementation));
        }
        let error = "openvpn".parse::<Implementation>().unwrap_err();
        assert!(
            error.contains("openvpn") && error.contains("expected weir"),
            "{error}"
        );
    }
}
