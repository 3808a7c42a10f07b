//! The laboratory itself: what others prove with it holds only if peers really talk, corruption would show, and
//! nothing stays behind.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{IpAddr, SocketAddr};
use std::panic;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use weir_bench::device_config::{DeviceConfig, KeyPair, PeerConfig, preshared_key};
use weir_bench::iperf::Iperf;
use weir_bench::transfer::Transfer;
use weir_bench::{End, Implementation, LabError, Namespace, Peer, Ping, Topology, traceroute, vm, wait};

const LIMIT: Duration = Duration::from_secs(15);

/// Two namespaces joined by a veth pair, and WireGuard over it:
///
/// ```text
/// left 192.0.2.1 ──veth── 192.0.2.2 right        tunnel 10.9.0.1, fd09::1 ── 10.9.0.2, fd09::2
/// ```
struct Pair {
    topology: Topology,
    left: Peer,
    right: Peer,
}

impl Pair {
    fn new(left: Implementation, right: Implementation) -> Self {
        let topology = Topology::new().unwrap();
        let (near, far) = veth_pair(&topology);
        let left = Peer::start(&topology, &near, "l", left).unwrap();
        let right = Peer::start(&topology, &far, "r", right).unwrap();
        configure(&left, 1, 2);
        configure(&right, 2, 1);
        Self {
            topology,
            left,
            right,
        }
    }
}

fn veth_pair(topology: &Topology) -> (Namespace, Namespace) {
    let near = topology.namespace("left").unwrap();
    let far = topology.namespace("right").unwrap();
    topology
        .veth(
            &End::new(&near, "wan", &["192.0.2.1/24"]),
            &End::new(&far, "wan", &["192.0.2.2/24"]),
        )
        .unwrap();
    (near, far)
}

