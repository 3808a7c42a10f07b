//! Limits on handshakes, and that a spoofer cannot turn them on others.

mod common;

use common::A;
use common::clients::Clients;
use rand_core::Rng;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use weir_abi::drops::Drop;
use weir_engine::limits::{QUARANTINE, QUARANTINE_FAILURES, STRANGERS_PER_S};
use weir_testkit::{Client, Received, Setup, packets, seeds};

const MS: Duration = Duration::from_millis(1);

/// A flood of initiations with a right mac1 from addresses by chance, `per_ms` each millisecond.
fn flood(world: &mut Clients, ms: u32, per_ms: u32, mut meanwhile: impl FnMut(&mut Clients, u32)) {
    let gateway = world.sim.gateways[A].address();
    let key = world.sim.gateways[A].public_key();
    for step in 0..ms {
        for _ in 0..per_ms {
            let bits = world.sim.random.next_u32();
            let from = SocketAddr::new(Ipv4Addr::from_bits(bits).into(), bits as u16 | 1);
            let serial = world.sim.random.next_u64();
            let message = packets::forged_initiation(&key, serial);
            world.sim.send(from, gateway, &message);
        }
        meanwhile(world, step);
        world.sim.run_for(MS);
    }
}

// Catches a flood that reaches the worker, stops known peers' data or handshakes, or asks known peers for cookies.
#[test]
fn a_spoofed_flood_leaves_known_peers_alone_and_the_worker_idle() {
    for seed in seeds(3) {
        let shards = 1 + seed as usize % 2;
        let mut world = Clients::new(seed, shards, 20);
        world.connect_all();
        let before = world.sim.gateways[A].jobs_done;
        let mut sent = Vec::new();
        let mut handshakes = 0;
        flood(&mut world, 3000, 20, |world, step| {
            sent.push(world.send_data(step as usize % 20));
            if step % 150 == 149 {
                // A known peer renews its session in the midst of it, without a cookie.
                let n = step as usize / 150;
                world.initiate(n);
                handshakes += 1;
                world.sim.run_for(25 * MS);
                let received = world.poll(n);
                assert!(
                    received.contains(&Received::Session),
                    "peer {n} at {step} ms got {received:?}"
                );
            }
        });
        world.sim.run_for(50 * MS);
        let mut arrived = world.sim.gateways[A].host_received();
        arrived.sort();
        sent.sort();
        assert_eq!(arrived, sent, "data was lost");
        let jobs = world.sim.gateways[A].jobs_done - before;
        // What the bucket holds, and what falls into it until the load is seen.
        let most = u64::from(STRANGERS_PER_S) * shards as u64 * 11 / 10 + handshakes;
        assert!(jobs <= most, "{jobs} jobs, at most {most}");
        assert!(world.sim.gateways[A].dropped(Drop::CookieDemanded) > 10_000);
        world.sim.assert_frames_home();
    }
}

// Catches a verdict on mac1 that falls on another message of the burst, and messages that a burst forgets: one wrong mac1
// at every place, in bursts that take every way through the lanes and, with 70, more than one batch.
#[test]
fn a_wrong_mac1_is_dropped_alone_at_every_place_of_a_burst() {
    let setup = Setup {
        burst: 100,
        ..Setup::new(1, "192.0.2.1:51820")
    };
    let mut world = Clients::of(1, setup, 1);
    let (gateway, key) = {
        let a = &world.sim.gateways[A];
        (a.address(), a.public_key())
    };
    let mut serial = 0;
    for burst in [1, 2, 3, 8, 9, 16, 31, 70] {
        for wrong in 0..burst {
            let (jobs, dropped) = (world.sim.gateways[A].jobs_done, bad_mac1(&world));
            for place in 0..burst {
                serial += 1;
                let mut message = packets::forged_initiation(&key, serial);
                if place == wrong {
                    let bit = serial as usize % 128;
                    message[116 + bit / 8] ^= 1 << (bit % 8);
                }
                let from = SocketAddr::new(Ipv4Addr::new(198, 51, 100, 1).into(), 1000 + place);
                world.sim.gateways[A].deliver(from, gateway, 0, &message);
            }
            world.sim.run_for(1000 * MS);
            let told = format!("place {wrong} of {burst}");
            assert_eq!(bad_mac1(&world), dropped + 1, "{told}");
            let passed = world.sim.gateways[A].jobs_done - jobs;
            assert_eq!(passed, u64::from(burst) - 1, "{told}");
        }
    }
    world.initiate(0);
    world.sim.run_for(50 * MS);
    assert_eq!(world.poll(0), [Received::Session]);
    world.sim.assert_frames_home();
}

