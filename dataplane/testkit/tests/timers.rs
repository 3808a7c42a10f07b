//! The protocol's clocks: rekeying, expiry, keepalives, retries and limits on messages.

mod common;

use common::clients::Clients;
use common::{A, B, Traffic, pair, peer_spec};
use std::time::Duration;
use weir_abi::drops::Drop;
use weir_engine::Event;
use weir_noise::limits::{
    KEEPALIVE_TIMEOUT, REJECT_AFTER_MESSAGES, REJECT_AFTER_TIME, REKEY_AFTER_TIME, REKEY_ATTEMPT_TIME,
    REKEY_TIMEOUT, REKEY_TIMEOUT_JITTER_MAX, ZERO_AFTER_TIME,
};
use weir_testkit::{Received, Simulation, seeds};

const MS: Duration = Duration::from_millis(1);
/// What the wheel may add: it rounds up to a tick of 2^20 ns.
const TICK: Duration = Duration::from_nanos(1 << 20);

/// When messages of a type and least length left that address, in ns since the start.
fn departures(sim: &Simulation, from: usize, kind: u8, length: std::ops::Range<usize>) -> Vec<Duration> {
    let address = sim.gateways[from].address();
    sim.network
        .captured
        .iter()
        .filter(|(_, d)| d.from == address && d.bytes[0] == kind && length.contains(&d.bytes.len()))
        .map(|(at, _)| Duration::from_nanos(*at))
        .collect()
}

// Catches packets lost while keys change, a rekey that comes late or twice, and both sides rekeying at once.
#[test]
fn a_session_is_renewed_in_mid_traffic_without_loss() {
    for seed in seeds(4) {
        let mut sim = pair(seed, 1 + seed as usize % 2);
        sim.network.capture = true;
        let mut traffic = Traffic::default();
        traffic.send(&mut sim, A);
        sim.run_for(100 * MS);
        for _ in 0..8000 {
            traffic.send(&mut sim, A);
            traffic.send(&mut sim, B);
            sim.run_for(50 * MS);
            traffic.collect(&mut sim);
        }
        sim.run_for(100 * MS);
        traffic.collect(&mut sim);
        assert_eq!(traffic.missing(), 0);
        let begun = departures(&sim, A, 1, 0..200);
        assert_eq!(begun.len(), 4, "{begun:?}");
        for pair in begun.windows(2) {
            let apart = pair[1] - pair[0];
            assert!(
                apart >= REKEY_AFTER_TIME && apart < REKEY_AFTER_TIME + 100 * MS,
                "{apart:?}"
            );
        }
        assert!(
            departures(&sim, B, 1, 0..200).is_empty(),
            "the responder rekeyed too"
        );
        sim.assert_frames_home();
    }
}

// Catches keys used beyond their time in either direction, and keys that are kept when nobody renews them.
#[test]
fn a_session_ends_at_reject_after_time_and_its_keys_at_three_times_that() {
    for seed in seeds(3) {
        let mut world = Clients::new(seed, 1, 1);
        world.initiate(0);
        world.sim.run_for(20 * MS);
        // The gateway made its keys when the initiation arrived.
        let made = Duration::from_nanos(world.sim.now_ns) - 10 * MS;
        assert!(world.poll(0).contains(&Received::Session));
        let latency = 10 * MS;
        let arrive_at = |world: &mut Clients, at: Duration| {
            world.sim.run_until((made + at - latency).as_nanos() as u64);
            let (packet, counter) = (world.packet(0, 0), world.sim.now_ns);
            let message = world.clients[0].data_at(&packet, counter);
            world.send(0, &message);
            world.sim.run_for(latency);
            world.sim.gateways[A].host_received().contains(&packet)
        };
        assert!(arrive_at(&mut world, Duration::from_secs(1)));
        assert!(
            arrive_at(&mut world, REJECT_AFTER_TIME - 10 * MS),
            "refused before its time"
        );
        let key = world.clients[0].public_key();
        let now = world.sim.now_ns;
        assert!(
            world.sim.gateways[A]
                .peer(now, &key)
                .expect("at home")
                .has_session
        );
        assert!(!arrive_at(&mut world, REJECT_AFTER_TIME), "taken after its time");
        assert_eq!(world.sim.gateways[A].dropped(Drop::Expired), 1);
        let now = world.sim.now_ns;
        assert!(
            !world.sim.gateways[A]
                .peer(now, &key)
                .expect("at home")
                .has_session
        );
        // Until then the index leads to the keypair, and afterwards nowhere.
        assert!(!arrive_at(&mut world, ZERO_AFTER_TIME - 10 * MS));
        assert_eq!(world.sim.gateways[A].dropped(Drop::Expired), 2);
        assert!(!arrive_at(&mut world, ZERO_AFTER_TIME + 2 * MS));
        assert_eq!(world.sim.gateways[A].dropped(Drop::UnknownIndex), 1);
    }
}

