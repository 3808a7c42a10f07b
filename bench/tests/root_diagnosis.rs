//! Why there is no handshake: each cause is made on purpose between Weir and wireguard-go, and what Weir observes tells it
//! from all others (dataplane/docs/12-peer-states.md).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use weir_abi::events::EventKind;
use weir_abi::ipc::{Reply, Request};
use weir_abi::peer_state::{PeerState, StateReason};
use weir_abi::probe::{ProbeResult, ProbedEcho, ProbedHandshake};
use weir_abi::refused::{RefusedHandshake, RefusedWhy};
use weir_abi::status::{PeerStatus, Status};
use weir_bench::device_config::{DeviceConfig, KeyPair, preshared_key};
use weir_bench::ipc::Client;
use weir_bench::tunnel::{Family, PORT, Side, Site, Tunnel, direct};
use weir_bench::{Implementation, Namespace, Ping, Topology, ipc, programs, wait};
use weir_noise::{Instant, Tai64n};
use weir_testkit::Client as Caller;

/// How long an observation may take: some initiations of either side, and patience.
const LIMIT: Duration = Duration::from_secs(60);

/// What a probe may take, at three times its bound.
const PROBE_LIMIT: Duration = Duration::from_secs(15);

/// A tunnel of Weir (left) with wireguard-go (right), in which `caller` knows where the other is, and that is whole but for
/// what `spoil` does to the right. Nothing is sent yet.
fn tunnel(caller: Side, spoil: impl FnOnce(&mut DeviceConfig)) -> Tunnel {
    let topology = Topology::new().unwrap();
    let [left, right] = direct(&topology).unwrap();
    let mut sites = [
        Site::new(&left, Implementation::Weir),
        Site::new(&right, Implementation::WireguardGo),
    ];
    let called = usize::from(caller == Side::Left);
    sites[called] = sites[called].clone().called_at(caller.other().outer(Family::V4));
    let [left, right] = sites;
    let tunnel = Tunnel::new(topology, left, right, Some(preshared_key(7))).unwrap();
    let mut config = tunnel.config(Side::Right);
    spoil(&mut config);
    tunnel.peer(Side::Right).configure(&config).unwrap();
    tunnel
}

/// Drops what matches, on its way in or out.
fn block(namespace: &Namespace, hook: &str, what: &str) {
    let rules = format!(
        "table inet blocked {{ chain {hook} {{ type filter hook {hook} priority 0; {what} drop; }}\n }}"
    );
    namespace.run(programs::tool("nft").unwrap().arg(rules)).unwrap();
}

/// Has a side send one packet to the other, which begins as many handshakes as it takes.
fn call(tunnel: &Tunnel, caller: Side) {
    let ping = Ping::to(caller.other().address(Family::V4)).count(1);
    ping.run(tunnel.peer(caller).namespace()).unwrap();
}

fn status(tunnel: &Tunnel) -> Status {
    ipc::status(tunnel.peer(Side::Left).interface()).unwrap()
}

/// Waits until Weir's status shows something, and hands it back with the one peer in it.
fn await_status(
    tunnel: &Tunnel,
    what: &str,
    shows: impl Fn(&Status, &PeerStatus) -> bool,
) -> (Status, PeerStatus) {
    wait::until(what, LIMIT, || {
        let status = status(tunnel);
        let peer = status.peers[0].clone();
        shows(&status, &peer).then_some((status, peer))
    })
    .unwrap_or_else(|error| panic!("{error}: {:?}", status(tunnel)))
}

fn await_refusal(tunnel: &Tunnel, why: RefusedWhy) -> (RefusedHandshake, PeerStatus) {
    let has = |status: &Status| status.refused.iter().find(|refused| refused.why == why).copied();
    let (status, peer) = await_status(tunnel, &format!("a refusal: {why:?}"), |status, _| {
        has(status).is_some()
    });
    (has(&status).unwrap(), peer)
}

/// Begins to watch Weir: what happens from now on is told.
fn watch(tunnel: &Tunnel) -> Client {
    let mut client = Client::connect(tunnel.peer(Side::Left).interface()).unwrap();
    let first = client.ask(&Request::Watch).unwrap();
    assert!(matches!(first, Reply::Events(_)), "{first:?}");
    client
}

