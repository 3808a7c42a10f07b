//! One gateway, several shards: sessions on each, packets handed over, peers that move, and shards that come and go.

mod common;

use common::clients::{Clients, spec};
use common::{A, B, Traffic, address, pair};
use rand_core::Rng;
use std::collections::HashSet;
use std::time::Duration;
use weir_abi::drops::Drop;
use weir_testkit::{HostSteering, PeerSpec, Received, Simulation, WanSteering, seeds};

const MS: Duration = Duration::from_millis(1);

fn talk(sim: &mut Simulation, traffic: &mut Traffic, packets: u32) {
    for _ in 0..packets {
        let from = (sim.random.next_u32() % 2) as usize;
        traffic.send(sim, from);
        if sim.random.next_u32().is_multiple_of(4) {
            sim.run_for(MS);
        }
    }
    sim.run_for(200 * MS);
    traffic.collect(sim);
}

fn established(seed: u64, shards: usize) -> (Simulation, Traffic) {
    let mut sim = pair(seed, shards);
    let mut traffic = Traffic::default();
    traffic.send(&mut sim, A);
    sim.run_for(100 * MS);
    traffic.send(&mut sim, B);
    sim.run_for(100 * MS);
    traffic.collect(&mut sim);
    assert_eq!(traffic.missing(), 0, "the tunnel did not open");
    (sim, traffic)
}

fn drops(sim: &Simulation) -> String {
    format!("{:?} {:?}", sim.gateways[A].drops(), sim.gateways[B].drops())
}

// Catches a shard on which handshakes or data do not work, and sessions that all end on one.
#[test]
fn every_shard_carries_sessions() {
    for seed in seeds(3) {
        for shards in [1, 2, 4] {
            let mut world = Clients::new(seed, shards, 40);
            world.connect_all();
            let mut homes = HashSet::new();
            for client in 0..40 {
                let key = world.clients[client].public_key();
                let now = world.sim.now_ns;
                homes.extend(world.sim.gateways[A].home(now, &key));
                world.echo(client);
            }
            assert_eq!(homes.len(), shards);
            world.sim.assert_frames_home();
        }
    }
}

// Catches the first packet of a session lost because it overtakes its peer on the way to the shard it arrives at. The
// client is as near as can be: it answers between two polls, while some core is late.
#[test]
fn the_first_packet_of_a_session_may_overtake_its_peer() {
    for seed in seeds(200) {
        let mut world = Clients::new(seed, 4, 16);
        world.sim.gateways[A].wan_steering = [WanSteering::Slot, WanSteering::Wrong][seed as usize % 2];
        let client = seed as usize / 2 % 16;
        let (from, to) = (world.clients[client].address, world.sim.gateways[A].address());
        let (at, now) = (world.sim.instant(), world.sim.now_ns);
        let packet = world.packet(client, 1);
        let gateway = &mut world.sim.gateways[A];
        gateway.deliver(from, to, 0, &world.clients[client].initiation(at));
        while gateway.round(now) {
            while let Some(sent) = gateway.sent() {
                if world.clients[client].receive(&sent.bytes, at) == Received::Session {
                    gateway.deliver(from, to, 0, &world.clients[client].data(&packet, at));
                }
            }
        }
        assert_eq!(
            gateway.host_received(),
            [packet],
            "seed {seed}: {:?}",
            gateway.drops()
        );
        world.sim.assert_frames_home();
    }
}

