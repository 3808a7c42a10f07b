//! What takes minutes, side by side: waiting for keys to grow old, and machines that are emulated.
//!
//! A tunnel lives longer than its keys: after REKEY_AFTER_TIME (120 s, WireGuard whitepaper section 6.2) both sides
//! change to new ones while a transfer goes on. And Weir speaks with the kernel's own WireGuard, as do all others in
//! `root_interop_matrix.rs`, on Debian's kernels in a virtual machine.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod matrix;

use std::thread;
use std::time::Duration;

use matrix::speaks_with;
use weir_bench::tunnel::{Family, Load, Side, Site, Tunnel, amid_transfers, direct};
use weir_bench::{Implementation, Topology, vm};

/// How long a transfer goes on: past REKEY_AFTER_TIME, and short of REJECT_AFTER_TIME (180 s), so that nothing but a
/// rekey in time explains a later handshake.
const SECONDS: u64 = 132;

/// The whitepaper's REKEY_AFTER_TIME, less two readings of a clock that counts seconds.
const REKEY_AFTER_S: u64 = 118;

/// Three times the 2 s that silence may last, for a machine that does other things; the protocol itself needs none.
const SILENCE: Duration = Duration::from_secs(6);

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

    let load = Load::lasting(SECONDS, 1_000_000);
    let reports = amid_transfers(&tunnel, load, |_| Ok(())).unwrap_or_else(|error| panic!("{case}: {error}"));
    for report in reports {
        assert!(report.longest_silence <= SILENCE, "{case}: {report:?}");
    }
    let after = handshake();
    assert!(after >= before + REKEY_AFTER_S, "{case}: {before}, then {after}");
}

/// All cases at once, because each takes two minutes of waiting.
#[test]
fn keys_change_in_mid_transfer() {
    let cases = [Implementation::WireguardGo, Implementation::Boringtun]
        .into_iter()
        .flat_map(|peer| Side::BOTH.map(|initiator| (peer, initiator)));
    thread::scope(|scope| {
        for (peer, initiator) in cases {
            scope.spawn(move || rekeys_in_mid_transfer(peer, initiator));
        }
    });
}

#[test]
fn weir_speaks_with_the_oldest_supported_kernel() {
    let test = "weir_speaks_with_the_oldest_supported_kernel";
    if !vm::outside(vm::Kernel::V6_1, test, &[Implementation::Weir]) {
        speaks_with(Implementation::Kernel, KERNEL_BYTES);
    }
}

#[test]
fn weir_speaks_with_the_newest_kernel() {
    let test = "weir_speaks_with_the_newest_kernel";
    if !vm::outside(vm::Kernel::V6_12, test, &[Implementation::Weir]) {
        speaks_with(Implementation::Kernel, KERNEL_BYTES);
    }
}
