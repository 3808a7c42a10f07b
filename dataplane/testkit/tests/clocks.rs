//! Wall clocks that leap, and restarts.

mod common;

use common::clients::Clients;
use common::{A, B, Traffic, pair, peer_spec};
use std::time::Duration;
use weir_noise::Tai64n;
use weir_testkit::{HostSteering, Received, Simulation, seeds};

const MS: Duration = Duration::from_millis(1);
const DAY_NS: i128 = 86_400_000_000_000;

/// Sends packets both ways for a while and asserts that all arrive, those of the first `patience` excepted.
fn assert_talks(sim: &mut Simulation, traffic: &mut Traffic, patience: Duration) {
    let lost = traffic.missing();
    traffic.send(sim, A);
    traffic.send(sim, B);
    sim.run_for(patience);
    traffic.collect(sim);
    let before = traffic.missing();
    assert!(before <= lost + 2);
    for _ in 0..10 {
        traffic.send(sim, A);
        traffic.send(sim, B);
        sim.run_for(100 * MS);
    }
    traffic.collect(sim);
    assert_eq!(
        traffic.missing(),
        before,
        "{:?} {:?}",
        sim.gateways[A].drops(),
        sim.gateways[B].drops()
    );
}

// Catches a peer locked out by a clock set back (OPNsense), or forward and back again, on either side: its initiations
// would be older than the last one. Each leap is followed by handshakes from both sides.
#[test]
fn no_leap_of_a_wall_clock_locks_anybody_out() {
    for seed in seeds(3) {
        for leaping in [A, B] {
            let mut sim = pair(seed, 2);
            let b_knows = peer_spec(&sim.gateways[A], 1).at(sim.gateways[A].address());
            sim.gateways[B]
                .apply(vec![b_knows.change()])
                .expect("a sound change");
            let mut traffic = Traffic::default();
            assert_talks(&mut sim, &mut traffic, 100 * MS);
            for leap in [-1, 2, -30, 0, 29, 365, -700] {
                sim.gateways[leaping].wall_offset_ns += leap * DAY_NS;
                for first in [A, B] {
                    // The session ends in silence; whoever speaks first begins the next handshake.
                    sim.run_for(Duration::from_secs(600));
                    traffic.send(&mut sim, first);
                    sim.run_for(100 * MS);
                    traffic.collect(&mut sim);
                    assert_eq!(
                        traffic.missing(),
                        0,
                        "{leaping} leaps {leap} days, {first} speaks first"
                    );
                }
            }
        }
    }
}

// Catches timestamps that a restart forgets: with the clock set back meanwhile, only the ceiling on disk keeps those of
// the new run above those of the old.
#[test]
fn a_restart_with_the_clock_set_back_locks_nobody_out() {
    for seed in seeds(3) {
        let mut sim = pair(seed, 1);
        let mut traffic = Traffic::default();
        assert_talks(&mut sim, &mut traffic, 100 * MS);
        for back in [1, 30, 1000] {
            sim.gateways[A].wall_offset_ns -= back * DAY_NS;
            sim.restart(A, true);
            let peer = peer_spec(&sim.gateways[B], 2).at(sim.gateways[B].address());
            sim.gateways[A].configure(&[peer]);
            assert_talks(&mut sim, &mut traffic, 100 * MS);
        }
        assert_eq!(
            traffic.missing(),
            4,
            "B's first packet, before it knew where A was, and one to each A that lost its sessions"
        );
        sim.assert_frames_home();
    }
}

// Catches a restart that forgets where its peers are, or that a replayed initiation of the last run opens a session in
// the new one.
#[test]
fn a_restart_remembers_endpoints_and_timestamps() {
    for seed in seeds(3) {
        let mut sim = pair(seed, 2);
        sim.network.capture = true;
        let mut traffic = Traffic::default();
        assert_talks(&mut sim, &mut traffic, 100 * MS);
        let initiation = sim.network.captured.iter().find(|(_, d)| d.bytes[0] == 1);
        let initiation = initiation.expect("an initiation").1.clone();
        // B never was told where A is: it knows from A's packets, and again after the restart from what it kept.
        sim.restart(B, true);
        let peer = peer_spec(&sim.gateways[A], 1);
        sim.gateways[B].configure(&[peer]);
        sim.send(initiation.from, initiation.to, &initiation.bytes);
        sim.run_for(50 * MS);
        let old = sim.gateways[B].dropped(weir_abi::drops::Drop::OldTimestamp);
        assert_eq!(old, 1, "the replayed initiation was taken");
        let lost = traffic.missing();
        traffic.send(&mut sim, B);
        sim.run_for(100 * MS);
        traffic.collect(&mut sim);
        assert_eq!(traffic.missing(), lost, "B does not know where A is");
        assert_talks(&mut sim, &mut traffic, 100 * MS);
    }
}

// Catches a restart that waits for its peers: after it, traffic of peers that are talking goes on within seconds, for
// the gateway asks them at their last endpoints, none of which is configured.
#[test]
fn after_a_restart_peers_are_called_at_their_last_endpoints() {
    const PEERS: usize = 100;
    let mut world = Clients::new(1, 2, PEERS);
    world.connect_all();
    let specs: Vec<_> = (0..PEERS)
        .map(|n| common::clients::spec(&world.clients[n], n))
        .collect();
    world.sim.restart(A, true);
    world.sim.gateways[A].host_steering = HostSteering::Turns;
    world.sim.gateways[A].configure(&specs);
    world.sim.settle();
    let tables = world.sim.gateways[A].applier.published().load_full();
    let ids: Vec<_> = tables.peers.iter().map(|(&id, _)| id).collect();
    for shard in 0..2 {
        world.sim.gateways[A].command(shard, weir_engine::Command::Initiate(ids.clone()));
    }
    world.sim.run_for(50 * MS);
    for n in 0..PEERS {
        let received = world.poll(n);
        assert!(
            matches!(received.as_slice(), [Received::Initiation(_)]),
            "client {n} got {received:?}"
        );
    }
    world.sim.run_for(50 * MS);
    for n in 0..PEERS {
        world.poll(n);
        world.echo(n);
    }
}

// Catches a timestamp compared in anything but its own order, and one that is taken again.
#[test]
fn only_newer_initiations_are_answered() {
    let mut world = Clients::new(1, 4, 1);
    let base = 1_790_000_000_000_000_000;
    let steps: [(u64, bool); 7] = [
        (5, true),
        (5, false),
        (4, false),
        (6, true),
        (3_000_000_000, true),
        (7, false),
        (u64::MAX - base, true),
    ];
    for (step, taken) in steps {
        let at = world.sim.instant();
        let message = world.clients[0].initiation_at(Tai64n::from_unix_nanos(base + step), at);
        world.send(0, &message);
        world.sim.run_for(Duration::from_millis(50));
        assert_eq!(world.poll(0).contains(&Received::Session), taken, "{step}");
    }
}
