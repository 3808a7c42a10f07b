//! Whole gateways under another kernel than this machine's, with that kernel's WireGuard as the client: ports that copy,
//! in both of their modes, and sockets.
//!
//! The tests need a kernel that has WireGuard, which bench/vm/af-xdp boots.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod xdp;

use std::time::Duration;

use weir_bench::configured_lab::ConfiguredLab;
use weir_bench::gateway_topology::server_address;
use weir_bench::transfer::Transfer;
use weir_bench::tunnel::{Family, Side};
use weir_bench::xdp_lab::{Calls, Setup, WAN};
use weir_bench::{Implementation, Ping, ipc};
use xdp::{LIMIT, Pair, SILENCE};

/// Bytes of each transfer.
const BYTES: u64 = 1 << 20;

/// A tunnel over ports of this mode, carried both ways before and after the link goes, shards change, and the gateway is
/// killed.
fn ports_carry_a_tunnel(mode: &'static str, outer: Family) {
    let setup = Setup {
        mode,
        calls: Calls::Client(outer),
        ..Setup::default()
    };
    let mut pair = Pair::new(Implementation::Kernel, setup);
    pair.await_answers(Side::Left, LIMIT);
    pair.transfer_all(BYTES);

    // Else IPv6 would go with the link.
    let far = &pair.lab.far;
    far.sysctl(&format!("net.ipv6.conf.{WAN}.keep_addr_on_down"), "1")
        .unwrap();
    for state in ["down", "up"] {
        far.ip(&format!("link set {WAN} {state}")).unwrap();
    }
    pair.await_answers(Side::Right, SILENCE);
    for shards in [1, 2] {
        ipc::set_shards(pair.lab.gateway.interface(), shards).unwrap();
        pair.await_answers(Side::Left, SILENCE);
    }
    pair.transfer_all(BYTES);
    pair.assert_modes();
    pair.assert_frames_at_home(LIMIT);

    // What is known of peers is saved every second: longer than that has passed.
    pair.lab.restart_gateway().unwrap();
    pair.await_answers(Side::Right, SILENCE);
    pair.transfer_all(BYTES);
    pair.assert_modes();
    pair.assert_frames_at_home(LIMIT);
}

/// Catches what a port asks of a kernel that this one does not have, or does otherwise.
#[test]
#[ignore = "needs a kernel with WireGuard: make test-vm"]
fn ports_that_copy_in_the_driver_carry_a_tunnel() {
    ports_carry_a_tunnel("driver", Family::V4);
}

/// As in the driver, for a program that runs in the kernel's stack.
#[test]
#[ignore = "needs a kernel with WireGuard: make test-vm"]
fn ports_that_copy_in_the_stack_carry_a_tunnel() {
    ports_carry_a_tunnel("generic", Family::V6);
}

/// Catches what sockets, the TUN device and the gateway's own nftables ask of a kernel that this one does not have.
#[test]
#[ignore = "needs a kernel with WireGuard: make test-vm"]
fn sockets_carry_a_tunnel() {
    let mut lab = ConfiguredLab::new(Implementation::Kernel).unwrap();
    let carry = |lab: &ConfiguredLab| {
        for family in Family::BOTH {
            let transfer = Transfer {
                destination: (server_address(family), 0).into(),
                bytes: BYTES,
                bytes_per_s: None,
                seed: BYTES,
                limit: Duration::from_secs(60),
            };
            let running = transfer.start(lab.client.namespace(), &lab.server).unwrap();
            println!("{family:?}: {:?}", running.finish().unwrap());
        }
    };
    carry(&lab);
    for shards in [2, 1] {
        ipc::set_shards(lab.gateway.interface(), shards).unwrap();
        lab.await_answer(server_address(Family::V4)).unwrap();
    }
    // What is known of peers is saved every second: longer than that has passed.
    lab.restart_gateway().unwrap();
    for family in Family::BOTH {
        Ping::to(server_address(family))
            .until_answered(lab.client.namespace(), SILENCE)
            .unwrap();
    }
    carry(&lab);
}

/// Catches a bond taken at its word: it announces what its ports' drivers can do, takes a program in the driver, and its
/// sockets get nothing of what that redirects. A tunnel over it would be silent.
#[test]
#[ignore = "needs a kernel with bonding: make test-vm"]
fn a_bond_carries_a_tunnel() {
    const BOND: &str = "bond7";
    let mut pair = Pair::new(Implementation::Kernel, Setup::driver());
    pair.lab.gateway.kill().unwrap();
    let host = pair.lab.gateway.namespace().clone();
    host.ip(&format!("link add {BOND} type bond mode active-backup"))
        .unwrap();
    for order in [
        format!("link set {WAN} down"),
        format!("link set {WAN} master {BOND}"),
        format!("link set {BOND} up"),
        format!("address flush dev {WAN}"),
        format!("address add 192.0.2.1/24 dev {BOND}"),
    ] {
        host.ip(&order).unwrap();
    }
    let port = |device: &str, mode: &str| format!("device = \"{device}\"\nrole = \"wan\"\nmode = \"{mode}\"");
    let toml = pair
        .lab
        .toml("")
        .replace(&port(WAN, "driver"), &port(BOND, "auto"));
    assert!(toml.contains(BOND), "{toml}");
    pair.lab.gateway.write(&toml).unwrap();
    pair.lab.restart_gateway().unwrap();
    pair.await_answer(Side::Left, Family::V4, LIMIT);
    let status = pair.lab.status().unwrap();
    let bond = status
        .devices
        .iter()
        .find(|device| device.device == BOND)
        .unwrap();
    assert_eq!(bond.attached, "generic");
    let taken = |arrival: &&weir_abi::status::ArrivalStatus| arrival.fate == "taken" && arrival.frames > 0;
    assert!(bond.arrivals.iter().any(|arrival| taken(&arrival)), "{bond:?}");

    pair.lab
        .gateway
        .write(&toml.replace(&port(BOND, "auto"), &port(BOND, "driver")))
        .unwrap();
    let refused = pair.lab.restart_gateway().unwrap_err().to_string();
    assert!(refused.contains("port bond7: it is a bond"), "{refused}");
}