// Catches packets lost, doubled or reordered into drops on their way between shards, and frames that do not find home.
#[test]
fn packets_arrive_whether_none_or_all_are_handed_over() {
    for seed in seeds(6) {
        for shards in [1, 2, 4] {
            for wrong in [false, true] {
                let (mut sim, mut traffic) = established(seed, shards);
                if wrong {
                    for place in [A, B] {
                        let now = sim.now_ns;
                        let other = sim.gateways[1 - place].public_key();
                        let home = sim.gateways[place].home(now, &other).expect("a home");
                        sim.gateways[place].wan_steering = WanSteering::Wrong;
                        sim.gateways[place].host_steering = HostSteering::All((home + 1) % shards as u16);
                    }
                }
                let before: u64 = sim.gateways[A].counters().map(|c| c.handed_over).sum();
                talk(&mut sim, &mut traffic, 500);
                assert_eq!(traffic.missing(), 0, "{}", drops(&sim));
                let after: u64 = sim.gateways[A].counters().map(|c| c.handed_over).sum();
                if wrong && shards > 1 {
                    assert!(
                        after - before >= 450,
                        "only {} of some 500 were handed over",
                        after - before
                    );
                }
                sim.assert_frames_home();
            }
        }
    }
}

// Catches two shards that each take the peer for theirs after both sides began a handshake at one moment.
#[test]
fn simultaneous_initiations_leave_one_home_and_a_session() {
    for seed in seeds(20) {
        let mut sim = pair(seed, 4);
        let b = address("198.51.100.2:51820");
        // B learns where A is, then both begin at the same moment.
        let peer = common::peer_spec(&sim.gateways[A], 1).at(sim.gateways[A].address());
        sim.gateways[B]
            .apply(vec![peer.change()])
            .expect("a sound change");
        sim.gateways[A].wan_steering = [WanSteering::Slot, WanSteering::Wrong][seed as usize % 2];
        let mut traffic = Traffic::default();
        traffic.send(&mut sim, A);
        traffic.send(&mut sim, B);
        sim.run_for(300 * MS);
        for _ in 0..100 {
            traffic.send(&mut sim, A);
            traffic.send(&mut sim, B);
            sim.run_for(MS);
        }
        sim.run_for(300 * MS);
        traffic.collect(&mut sim);
        assert_eq!(traffic.missing(), 0, "{}", drops(&sim));
        let now = sim.now_ns;
        for place in [A, B] {
            assert_eq!(sim.gateways[place].peers(now).len(), 1);
        }
        assert!(sim.gateways[A].owns(address("192.0.2.1:51820")) && sim.gateways[B].owns(b));
        sim.assert_frames_home();
    }
}

// Catches a session lost, or a peer at home twice, when one peer's initiations arrive at different shards at once, while
// its data keep coming under the old session.
#[test]
fn initiations_of_one_peer_at_several_shards_keep_it_in_one_place() {
    for seed in seeds(20) {
        let mut world = Clients::new(seed, 4, 1);
        world.connect_all();
        for round in 0..10u16 {
            let mut messages = Vec::new();
            for place in 0..4u16 {
                let at = world.sim.instant();
                let from = address(&format!("203.0.113.9:{}", 1000 + round * 10 + place));
                world.sim.network.bind(from);
                messages.push((from, world.clients[0].initiation(at)));
            }
            let gateway = world.sim.gateways[A].address();
            for (from, message) in &messages {
                world.sim.send(*from, gateway, message);
            }
            world.sim.run_for(50 * MS);
            // Some older one may have been taken first; then the newest comes too soon after it.
            let at = world.sim.instant();
            for (from, _) in &messages {
                while let Some(datagram) = world.sim.network.receive(*from) {
                    if world.clients[0].receive(&datagram.bytes, at) == Received::Session {
                        world.clients[0].address = *from;
                    }
                }
            }
            world.echo(0);
            let now = world.sim.now_ns;
            assert_eq!(world.sim.gateways[A].peers(now).len(), 1);
            world.connect(0);
        }
        world.sim.assert_frames_home();
    }
}

