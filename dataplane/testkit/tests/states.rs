//! How far each peer's session is, as a gateway tells it: every state is reached for its reason and by its time.

mod common;

use common::clients::{Clients, spec};
use common::{A, B, Traffic, pair};
use rand_core::Rng;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use weir_abi::change::Change;
use weir_abi::key::{PrivateKey, PublicKey};
use weir_abi::peer_state::PeerState::{self, Connected, Disconnected, Handshaking, Init, Rekeying};
use weir_abi::peer_state::StateReason::{self, *};
use weir_engine::{Command, Event, LifeSnapshot};
use weir_noise::limits::{
    KEEPALIVE_TIMEOUT, REJECT_AFTER_TIME, REKEY_ATTEMPT_TIME, REKEY_TIMEOUT, REKEY_TIMEOUT_JITTER_MAX,
};
use weir_testkit::{Received, Simulation, packets, seeds};

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);
/// What the wheel may add: it rounds up to a tick of 2^20 ns.
const TICK: Duration = Duration::from_nanos(1 << 20);

/// A state, what brought the peer there, and when, since the start of the simulation.
type Told = (PeerState, StateReason, Duration);

/// Lets time pass, and hands back what the gateway at `place` told of a peer's states meanwhile.
fn told(sim: &mut Simulation, place: usize, key: &PublicKey, span: Duration) -> Vec<Told> {
    let end = sim.now_ns + span.as_nanos() as u64;
    let mut changes = Vec::new();
    loop {
        let more = sim.step(end);
        let at = Duration::from_nanos(sim.now_ns);
        for event in sim.gateways[place].events.drain(..) {
            if let Event::PeerState { peer, state, reason } = event
                && peer == *key
            {
                changes.push((state, reason, at));
            }
        }
        if !more {
            sim.run_until(end);
            return changes;
        }
    }
}

fn kinds(changes: &[Told]) -> Vec<(PeerState, StateReason)> {
    changes
        .iter()
        .map(|&(state, reason, _)| (state, reason))
        .collect()
}

fn life(sim: &mut Simulation, place: usize, key: &PublicKey) -> LifeSnapshot {
    let now = sim.now_ns;
    sim.gateways[place].peer(now, key).expect("at home").life
}

/// That an event came at its time: not before, and later by no more than the timer's jitter and tick.
fn assert_due(at: Duration, due: Duration) {
    let latest = due + REKEY_TIMEOUT_JITTER_MAX + 2 * TICK;
    assert!(at >= due && at <= latest, "at {at:?}, expected {due:?}");
}

/// Two gateways with a session that A began, and their keys.
fn connected(seed: u64) -> (Simulation, [PublicKey; 2]) {
    let mut sim = pair(seed, 1 + seed as usize % 3);
    let keys = [A, B].map(|place| sim.gateways[place].public_key());
    Traffic::default().send(&mut sim, A);
    let changes = told(&mut sim, A, &keys[B], S);
    assert_eq!(
        kinds(&changes),
        [(Handshaking, InitiationSent), (Connected, HandshakeCompleted)]
    );
    sim.gateways[B].events.clear();
    (sim, keys)
}

/// A gateway that knows where its one client is.
fn known(seed: u64) -> (Clients, PublicKey) {
    let mut world = Clients::new(seed, 1 + seed as usize % 3, 1);
    let key = world.clients[0].public_key();
    let peer = spec(&world.clients[0], 0).at(world.clients[0].address);
    world.sim.gateways[A]
        .apply(vec![peer.change()])
        .expect("a sound change");
    (world, key)
}

fn call(world: &mut Clients) {
    let packet = world.packet_to(0);
    world.sim.gateways[A].host_send(&packet);
}

