//! Endpoints follow authentic messages, and nothing else.

mod common;

use common::clients::Clients;
use common::{A, B, Traffic, address, pair};
use std::net::SocketAddr;
use std::time::Duration;
use weir_abi::change::{Change, PeerChange};
use weir_abi::drops::Drop;
use weir_abi::endpoint::Endpoint;
use weir_engine::Event;
use weir_testkit::{Received, Simulation, seeds};

const MS: Duration = Duration::from_millis(1);

fn opened(seed: u64, shards: usize) -> (Simulation, Traffic) {
    let mut sim = pair(seed, shards);
    let mut traffic = Traffic::default();
    traffic.send(&mut sim, A);
    sim.run_for(100 * MS);
    traffic.send(&mut sim, B);
    sim.run_for(100 * MS);
    traffic.collect(&mut sim);
    assert_eq!(traffic.missing(), 0);
    (sim, traffic)
}

// Catches a side that goes on sending to where the other was: after one datagram from the new place everything arrives
// there. Both sides move, by turns, between addresses and between families.
#[test]
fn one_datagram_from_a_new_place_moves_the_endpoint() {
    for seed in seeds(4) {
        let (mut sim, mut traffic) = opened(seed, 1 + seed as usize % 4);
        let mut lost = 0;
        for round in 0..12u16 {
            let mover = usize::from(round % 2);
            let place = match round % 3 {
                0 => format!("203.0.113.{}:{}", 1 + mover, 1000 + round),
                1 => format!("192.0.2.{}:51820", 10 + round),
                _ => format!("[2001:db8::{round}]:7"),
            };
            // Every host has an address of each family, as a route needs one.
            let other = if round % 3 == 2 {
                format!("203.0.113.{}:{}", 1 + mover, 500 + round)
            } else {
                format!("[2001:db8:{mover}::{round}]:7")
            };
            sim.gateways[mover].set_addresses(vec![address(&place), address(&other)]);
            // Silence: whatever the other sends now goes to the old place.
            traffic.send(&mut sim, 1 - mover);
            sim.run_for(30 * MS);
            lost += 1;
            traffic.send(&mut sim, mover);
            sim.run_for(10 * MS);
            for _ in 0..20 {
                traffic.send(&mut sim, A);
                traffic.send(&mut sim, B);
                sim.run_for(MS);
            }
            sim.run_for(50 * MS);
            traffic.collect(&mut sim);
            assert_eq!(traffic.missing(), lost, "round {round}");
        }
        sim.assert_frames_home();
    }
}

/// Where each peer of a gateway was and is, as far as it told of moves.
fn moves(sim: &mut Simulation, gateway: usize) -> Vec<(Option<SocketAddr>, SocketAddr)> {
    let events = sim.gateways[gateway].events.drain(..);
    let moved = |event| match event {
        Event::Roamed { from, to, .. } => Some((from, to)),
        _ => None,
    };
    events.filter_map(moved).collect()
}

// Catches a translator on the way that gives a new port in mid-traffic and cuts the tunnel, and a move that is told
// twice, wrongly or not at all.
#[test]
fn a_new_mapping_of_a_translator_costs_one_datagram_s_silence() {
    let (mut sim, mut traffic) = opened(1, 2);
    let inside = sim.gateways[A].address();
    assert_eq!(moves(&mut sim, B), [(None, inside)]);
    let mut last = inside;
    for port in 1..20u16 {
        let outside = address(&format!("203.0.113.5:{port}"));
        sim.network.translate(inside, outside);
        traffic.send(&mut sim, A);
        sim.run_for(10 * MS);
        for _ in 0..5 {
            traffic.send(&mut sim, B);
        }
        sim.run_for(50 * MS);
        traffic.collect(&mut sim);
        assert_eq!(traffic.missing(), 0);
        assert_eq!(moves(&mut sim, B), [(Some(last), outside)]);
        last = outside;
    }
}

