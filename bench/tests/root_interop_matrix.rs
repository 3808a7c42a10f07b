//! Weir speaks WireGuard with every implementation that runs here: who calls, what carries the tunnel, and whether a
//! preshared key is mixed in make no difference. The kernel's own is in `root_interop_long.rs`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod matrix;

use matrix::speaks_with;
use weir_bench::Implementation;

/// Bytes of each transfer.
const BYTES: u64 = 4 << 20;

#[test]
fn weir_speaks_with_wireguard_go() {
    speaks_with(Implementation::WireguardGo, BYTES);
}

#[test]
fn weir_speaks_with_boringtun() {
    speaks_with(Implementation::Boringtun, BYTES);
}

#[test]
fn weir_speaks_with_gotatun() {
    speaks_with(Implementation::Gotatun, BYTES);
}

#[test]
fn weir_speaks_with_itself() {
    speaks_with(Implementation::Weir, BYTES);
}