// Catches a handshake that is not seen from its beginning to its end on both sides, and times that are not the round trip.
#[test]
fn a_handshake_is_told_from_both_sides_with_its_round_trip() {
    for seed in seeds(4) {
        let mut sim = pair(seed, 1 + seed as usize % 3);
        let keys = [A, B].map(|place| sim.gateways[place].public_key());
        let (now, wall) = (sim.now_ns, sim.gateways[A].now(0).unix_ns);
        assert!(sim.gateways[B].peer(now, &keys[A]).is_none(), "nothing was tried");
        Traffic::default().send(&mut sim, A);
        let changes = told(&mut sim, B, &keys[A], S);
        assert_eq!(
            kinds(&changes),
            [(Handshaking, InitiationReceived), (Connected, HandshakeCompleted)]
        );
        let responder = life(&mut sim, B, &keys[A]);
        let initiator = life(&mut sim, A, &keys[B]);
        // 10 ms each way, and nothing else takes time.
        assert_eq!(initiator.handshake_us, Some(20_000));
        assert_eq!(initiator.latency_us, Some(20_000));
        assert_eq!(
            (responder.handshake_us, responder.latency_us),
            (None, Some(20_000))
        );
        let counts = |life: &LifeSnapshot| {
            (
                life.initiations_received,
                life.responses_sent,
                life.unconfirmed_responses,
            )
        };
        assert_eq!((counts(&initiator), counts(&responder)), ((0, 0, 0), (1, 1, 0)));
        assert_eq!(initiator.since_unix_ms, wall / 1_000_000 + 20);
        let histogram = sim.gateways[A]
            .counters()
            .map(|counters| counters.handshake_latency.total());
        assert_eq!(histogram.sum::<u64>(), 1);
        let answered = sim.gateways[B]
            .counters()
            .map(|counters| counters.response_latency.total());
        assert_eq!(answered.sum::<u64>(), 1);
    }
}

// Catches a renewal that is not shown, or one during which a peer that is well is shown as gone.
#[test]
fn a_renewal_is_rekeying_on_both_sides() {
    for seed in seeds(4) {
        let (mut sim, keys) = connected(seed);
        let mut traffic = Traffic::default();
        let mut changes = Vec::new();
        for _ in 0..125 {
            traffic.send(&mut sim, A);
            traffic.send(&mut sim, B);
            changes.extend(told(&mut sim, A, &keys[B], S));
        }
        assert_eq!(
            kinds(&changes),
            [(Rekeying, RekeyDue), (Connected, HandshakeCompleted)]
        );
        let of_b = sim.gateways[B].events.iter().filter_map(|event| match event {
            Event::PeerState { state, reason, .. } => Some((*state, *reason)),
            _ => None,
        });
        assert_eq!(
            of_b.collect::<Vec<_>>(),
            [(Rekeying, InitiationReceived), (Connected, HandshakeCompleted)]
        );
    }
}

// Catches a peer that is shown as connected after it went away, and one whose way back is not seen.
#[test]
fn a_peer_that_no_longer_answers_data_is_gone_after_twenty_seconds() {
    for seed in seeds(6) {
        let (mut sim, keys) = connected(seed);
        let there = sim.gateways[B].address();
        // The first packet has its answer.
        sim.run_for(15 * S);
        sim.network.set_blackhole(there, true);
        sim.run_for(30 * S);
        assert_eq!(
            life(&mut sim, A, &keys[B]).state,
            Connected,
            "silence is allowed while nothing is asked"
        );
        let asked = Duration::from_nanos(sim.now_ns);
        Traffic::default().send(&mut sim, A);
        // Nothing is sent after that, so that a timer alone can tell.
        let changes = told(&mut sim, A, &keys[B], 100 * S);
        assert_eq!(kinds(&changes), [(Rekeying, NoAnswer), (Disconnected, NoAnswer)]);
        assert_due(changes[0].2, asked + KEEPALIVE_TIMEOUT + REKEY_TIMEOUT);
        assert_due(changes[1].2, changes[0].2 + REKEY_TIMEOUT);
        let since = life(&mut sim, A, &keys[B]).since_unix_ms;

        // Packets that find it gone change nothing, and neither does the session's end.
        for _ in 0..200 {
            Traffic::default().send(&mut sim, A);
            let changes = told(&mut sim, A, &keys[B], S);
            assert_eq!(changes, []);
        }
        assert_eq!(life(&mut sim, A, &keys[B]).since_unix_ms, since);
        sim.network.set_blackhole(there, false);
        let changes = told(&mut sim, A, &keys[B], 6 * S);
        assert_eq!(kinds(&changes), [(Connected, HandshakeCompleted)]);
    }
}

