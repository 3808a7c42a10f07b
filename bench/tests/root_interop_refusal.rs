//! Who has no key gets nothing through, and the reason is counted where an operator sees it (`weir status`).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use weir_bench::configured::{drops, status};
use weir_bench::device_config::{DeviceConfig, KeyPair, preshared_key};
use weir_bench::tunnel::{Family, Side, Site, Tunnel, direct};
use weir_bench::{Implementation, Ping, Topology, wait};

/// How long a refusal may take to be counted: two initiations, and patience.
const LIMIT: Duration = Duration::from_secs(30);

/// A tunnel of Weir (left) with wireguard-go (right) that is whole but for what `spoil` does to the right.
fn spoilt(caller: Side, spoil: impl FnOnce(&mut DeviceConfig)) -> Tunnel {
    let topology = Topology::new().unwrap();
    let [left, right] = direct(&topology).unwrap();
    let mut sites = [
        Site::new(&left, Implementation::Weir),
        Site::new(&right, Implementation::WireguardGo),
    ];
    let called = caller.other();
    sites[usize::from(called == Side::Right)].endpoint = Some((called.outer(Family::V4), 51820).into());
    let [left, right] = sites;
    let tunnel = Tunnel::new(topology, left, right, Some(preshared_key(7))).unwrap();
    let mut config = tunnel.config(Side::Right);
    spoil(&mut config);
    tunnel.peer(Side::Right).configure(&config).unwrap();
    tunnel
}

/// Pings from `caller` until Weir has counted `reason`; no ping may be answered.
fn refused(tunnel: &Tunnel, caller: Side, reason: &str) {
    let weir = tunnel.peer(Side::Left);
    wait::until_true(&format!("a packet dropped as {reason}"), LIMIT, || {
        let ping = Ping::to(caller.other().address(Family::V4)).count(1);
        let report = ping.run(tunnel.peer(caller).namespace()).unwrap();
        assert_eq!(report.received, 0, "{reason}: a ping was answered");
        let status = status(weir.namespace(), weir.interface()).unwrap();
        drops(&status, reason) > 0
    })
    .unwrap();
}

/// Catches a preshared key that is not mixed in where Weir begins the handshake.
#[test]
fn a_wrong_preshared_key_is_refused_in_a_response() {
    let tunnel = spoilt(Side::Left, |right| {
        right.peers[0].preshared_key = Some(preshared_key(8));
    });
    refused(&tunnel, Side::Left, "bad_handshake");
}

/// Catches a preshared key that is not mixed in where Weir responds: the other side cannot read the response, nothing
/// is a session, and so nothing can be counted.
#[test]
fn a_wrong_preshared_key_never_makes_a_session() {
    let tunnel = spoilt(Side::Right, |right| right.peers[0].preshared_key = None);
    let ping = Ping::to(Side::Left.address(Family::V4)).count(3);
    let report = ping.run(tunnel.peer(Side::Right).namespace()).unwrap();
    assert_eq!(report.received, 0, "{report:?}");
    assert_eq!(tunnel.handshake_s(Side::Left).unwrap(), None);
    assert_eq!(tunnel.handshake_s(Side::Right).unwrap(), None);
}

/// Catches an initiation answered although its static key is no peer's.
#[test]
fn an_unknown_key_is_refused() {
    let tunnel = spoilt(Side::Right, |right| right.key = KeyPair::seeded(99));
    refused(&tunnel, Side::Right, "unknown_peer");
}

/// Catches handshakes computed for messages that are meant for somebody else.
#[test]
fn a_call_for_another_key_is_refused() {
    let tunnel = spoilt(Side::Right, |right| {
        right.peers[0].public_key = KeyPair::seeded(98).public();
    });
    refused(&tunnel, Side::Right, "bad_mac1");
}

/// Catches a peer that sends from addresses which are not its own.
#[test]
fn a_source_outside_the_allowed_ips_is_refused() {
    let tunnel = spoilt(Side::Right, |_| {});
    tunnel.await_answers(Side::Right).unwrap();
    let right = tunnel.peer(Side::Right);
    // A better source than the tunnel's own address for what goes to the left.
    right.address("10.9.0.77/24").unwrap();
    right
        .namespace()
        .ip(&format!(
            "route add 10.9.0.1/32 dev {} src 10.9.0.77",
            right.interface()
        ))
        .unwrap();
    refused(&tunnel, Side::Right, "source_not_allowed");
}