fn bad_mac1(world: &Clients) -> u64 {
    world.sim.gateways[A].dropped(Drop::BadMac1)
}

// Catches a gateway that nobody new can reach while it is under load.
#[test]
fn under_load_a_stranger_gets_in_with_a_cookie() {
    for seed in seeds(3) {
        let mut world = Clients::new(seed, 1 + seed as usize % 2, 1);
        let mut got = Vec::new();
        flood(&mut world, 1500, 20, |world, step| match step {
            1000 | 1300 => world.initiate(0),
            1100 | 1400 => got.extend(world.poll(0)),
            _ => {}
        });
        assert_eq!(got, [Received::Cookie, Received::Session]);
    }
}

// Catches a load that a full worker queue does not bring on: the worker is slow, not the flood fast.
#[test]
fn a_slow_worker_alone_makes_the_gateway_ask_for_cookies() {
    let mut world = Clients::new(1, 1, 400);
    world.sim.gateways[A].worker_paused = true;
    for n in 0..400 {
        world.initiate(n);
        world.sim.run_for(4 * MS);
    }
    let waiting = world.sim.gateways[A].jobs_waiting();
    assert!(
        waiting <= weir_engine::limits::STRANGER_JOBS / 8,
        "{waiting} jobs wait"
    );
    assert!(world.sim.gateways[A].dropped(Drop::CookieDemanded) > 200);
    world.sim.gateways[A].worker_paused = false;
    world.sim.run_for(2000 * MS);
    // The first ones get their answers late; the others have a cookie and try again.
    let mut sessions = 0;
    for n in 0..400 {
        let received = world.poll(n);
        if received.contains(&Received::Session) {
            sessions += 1;
            continue;
        }
        assert!(received.contains(&Received::Cookie), "peer {n} got {received:?}");
        world.initiate(n);
        world.sim.run_for(50 * MS);
        sessions += usize::from(world.poll(n).contains(&Received::Session));
    }
    assert_eq!(sessions, 400, "{:?}", world.sim.gateways[A].drops());
}

// Catches a cookie that leaves out the port (gotatun 0.6) or the address, which then serves everybody behind one
// translator, or everybody.
#[test]
fn a_cookie_serves_one_address_and_port() {
    let mut world = Clients::new(1, 1, 1);
    let gateway = world.sim.gateways[A].address();
    flood(&mut world, 800, 20, |_, _| {});
    world.initiate(0);
    flood(&mut world, 50, 20, |_, _| {});
    assert_eq!(world.poll(0), [Received::Cookie]);
    let own = world.clients[0].address;
    let mut moved = own;
    for (ip, port) in [("203.0.0.0", 51821), ("203.0.0.1", 51820)] {
        moved.set_ip(ip.parse().expect("an address"));
        moved.set_port(port);
        world.sim.network.bind(moved);
        let at = world.sim.instant();
        let message = world.clients[0].initiation(at);
        world.sim.send(moved, gateway, &message);
        flood(&mut world, 50, 20, |_, _| {});
        let answer = world.sim.network.receive(moved).expect("an answer");
        assert_eq!(answer.bytes[0], 3, "a cookie of {own} was taken from {moved}");
    }
    world.clients[0].address = own;
    world.initiate(0);
    // The reply to the stranger's place was for another mac1, so the first cookie still stands.
    flood(&mut world, 50, 20, |_, _| {});
    assert_eq!(world.poll(0), [Received::Session]);
}