/// Waits until a watcher was told as many of these as are expected, and hands them back.
fn await_events(watching: &mut Client, count: usize, is_one: impl Fn(&EventKind) -> bool) -> Vec<EventKind> {
    let mut heard = Vec::new();
    wait::until_true("events", LIMIT, || {
        let events = watching.hear().unwrap().into_iter().map(|event| event.what);
        heard.extend(events.filter(&is_one));
        heard.len() >= count
    })
    .unwrap();
    heard
}

fn probe(tunnel: &Tunnel) -> ProbeResult {
    let begun = std::time::Instant::now();
    let result = ipc::probe(tunnel.peer(Side::Left).interface(), Side::Right.key().public()).unwrap();
    let took = begun.elapsed();
    assert!(took < PROBE_LIMIT, "{took:?}");
    assert_eq!(result.peer, Side::Right.key().public());
    result
}

fn outer(side: Side) -> SocketAddr {
    (side.outer(Family::V4), PORT).into()
}

/// Catches silence that looks like a refusal of anybody's, and a peer that never answers shown as anything but gone.
#[test]
fn nothing_arrives_where_udp_is_blocked() {
    let tunnel = tunnel(Side::Left, |_| {});
    block(tunnel.peer(Side::Right).namespace(), "output", "udp dport 51820");
    call(&tunnel, Side::Left);
    let (status, peer) = await_status(&tunnel, "a peer that is gone", |_, peer| {
        peer.state == PeerState::Disconnected
    });
    assert_eq!(peer.state_reason, StateReason::NoAnswer);
    assert_eq!((peer.initiations_received, peer.responses_sent), (0, 0));
    assert_eq!((status.refused, peer.last_refusal), (vec![], None));
    let result = probe(&tunnel);
    assert_eq!(result.handshake, ProbedHandshake::NoAnswer);
    assert_eq!(result.endpoint, Some(outer(Side::Right)));
    assert_eq!(
        (result.small, result.large),
        (None, None),
        "without a session nothing is sent"
    );
}

/// Catches a client with another server's key that cannot be told from one that is silent.
#[test]
fn a_wrong_server_key_is_seen_by_its_source() {
    let tunnel = tunnel(Side::Right, |right| {
        right.peers[0].public_key = KeyPair::seeded(98).public();
    });
    let mut watching = watch(&tunnel);
    call(&tunnel, Side::Right);
    let (refused, peer) = await_refusal(&tunnel, RefusedWhy::WrongMac1);
    await_events(
        &mut watching,
        1,
        |event| matches!(event, EventKind::Refused(told) if (told.source, told.why) == (refused.source, refused.why)),
    );
    assert_eq!((refused.source, refused.peer), (outer(Side::Right), None));
    assert_eq!(
        (peer.state, peer.state_reason),
        (PeerState::Init, StateReason::NeverTried)
    );
}

/// Catches a caller without an entry whose key an operator would have to guess.
#[test]
fn an_unknown_peer_is_seen_with_its_key() {
    let tunnel = tunnel(Side::Right, |right| right.key = KeyPair::seeded(99));
    call(&tunnel, Side::Right);
    let (refused, peer) = await_refusal(&tunnel, RefusedWhy::UnknownPeer);
    assert_eq!(refused.source, outer(Side::Right));
    assert_eq!(refused.peer, Some(KeyPair::seeded(99).public()));
    assert_eq!(peer.last_refusal, None, "it is not this peer that called");
}