// Catches a silent peer that is shown as connected until somebody sends it something.
#[test]
fn a_session_that_nobody_renews_ends_by_its_timer() {
    for seed in seeds(4) {
        let (mut sim, keys) = connected(seed);
        let completed = Duration::from_millis(20);
        for (place, of) in [(A, B), (B, A)] {
            let mut sim = pair(seed, 1 + seed as usize % 3);
            Traffic::default().send(&mut sim, A);
            let changes = told(&mut sim, place, &keys[of], 200 * S);
            let last = changes.last().expect("changes");
            assert_eq!((last.0, last.1), (Disconnected, SessionExpired));
            let made = if place == A {
                completed
            } else {
                Duration::from_millis(10)
            };
            assert_due(last.2, made + REJECT_AFTER_TIME);
        }
        // The next packet begins anew.
        sim.run_for(200 * S);
        sim.gateways[A].events.clear();
        Traffic::default().send(&mut sim, A);
        let changes = told(&mut sim, A, &keys[B], S);
        assert_eq!(
            kinds(&changes),
            [(Handshaking, InitiationSent), (Connected, HandshakeCompleted)]
        );
    }
}

// Catches a first attempt that is shown as under way for as long as packets keep it alive, and a state that is told anew
// with every try.
#[test]
fn a_peer_that_never_answered_is_gone_after_five_seconds_and_told_once() {
    for seed in seeds(4) {
        let mut sim = pair(seed, 1 + seed as usize % 3);
        let key = sim.gateways[B].public_key();
        let there = sim.gateways[B].address();
        sim.network.set_blackhole(there, true);
        let mut changes = Vec::new();
        for _ in 0..300 {
            Traffic::default().send(&mut sim, A);
            changes.extend(told(&mut sim, A, &key, S));
        }
        assert_eq!(
            kinds(&changes),
            [(Handshaking, InitiationSent), (Disconnected, NoAnswer)]
        );
        assert_due(changes[1].2, REKEY_TIMEOUT);
    }
}

// Catches a peer that is taken for gone though its packets arrive: only its answers to a renewal get lost.
#[test]
fn a_peer_that_is_heard_is_not_gone_while_its_renewal_fails() {
    for seed in seeds(4) {
        let (mut world, key) = known(seed);
        call(&mut world);
        world.sim.run_for(20 * MS);
        world.poll(0);
        world.sim.run_for(20 * MS);
        assert!(world.poll(0).iter().any(|got| matches!(got, Received::Data(_))));
        world.sim.gateways[A].events.clear();
        let mut changes = Vec::new();
        // From now on the client reads nothing, and so answers no initiation.
        for _ in 0..178 {
            call(&mut world);
            world.send_data(0);
            changes.extend(told(&mut world.sim, A, &key, S));
        }
        assert_eq!(kinds(&changes), [(Rekeying, RekeyDue)]);
        let changes = told(&mut world.sim, A, &key, 20 * S);
        assert_eq!(
            kinds(&changes),
            [(Handshaking, InitiationSent), (Disconnected, NoAnswer)]
        );
    }
}

// Catches a peer whose session works again and that is shown as gone for good.
#[test]
fn a_peer_that_was_gone_and_is_heard_in_its_session_is_connected() {
    for seed in seeds(4) {
        let mut world = Clients::new(seed, 1 + seed as usize % 3, 1);
        let key = world.clients[0].public_key();
        world.connect(0);
        call(&mut world);
        world.sim.run_for(40 * S);
        assert_eq!(life(&mut world.sim, A, &key).state, Disconnected);
        world.sim.gateways[A].events.clear();
        world.send_data(0);
        // The handshake that was begun goes on.
        let changes = told(&mut world.sim, A, &key, 6 * S);
        assert_eq!(kinds(&changes), [(Connected, HeardAgain), (Rekeying, RekeyDue)]);
    }
}

