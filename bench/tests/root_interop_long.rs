//! What takes minutes, side by side: waiting for keys to grow old, and machines that are emulated.
//!
//! A tunnel lives longer than its keys: after REKEY_AFTER_TIME (120 s, WireGuard whitepaper section 6.2) both sides
//! change to new ones while a transfer goes on, by sockets and by AF_XDP. And Weir speaks with the kernel's own WireGuard, as do all others in
//! `root_interop_matrix.rs`, on Debian's kernels in a virtual machine.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod matrix;
mod xdp;

use std::thread;

use matrix::speaks_with;
use weir_bench::tunnel::{Family, Load, Side, Site, Tunnel, amid_transfers, direct};
use weir_bench::xdp_lab::{Calls, Setup};
use weir_bench::{Implementation, Topology, vm};
use xdp::{LIMIT, Pair, SILENCE, speak_over_af_xdp};

/// How long a transfer goes on: past REKEY_AFTER_TIME, and short of REJECT_AFTER_TIME (180 s), so that nothing but a
/// rekey in time explains a later handshake.
const SECONDS: u64 = 132;

/// The pace of each transfer.
const BYTES_PER_S: u64 = xdp::PACE;

/// The whitepaper's REKEY_AFTER_TIME, less two readings of a clock that counts seconds.
const REKEY_AFTER_S: u64 = 118;

/// Nanoseconds of a second.
const NS_PER_S: u64 = 1_000_000_000;

/// Bytes of each transfer with a kernel: some thousand packets, and not too long for an emulated processor.
const KERNEL_BYTES: u64 = 1 << 20;

/// Catches a rekey that does not happen, one by which the transfer stalls or is damaged, and a side that goes on with
/// old keys.
fn rekeys_in_mid_transfer(peer: Implementation, initiator: Side) {
    let case = format!("Weir left, {peer} right, initiator {initiator:?}");
    let topology = Topology::new().unwrap();
    let [left, right] = direct(&topology).unwrap();
    let mut sites = [Site::new(&left, Implementation::Weir), Site::new(&right, peer)];
    let called = initiator.other();
    sites[usize::from(called == Side::Right)].endpoint = Some((called.outer(Family::V4), 51820).into());
    let [left, right] = sites;
    let tunnel = Tunnel::new(topology, left, right, None).unwrap();
    tunnel.await_answers(initiator).unwrap();
    // As Weir tells it: boringtun tells the age of a handshake where its time belongs.
    let handshake = || tunnel.handshake_s(Side::Left).unwrap().unwrap();
    let before = handshake();

    let load = Load::lasting(SECONDS, BYTES_PER_S);
    let reports = amid_transfers(&tunnel, load, |_| Ok(())).unwrap_or_else(|error| panic!("{case}: {error}"));
    for report in reports {
        assert!(report.longest_silence <= SILENCE, "{case}: {report:?}");
    }
    let after = handshake();
    assert!(after >= before + REKEY_AFTER_S, "{case}: {before}, then {after}");
}

/// The same between a client and a server behind a gateway with ports of AF_XDP, where the new session may be at home on
/// another shard than the old one, and the flows are handed over to both meanwhile.
fn rekeys_over_af_xdp(client: Implementation, calls: Calls, mode: &'static str) {
    let case = format!("{client}, {calls:?}, {mode}");
    let setup = Setup {
        mode,
        calls,
        ..Setup::default()
    };
    let pair = Pair::new(client, setup);
    pair.await_answers(calls.from(), LIMIT);
    pair.await_bypass();
    let seen_by_kernel = pair.lab.kernel_bytes().unwrap();
    let handshake = || pair.seen().last_handshake_unix_ns / NS_PER_S;
    let before = handshake();
    pair.amid_transfers(&case, SECONDS, || ());
    let after = handshake();
    assert!(after >= before + REKEY_AFTER_S, "{case}: {before}, then {after}");
    pair.assert_passed_by_kernel(seen_by_kernel, 2 * SECONDS * BYTES_PER_S);
}

/// All cases at once, because each takes two minutes of waiting.
#[test]
fn keys_change_in_mid_transfer() {
    use Implementation::{Boringtun, Weir, WireguardGo};
    thread::scope(|scope| {
        for peer in [WireguardGo, Boringtun] {
            for initiator in Side::BOTH {
                scope.spawn(move || rekeys_in_mid_transfer(peer, initiator));
            }
        }
        scope.spawn(|| rekeys_over_af_xdp(WireguardGo, Calls::Client(Family::V4), "driver"));
        scope.spawn(|| rekeys_over_af_xdp(Boringtun, Calls::Gateway(Family::V6), "driver"));
        scope.spawn(|| rekeys_over_af_xdp(Weir, Calls::Client(Family::V6), "generic"));
    });
}

#[test]
fn weir_speaks_with_the_oldest_supported_kernel() {
    let test = "weir_speaks_with_the_oldest_supported_kernel";
    if !vm::outside(vm::Kernel::V6_1, test, &[Implementation::Weir]) {
        speaks_with(Implementation::Kernel, KERNEL_BYTES);
    }
}

/// The ports' own ways through the oldest kernel, with its WireGuard as the client.
#[test]
fn a_gateway_over_af_xdp_speaks_with_the_oldest_supported_kernel() {
    let test = "a_gateway_over_af_xdp_speaks_with_the_oldest_supported_kernel";
    if vm::outside(vm::Kernel::V6_1, test, &[Implementation::Weir]) {
        return;
    }
    let cases = [
        (Calls::Client(Family::V4), false, "driver"),
        (Calls::Gateway(Family::V6), true, "generic"),
    ];
    for (calls, psk, mode) in cases {
        speak_over_af_xdp(Implementation::Kernel, calls, psk, mode, KERNEL_BYTES);
    }
}

#[test]
fn weir_speaks_with_the_newest_kernel() {
    let test = "weir_speaks_with_the_newest_kernel";
    if !vm::outside(vm::Kernel::V6_12, test, &[Implementation::Weir]) {
        speaks_with(Implementation::Kernel, KERNEL_BYTES);
    }
}
