//! Either side of a tunnel over ports of AF_XDP is killed as `kill -9` does and starts again with the same configuration:
//! the ports come back in their modes, and traffic by itself; what `root_interop_restart.rs` shows of sockets.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod xdp;

use std::thread;
use std::time::Duration;

use weir_bench::tunnel::{Family, Side};
use weir_bench::xdp_lab::{Calls, Setup};
use weir_bench::{Implementation, Ping};
use xdp::{LIMIT, Pair, address};

/// Three times one handshake's patience (REKEY_TIMEOUT, whitepaper section 6.1).
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(15);

/// Three times what it takes to notice that a peer no longer answers (KEEPALIVE_TIMEOUT + REKEY_TIMEOUT, section 6.5).
const NOTICE_LIMIT: Duration = Duration::from_secs(45);

/// Three times the 3 s within which a gateway that was killed reaches those it talked to.
const RESUME_LIMIT: Duration = Duration::from_secs(9);

/// Bytes of a transfer after a restart, which must go by AF_XDP again.
const BYTES: u64 = 1 << 20;

/// Catches ports that are not had again after a crash, and a gateway that has forgotten where its peers are or waits for
/// them to notice: no endpoint is configured, and the server alone speaks first.
fn the_gateway_restarts(client: Implementation, mode: &'static str) {
    let setup = Setup {
        mode,
        ..Setup::default()
    };
    let mut pair = Pair::new(client, setup);
    pair.await_answers(Side::Left, LIMIT);
    for time in 0..2 {
        // What is known of peers is saved every second.
        let ping = Ping::to(address(Side::Right, Family::V4));
        ping.count(5).interval_ms(600).run(&pair.lab.far).unwrap();
        pair.lab.restart_gateway().unwrap();
        println!("{client}, {mode}: restart {time}");
        pair.assert_modes();
        pair.await_answers(Side::Right, RESUME_LIMIT);
        pair.await_answers(Side::Left, RESUME_LIMIT);
    }
    pair.transfer_all(BYTES);
}

/// Catches a gateway that clings to a session which the client has lost, whether the client calls anew or waits to be
/// called.
fn the_client_restarts(client: Implementation, calls: Calls) {
    let mut pair = Pair::new(
        client,
        Setup {
            calls,
            ..Setup::driver()
        },
    );
    let (first, limit) = match calls.from() {
        Side::Left => (Side::Left, HANDSHAKE_LIMIT),
        Side::Right => (Side::Right, NOTICE_LIMIT),
    };
    pair.await_answers(first, LIMIT);
    pair.restart_client();
    println!("{client}, {calls:?}: restarted");
    pair.await_answers(first, limit);
    pair.await_answers(first.other(), HANDSHAKE_LIMIT);
    pair.transfer_all(BYTES);
}

/// All at once, because most of it is waiting.
#[test]
fn tunnels_come_back_after_a_crash() {
    use Implementation::{Boringtun, Weir, WireguardGo};
    thread::scope(|scope| {
        scope.spawn(|| the_gateway_restarts(WireguardGo, "driver"));
        scope.spawn(|| the_gateway_restarts(Boringtun, "generic"));
        scope.spawn(|| the_client_restarts(WireguardGo, Calls::Client(Family::V4)));
        scope.spawn(|| the_client_restarts(Boringtun, Calls::Gateway(Family::V6)));
        scope.spawn(|| the_client_restarts(Weir, Calls::Gateway(Family::V4)));
    });
}
