//! Two gateways over good and bad networks.

mod common;

use common::clients::Clients;
use common::{A, B, Traffic, pair};
use rand_core::Rng;
use std::time::Duration;
use weir_testkit::{Conditions, seeds};

// Catches an engine that does not carry a packet at all: handshake, queue, session, both directions, both families.
#[test]
fn the_first_packet_opens_the_tunnel_and_arrives() {
    for seed in seeds(3) {
        let mut sim = pair(seed, 1);
        let mut traffic = Traffic::default();
        for _ in 0..4 {
            traffic.send(&mut sim, A);
        }
        sim.run_for(Duration::from_millis(100));
        for _ in 0..4 {
            traffic.send(&mut sim, B);
        }
        sim.run_for(Duration::from_millis(100));
        traffic.collect(&mut sim);
        assert_eq!(
            traffic.missing(),
            0,
            "{:?} {:?}",
            sim.gateways[A].drops(),
            sim.gateways[B].drops()
        );
        sim.assert_frames_home();
    }
}

// Catches packets damaged, invented or delivered twice, a tunnel that does not recover, and frames that leak, under
// loss, duplication, reordering and corruption, with and without joined datagrams.
#[test]
fn a_hostile_network_delivers_nothing_wrong_and_most_of_what_is_right() {
    for seed in seeds(24) {
        let mut sim = pair(seed, 1 + seed as usize % 3);
        sim.network.conditions = Conditions::hostile();
        sim.gro = seed.is_multiple_of(2);
        let mut traffic = Traffic::default();
        while traffic.arrived() == 0 {
            traffic.send(&mut sim, A);
            sim.run_for(Duration::from_secs(1));
            traffic.collect(&mut sim);
        }
        for _ in 0..400 {
            for _ in 0..sim.random.next_u32() % 12 {
                let from = (sim.random.next_u32() % 2) as usize;
                traffic.send(&mut sim, from);
            }
            sim.run_for(Duration::from_millis(50));
            traffic.collect(&mut sim);
        }
        sim.run_for(Duration::from_secs(30));
        traffic.collect(&mut sim);
        let (missing, all) = (traffic.missing(), traffic.missing() + traffic.arrived());
        assert!(
            missing * 100 < all * 25,
            "{missing} of {all} missing: {:?} {:?}",
            sim.gateways[A].drops(),
            sim.gateways[B].drops()
        );
        sim.assert_frames_home();
    }
}

// Catches randomness or time that comes from elsewhere than the seed: a failure could then not be replayed from it.
#[test]
fn the_same_seed_is_the_same_run() {
    let run = |seed| {
        let mut world = Clients::new(seed, 3, 200);
        world.sim.network.conditions = Conditions::hostile();
        world.sim.network.capture = true;
        for round in 0..20 {
            for n in 0..200 {
                if (n + round) % 20 == 0 {
                    world.initiate(n);
                } else if world.clients[n].session.is_some() {
                    world.send_data(n);
                    let packet = world.packet_to(n);
                    world.sim.gateways[A].host_send(&packet);
                }
            }
            world.sim.run_for(Duration::from_secs(7));
            for n in 0..200 {
                world.poll(n);
            }
            let now = world.sim.now_ns;
            world.sim.gateways[A].set_shards(1 + round % 4, now);
        }
        world.sim.network.captured
    };
    for seed in seeds(2) {
        let (first, second) = (run(seed), run(seed));
        assert!(first.len() > 2000, "seed {seed}: {} datagrams", first.len());
        let same = first.iter().zip(&second).take_while(|(a, b)| a == b).count();
        assert_eq!(
            (same, second.len()),
            (first.len(), first.len()),
            "seed {seed}: the runs part"
        );
    }
}
