//! A gateway with callers, so many that each of its shards is home to one:
//!
//! ```text
//! callers, and one weir-dataplane 192.0.2.2 ──veth── 192.0.2.1 gateway, 10.77.0.1 in the tunnel
//! ```
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test program uses a part of it, and fails by panicking"
)]

use std::collections::HashSet;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::time::Duration;

use weir_abi::status::Status;
use weir_bench::configured::Configured;
use weir_bench::device_config::{DeviceConfig, KeyPair, PeerConfig};
use weir_bench::transfer::{Running, Transfer};
use weir_bench::{End, Implementation, Namespace, Peer, Ping, Topology, ipc, programs};

use crate::callers::{self, Caller};

/// The gateway's address in the tunnel.
pub const INSIDE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// The address in the tunnel of the client that is a process.
pub const PROCESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

/// Where the gateway is called.
pub const GATEWAY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 51820);

/// Callers that a test begins with, and those that there may be: the kernel's hash spreads them, and its key differs
/// from boot to boot, so that some shard may be nobody's home at first.
pub const CALLERS: u16 = 16;
const CALLERS_MOST: u16 = 64;

/// How long a program may take to start, to follow, or to end.
pub const LIMIT: Duration = Duration::from_secs(30);

/// A gateway with callers.
pub struct Site {
    /// The gateway.
    pub gateway: Configured,
    /// Its callers, each with a session.
    pub callers: Vec<Caller>,
    /// Where they are.
    pub remote: Namespace,
    // Last, because fields are dropped in this order.
    topology: Topology,
}

/// What a `weir.toml` says of shards: their number and the steering.
pub fn toml(topology: &Topology, interface: &str, shards: u16, steering: &str) -> String {
    let head = Configured::head(topology, interface, &KeyPair::seeded(2));
    let dataplane = format!("[dataplane]\nshards = {shards}\nsteering = \"{steering}\"\n");
    let mut toml = head.replacen("[dataplane]\n", &dataplane, 1);
    write!(
        toml,
        "listen_port = {}\naddresses = [\"{INSIDE}/16\"]\n",
        GATEWAY.port()
    )
    .unwrap();
    let process = (KeyPair::seeded(1).public(), PROCESS);
    let callers = (0..CALLERS_MOST).map(|number| (callers::key(number), callers::address(number)));
    for (key, address) in callers.chain([process]) {
        write!(
            toml,
            "\n[[peer]]\npublic_key = \"{key}\"\nallowed_ips = [\"{address}/32\"]\n"
        )
        .unwrap();
    }
    toml
}

/// The namespaces of the gateway and of those far away, joined.
pub fn networks(topology: &Topology) -> (Namespace, Namespace) {
    let (gateway, remote) = (
        topology.namespace("gateway").unwrap(),
        topology.namespace("remote").unwrap(),
    );
    topology
        .veth(
            &End::new(&gateway, "wan", &["192.0.2.1/24"]),
            &End::new(&remote, "wan", &["192.0.2.2/24"]),
        )
        .unwrap();
    (gateway, remote)
}

/// `weir-dataplane`.
pub fn program() -> Command {
    Command::new(programs::weir("weir-dataplane").unwrap())
}

impl Site {
    /// Starts a gateway with these shards and this steering, by a command that becomes `weir-dataplane`.
    pub fn start(shards: u16, steering: &str, command: &mut Command) -> Self {
        let topology = Topology::new().unwrap();
        let (gateway, remote) = networks(&topology);
        let interface = topology.interface("gw");
        let toml = toml(&topology, &interface, shards, steering);
        let gateway = Configured::start_by(&topology, &gateway, &interface, &toml, command).unwrap();
        Self {
            gateway,
            callers: Vec::new(),
            remote,
            topology,
        }
    }

    /// What the gateway tells of itself.
    pub fn status(&self) -> Status {
        ipc::status(self.gateway.interface()).unwrap()
    }

    /// One more caller, with a session that carries packets both ways.
    pub fn add_caller(&mut self) {
        let number = self.callers.len() as u16;
        let key = KeyPair::seeded(2).public();
        let mut caller = Caller::new(&self.remote, number, key, GATEWAY).unwrap();
        caller.call();
        self.callers.push(caller);
        self.expects_answer(usize::from(number), 0);
    }

    /// Callers until each shard is home to one.
    pub fn fill(&mut self) {
        for _ in 0..CALLERS {
            self.add_caller();
        }
        while self.homes().len() < self.status().shards.len() {
            assert!(
                self.callers.len() < usize::from(CALLERS_MOST),
                "{CALLERS_MOST} callers on {:?} alone",
                self.homes()
            );
            self.add_caller();
        }
    }

    fn homes(&self) -> HashSet<u16> {
        self.status().peers.iter().filter_map(|peer| peer.shard).collect()
    }

    /// Has each caller ping the gateway, which must answer.
    pub fn ping_all(&mut self, sequence: u16) {
        for caller in 0..self.callers.len() {
            self.expects_answer(caller, sequence);
        }
    }

    fn expects_answer(&mut self, caller: usize, sequence: u16) {
        if let Err(why) = self.callers[caller].pings(INSIDE, sequence) {
            panic!("{why}\n{:#?}", self.status());
        }
    }

    /// Has each caller send numbered datagrams, and expects every one.
    pub fn say_all(&mut self, each: u16) {
        let sink = self
            .gateway
            .namespace()
            .enter(|| UdpSocket::bind((INSIDE, 0)))
            .unwrap();
        sink.set_read_timeout(Some(LIMIT)).unwrap();
        let to = sink.local_addr().unwrap();
        let mut expected = HashSet::new();
        for (number, caller) in self.callers.iter_mut().enumerate() {
            for count in 0..each {
                let words = format!("{number} {count}").into_bytes();
                caller.says(to, &words);
                expected.insert(words);
            }
            // No more is under way than a socket's buffer holds, for nothing would make up for the rest.
            let mut datagram = [0; 64];
            for _ in 0..each {
                let length = sink.recv(&mut datagram).expect("every datagram arrives");
                assert!(expected.remove(&datagram[..length]), "once, as it was sent");
            }
        }
    }

    /// A client that is a process of its own, with its tunnel up.
    pub fn process(&self) -> Peer {
        let peer = Peer::start(&self.topology, &self.remote, "cl", Implementation::Weir).unwrap();
        let gateway =
            PeerConfig::new(KeyPair::seeded(2).public(), &[&format!("{INSIDE}/32")]).endpoint(GATEWAY);
        peer.configure(&DeviceConfig {
            key: KeyPair::seeded(1),
            listen_port: None,
            peers: vec![gateway],
        })
        .unwrap();
        peer.address(&format!("{PROCESS}/16")).unwrap();
        peer.up(1420).unwrap();
        Ping::to(INSIDE.into())
            .until_answered(&self.remote, LIMIT)
            .unwrap();
        peer
    }

    /// Begins a TCP transfer from the process to the gateway.
    pub fn upload(&self, bytes: u64, bytes_per_s: Option<u64>) -> Running {
        transfer(INSIDE, bytes, bytes_per_s)
            .start(&self.remote, self.gateway.namespace())
            .unwrap()
    }
}

/// A TCP transfer to an address in the tunnel.
pub fn transfer(to: Ipv4Addr, bytes: u64, bytes_per_s: Option<u64>) -> Transfer {
    Transfer {
        destination: (to, 0).into(),
        bytes,
        bytes_per_s,
        seed: bytes,
        limit: Duration::from_secs(110),
    }
}