// Catches a peer that is taken for gone because it is busy: it answers the first initiation with a cookie.
#[test]
fn a_peer_that_asks_for_a_cookie_is_not_gone() {
    let mut sim = pair(1, 1);
    let [_, key] = [A, B].map(|place| sim.gateways[place].public_key());
    let there = sim.gateways[B].address();
    let flood = |sim: &mut Simulation, ms: u32| {
        for _ in 0..ms {
            for _ in 0..3 {
                let bits = sim.random.next_u32();
                let from = SocketAddr::new(Ipv4Addr::from_bits(bits).into(), bits as u16 | 1);
                sim.send(from, there, &packets::forged_initiation(&key, u64::from(bits)));
            }
            sim.run_for(MS);
        }
    };
    flood(&mut sim, 1000);
    Traffic::default().send(&mut sim, A);
    flood(&mut sim, 5500);
    let changes = told(&mut sim, A, &key, S);
    assert_eq!(
        kinds(&changes),
        [(Handshaking, InitiationSent), (Connected, HandshakeCompleted)]
    );
    let initiations = sim.gateways[A].counters().map(|counters| counters.initiations);
    assert_eq!(
        initiations.sum::<u64>(),
        2,
        "the first was to be answered with a cookie"
    );
}

// Catches a renewal that was given up and shown as under way for good, though the session is in use.
#[test]
fn a_renewal_that_was_given_up_leaves_the_session() {
    for seed in seeds(2) {
        let mut world = Clients::new(seed, 1 + seed as usize % 3, 1);
        let key = world.clients[0].public_key();
        world.connect(0);
        world.sim.gateways[A].events.clear();
        let id = world.sim.gateways[A]
            .applier
            .published()
            .load()
            .peer_by_key(&key)
            .expect("declared")
            .id;
        for shard in 0..world.sim.gateways[A].shards() {
            world.sim.gateways[A].command(shard, Command::Initiate(vec![id]));
        }
        let mut changes = Vec::new();
        for _ in 0..110 {
            world.send_data(0);
            changes.extend(told(&mut world.sim, A, &key, S));
        }
        assert_eq!(kinds(&changes), [(Rekeying, RekeyDue), (Connected, NoAnswer)]);
        assert!(changes[1].2 >= REKEY_ATTEMPT_TIME, "{changes:?}");
    }
}

// Catches responses that get lost on their way and leave no trace: that is how a blocked return path looks.
#[test]
fn responses_that_nothing_confirms_are_counted_and_end() {
    for seed in seeds(4) {
        let mut world = Clients::new(seed, 1 + seed as usize % 3, 1);
        let key = world.clients[0].public_key();
        let mut changes = Vec::new();
        for _ in 0..3 {
            world.initiate(0);
            changes.extend(told(&mut world.sim, A, &key, 5 * S));
        }
        let last = Duration::from_nanos(world.sim.now_ns) - 5 * S + 10 * MS;
        changes.extend(told(&mut world.sim, A, &key, 20 * S));
        assert_eq!(
            kinds(&changes),
            [
                (Handshaking, InitiationReceived),
                (Handshaking, ResponseUnconfirmed),
                (Disconnected, ResponseUnconfirmed)
            ]
        );
        assert_due(changes[2].2, last + 2 * REKEY_TIMEOUT);
        let seen = life(&mut world.sim, A, &key);
        assert_eq!(
            (
                seen.initiations_received,
                seen.responses_sent,
                seen.unconfirmed_responses
            ),
            (3, 3, 3)
        );
        assert_eq!(seen.latency_us, None);
        world.connect(0);
        let seen = life(&mut world.sim, A, &key);
        assert_eq!(
            (seen.state, seen.responses_sent, seen.unconfirmed_responses),
            (Connected, 4, 0)
        );
    }
}

// Catches a session that works and is shown as gone because its peer calls anew and does not hear the answer.
#[test]
fn an_unconfirmed_renewal_does_not_end_a_session_that_is_in_use() {
    for seed in seeds(4) {
        let mut world = Clients::new(seed, 1 + seed as usize % 3, 1);
        let key = world.clients[0].public_key();
        world.connect(0);
        world.sim.gateways[A].events.clear();
        world.initiate(0);
        let mut changes = Vec::new();
        for _ in 0..30 {
            world.send_data(0);
            changes.extend(told(&mut world.sim, A, &key, S));
        }
        assert_eq!(
            kinds(&changes),
            [(Rekeying, InitiationReceived), (Connected, ResponseUnconfirmed)]
        );
    }
}

