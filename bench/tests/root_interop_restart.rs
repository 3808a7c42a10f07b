//! Either side is killed as `kill -9` does and starts again with the same configuration: traffic comes back by itself.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use weir_bench::configured_lab::ConfiguredLab;
use weir_bench::gateway_topology::{client_address, server_address};
use weir_bench::tunnel::{Family, Side, Site, Tunnel, direct};
use weir_bench::{Implementation, Ping, Topology};

/// Three times one handshake's patience (REKEY_TIMEOUT, whitepaper section 6.1).
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(15);

/// Three times what it takes to notice that a peer no longer answers (KEEPALIVE_TIMEOUT + REKEY_TIMEOUT, section 6.5).
const NOTICE_LIMIT: Duration = Duration::from_secs(45);

/// Three times the 3 s within which a gateway that was killed reaches those it talked to.
const RESUME_LIMIT: Duration = Duration::from_secs(9);

/// A tunnel of Weir (left) with a peer that each may call, up and proved.
fn tunnel_with(peer: Implementation) -> Tunnel {
    let topology = Topology::new().unwrap();
    let [left, right] = direct(&topology).unwrap();
    let left = Site::new(&left, Implementation::Weir).called_at(Side::Left.outer(Family::V4));
    let right = Site::new(&right, peer).called_at(Side::Right.outer(Family::V4));
    let tunnel = Tunnel::new(topology, left, right, None).unwrap();
    tunnel.await_answers(Side::Right).unwrap();
    tunnel
}

/// Has `from` ping until it is answered.
fn resumes(tunnel: &Tunnel, from: Side, limit: Duration) {
    let ping = Ping::to(from.other().address(Family::V4));
    ping.until_answered(tunnel.peer(from).namespace(), limit)
        .unwrap_or_else(|error| {
            let right = tunnel.peer(Side::Right);
            panic!("from {from:?}, {right:?}: {error}")
        });
}

/// Catches a gateway that clings to a session which the peer has lost, whether the peer calls anew or waits to be
/// called.
fn the_peer_restarts(peer: Implementation) {
    let mut tunnel = tunnel_with(peer);
    tunnel.restart(Side::Right).unwrap();
    resumes(&tunnel, Side::Right, HANDSHAKE_LIMIT);
    tunnel.restart(Side::Right).unwrap();
    resumes(&tunnel, Side::Left, NOTICE_LIMIT);
    tunnel.prove(Side::Left, 1 << 20).unwrap();
}

/// Catches an initiation after a restart that the peer takes for a replay of an older one.
fn weir_restarts(peer: Implementation) {
    let mut tunnel = tunnel_with(peer);
    tunnel.restart(Side::Left).unwrap();
    resumes(&tunnel, Side::Left, HANDSHAKE_LIMIT);
    tunnel.restart(Side::Left).unwrap();
    resumes(&tunnel, Side::Right, NOTICE_LIMIT);
    tunnel.prove(Side::Right, 1 << 20).unwrap();
}

/// Catches a configured gateway that has forgotten where its peers are, or that waits for them to notice. No endpoint
/// is configured, and nobody but the gateway speaks first.
fn a_configured_gateway_restarts(client: Implementation) {
    let mut lab = ConfiguredLab::new(client).unwrap();
    // What is known of peers is saved every second.
    let address = server_address(Family::V4);
    Ping::to(address)
        .count(5)
        .interval_ms(600)
        .run(lab.client.namespace())
        .unwrap();
    lab.restart_gateway().unwrap();
    for family in Family::BOTH {
        Ping::to(client_address(family))
            .until_answered(lab.gateway.namespace(), RESUME_LIMIT)
            .unwrap();
        Ping::to(server_address(family))
            .until_answered(lab.client.namespace(), RESUME_LIMIT)
            .unwrap();
    }
}

#[test]
fn wireguard_go_may_restart() {
    the_peer_restarts(Implementation::WireguardGo);
}

#[test]
fn boringtun_may_restart() {
    the_peer_restarts(Implementation::Boringtun);
}

#[test]
fn weir_may_restart_beside_wireguard_go() {
    weir_restarts(Implementation::WireguardGo);
}

#[test]
fn weir_may_restart_beside_boringtun() {
    weir_restarts(Implementation::Boringtun);
}

#[test]
fn a_configured_gateway_may_restart_beside_wireguard_go() {
    a_configured_gateway_restarts(Implementation::WireguardGo);
}

#[test]
fn a_configured_gateway_may_restart_beside_boringtun() {
    a_configured_gateway_restarts(Implementation::Boringtun);
}