/// Catches a peer that expired, and so was taken out of the data plane, of which nobody learns that it still calls.
#[test]
fn a_peer_that_is_no_longer_declared_is_seen_to_call() {
    let tunnel = tunnel(Side::Right, |_| {});
    tunnel.await_answers(Side::Right).unwrap();
    let (left, key) = (tunnel.peer(Side::Left), Side::Right.key().public());
    let mut watching = watch(&tunnel);
    left.wg(&format!("set {} peer {key} remove", left.interface()))
        .unwrap();
    let told = await_events(&mut watching, 1, |event| {
        matches!(event, EventKind::PeerState { .. })
    });
    let removed = EventKind::PeerState {
        peer: key,
        state: PeerState::Disconnected,
        reason: StateReason::Removed,
    };
    assert_eq!(told, [removed]);
    call(&tunnel, Side::Right);
    wait::until_true("a refusal with its key", LIMIT, || {
        let named =
            |refused: &RefusedHandshake| (refused.why, refused.peer) == (RefusedWhy::UnknownPeer, Some(key));
        status(&tunnel).refused.iter().any(named)
    })
    .unwrap();
}

/// Catches a wrong preshared key that cannot be told from a blocked return path: only by calling does Weir see it.
#[test]
fn a_probe_shows_a_wrong_preshared_key() {
    let tunnel = tunnel(Side::Right, |right| {
        right.peers[0].preshared_key = Some(preshared_key(8));
    });
    call(&tunnel, Side::Right);
    let (_, peer) = await_status(&tunnel, "unconfirmed responses", |_, peer| {
        peer.unconfirmed_responses >= 2
    });
    assert_eq!(
        (peer.state, peer.state_reason),
        (PeerState::Handshaking, StateReason::ResponseUnconfirmed)
    );
    assert_eq!(peer.last_refusal, None);
    assert_eq!(probe(&tunnel).handshake, ProbedHandshake::WrongPresharedKey);
    let (_, peer) = await_status(&tunnel, "the reason", |_, peer| {
        peer.state_reason == StateReason::WrongPresharedKey
    });
    let refusal = peer.last_refusal.unwrap();
    assert_eq!(
        (refusal.why, refusal.source),
        (RefusedWhy::WrongPresharedKey, outer(Side::Right))
    );
}

/// Catches the same where Weir begins the handshake and nobody probes.
#[test]
fn a_wrong_preshared_key_is_the_reason_where_weir_calls() {
    let tunnel = tunnel(Side::Left, |right| {
        right.peers[0].preshared_key = Some(preshared_key(8));
    });
    call(&tunnel, Side::Left);
    let (_, peer) = await_status(&tunnel, "a peer that is gone", |_, peer| {
        peer.state == PeerState::Disconnected
    });
    assert_eq!(peer.state_reason, StateReason::WrongPresharedKey);
}

/// Catches a clock that was set back, for which nothing but the timestamps speaks.
#[test]
fn a_clock_set_back_is_seen_with_its_peer() {
    let tunnel = tunnel(Side::Right, |_| {});
    let right = tunnel.peer(Side::Right).namespace();
    // What the client sent before its clock was set right: it came from the future.
    let elsewhere: SocketAddr = (Side::Right.outer(Family::V4), 40_000).into();
    let mut client = Caller::new(
        *Side::Right.key().private().expose(),
        Side::Left.key().public(),
        elsewhere,
        ChaCha20Rng::seed_from_u64(1),
    );
    let now_ns = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let future = Tai64n::from_unix_nanos(now_ns + 1_000_000_000 * 3600 * 24 * 365);
    let initiation = client.initiation_at(future, Instant::BOOT);
    let socket = right.enter(|| UdpSocket::bind(elsewhere)).unwrap();
    socket.send_to(&initiation, outer(Side::Left)).unwrap();
    await_status(&tunnel, "an initiation", |_, peer| peer.initiations_received == 1);
    call(&tunnel, Side::Right);
    let (refused, _) = await_refusal(&tunnel, RefusedWhy::OldTimestamp);
    assert_eq!(
        (refused.source, refused.peer),
        (outer(Side::Right), Some(Side::Right.key().public()))
    );
    let (_, peer) = await_status(&tunnel, "the reason", |_, peer| {
        (peer.state, peer.state_reason) == (PeerState::Disconnected, StateReason::OldTimestamp)
    });
    assert_eq!(peer.last_refusal.unwrap().why, RefusedWhy::OldTimestamp);
}