// Catches a wrong preshared key that looks like silence.
#[test]
fn a_response_that_does_not_open_is_the_reason() {
    for seed in seeds(4) {
        let (mut world, key) = known(seed);
        world.clients[0].preshared_key = [9; 32];
        call(&mut world);
        let mut changes = Vec::new();
        for _ in 0..30 {
            changes.extend(told(&mut world.sim, A, &key, S));
            world.poll(0);
        }
        assert_eq!(
            kinds(&changes),
            [
                (Handshaking, InitiationSent),
                (Handshaking, WrongPresharedKey),
                (Disconnected, WrongPresharedKey)
            ]
        );
        world.clients[0].preshared_key = [0; 32];
        for _ in 0..7 {
            changes.extend(told(&mut world.sim, A, &key, S));
            world.poll(0);
        }
        assert_eq!(
            changes.last().map(|c| (c.0, c.1)),
            Some((Connected, HandshakeCompleted))
        );
    }
}

// Catches a session that somebody who saw an initiation can have shown as broken.
#[test]
fn a_forged_response_does_not_change_a_session_that_works() {
    let (mut sim, keys) = connected(1);
    let mut traffic = Traffic::default();
    for _ in 0..119 {
        traffic.send(&mut sim, A);
        traffic.send(&mut sim, B);
        sim.run_for(S);
    }
    sim.network.capture = true;
    sim.network.set_blackhole(sim.gateways[B].address(), true);
    traffic.send(&mut sim, A);
    sim.run_for(S);
    traffic.send(&mut sim, A);
    sim.run_for(20 * MS);
    let sent = std::mem::take(&mut sim.network.captured);
    let (_, initiation) = sent.iter().find(|(_, d)| d.bytes[0] == 1).expect("a renewal");
    let mut forger = weir_testkit::Client::new([2; 32], keys[A], initiation.to, sim.seed().random(5));
    forger.preshared_key = [66; 32];
    let at = sim.instant();
    let Received::Initiation(forged) = forger.receive(&initiation.bytes, at) else {
        panic!("the forger answers");
    };
    sim.network.set_blackhole(sim.gateways[B].address(), false);
    let (from, to) = (initiation.to, initiation.from);
    sim.send(from, to, &forged);
    sim.run_for(50 * MS);
    let seen = life(&mut sim, A, &keys[B]);
    assert_eq!((seen.state, seen.reason), (Rekeying, RekeyDue));
    assert!(seen.refusal.is_some(), "but it is remembered");
}

// Catches a packet without a place to go to that leaves no reason, or one told for each of them.
#[test]
fn an_endpoint_that_nobody_knows_is_told_once() {
    let mut world = Clients::new(1, 1, 1);
    let key = world.clients[0].public_key();
    let mut changes = Vec::new();
    for _ in 0..10 {
        call(&mut world);
        changes.extend(told(&mut world.sim, A, &key, S));
    }
    assert_eq!(kinds(&changes), [(Init, EndpointUnknown)]);
}

// Catches a removed peer that watchers keep, and sessions under a key of the past that look alive.
#[test]
fn removal_and_another_private_key_are_told() {
    for seed in seeds(4) {
        let (mut sim, keys) = connected(seed);
        let next = Change::PrivateKey(Some(PrivateKey::from_bytes([99; 32])));
        sim.gateways[A].apply(vec![next]).expect("a sound change");
        let changes = told(&mut sim, A, &keys[B], S);
        assert_eq!(kinds(&changes), [(Init, NeverTried)]);
        sim.gateways[A]
            .apply(vec![Change::RemovePeer(keys[B])])
            .expect("a sound change");
        let changes = told(&mut sim, A, &keys[B], S);
        assert_eq!(kinds(&changes), [(Disconnected, Removed)]);
    }
}

// Catches a state that is lost or told anew when its peer moves to another shard.
#[test]
fn a_state_moves_with_its_peer() {
    for seed in seeds(6) {
        let (mut sim, keys) = connected(seed);
        let before = life(&mut sim, A, &keys[B]);
        sim.gateways[A].events.clear();
        for shards in [4, 1, 3] {
            let now = sim.now_ns;
            sim.gateways[A].set_shards(shards, now);
            assert_eq!(told(&mut sim, A, &keys[B], S), []);
            assert_eq!(life(&mut sim, A, &keys[B]), before);
        }
        // Its timer moved, too.
        let changes = told(&mut sim, A, &keys[B], REJECT_AFTER_TIME);
        assert_eq!(kinds(&changes), [(Disconnected, SessionExpired)]);
    }
}
