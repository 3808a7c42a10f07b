//! Weir speaks WireGuard with every implementation that runs here: who calls, what carries the tunnel, and whether a
//! preshared key is mixed in make no difference.
//!
//! ```text
//! left (Weir) 192.0.2.1, 2001:db8::1 ──veth── 192.0.2.2, 2001:db8::2 right (peer)
//! ```
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use weir_bench::device_config::preshared_key;
use weir_bench::tunnel::{Family, Side, Site, Tunnel, direct};
use weir_bench::{Implementation, Topology, vm};

/// Bytes of each transfer: some thousand packets, and not too long for an emulated processor.
const BYTES: u64 = 3 << 20;

/// Catches any of the combinations in which no tunnel comes up, or in which packets are damaged on their way.
fn speaks_with(peer: Implementation) {
    for initiator in Side::BOTH {
        for outer in Family::BOTH {
            for psk in [None, Some(preshared_key(7))] {
                let case = format!(
                    "Weir left, {peer} right, initiator {initiator:?}, outer {outer:?}, preshared key: {}",
                    psk.is_some()
                );
                let topology = Topology::new().unwrap();
                let [left, right] = direct(&topology).unwrap();
                let called = initiator.other();
                let site = |side: Side, namespace, implementation| match Site::new(namespace, implementation)
                {
                    site if side == called => site.called_at(side.outer(outer)),
                    site => site,
                };
                let left = site(Side::Left, &left, Implementation::Weir);
                let right = site(Side::Right, &right, peer);
                let tunnel = Tunnel::new(topology, left, right, psk).unwrap();
                tunnel
                    .prove(initiator, BYTES)
                    .unwrap_or_else(|error| panic!("{case}: {error}"));
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

#[test]
fn weir_speaks_with_the_oldest_supported_kernel() {
    let test = "weir_speaks_with_the_oldest_supported_kernel";
    if !vm::outside(vm::Kernel::V6_1, test, &[Implementation::Weir]) {
        speaks_with(Implementation::Kernel);
    }
}

#[test]
fn weir_speaks_with_the_newest_kernel() {
    let test = "weir_speaks_with_the_newest_kernel";
    if !vm::outside(vm::Kernel::V6_12, test, &[Implementation::Weir]) {
        speaks_with(Implementation::Kernel);
    }
}
