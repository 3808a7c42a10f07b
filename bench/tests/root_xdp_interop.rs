//! Over ports of AF_XDP the gateway speaks WireGuard with every implementation that runs here, and is the router on the
//! path between client and server: who calls, what carries the tunnel, and whether a preshared key is mixed in make no
//! difference. Every frame's way is checked: what really went by sockets fails.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod callers;
mod xdp;

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use callers::Caller;
use weir_abi::status::Status;
use weir_bench::gateway_topology::{PORT, gateway_address, gateway_key, server_address, translated_address};
use weir_bench::tunnel::{Family, Side};
use weir_bench::xdp_lab::{Calls, Setup, gateway_outside};
use weir_bench::{Implementation, Ping, traceroute, wait};
use xdp::{LIMIT, PACE, Pair, SILENCE, address, speak_over_af_xdp};

/// Bytes of each transfer.
const BYTES: u64 = 2 << 20;

/// Bytes of a large transfer: as many as an unoptimised build carries in a few seconds.
const LARGE_BYTES: u64 = if cfg!(debug_assertions) {
    16 << 20
} else {
    200_000_000
};

/// Callers that there may be: the kernel's hash spreads them, and its key differs from boot to boot.
const CALLERS_MOST: u16 = 64;

/// For each combination of mode, IP version outside, caller and preshared key.
fn speaks_with(peer: Implementation) {
    for mode in ["driver", "generic"] {
        for outer in Family::BOTH {
            for calls in [Calls::Client(outer), Calls::Gateway(outer)] {
                for psk in [false, true] {
                    speak_over_af_xdp(peer, calls, psk, mode, BYTES);
                }
            }
        }
    }
}

#[test]
fn weir_speaks_with_wireguard_go() {
    speaks_with(Implementation::WireguardGo);
}

#[test]
fn weir_speaks_with_boringtun() {
    speaks_with(Implementation::Boringtun);
}

#[test]
fn weir_speaks_with_gotatun() {
    speaks_with(Implementation::Gotatun);
}

#[test]
fn weir_speaks_with_itself() {
    speaks_with(Implementation::Weir);
}

/// Catches a router that hides, or that speaks with an address that is not its own: the first hop of each way.
#[test]
fn the_gateway_is_a_hop_on_the_path() {
    for mode in ["driver", "generic"] {
        let setup = Setup {
            mode,
            ..Setup::default()
        };
        let pair = Pair::new(Implementation::Weir, setup);
        pair.await_answers(Side::Left, LIMIT);
        // Probes that overtake each other cost those behind them their answers, of which a host gives few a second.
        pair.await_bypass();
        for family in Family::BOTH {
            let ways = [
                (Side::Left, gateway_address(family)),
                (Side::Right, translated_address(family)),
            ];
            for (from, gateway) in ways {
                let destination = address(from.other(), family);
                let hops = traceroute(pair.namespace(from), destination).unwrap();
                assert_eq!(hops, [Some(gateway), Some(destination)], "{mode}, from {from:?}");
            }
        }
    }
}

/// Catches a path whose MTU nobody is told of: the server's packets of 1500 bytes, which must not be fragmented, do not
/// fit the tunnel, and the server must learn what does.
#[test]
fn the_server_learns_the_mtu_of_the_path() {
    let pair = Pair::up(Implementation::WireguardGo);
    for (family, headers) in [(Family::V4, 28), (Family::V6, 48)] {
        let client = address(Side::Left, family);
        let ping = |length: u16| {
            let ping = Ping::to(client).payload_bytes(length - headers).whole();
            ping.count(2).run(pair.namespace(Side::Right)).unwrap()
        };
        assert_eq!(ping(1420).received, 2, "{family:?}");
        assert_eq!(ping(1500).received, 0, "{family:?}");
        let route = pair.lab.server.ip(&format!("route get {client}")).unwrap();
        assert!(route.contains("mtu 1420"), "{family:?}: {route}");
    }
    pair.transfer_all(LARGE_BYTES);
}

