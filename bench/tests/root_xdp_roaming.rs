//! Over ports of AF_XDP too, addresses outside change in mid-transfer, and the tunnel follows whoever sends authenticated
//! packets (WireGuard whitepaper section 2.1). Transfers run in both directions at once, one of them over each IP version
//! inside; what `root_interop_roaming.rs` shows of sockets.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod xdp;

use std::net::{IpAddr, SocketAddr};
use std::thread;

use weir_bench::gateway_topology::{PORT, gateway_key};
use weir_bench::tunnel::{Family, Side};
use weir_bench::xdp_lab::{Calls, Setup, WAN, client_outside, gateway_outside};
use weir_bench::{Implementation, nat, wait};
use xdp::{LIMIT, Pair};

/// How long the transfers of one change last.
const SECONDS: u64 = 6;

/// Bytes of a transfer after a change, which must go by AF_XDP again.
const BYTES: u64 = 1 << 20;

/// Where the client seeks the gateway now.
fn sought(pair: &Pair) -> Option<SocketAddr> {
    pair.client.peers().unwrap()[0].endpoint
}

/// Catches a gateway that goes on sending where its client was, that takes the new address without its port, or that
/// keeps to the kernel's sockets from then on.
fn the_client_moves_behind_a_nat(client: Implementation, mode: &'static str) {
    let pair = Pair::new(
        client,
        Setup {
            mode,
            nat: true,
            ..Setup::default()
        },
    );
    pair.await_answers(Side::Left, LIMIT);
    let seen = || pair.seen().endpoint.unwrap();
    let before = seen();
    assert_eq!(before.ip().to_string(), "192.0.2.251");
    pair.amid_transfers(&format!("{client} moves behind a NAT, {mode}"), SECONDS, || {
        nat::lose_address(pair.lab.router.as_ref().unwrap(), WAN).unwrap();
    });
    let after = seen();
    assert_eq!(after.ip().to_string(), "192.0.2.252");
    assert_ne!(after.port(), before.port());
    pair.transfer_all(BYTES);
}

/// Catches a port that goes on sending from an address that its device no longer has, or that no longer takes what is
/// sent to the new one.
fn the_gateway_moves(client: Implementation, outer: Family) {
    let pair = Pair::new(
        client,
        Setup {
            calls: Calls::Gateway(outer),
            ..Setup::driver()
        },
    );
    pair.await_answers(Side::Right, LIMIT);
    assert_eq!(sought(&pair), Some((gateway_outside(outer), PORT).into()));
    let (old, new, length) = match outer {
        Family::V4 => ("192.0.2.1", "192.0.2.11", 24),
        Family::V6 => ("2001:db8:1::1", "2001:db8:1::11", 64),
    };
    let gateway = pair.lab.gateway.namespace();
    // The new address outlives the old one, of which it is a secondary at first.
    gateway
        .sysctl("net.ipv4.conf.wan.promote_secondaries", "1")
        .unwrap();
    pair.amid_transfers(
        &format!("the gateway moves away from {client}, {outer:?}"),
        SECONDS,
        || {
            gateway
                .ip(&format!("address add {new}/{length} dev {WAN}"))
                .unwrap();
            gateway
                .ip(&format!("address delete {old}/{length} dev {WAN}"))
                .unwrap();
        },
    );
    let new: IpAddr = new.parse().unwrap();
    assert_eq!(sought(&pair), Some(SocketAddr::new(new, PORT)));
    pair.transfer_all(BYTES);
}

/// Catches a port that goes on sending by one IP version, or to one port, after the client is found by another.
fn the_client_changes_its_ip_version_and_port(client: Implementation) {
    let pair = Pair::up(client);
    let (peer, key) = (&pair.client, gateway_key().public());
    for family in [Family::V6, Family::V4] {
        let place = SocketAddr::new(gateway_outside(family), PORT);
        let there = || {
            let words = format!("set {} peer {key} endpoint {place}", peer.interface());
            peer.wg(&words).unwrap();
        };
        pair.amid_transfers(&format!("{client} goes to {place}"), SECONDS, there);
        let source = SocketAddr::new(client_outside(family), PORT);
        wait::until_true("the new place", LIMIT, || {
            // What was still under way from the old place takes the endpoint back, as with every WireGuard: it follows
            // the last authentic datagram. So it is set again where that has happened.
            let arrived = pair.seen().endpoint == Some(source);
            if !arrived {
                there();
                pair.await_answers(Side::Left, LIMIT);
            }
            arrived
        })
        .unwrap();
        pair.transfer_all(BYTES);
    }
    pair.amid_transfers(&format!("{client} goes to another port"), SECONDS, || {
        peer.wg(&format!("set {} listen-port 51999", peer.interface()))
            .unwrap();
    });
    let moved = || {
        pair.seen()
            .endpoint
            .is_some_and(|endpoint| endpoint.port() == 51999)
    };
    wait::until_true("the new port", LIMIT, moved).unwrap();
    pair.transfer_all(BYTES);
}

/// All at once, because transfers at a pace leave a machine time.
#[test]
fn tunnels_follow_their_ends() {
    use Implementation::{Boringtun, Weir, WireguardGo};
    thread::scope(|scope| {
        scope.spawn(|| the_client_moves_behind_a_nat(WireguardGo, "driver"));
        scope.spawn(|| the_client_moves_behind_a_nat(Boringtun, "generic"));
        scope.spawn(|| the_gateway_moves(WireguardGo, Family::V4));
        scope.spawn(|| the_gateway_moves(Boringtun, Family::V6));
        scope.spawn(|| the_client_changes_its_ip_version_and_port(Weir));
    });
}