/// Catches responses that vanish on their way and look like a wrong preshared key, or like nothing.
#[test]
fn a_blocked_return_path_is_seen_by_what_does_not_come_back() {
    let tunnel = tunnel(Side::Right, |_| {});
    block(tunnel.peer(Side::Right).namespace(), "input", "udp sport 51820");
    call(&tunnel, Side::Right);
    let (status, peer) = await_status(&tunnel, "unconfirmed responses", |_, peer| {
        peer.unconfirmed_responses >= 2
    });
    assert_eq!(peer.state_reason, StateReason::ResponseUnconfirmed);
    assert_eq!(peer.responses_sent, peer.initiations_received);
    assert_eq!((status.refused, peer.last_refusal), (vec![], None));
    assert_eq!(probe(&tunnel).handshake, ProbedHandshake::NoAnswer);
}

/// Catches echo requests of one size alone, of the wrong family, or that are cut on their way, and round trips that are
/// nobody's.
#[test]
fn a_path_that_swallows_large_packets_is_seen_by_their_size() {
    let tunnel = tunnel(Side::Right, |_| {});
    tunnel.await_answers(Side::Right).unwrap();
    for family in Family::BOTH {
        let mut left = tunnel.config(Side::Left);
        let ips = &mut left.peers[0].allowed_ips;
        ips.sort_by_key(|ip| (family == Family::V4) == ip.contains(':'));
        tunnel.peer(Side::Left).synchronize(&left).unwrap();
        let result = probe(&tunnel);
        assert_eq!(result.target, Some(Side::Right.address(family)), "{result:?}");
        let answered = |echo: Option<ProbedEcho>| echo.map(|echo| (echo.bytes, echo.answered_us.is_some()));
        assert_eq!(answered(result.small), Some((64, true)), "{result:?}");
        assert_eq!(answered(result.large), Some((1420, true)), "{result:?}");
        assert!(matches!(
            result.handshake,
            ProbedHandshake::Standing | ProbedHandshake::Completed { .. }
        ));
        let peer = status(&tunnel).peers[0].clone();
        assert_eq!(peer.latency_us, result.small.unwrap().answered_us);
        assert_eq!(peer.state, PeerState::Connected);
    }
    let shards = status(&tunnel).shards;
    let packets: u64 = shards.iter().map(|shard| shard.packet_latency.total()).sum();
    let carried: u64 = shards.iter().map(|shard| shard.sealed + shard.opened).sum();
    assert!(
        packets > carried / 2,
        "{packets} of {carried} packets in the histogram"
    );
    block(tunnel.peer(Side::Right).namespace(), "input", "udp length > 1300");
    let result = probe(&tunnel);
    assert!(result.small.unwrap().answered_us.is_some(), "{result:?}");
    assert_eq!(result.large.unwrap().answered_us, None, "{result:?}");
}

/// Catches a peer that went away and is shown as connected: what it is asked finds no answer for 15 s, the handshake none
/// for 5 s more, and within 5 s of that it is gone.
#[test]
fn a_peer_that_went_away_is_gone_in_time() {
    let tunnel = tunnel(Side::Right, |_| {});
    tunnel.await_answers(Side::Right).unwrap();
    await_status(&tunnel, "a session", |_, peer| peer.state == PeerState::Connected);
    block(tunnel.peer(Side::Right).namespace(), "input", "udp sport 51820");
    block(tunnel.peer(Side::Right).namespace(), "output", "udp dport 51820");
    let mut watching = watch(&tunnel);
    let asked_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    call(&tunnel, Side::Left);
    let (_, peer) = await_status(&tunnel, "a peer that is gone", |_, peer| {
        peer.state == PeerState::Disconnected
    });
    assert_eq!(peer.state_reason, StateReason::NoAnswer);
    let took_ms = peer.state_since_unix_ms - asked_ms;
    assert!((20_000..25_000).contains(&took_ms), "{took_ms} ms");
    let told = await_events(&mut watching, 2, |event| {
        matches!(event, EventKind::PeerState { .. })
    });
    let no_answer = |state| EventKind::PeerState {
        peer: Side::Right.key().public(),
        state,
        reason: StateReason::NoAnswer,
    };
    assert_eq!(
        told,
        [PeerState::Rekeying, PeerState::Disconnected].map(no_answer)
    );
}