// Catches a sender that seals under keys past their time instead of asking for new ones.
#[test]
fn nothing_is_sealed_after_reject_after_time() {
    let mut sim = pair(1, 1);
    let mut traffic = Traffic::default();
    traffic.send(&mut sim, A);
    sim.run_for(REJECT_AFTER_TIME + 100 * MS);
    sim.network.capture = true;
    sim.network.set_blackhole(sim.gateways[B].address(), true);
    for _ in 0..5 {
        traffic.send(&mut sim, A);
    }
    sim.run_for(MS);
    assert_eq!(departures(&sim, A, 1, 0..200).len(), 1);
    assert!(departures(&sim, A, 4, 0..2000).is_empty());
    sim.network.set_blackhole(sim.gateways[B].address(), false);
    sim.run_for(Duration::from_secs(6));
    traffic.collect(&mut sim);
    assert_eq!(traffic.missing(), 0, "what waited for the new session was lost");
}

// Catches a keepalive that comes early, late, twice, or though there was something to send anyway.
#[test]
fn received_data_is_answered_after_exactly_ten_seconds() {
    for seed in seeds(3) {
        let mut world = Clients::new(seed, 1, 1);
        world.connect(0);
        world.sim.run_for(Duration::from_secs(30));
        world.poll(0);
        world.sim.network.capture = true;
        world.send_data(0);
        let arrival = Duration::from_nanos(world.sim.now_ns) + 10 * MS;
        world.sim.run_for(Duration::from_secs(60));
        let sent = departures(&world.sim, A, 4, 0..33);
        assert_eq!(sent.len(), 1, "{sent:?}");
        let after = sent[0] - arrival;
        assert!(
            after >= KEEPALIVE_TIMEOUT && after <= KEEPALIVE_TIMEOUT + TICK,
            "{after:?}"
        );
        assert!(world.poll(0).contains(&Received::Data(Vec::new())));

        // An answer in time makes the keepalive needless.
        world.sim.network.captured.clear();
        world.send_data(0);
        world.sim.run_for(Duration::from_secs(5));
        let answer = world.packet_to(0);
        world.sim.gateways[A].host_send(&answer);
        world.sim.run_for(Duration::from_secs(9));
        assert!(departures(&world.sim, A, 4, 0..33).is_empty());
    }
}

// Catches an interval that drifts, that restarts at the wrong moments, or that needs traffic to begin.
#[test]
fn persistent_keepalives_keep_their_interval_through_rekeys() {
    for seed in seeds(3) {
        let mut sim = Simulation::new(seed);
        sim.add(weir_testkit::Setup::new(1, "192.0.2.1:51820"));
        sim.add(weir_testkit::Setup::new(2, "198.51.100.2:51820"));
        let mut peer = peer_spec(&sim.gateways[B], 2).at(sim.gateways[B].address());
        peer.persistent_keepalive = Some(25);
        sim.gateways[A].configure(&[peer]);
        let peer = peer_spec(&sim.gateways[A], 1);
        sim.gateways[B].configure(&[peer]);
        sim.network.capture = true;
        sim.run_for(Duration::from_secs(500));
        let mut signs = departures(&sim, A, 4, 0..33);
        signs.extend(departures(&sim, A, 1, 0..200));
        signs.sort();
        assert!((19..=30).contains(&signs.len()), "{}", signs.len());
        for pair in signs.windows(2) {
            // A handshake of 20 ms moves the next one back by as much.
            let apart = pair[1] - pair[0];
            assert!(apart <= Duration::from_secs(25) + TICK + 21 * MS, "{apart:?}");
        }
        let keepalives = departures(&sim, A, 4, 0..33);
        let exact = keepalives.windows(2).filter(|pair| {
            let apart = pair[1] - pair[0];
            apart >= Duration::from_secs(25) && apart <= Duration::from_secs(25) + TICK
        });
        assert!(exact.count() >= 12, "{keepalives:?}");
    }
}