// Catches a quarantine that never comes, that hits a source which proved nothing, or that hits its neighbours.
#[test]
fn quarantine_is_for_proved_sources_whose_handshakes_fail() {
    let mut world = Clients::new(1, 1, 2);
    let gateway = world.sim.gateways[A].address();
    // Nobody's key, at an address of its own that answers: it can prove where it is and not who.
    let random = world.sim.seed().random(77);
    let bad = SocketAddr::new(Ipv4Addr::new(203, 0, 7, 7).into(), 7);
    let mut intruder = Client::new([0x77; 32], world.sim.gateways[A].public_key(), bad, random);
    world.sim.network.bind(bad);
    let mut failures = 0;
    flood(&mut world, 4000, 5, |world, step| {
        if step < 1000 || step % 100 != 0 {
            return;
        }
        let at = world.sim.instant();
        while let Some(datagram) = world.sim.network.receive(bad) {
            intruder.receive(&datagram.bytes, at);
        }
        let message = intruder.initiation(at);
        world.sim.send(bad, gateway, &message);
        failures += 1;
    });
    assert!(failures > u32::from(QUARANTINE_FAILURES) + 5);
    let a = &world.sim.gateways[A];
    assert_eq!(
        a.dropped(Drop::UnknownPeer),
        u64::from(QUARANTINE_FAILURES),
        "{:?}",
        a.drops()
    );
    assert!(a.dropped(Drop::Quarantined) >= 5, "{:?}", a.drops());

    // The intruder's network still gets in, without and with a cookie, and so does the intruder's host in the end.
    let neighbour = SocketAddr::new(Ipv4Addr::new(203, 0, 7, 8).into(), 7);
    world.sim.network.bind(neighbour);
    world.clients[0].address = neighbour;
    world.initiate(0);
    flood(&mut world, 50, 5, |_, _| {});
    let first = world.poll(0);
    if first != [Received::Session] {
        world.initiate(0);
        flood(&mut world, 50, 5, |_, _| {});
        assert_eq!(world.poll(0), [Received::Session], "after {first:?}");
    }
    world.sim.run_for(QUARANTINE);
    world.clients[1].address = bad;
    world.initiate(1);
    world.sim.run_for(50 * MS);
    assert_eq!(world.poll(1), [Received::Session]);
}

// Catches a quarantine that anybody can bring on another who saw one of its initiations with a cookie: the same message
// again, in that name, is no failure of the one who bears the name.
#[test]
fn replays_in_another_s_name_do_not_put_it_into_quarantine() {
    let mut world = Clients::new(1, 1, 1);
    flood(&mut world, 800, 20, |_, _| {});
    world.initiate(0);
    flood(&mut world, 50, 20, |_, _| {});
    assert_eq!(world.poll(0), [Received::Cookie]);
    let at = world.sim.instant();
    let message = world.clients[0].initiation(at);
    world.send(0, &message);
    flood(&mut world, 50, 20, |_, _| {});
    assert_eq!(world.poll(0), [Received::Session]);
    flood(&mut world, 5000, 5, |world, step| {
        if step % 60 == 0 {
            world.send(0, &message);
        }
    });
    let a = &world.sim.gateways[A];
    assert!(
        a.dropped(Drop::OldTimestamp) > u64::from(QUARANTINE_FAILURES) * 2,
        "{:?}",
        a.drops()
    );
    assert_eq!(a.dropped(Drop::Quarantined), 0);
    flood(&mut world, 2000, 5, |_, _| {});
    world.initiate(0);
    flood(&mut world, 50, 5, |_, _| {});
    assert_eq!(world.poll(0), [Received::Session]);
}