/// Catches a black hole for connections that were made when there was more room: their segments fit the tunnel no more, and
/// nobody clamps them any more.
#[test]
fn connections_outlive_a_narrower_tunnel() {
    let mut pair = Pair::up(Implementation::WireguardGo);
    pair.await_bypass();
    let wide = pair.lab.toml("");
    let narrow = wide.replacen("[interface]\n", "[interface]\nmtu = 1280\n", 1);
    let running = Family::BOTH.map(|family| pair.transfer(Side::Right, family, 4 * PACE, Some(PACE)));
    for transfer in &running {
        transfer.await_bytes(PACE, LIMIT).unwrap();
    }
    pair.lab.gateway.write(&narrow).unwrap();
    pair.lab.gateway.reload().unwrap();
    for (transfer, family) in running.into_iter().zip(Family::BOTH) {
        let report = transfer
            .finish()
            .unwrap_or_else(|error| panic!("{family:?}: {error}: {:#?}", pair.lab.status()));
        assert!(report.longest_silence <= SILENCE, "{family:?}: {report:?}");
        let client = address(Side::Left, family);
        let route = pair.lab.server.ip(&format!("route get {client}")).unwrap();
        assert!(route.contains("mtu 1280"), "{family:?}: {route}");
    }
}

fn handed_over(status: &Status) -> u64 {
    status.shards.iter().map(|shard| shard.handed_over).sum()
}

/// Catches a shard at which no session works, a flow that is not handed over to the home of its session, and packets lost
/// or damaged where they cross: a session is at home on each shard in turn, and transfers both ways go through it.
#[test]
fn a_session_works_on_each_shard() {
    let pair = Pair::up(Implementation::Weir);
    let mut port = PORT;
    for shard in [0, 1] {
        wait::until_true(&format!("a session on shard {shard}"), LIMIT, || {
            port += 1;
            let config = pair.lab.client_config(port);
            pair.client.configure(&config).unwrap();
            pair.await_answer(Side::Left, Family::V4, LIMIT);
            pair.seen().shard == Some(shard)
        })
        .unwrap();
        // The server's flows arrive on whichever queue: some on that of the other shard.
        let crossed = || handed_over(&pair.lab.status().unwrap());
        let before = crossed();
        wait::until_true("frames handed over by the tens", LIMIT, || {
            pair.transfer_all(1 << 20);
            crossed() > before + 50
        })
        .unwrap();
        assert_eq!(pair.seen().shard, Some(shard));
    }
}

/// Catches a shard that no session finds, and flows that are not handed over to the home of their session: many callers,
/// which then go on from other ports, and thus by other queues.
#[test]
fn callers_are_at_home_on_every_shard() {
    for mode in ["driver", "generic"] {
        let mut more = String::new();
        for number in 0..CALLERS_MOST {
            let (key, address) = (callers::key(number), callers::address(number));
            write!(
                more,
                "\n[[peer]]\npublic_key = \"{key}\"\nallowed_ips = [\"{address}/32\"]\n"
            )
            .unwrap();
        }
        let setup = Setup {
            mode,
            more,
            ..Setup::default()
        };
        let pair = Pair::new(Implementation::Weir, setup);
        let gateway = SocketAddr::new(gateway_outside(Family::V4), PORT);
        let mut callers: Vec<Caller> = Vec::new();
        let shards = |status: &Status| {
            let all = status.shards.iter();
            all.filter(|shard| shard.active_peers > 0 && shard.opened > 0 && shard.sealed > 0)
                .count()
        };
        while callers.len() < 16 || shards(&pair.lab.status().unwrap()) < 2 {
            assert!(
                callers.len() < usize::from(CALLERS_MOST),
                "{:#?}",
                pair.lab.status()
            );
            let number = callers.len() as u16;
            let mut caller = Caller::new(&pair.lab.far, number, gateway_key().public(), gateway).unwrap();
            caller.call();
            pings(&pair, &mut caller, 0);
            callers.push(caller);
        }
        let before = pair.lab.status().unwrap();
        for round in 1..4 {
            for caller in &mut callers {
                caller.moves();
                pings(&pair, caller, round);
            }
        }
        let after = pair.lab.status().unwrap();
        let crossed = handed_over(&after) - handed_over(&before);
        println!("{mode}: {} callers, {crossed} frames handed over", callers.len());
        assert!(crossed > 0, "{after:#?}");
        for shard in &after.shards {
            let carried = shard
                .ports
                .iter()
                .all(|port| port.rx_frames > 0 && port.tx_packets > 0);
            assert!(carried, "{mode}: {shard:#?}");
        }
        pair.assert_modes();
        pair.assert_frames_at_home(LIMIT);
    }
}

fn pings(pair: &Pair, caller: &mut Caller, sequence: u16) {
    let IpAddr::V4(server) = server_address(Family::V4) else {
        unreachable!("an IPv4 address was asked for");
    };
    if let Err(why) = caller.pings(server, sequence) {
        panic!("{why}\n{:#?}", pair.lab.status());
    }
}
