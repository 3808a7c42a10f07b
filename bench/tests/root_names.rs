//! An endpoint's name that comes to mean another address while handshakes fail is resolved again.
//!
//! ```text
//! caller 192.0.2.1 ──veth── 192.0.2.2 called        peer.weir.test: first 192.0.2.3 (nobody), then 192.0.2.2
//! ```
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use weir_bench::configured::Configured;
use weir_bench::device_config::{DeviceConfig, KeyPair, PeerConfig};
use weir_bench::{End, Implementation, Namespace, Peer, Ping, Topology, programs, wait};

/// Three times the pause between two lookups of a name and an initiation's repetition.
const LIMIT: Duration = Duration::from_secs(45);

/// The hosts file of one namespace, which `ip netns exec` puts in the place of the system's.
struct Hosts {
    folder: PathBuf,
}

impl Hosts {
    fn of(namespace: &Namespace, text: &str) -> Self {
        let folder = PathBuf::from("/etc/netns").join(namespace.name());
        fs::create_dir_all(&folder).unwrap();
        let hosts = Self { folder };
        hosts.write(text);
        hosts
    }

    /// In place: the file is mounted where programs read it.
    fn write(&self, text: &str) {
        fs::write(self.folder.join("hosts"), text).unwrap();
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

// Catches a name that is resolved once and never again, the fault of systemd and OPNsense.
#[test]
fn a_name_is_resolved_again_while_handshakes_fail() {
    let topology = Topology::new().unwrap();
    let (caller, called) = (
        topology.namespace("caller").unwrap(),
        topology.namespace("called").unwrap(),
    );
    let left = End::new(&caller, "wan", &["192.0.2.1/24"]);
    let right = End::new(&called, "wan", &["192.0.2.2/24"]);
    topology.veth(&left, &right).unwrap();
    let hosts = Hosts::of(&caller, "192.0.2.3 peer.weir.test\n");
    let (ours, theirs) = (KeyPair::seeded(11), KeyPair::seeded(12));

    let peer = Peer::start(&topology, &called, "n", Implementation::Weir).unwrap();
    let config = DeviceConfig {
        key: theirs.clone(),
        listen_port: Some(4444),
        peers: vec![PeerConfig::new(ours.public(), &["10.88.0.1/32"])],
    };
    peer.configure(&config).unwrap();
    peer.address("10.88.0.2/24").unwrap();
    peer.up(1420).unwrap();

    let interface = topology.interface("m");
    let toml = format!(
        "{}addresses = [\"10.88.0.1/24\"]\nlisten_port = 4445\n\n[[peer]]\npublic_key = \"{}\"\n\
         endpoint = \"peer.weir.test:4444\"\nallowed_ips = [\"10.88.0.2/32\"]\npersistent_keepalive = 1\n",
        Configured::head(&topology, &interface, &ours),
        theirs.public(),
    );
    let mut command = Command::new("ip");
    command
        .args(["netns", "exec", caller.name()])
        .arg(programs::weir("weir-dataplane").unwrap());
    let gateway = Configured::start_by(&topology, &caller, &interface, &toml, &mut command).unwrap();

    let endpoint = || {
        Some(
            gateway.status().ok()?["peers"][0]["endpoint"]
                .as_str()?
                .to_owned(),
        )
    };
    let resolved = wait::until("the first resolution", LIMIT, endpoint).unwrap();
    assert_eq!(resolved, "192.0.2.3:4444");
    hosts.write("192.0.2.2 peer.weir.test\n");
    Ping::to("10.88.0.2".parse().unwrap())
        .until_answered(&caller, LIMIT)
        .unwrap();
    assert_eq!(endpoint().unwrap(), "192.0.2.2:4444");
}
