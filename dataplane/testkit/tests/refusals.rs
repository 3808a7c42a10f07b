//! Handshake messages that a gateway refuses: each is remembered with its source and its reason, and a flood is not.

mod common;

use common::A;
use common::clients::{Clients, spec};
use rand_core::Rng;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use weir_abi::drops::Drop;
use weir_abi::key::PublicKey;
use weir_abi::peer_state::{PeerState, StateReason};
use weir_abi::refused::{RefusedHandshake, RefusedWhy};
use weir_engine::Event;
use weir_engine::limits::{REFUSALS_EACH, REFUSALS_TOLD_PER_S};
use weir_noise::Tai64n;
use weir_testkit::{Client, Received, packets, seeds};

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

fn remembered(world: &mut Clients) -> Vec<RefusedHandshake> {
    let now = world.sim.now_ns;
    let snapshots = world.sim.gateways[A].snapshot(now);
    snapshots
        .into_iter()
        .flat_map(|snapshot| snapshot.refused)
        .collect()
}

fn events(world: &mut Clients) -> Vec<RefusedHandshake> {
    let events = world.sim.gateways[A].events.drain(..);
    let refused = events.filter_map(|event| match event {
        Event::Refused(refused) => Some(refused),
        _ => None,
    });
    refused.collect()
}

/// That exactly these were refused, and told.
fn assert_refused(world: &mut Clients, expected: &[(SocketAddr, RefusedWhy, Option<PublicKey>, u64)]) {
    let all = remembered(world);
    let mut seen: Vec<_> = all.iter().map(|r| (r.source, r.why, r.peer, r.count)).collect();
    seen.sort();
    let mut expected = expected.to_vec();
    expected.sort();
    assert_eq!(seen, expected);
    let now_ms = world.sim.gateways[A].now(world.sim.now_ns).unix_ns / 1_000_000;
    assert!(
        all.iter()
            .all(|r| r.unix_ms <= now_ms && r.unix_ms + 60_000 > now_ms)
    );
    let told = events(world);
    assert!(
        expected
            .iter()
            .all(|e| told.iter().any(|t| (t.source, t.why, t.peer) == (e.0, e.1, e.2)))
    );
}

// Catches a client with another server's key that leaves no trace of where it is.
#[test]
fn a_wrong_server_key_is_remembered_by_its_source() {
    for seed in seeds(4) {
        let mut world = Clients::new(seed, 1 + seed as usize % 3, 1);
        let other = PublicKey::from_bytes([5; 32]);
        let random = world.sim.seed().random(7);
        let address = world.clients[0].address;
        world.clients[0] = Client::new(common::clients::key(0), other, address, random);
        for _ in 0..3 {
            world.initiate(0);
            world.sim.run_for(5 * S);
        }
        assert_refused(&mut world, &[(address, RefusedWhy::WrongMac1, None, 3)]);
    }
}

// Catches an unknown peer whose key nobody learns, though the message says it.
#[test]
fn an_unknown_peer_is_remembered_with_its_key() {
    for seed in seeds(4) {
        let mut world = Clients::new(seed, 1 + seed as usize % 3, 1);
        let random = world.sim.seed().random(7);
        let address = world.clients[0].address;
        let gateway = world.sim.gateways[A].public_key();
        world.clients[0] = Client::new([77; 32], gateway, address, random);
        let key = world.clients[0].public_key();
        for _ in 0..2 {
            world.initiate(0);
            world.sim.run_for(S);
        }
        assert_refused(&mut world, &[(address, RefusedWhy::UnknownPeer, Some(key), 2)]);
    }
}

// Catches a message that claims a peer's key without having it and is laid at that peer's door as something else.
#[test]
fn what_does_not_decrypt_is_remembered_as_such() {
    let mut world = Clients::new(1, 1, 1);
    let gateway = world.sim.gateways[A].public_key();
    let from = world.clients[0].address;
    world.send(0, &packets::forged_initiation(&gateway, 1));
    world.sim.run_for(S);
    assert_refused(&mut world, &[(from, RefusedWhy::Undecryptable, None, 1)]);
}