// Catches retries without jitter, too soon or too late, an attempt without end, and packets that wait for ever.
#[test]
fn a_handshake_is_retried_every_five_seconds_and_given_up_after_ninety() {
    for seed in seeds(10) {
        let mut sim = pair(seed, 1);
        sim.network.capture = true;
        sim.network.set_blackhole(sim.gateways[B].address(), true);
        let mut traffic = Traffic::default();
        for _ in 0..7 {
            traffic.send(&mut sim, A);
        }
        sim.run_for(Duration::from_secs(89));
        assert_eq!(sim.gateways[A].dropped(Drop::HandshakeFailed), 0);
        sim.run_for(Duration::from_secs(200));
        let tries = departures(&sim, A, 1, 0..200);
        let mut jitters = Vec::new();
        for pair in tries.windows(2) {
            let apart = pair[1] - pair[0];
            assert!(apart >= REKEY_TIMEOUT, "{apart:?}");
            assert!(
                apart <= REKEY_TIMEOUT + REKEY_TIMEOUT_JITTER_MAX + TICK,
                "{apart:?}"
            );
            jitters.push(apart);
        }
        jitters.dedup();
        assert!(jitters.len() > 3, "no jitter: {jitters:?}");
        assert!((17..=18).contains(&tries.len()), "{} tries", tries.len());
        assert!(tries[tries.len() - 1] <= REKEY_ATTEMPT_TIME);
        assert_eq!(sim.gateways[A].dropped(Drop::HandshakeFailed), 7);
        let gave_up = sim.gateways[A]
            .events
            .iter()
            .filter(|e| matches!(e, Event::GaveUp(_)));
        assert_eq!(gave_up.count(), 1);
        // The next packet begins anew, and now the other side is there.
        sim.network.set_blackhole(sim.gateways[B].address(), false);
        let before = traffic.missing();
        traffic.send(&mut sim, A);
        sim.run_for(100 * MS);
        traffic.collect(&mut sim);
        assert_eq!(traffic.missing(), before);
        sim.assert_frames_home();
    }
}

// Catches one initiation for every packet that waits, and a queue without bound.
#[test]
fn waiting_packets_are_bounded_and_ask_for_one_handshake() {
    let mut sim = pair(1, 1);
    sim.network.capture = true;
    sim.network.set_blackhole(sim.gateways[B].address(), true);
    let mut traffic = Traffic::default();
    for _ in 0..1000 {
        traffic.send(&mut sim, A);
        sim.run_for(MS);
    }
    assert_eq!(departures(&sim, A, 1, 0..200).len(), 1);
    let key = sim.gateways[B].public_key();
    let now = sim.now_ns;
    let queued = sim.gateways[A].peer(now, &key).expect("at home").queued;
    assert_eq!(queued, weir_engine::limits::QUEUED_PER_PEER);
    assert_eq!(sim.gateways[A].dropped(Drop::QueueFull), 1000 - queued as u64);
    sim.network.set_blackhole(sim.gateways[B].address(), false);
    sim.run_for(Duration::from_secs(6));
    traffic.collect(&mut sim);
    assert_eq!(traffic.arrived(), queued, "the newest of them arrive");
}

// Catches a counter kept in 32 bits, which would wrap or be taken for a replay, and a session used after its last
// message (boringtun 0.7.1 did both).
#[test]
fn counters_have_64_bits_and_end_at_reject_after_messages() {
    let mut world = Clients::new(1, 1, 1);
    world.connect(0);
    let mut expected = Vec::new();
    let high = [
        1 << 32,
        (1 << 32) + 1,
        1 << 33,
        1 << 60,
        REJECT_AFTER_MESSAGES - 2,
        REJECT_AFTER_MESSAGES - 1,
    ];
    for counter in high {
        let packet = world.packet(0, 0);
        let message = world.clients[0].data_at(&packet, counter);
        world.send(0, &message);
        world.sim.run_for(11 * MS);
        expected.push(packet);
    }
    assert_eq!(world.sim.gateways[A].host_received(), expected);
    let refused = [
        REJECT_AFTER_MESSAGES,
        REJECT_AFTER_MESSAGES + 1,
        u64::MAX,
        REJECT_AFTER_MESSAGES - 1,
        1 << 33,
    ];
    for counter in refused {
        let packet = world.packet(0, 0);
        let message = world.clients[0].data_at(&packet, counter);
        world.send(0, &message);
    }
    world.sim.run_for(20 * MS);
    assert!(world.sim.gateways[A].host_received().is_empty());
    assert_eq!(
        world.sim.gateways[A].dropped(Drop::Replayed),
        refused.len() as u64
    );
}
