//! Addresses outside change in mid-transfer, and the tunnel follows whoever sends authenticated packets (WireGuard
//! whitepaper section 2.1). Transfers run in both directions at once, one of them over each IP version inside.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::time::Duration;

use weir_bench::transfer::Running;
use weir_bench::tunnel::{Family, Load, PORT, Side, Site, Tunnel, amid_transfers, direct};
use weir_bench::{End, Implementation, LabError, Namespace, Topology, nat, wait};

/// Three times what silence may last, for a machine that does other things.
const SILENCE: Duration = Duration::from_secs(6);

/// How long a change may take to be noticed.
const LIMIT: Duration = Duration::from_secs(10);

/// Bytes per second of each transfer, and how long they last.
const PACE: u64 = 1_000_000;
const SECONDS: u64 = 8;

/// Where `side` seeks the other now.
fn endpoint(tunnel: &Tunnel, side: Side) -> Option<SocketAddr> {
    tunnel.peer(side).peers().unwrap()[0].endpoint
}

/// Changes the network once a quarter of the transfers has arrived; panics if they then fall silent.
fn roams(case: &str, tunnel: &Tunnel, change: impl FnOnce() -> Result<(), LabError>) {
    let quarter = SECONDS * PACE / 4;
    let meanwhile = |running: &[Running; 2]| {
        for transfer in running {
            transfer.await_bytes(quarter, LIMIT * 2)?;
        }
        change()
    };
    let reports = amid_transfers(tunnel, Load::lasting(SECONDS, PACE), meanwhile)
        .unwrap_or_else(|error| panic!("{case}: {error}"));
    for report in reports {
        assert!(report.longest_silence <= SILENCE, "{case}: {report:?}");
    }
}

/// A router that translates everything from the right, first to 192.0.2.251, then to 192.0.2.252, each time with ports
/// of its own choice:
///
/// ```text
/// left (Weir) 192.0.2.1 ──veth── 192.0.2.251, .252 router 203.0.113.1 ──veth── 203.0.113.2 right (peer)
/// ```
fn behind_nat(topology: &Topology) -> [Namespace; 3] {
    let [left, router, right] = ["left", "router", "right"].map(|name| topology.namespace(name).unwrap());
    topology
        .veth(
            &End::new(&left, "wan", &["192.0.2.1/24"]),
            &End::new(&router, "wan", &nat::OUTSIDE),
        )
        .unwrap();
    topology
        .veth(
            &End::new(&right, "wan", &["203.0.113.2/24"]),
            &End::new(&router, "lan", &["203.0.113.1/24"]),
        )
        .unwrap();
    right.ip("route add default via 203.0.113.1").unwrap();
    nat::translate(topology, &router, "wan").unwrap();
    [left, router, right]
}

/// Catches a gateway that goes on sending where its peer was, and a peer's new address taken without its port.
fn the_peer_moves_behind_a_nat(peer: Implementation) {
    let topology = Topology::new().unwrap();
    let [left, router, right] = behind_nat(&topology);
    let left = Site::new(&left, Implementation::Weir).called_at([192, 0, 2, 1].into());
    let tunnel = Tunnel::new(topology, left, Site::new(&right, peer), None).unwrap();
    tunnel.await_answers(Side::Right).unwrap();
    let before = endpoint(&tunnel, Side::Left).unwrap();
    assert_eq!(before.ip().to_string(), "192.0.2.251");
    roams(&format!("{peer} moves behind a NAT"), &tunnel, || {
        nat::lose_address(&router, "wan")
    });
    let after = endpoint(&tunnel, Side::Left).unwrap();
    assert_eq!(after.ip().to_string(), "192.0.2.252");
    assert_ne!(after.port(), before.port());
}

/// Catches a gateway that holds on to a source address it no longer has.
fn weir_moves(peer: Implementation, outer: Family) {
    let topology = Topology::new().unwrap();
    let [left, right] = direct(&topology).unwrap();
    let right = Site::new(&right, peer).called_at(Side::Right.outer(outer));
    let left = Site::new(&left, Implementation::Weir);
    let tunnel = Tunnel::new(topology, left, right, None).unwrap();
    tunnel.await_answers(Side::Left).unwrap();
    assert_eq!(
        endpoint(&tunnel, Side::Right).unwrap(),
        (Side::Left.outer(outer), PORT).into()
    );
    let (old, new) = match outer {
        Family::V4 => ("192.0.2.1/24", "192.0.2.11/24"),
        Family::V6 => ("2001:db8::1/64", "2001:db8::11/64"),
    };
    let namespace = tunnel.peer(Side::Left).namespace();
    // The new address outlives the old one, of which it is a secondary at first.
    namespace
        .sysctl("net.ipv4.conf.wan.promote_secondaries", "1")
        .unwrap();
    roams(
        &format!("Weir moves away from {peer}, {outer:?}"),
        &tunnel,
        || {
            namespace.ip(&format!("address add {new} dev wan"))?;
            namespace.ip(&format!("address delete {old} dev wan")).map(drop)
        },
    );
    let new = new.split('/').next().unwrap().parse().unwrap();
    assert_eq!(
        endpoint(&tunnel, Side::Right).unwrap(),
        SocketAddr::new(new, PORT)
    );
}

#[test]
fn wireguard_go_may_move() {
    the_peer_moves_behind_a_nat(Implementation::WireguardGo);
}

#[test]
fn boringtun_may_move() {
    the_peer_moves_behind_a_nat(Implementation::Boringtun);
}

#[test]
fn weir_may_move_away_from_wireguard_go() {
    weir_moves(Implementation::WireguardGo, Family::V4);
}

#[test]
fn weir_may_move_away_from_boringtun() {
    weir_moves(Implementation::Boringtun, Family::V6);
}

/// Catches a socket of one IP version that goes on being used after the peer is found over the other.
#[test]
fn a_tunnel_may_move_from_ipv4_to_ipv6_and_back() {
    let topology = Topology::new().unwrap();
    let [left, right] = direct(&topology).unwrap();
    let left = Site::new(&left, Implementation::Weir).called_at(Side::Left.outer(Family::V4));
    let right = Site::new(&right, Implementation::Weir);
    let tunnel = Tunnel::new(topology, left, right, None).unwrap();
    tunnel.await_answers(Side::Right).unwrap();
    let peer = tunnel.peer(Side::Right);
    for family in [Family::V6, Family::V4] {
        let place = SocketAddr::new(Side::Left.outer(family), PORT);
        let there = || {
            let key = Side::Left.key().public();
            peer.wg(&format!("set {} peer {key} endpoint {place}", peer.interface()))
                .map(drop)
        };
        roams(&format!("to {place}"), &tunnel, there);
        let source = SocketAddr::new(Side::Right.outer(family), PORT);
        wait::until_true("the new place", LIMIT, || {
            // What was still under way from the old place takes the endpoint back, as with every WireGuard: it follows
            // the last authentic datagram. So it is set again where that has happened.
            let arrived = endpoint(&tunnel, Side::Left) == Some(source);
            if !arrived {
                there().unwrap();
                tunnel.await_answers(Side::Right).unwrap();
            }
            arrived
        })
        .unwrap();
    }
    // And to another port, as `wg set` changes it.
    roams("to another port", &tunnel, || {
        peer.wg(&format!("set {} listen-port 51999", peer.interface()))
            .map(drop)
    });
    wait::until_true("the new port", LIMIT, || {
        endpoint(&tunnel, Side::Left).is_some_and(|endpoint| endpoint.port() == 51999)
    })
    .unwrap();
}