// Catches a peer that is lost when it roams while its home moves.
#[test]
fn a_peer_that_roams_while_its_home_moves_is_not_lost() {
    for seed in seeds(10) {
        let mut world = Clients::new(seed, 4, 1);
        world.connect_all();
        for round in 0..20u16 {
            let gateway = world.sim.gateways[A].address();
            let at = world.sim.instant();
            let old = world.clients[0].address;
            let new = address(&format!("203.0.113.9:{}", 2000 + round));
            world.sim.network.bind(new);
            // Data under the old session from a new address, and a new handshake from the old one.
            let packet = world.packet(0, 1);
            let data = world.clients[0].data(&packet, at);
            let initiation = world.clients[0].initiation(at);
            world.sim.send(old, gateway, &initiation);
            world.sim.send(new, gateway, &data);
            world.sim.run_for(50 * MS);
            let got = world.sim.gateways[A].host_received();
            assert!(got.contains(&packet), "{:?}", world.sim.gateways[A].drops());
            world.poll(0);
            world.clients[0].address = new;
            world.poll(0);
            world.echo(0);
        }
        world.sim.assert_frames_home();
    }
}

// Catches sessions lost, packets lost, frames lost and peers at home twice while the number of shards changes. The
// design promises that nothing is lost: every new owner of a slot asks the last one until that has handed everything on.
#[test]
fn shards_come_and_go_under_traffic_without_loss() {
    for seed in seeds(12) {
        let (mut sim, mut traffic) = established(seed, 1);
        for (round, shards) in [4, 2, 3, 1, 4, 3, 2, 4, 1].into_iter().enumerate() {
            talk(&mut sim, &mut traffic, 60);
            for place in [A, B] {
                let now = sim.now_ns;
                sim.gateways[place].set_shards(shards, now);
            }
            talk(&mut sim, &mut traffic, 60);
            assert_eq!(
                traffic.missing(),
                0,
                "round {round}, {shards} shards: {}",
                drops(&sim)
            );
            for place in [A, B] {
                let now = sim.now_ns;
                assert_eq!(sim.gateways[place].peers(now).len(), 1);
                sim.gateways[place].end_idle_shards();
            }
            sim.assert_frames_home();
        }
    }
}

// Catches the same with many peers, each with a home and slots of its own, whose homes have moved before, and whose
// packets from the host arrive anywhere.
#[test]
fn many_peers_keep_their_sessions_while_shards_come_and_go() {
    for seed in seeds(12) {
        let mut world = Clients::new(seed, 2, 60);
        world.sim.gateways[A].host_steering = HostSteering::Turns;
        world.connect_all();
        for (round, shards) in [4, 2, 3, 1, 4, 1, 3].into_iter().enumerate() {
            let now = world.sim.now_ns;
            world.sim.gateways[A].set_shards(shards, now);
            // At the very moment of the change, before any shard has heard of it.
            for client in (0..60).chain(0..60) {
                let packet = world.packet_to(client);
                world.sim.gateways[A].host_send(&packet);
            }
            world.sim.run_for(50 * MS);
            for client in 0..60 {
                let received = world.poll(client);
                let data = received.iter().filter(|r| matches!(r, Received::Data(_)));
                assert_eq!(data.count(), 2, "client {client} got {received:?}");
            }
            for client in 0..60 {
                world.echo(client);
            }
            // Some move home meanwhile.
            for client in 0..60 {
                if (client + round) % 5 == 0 {
                    world.roam(client, round as u16);
                    world.connect(client);
                }
            }
            for client in 0..60 {
                world.echo(client);
            }
            let now = world.sim.now_ns;
            assert_eq!(world.sim.gateways[A].peers(now).len(), 60);
            world.sim.gateways[A].end_idle_shards();
            world.sim.assert_frames_home();
        }
        let unknown = world.sim.gateways[A].dropped(Drop::UnknownIndex);
        assert_eq!(unknown, 0, "{:?}", world.sim.gateways[A].drops());
    }
}