// Catches an endpoint moved by anything that is not authentic and new: damaged data, replayed data, a replayed
// initiation, a replayed response, garbage under a known index.
#[test]
fn neither_forged_nor_replayed_datagrams_move_the_endpoint() {
    for seed in seeds(4) {
        let mut sim = pair(seed, 1 + seed as usize % 4);
        sim.network.capture = true;
        let mut traffic = Traffic::default();
        traffic.send(&mut sim, A);
        sim.run_for(100 * MS);
        for _ in 0..10 {
            traffic.send(&mut sim, A);
            traffic.send(&mut sim, B);
        }
        sim.run_for(100 * MS);
        traffic.collect(&mut sim);
        let captured = std::mem::take(&mut sim.network.captured);
        sim.network.capture = false;
        let attacker = address("203.0.113.66:666");
        let mut sent = 0;
        for (_, datagram) in &captured {
            sim.send(attacker, datagram.to, &datagram.bytes);
            for bit in [0, 8 * 4, 8 * 9, 8 * 20, 8 * datagram.bytes.len() - 1] {
                let mut forged = datagram.bytes.clone();
                forged[bit / 8] ^= 1 << (bit % 8);
                sim.send(attacker, datagram.to, &forged);
            }
            sent += 6;
        }
        assert!(sent > 100);
        sim.run_for(100 * MS);
        for place in [A, B] {
            let now = sim.now_ns;
            let (here, there) = (sim.gateways[place].address(), sim.gateways[1 - place].address());
            let peers = sim.gateways[place].peers(now);
            let endpoints: Vec<_> = peers.values().map(|peer| peer.endpoint).collect();
            assert_eq!(endpoints, [Some(there)], "the gateway at {here} was misled");
            assert!(sim.gateways[place].dropped(Drop::Replayed) >= 10);
            assert!(sim.gateways[place].dropped(Drop::BadTag) > 0);
        }
        // The initiation as it was, and once more with a bit of mac2 flipped, which nothing covers.
        assert_eq!(sim.gateways[B].dropped(Drop::OldTimestamp), 2);
        // And the tunnel does not mind.
        for _ in 0..10 {
            traffic.send(&mut sim, A);
            traffic.send(&mut sim, B);
        }
        sim.run_for(100 * MS);
        traffic.collect(&mut sim);
        assert_eq!(traffic.missing(), 0);
        sim.assert_frames_home();
    }
}

// Catches a local address that is kept though the host lost it, or though the other side fell silent.
#[test]
fn a_source_address_that_no_longer_works_is_forgotten() {
    let mut world = Clients::new(1, 1, 1);
    world.connect(0);
    let remote = world.clients[0].address;
    let out = |world: &mut Clients| {
        let packet = world.packet_to(0);
        world.sim.gateways[A].host_send(&packet);
        while world.sim.gateways[A].round(world.sim.now_ns) {}
        let parcel = world.sim.gateways[A].sent().expect("a datagram");
        parcel.meta.path.expect("a path")
    };
    let path = out(&mut world);
    assert_eq!(
        path.local.map(|local| local.ip),
        Some(world.sim.gateways[A].address().ip())
    );
    world.sim.gateways[A].handles(0).0.forget_source(remote);
    world.sim.settle();
    let path = out(&mut world);
    assert_eq!((path.remote, path.local), (remote, None));
}

// Catches a peer that is looked for where it last was, for ever: it had moved and came back to where its name, resolved
// again because handshakes fail, has pointed all the time.
#[test]
fn a_name_that_resolves_to_the_same_address_brings_the_peer_back_to_it() {
    let mut world = Clients::new(1, 2, 1);
    let home = world.clients[0].address;
    let name = Endpoint::Name {
        host: "client.example".into(),
        port: home.port(),
    };
    let named = Change::Peer(PeerChange {
        endpoint: Some(name),
        ..PeerChange::new(world.clients[0].public_key())
    });
    world.sim.gateways[A].apply(vec![named]).expect("a sound change");
    let id = {
        let tables = world.sim.gateways[A].applier.published().load();
        let facts = tables.peer_by_key(&world.clients[0].public_key());
        facts.expect("the peer").id
    };
    world.sim.gateways[A].applier.resolved(id, home);
    world.connect(0);
    world.roam(0, 1);
    world.echo(0);
    let away = world.clients[0].address;
    world.sim.network.set_blackhole(away, true);
    world.clients[0].address = home;
    let packet = world.packet_to(0);
    world.sim.gateways[A].host_send(&packet);
    world.sim.run_for(Duration::from_secs(30));
    assert_eq!(world.poll(0), []);
    world.sim.gateways[A].applier.resolved(id, home);
    world.sim.run_for(Duration::from_secs(10));
    let received = world.poll(0);
    let begun = received.iter().any(|r| matches!(r, Received::Initiation(_)));
    assert!(begun, "got {received:?}");
}
