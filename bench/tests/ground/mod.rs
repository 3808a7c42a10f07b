//! Where a gateway is started that may refuse to start: one namespace, a good `weir.toml`, and the host's state before.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test program uses a part of it, and fails by panicking"
)]

mod host_state;

use std::fs::{self, Permissions};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use weir_bench::configured::Configured;
use weir_bench::device_config::KeyPair;
use weir_bench::{Namespace, Topology, ipc, programs};

pub use host_state::HostState;

use crate::callers::{self, Caller};

/// How long a program may take to start, to follow, or to end.
pub const LIMIT: Duration = Duration::from_secs(30);

/// The gateway's UDP port.
pub const PORT: u16 = 51820;

/// Where the gateway is called from its own namespace.
pub const GATEWAY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PORT);

/// The gateway's address in the tunnel.
pub const INSIDE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// The namespace, and what is in it.
pub struct Ground {
    /// The gateway's namespace.
    pub host: Namespace,
    /// The interface that it makes.
    pub interface: String,
    // Last, because fields are dropped in this order.
    pub topology: Topology,
}

impl Ground {
    /// A namespace with nothing but its loopback.
    pub fn new() -> Self {
        let topology = Topology::new().unwrap();
        Self {
            host: topology.namespace("gateway").unwrap(),
            interface: topology.interface("gw"),
            topology,
        }
    }

    /// A file that says all that a gateway can set on its host, with two peers that call from the namespace itself.
    pub fn toml(&self) -> String {
        let head = Configured::head(&self.topology, &self.interface, &gateway_key());
        let peers: String = (0..2)
            .map(|number| peer(number, &format!("{}/32", callers::address(number))))
            .collect();
        format!(
            "{head}listen_port = {PORT}\naddresses = [\"{INSIDE}/16\", \"fd77::1/64\"]\n\n[gateway]\nnat = true\n{peers}"
        )
    }

    /// Where the file of [`Configured`] lies.
    pub fn file(&self) -> PathBuf {
        self.topology.folder().join(format!("{}.toml", self.interface))
    }

    /// Where the gateway keeps its state.
    pub fn state_file(&self) -> PathBuf {
        self.topology.folder().join(format!("{}.state", self.interface))
    }

    /// Starts a gateway that is expected to work.
    pub fn start(&self) -> Configured {
        Configured::start(&self.topology, &self.host, &self.interface, &self.toml()).unwrap()
    }

    /// The peer with this number, which has called the gateway and is answered.
    pub fn caller(&self, number: u16) -> Caller {
        let mut caller = Caller::new(&self.host, number, gateway_key().public(), GATEWAY).unwrap();
        caller.call();
        self.expects_answer(&mut caller, 0);
        caller
    }

    /// Has a peer ping the gateway, which must answer.
    pub fn expects_answer(&self, caller: &mut Caller, sequence: u16) {
        if let Err(why) = caller.pings(INSIDE, sequence) {
            panic!("{why}\n{:#?}", ipc::status(&self.interface));
        }
    }

    /// The host as it is now.
    pub fn state(&self) -> HostState {
        HostState::of(&self.host, &self.interface)
    }

    /// Writes the file.
    pub fn write(&self, toml: &str) {
        let file = self.file();
        fs::write(&file, toml).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    }

    /// Writes the file and starts a gateway with it, which must refuse: with a status that says so, in one message that
    /// holds every one of `words`, and without a change on the host.
    pub fn refuses(&self, case: &str, toml: &str, words: &[&str]) {
        self.write(toml);
        self.refuses_by(case, &mut program(), words);
    }

    /// As [`Ground::refuses`], by a command that becomes `weir-dataplane`, and with the file as it is.
    pub fn refuses_by(&self, case: &str, command: &mut Command, words: &[&str]) {
        command.arg("--config").arg(self.file());
        self.refuses_command(case, command, words);
    }

    /// As [`Ground::refuses`], with a whole command.
    pub fn refuses_command(&self, case: &str, command: &mut Command, words: &[&str]) {
        let before = self.state();
        let (status, log) = self.run(command);
        assert_eq!(status.code(), Some(1), "{case}: {log}");
        println!("{case}: {}", log.trim_end());
        let told: Vec<&str> = log
            .lines()
            .filter(|line| line.starts_with("weir-dataplane: "))
            .collect();
        assert_eq!(told.len(), 1, "{case}: one message is expected\n{log}");
        for word in words {
            assert!(told[0].contains(word), "{case}: no word of {word:?}\n{log}");
        }
        before.unchanged(&self.state(), case);
        assert!(!self.state_file().exists(), "{case}: it wrote a state file");
    }

    /// Runs a program to its end, and gives what it printed.
    pub fn run(&self, command: &mut Command) -> (ExitStatus, String) {
        let mut process = self.topology.start(&self.host, "refused", command).unwrap();
        let status = process.wait(LIMIT).unwrap();
        (status, process.log())
    }
}

/// `weir-dataplane`.
pub fn program() -> Command {
    Command::new(programs::weir("weir-dataplane").unwrap())
}

/// The gateway's key.
pub fn gateway_key() -> KeyPair {
    KeyPair::seeded(2)
}

/// The lines that declare the peer with this number.
pub fn peer(number: u16, allowed_ip: &str) -> String {
    let key = callers::key(number);
    format!(
        "\n[[peer]]\nname = \"peer {number}\"\npublic_key = \"{key}\"\nallowed_ips = [\"{allowed_ip}\"]\n"
    )
}