// Catches a peer with a persistent keepalive that nobody begins to talk to: it is declared while its slot changes hands,
// so the last owner no longer takes it for its own and the next one not yet.
#[test]
fn a_peer_declared_while_slots_change_hands_is_talked_to() {
    for seed in seeds(4) {
        let mut world = Clients::new(seed, 1, 40);
        world.sim.run_for(MS);
        let now = world.sim.now_ns;
        let peers = world.clients.iter().enumerate();
        let peers = peers.map(|(n, client)| {
            let spec = PeerSpec {
                persistent_keepalive: Some(25),
                ..spec(client, n).at(client.address)
            };
            spec.change()
        });
        let peers = peers.collect();
        world.sim.gateways[A].set_shards(4, now);
        world.sim.gateways[A].apply(peers).expect("a sound change");
        world.sim.run_for(100 * MS);
        for client in 0..40 {
            let received = world.poll(client);
            let begun = received.iter().any(|r| matches!(r, Received::Initiation(_)));
            assert!(begun, "client {client} got {received:?}");
        }
    }
}

// Catches packets refused because peers and indices on their way to another shard fill the rings: with thousands of
// peers, a change of the number of shards sends more messages than a ring holds, in front of the packets.
#[test]
fn thousands_of_peers_move_at_once_without_loss() {
    const PEERS: usize = 3000;
    let mut world = Clients::new(1, 2, PEERS);
    for first in (0..PEERS).step_by(100) {
        for n in first..first + 100 {
            world.initiate(n);
        }
        world.sim.run_for(250 * MS);
        for n in first..first + 100 {
            assert!(world.poll(n).contains(&Received::Session));
            world.send_data(n);
        }
    }
    world.sim.run_for(50 * MS);
    assert_eq!(world.sim.gateways[A].host_received().len(), PEERS);
    for shards in [4, 1, 3] {
        let mut sent: Vec<_> = (0..PEERS).map(|n| world.send_data(n)).collect();
        // They arrive at the moment of the change, and so do packets of the host.
        let end = world.sim.now_ns + 10_000_000;
        while world.sim.now_ns + 1 < end && world.sim.step(end - 1) {}
        let now = world.sim.now_ns;
        world.sim.gateways[A].set_shards(shards, now);
        for n in 0..PEERS {
            let packet = world.packet_to(n);
            world.sim.gateways[A].host_send(&packet);
        }
        world.sim.run_for(50 * MS);
        let mut arrived = world.sim.gateways[A].host_received();
        arrived.sort();
        sent.sort();
        assert_eq!(
            arrived.len(),
            sent.len(),
            "{shards} shards: {:?}",
            world.sim.gateways[A].drops()
        );
        assert_eq!(arrived, sent);
        let data = |r: &Received| matches!(r, Received::Data(data) if !data.is_empty());
        let got: usize = (0..PEERS)
            .map(|n| world.poll(n).iter().filter(|r| data(r)).count())
            .sum();
        assert_eq!(got, PEERS, "{shards} shards: {:?}", world.sim.gateways[A].drops());
        world.sim.gateways[A].end_idle_shards();
        world.sim.assert_frames_home();
    }
}

// Catches a session whose datagrams are lost where its index was set aside: the answer was still being computed when the
// index's slot changed hands, and no program steers what arrives at an AF_XDP queue to the slot's new owner.
#[test]
fn an_answer_under_way_while_its_slot_changes_hands_is_found_from_everywhere() {
    for seed in seeds(4) {
        let mut world = Clients::new(seed, 2, 40);
        world.sim.gateways[A].worker_paused = true;
        for client in 0..40 {
            world.initiate(client);
        }
        world.sim.run_for(10 * MS);
        let now = world.sim.now_ns;
        world.sim.gateways[A].set_shards(4, now);
        world.sim.run_for(10 * MS);
        world.sim.gateways[A].worker_paused = false;
        world.sim.run_for(100 * MS);
        for client in 0..40 {
            assert!(world.poll(client).contains(&Received::Session), "client {client}");
        }
        for shard in 0..4 {
            world.sim.gateways[A].wan_steering = WanSteering::All(shard);
            for client in 0..40 {
                world.echo(client);
            }
        }
        let drops = world.sim.gateways[A].drops();
        assert_eq!(drops, [], "seed {seed}");
        world.sim.assert_frames_home();
    }
}