// Catches a clock that was set back and is not named, and a replay that makes a peer which is well look ill.
#[test]
fn an_old_timestamp_is_remembered_with_its_peer() {
    for seed in seeds(4) {
        let mut world = Clients::new(seed, 1 + seed as usize % 3, 1);
        let (key, from) = (world.clients[0].public_key(), world.clients[0].address);
        world.connect(0);
        let at = world.sim.instant();
        for n in 0..3 {
            let old = Tai64n::from_unix_nanos(1_600_000_000_000_000_000 + n);
            let message = world.clients[0].initiation_at(old, at);
            world.send(0, &message);
            world.sim.run_for(S);
        }
        let now = world.sim.now_ns;
        let life = world.sim.gateways[A].peer(now, &key).expect("at home").life;
        assert_eq!(life.state, PeerState::Connected);
        assert_eq!(life.initiations_received, 1);
        let own = life.refusal.expect("its last refusal");
        assert_eq!(
            (own.why, own.source, own.count),
            (RefusedWhy::OldTimestamp, from, 3)
        );
        assert_refused(&mut world, &[(from, RefusedWhy::OldTimestamp, Some(key), 3)]);

        // Without a session it is the reason.
        world.sim.run_for(200 * S);
        let at = world.sim.instant();
        let old = Tai64n::from_unix_nanos(1_600_000_000_000_000_009);
        let message = world.clients[0].initiation_at(old, at);
        world.send(0, &message);
        world.sim.run_for(S);
        let now = world.sim.now_ns;
        let life = world.sim.gateways[A].peer(now, &key).expect("at home").life;
        assert_eq!(
            (life.state, life.reason),
            (PeerState::Disconnected, StateReason::OldTimestamp)
        );
    }
}

// Catches a peer's own flood that is not told from other faults.
#[test]
fn initiations_too_close_together_are_too_many() {
    let mut world = Clients::new(1, 1, 1);
    let (key, from) = (world.clients[0].public_key(), world.clients[0].address);
    world.initiate(0);
    world.sim.run_for(MS);
    world.initiate(0);
    world.sim.run_for(S);
    assert_refused(&mut world, &[(from, RefusedWhy::TooMany, Some(key), 1)]);
}

// Catches a preshared key that differs and looks like any forged message.
#[test]
fn a_wrong_preshared_key_is_remembered_with_its_peer() {
    for seed in seeds(4) {
        let mut world = Clients::new(seed, 1 + seed as usize % 3, 1);
        let (key, from) = (world.clients[0].public_key(), world.clients[0].address);
        let peer = spec(&world.clients[0], 0).at(from);
        world.sim.gateways[A]
            .apply(vec![peer.change()])
            .expect("a sound change");
        world.clients[0].preshared_key = [9; 32];
        let packet = world.packet_to(0);
        world.sim.gateways[A].host_send(&packet);
        world.sim.run_for(50 * MS);
        assert!(matches!(world.poll(0)[..], [Received::Initiation(_)]));
        world.sim.run_for(50 * MS);
        assert_refused(&mut world, &[(from, RefusedWhy::WrongPresharedKey, Some(key), 1)]);
    }
}

// Catches a flood that fills the memory or the channel of events, or that hides what was refused before it.
#[test]
fn a_flood_is_sampled_and_displaces_nothing_else() {
    for seed in seeds(3) {
        let shards = 1 + seed as usize % 3;
        let mut world = Clients::new(seed, shards, 2);
        let (key, from) = (world.clients[0].public_key(), world.clients[0].address);
        world.connect(0);
        let at = world.sim.instant();
        let old = world.clients[0].initiation_at(Tai64n::from_unix_nanos(1), at);
        world.send(0, &old);
        world.sim.run_for(S);
        events(&mut world);
        let gateway = world.sim.gateways[A].address();
        const SECONDS: u32 = 3;
        for _ in 0..SECONDS * 1000 {
            for _ in 0..30 {
                let bits = world.sim.random.next_u32();
                let source = SocketAddr::new(Ipv4Addr::from_bits(bits).into(), bits as u16 | 1);
                let mut message = packets::forged_initiation(&key, u64::from(bits));
                message[20] ^= 1;
                world.sim.send(source, gateway, &message);
            }
            world.sim.run_for(MS);
        }
        world.sim.run_for(50 * MS);
        assert_eq!(
            world.sim.gateways[A].dropped(Drop::BadMac1),
            u64::from(SECONDS) * 30_000
        );
        let all = remembered(&mut world);
        let forged = all.iter().filter(|r| r.why == RefusedWhy::WrongMac1).count();
        assert!((1..=REFUSALS_EACH * shards).contains(&forged), "{forged}");
        assert!(
            all.iter()
                .any(|r| (r.source, r.why) == (from, RefusedWhy::OldTimestamp))
        );
        let told = events(&mut world).len();
        let most = (SECONDS + 1) as usize * shards * REFUSALS_TOLD_PER_S as usize;
        assert!(told <= most && told > 0, "{told} told");
        world.connect(1);
    }
}