fn configure(peer: &Peer, number: u64, other: u64) {
    let allowed = [format!("10.9.0.{other}/32"), format!("fd09::{other}/128")];
    let other_key = KeyPair::seeded(other).public();
    let config = DeviceConfig {
        key: KeyPair::seeded(number),
        listen_port: Some(51820),
        peers: vec![
            PeerConfig::new(other_key, &[&allowed[0], &allowed[1]])
                .endpoint(format!("192.0.2.{other}:51820").parse().unwrap())
                .preshared_key(preshared_key(7)),
        ],
    };
    peer.configure(&config).unwrap();
    peer.address(&format!("10.9.0.{number}/24")).unwrap();
    peer.address(&format!("fd09::{number}/64")).unwrap();
    peer.up(1420).unwrap();
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Catches a peer that starts but does not talk, and measurements that report success of what did not happen.
fn peers_talk(left: Implementation, right: Implementation) {
    let mut pair = Pair::new(left, right);
    let (near, far) = (pair.left.namespace().clone(), pair.right.namespace().clone());
    for destination in ["10.9.0.2", "fd09::2"] {
        Ping::to(address(destination))
            .until_answered(&near, LIMIT)
            .unwrap();
        let report = Ping::to(address(destination)).run(&near).unwrap();
        assert_eq!(
            (report.sent, report.received),
            (3, 3),
            "{left} to {right}, {destination}"
        );
    }
    pair.left
        .await_handshake(KeyPair::seeded(2).public(), 0, LIMIT)
        .unwrap();
    assert_eq!(
        traceroute(&near, address("10.9.0.2")).unwrap(),
        [Some(address("10.9.0.2"))]
    );

    let transfer = Transfer {
        destination: "10.9.0.2:0".parse().unwrap(),
        bytes: 4 << 20,
        bytes_per_s: None,
        seed: 11,
        limit: LIMIT,
    };
    let report = transfer.run(&near, &far).unwrap();
    assert!(
        report.bits_per_s > 0.0 && report.longest_silence < report.duration,
        "{report:?}"
    );
    let server: SocketAddr = "[fd09::2]:5201".parse().unwrap();
    let report = Iperf::to(server)
        .seconds(1)
        .run(&pair.topology, &near, &far)
        .unwrap();
    assert!(report.received_bits_per_s > 1e6, "{left} to {right}: {report:?}");

    let status = &pair.right.peers().unwrap()[0];
    assert_eq!(status.endpoint, Some("192.0.2.1:51820".parse().unwrap()));
    assert!(status.received_bytes > 4 << 20, "{status:?}");

    pair.right.restart(&pair.topology).unwrap();
    let report = Ping::to(address("10.9.0.2")).count(1).run(&near).unwrap();
    assert_eq!(report.received, 0, "a restarted peer has no configuration");
}

#[test]
fn wireguard_go_talks_to_boringtun() {
    peers_talk(Implementation::WireguardGo, Implementation::Boringtun);
}

#[test]
fn gotatun_talks_to_wireguard_go() {
    peers_talk(Implementation::Gotatun, Implementation::WireguardGo);
}

/// Catches a laboratory that does not work inside the virtual machine, on the oldest kernel.
#[test]
fn the_kernel_talks_to_wireguard_go() {
    let test = "the_kernel_talks_to_wireguard_go";
    if !vm::outside(vm::Kernel::V6_1, test, &[Implementation::WireguardGo]) {
        peers_talk(Implementation::Kernel, Implementation::WireguardGo);
    }
}

/// Catches a laboratory that does not work inside the virtual machine, on the newest kernel.
#[test]
fn the_newest_kernel_talks_to_boringtun() {
    let test = "the_newest_kernel_talks_to_boringtun";
    if !vm::outside(vm::Kernel::V6_12, test, &[Implementation::Boringtun]) {
        peers_talk(Implementation::Boringtun, Implementation::Kernel);
    }
}

/// Catches a transfer that calls itself whole although bytes are missing, or that never ends.
#[test]
fn a_broken_transfer_is_late_and_says_how_far_it_came() {
    let topology = Topology::new().unwrap();
    let (near, far) = veth_pair(&topology);
    let transfer = Transfer {
        destination: "192.0.2.2:0".parse().unwrap(),
        bytes: 1 << 30,
        bytes_per_s: Some(4 << 20),
        seed: 12,
        limit: Duration::from_secs(2),
    };
    let running = transfer.start(&near, &far).unwrap();
    running.await_bytes(1 << 20, LIMIT).unwrap();
    near.ip("link set wan down").unwrap();
    match running.finish() {
        Err(LabError::Late { what, .. }) => assert!(what.contains(" arrived, longest silence "), "{what}"),
        other => panic!("expected a late transfer, found {other:?}"),
    }
}

/// Catches namespaces, processes or files that outlive a failing test.
#[test]
fn a_panic_leaves_nothing_behind() {
    let mut traces = None;
    let unwound = panic::catch_unwind(panic::AssertUnwindSafe(|| {
        let topology = Topology::new().unwrap();
        let namespace = topology.namespace("doomed").unwrap();
        let process = topology
            .start(&namespace, "sleep", Command::new("sleep").arg("600"))
            .unwrap();
        let stray = namespace.spawn(Command::new("sleep").arg("600")).unwrap();
        traces = Some((
            namespace.path(),
            topology.folder().to_owned(),
            process.pid(),
            stray,
        ));
        panic!("as a failing test does");
    }));
    assert!(unwound.is_err());
    let (namespace, folder, process, mut stray) = traces.unwrap();
    assert!(!namespace.exists() && !folder.exists());
    assert!(!Path::new("/proc").join(process.to_string()).exists());
    wait::until_true("the end of a stray process", LIMIT, || {
        stray.try_wait().unwrap().is_some()
    })
    .unwrap();
}

/// Catches leftovers of a killed test run piling up on the machine.
#[test]
fn the_next_topology_removes_what_a_dead_process_left() {
    // Linux hands out process ids below 2^22 only, so nobody lives under this one.
    let leftover = "weir-4194305-0-dead";
    let added = Command::new("ip")
        .args(["netns", "add", leftover])
        .status()
        .unwrap();
    assert!(added.success());
    drop(Topology::new().unwrap());
    assert!(!Path::new("/run/netns").join(leftover).exists());
}
