//! A gateway is killed as `kill -9` does while a thousand peers talk to it, none of which has a configured endpoint:
//!
//! ```text
//! gateway (Weir) 192.0.2.1 ──veth── 192.0.2.2 swarm: 1,000 peers at 10.200.0.0/16
//!         10.100.0.1 ══════════WireGuard══════════ 10.100.0.0/16
//! ```
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod swarm;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use swarm::Swarm;
use weir_bench::configured::Configured;
use weir_bench::device_config::KeyPair;
use weir_bench::{End, Topology, wait};

/// The peers.
const PEERS: usize = 1000;

/// How long a thousand first handshakes may take.
const START_LIMIT: Duration = Duration::from_secs(90);

/// Three times the 3 s within which everybody's traffic shall be back.
const RESUME_LIMIT: Duration = Duration::from_secs(9);

/// The most initiations in [`WINDOW`]: twice what is sent when nothing holds the gateway up.
const BURST: usize = 400;
const WINDOW: Duration = Duration::from_millis(100);

fn toml(topology: &Topology, interface: &str, key: &KeyPair) -> String {
    let mut toml = Configured::head(topology, interface, key);
    toml.push_str("listen_port = 51820\naddresses = [\"10.100.0.1/16\"]\n");
    for number in 0..PEERS {
        let (key, inner) = (swarm::public_key(number), swarm::inner(number));
        write!(
            toml,
            "\n[[peer]]\nname = \"peer {number}\"\npublic_key = \"{key}\"\nallowed_ips = [\"{inner}/32\"]\n"
        )
        .unwrap();
    }
    toml
}

/// Each peer has a socket.
fn raise_descriptor_limit() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
}

/// Waits until everybody has been answered since the last mark.
fn await_everybody(swarm: &Swarm, limit: Duration) {
    let all = wait::until_true("an answer to everybody", limit, || {
        swarm.record().answers() == PEERS
    });
    all.unwrap_or_else(|error| {
        let record = swarm.record();
        panic!(
            "{error}: {} answered, {} called in {} initiations",
            record.answers(),
            record.called(),
            record.initiations.len()
        )
    });
}

/// Catches endpoints that are forgotten, a gateway that waits for its peers to notice, one that calls them all at once
/// or again and again, and anything that a killed process leaves in the way of the next.
#[test]
fn a_killed_gateway_finds_a_thousand_peers_again() {
    raise_descriptor_limit();
    let topology = Topology::new().unwrap();
    let (host, far) = (
        topology.namespace("gateway").unwrap(),
        topology.namespace("swarm").unwrap(),
    );
    topology
        .veth(
            &End::new(&host, "wan", &["192.0.2.1/24"]),
            &End::new(&far, "wan", &["192.0.2.2/24"]),
        )
        .unwrap();
    far.ip("route add local 10.200.0.0/16 dev lo").unwrap();
    host.ip("route add 10.200.0.0/16 via 192.0.2.2").unwrap();

    let (key, interface) = (KeyPair::seeded(2), topology.interface("gw"));
    let toml = toml(&topology, &interface, &key);
    let mut gateway = Configured::start(&topology, &host, &interface, &toml).unwrap();
    let place = ("192.0.2.1:51820".parse().unwrap(), key.public());
    let swarm = Swarm::start(PEERS, &far, place, "10.100.0.1".parse().unwrap());
    await_everybody(&swarm, START_LIMIT);
    // They talk on, while the gateway saves every second where they are.
    for _ in 0..3 {
        swarm.mark();
        await_everybody(&swarm, START_LIMIT);
    }

    gateway.kill().unwrap();
    swarm.mark();
    let started = Instant::now();
    gateway.restart(&topology).unwrap();
    await_everybody(&swarm, RESUME_LIMIT.saturating_sub(started.elapsed()));
    let record = swarm.record();
    let last = record.answered.iter().flatten().max().unwrap();
    println!(
        "everybody answered {:?} after the new start, {} initiations, at most {} in {WINDOW:?}",
        *last - started,
        record.initiations.len(),
        record.densest(WINDOW)
    );
    assert_eq!(record.called(), PEERS);
    assert!(
        record.densest(WINDOW) <= BURST,
        "{} initiations in {WINDOW:?}",
        record.densest(WINDOW)
    );
    // One repetition each is what loss may cost.
    assert!(
        record.initiations.len() <= 2 * PEERS,
        "{} initiations",
        record.initiations.len()
    );
}
