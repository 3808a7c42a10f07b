//! What a gateway leaves on its host: nothing when it is told to end, nothing that blocks the next one when it is
//! killed, and nothing of a second one that found its name taken.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod callers;
mod ground;

use std::fs;

use ground::{Ground, HostState, LIMIT, program};
use nix::sys::signal::Signal;
use weir_bench::{Implementation, Peer, programs, wait};

fn ruleset(ground: &Ground) -> String {
    let mut nft = programs::tool("nft").unwrap();
    ground.host.run(nft.args(["list", "ruleset"])).unwrap()
}

fn forwards(ground: &Ground) -> String {
    let read = || fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap();
    ground.host.enter(read).trim().to_owned()
}

/// Catches a device, address, route, table, socket or parameter that stays after an orderly end, and one that a killed
/// gateway's successor does not set back.
#[test]
fn an_end_leaves_nothing() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let ground = Ground::new();
        let before = ground.state();
        let mut gateway = ground.start();
        ground.caller(0);
        assert_ne!(before, ground.state(), "nothing was set, so nothing is shown");
        gateway.process().signal(signal).unwrap();
        let status = gateway.process().wait(LIMIT).unwrap();
        assert!(status.success(), "{signal}: {status}");
        before.unchanged(&ground.state(), signal.as_str());
    }
}

/// Catches what a killed gateway leaves in the way of the next, and translation that goes on without it.
#[test]
fn a_killed_gateway_is_in_nobody_s_way() {
    let ground = Ground::new();
    let before = ground.state();
    let mut gateway = ground.start();
    ground.caller(0);
    assert!(
        ruleset(&ground).contains("masquerade"),
        "translation was asked for"
    );
    gateway.kill().unwrap();
    wait::until_true("the end of its device", LIMIT, || {
        ground
            .host
            .ip(&format!("link show dev {}", ground.interface))
            .is_err()
    })
    .unwrap();
    assert_eq!(ruleset(&ground), "");
    assert_eq!(forwards(&ground), "1", "nobody is left to set it back");

    gateway.restart(&ground.topology).unwrap();
    drop(ground.caller(1));
    gateway.process().signal(Signal::SIGTERM).unwrap();
    gateway.process().wait(LIMIT).unwrap();
    before.unchanged(&ground.state(), "killed, started and ended");
}

/// Catches a second gateway that takes the first one's device, sockets or rules, or tears them down as it fails.
#[test]
fn a_second_one_of_the_same_name_is_refused() {
    let ground = Ground::new();
    let _gateway = ground.start();
    let mut caller = ground.caller(0);
    let socket = format!(
        "/wireguard/{}.sock is in use by another process",
        ground.interface
    );
    let before = ground.state();
    let again = |case: &str, command: &mut std::process::Command| {
        let (status, log) = ground.run(command);
        assert_eq!(status.code(), Some(1), "{case}: {log}");
        assert!(log.contains(&socket), "{case}: {log}");
        before.unchanged(&ground.state(), case);
    };
    again("a gateway", program().arg("--config").arg(ground.file()));
    again("a drop-in", program().args(["-f", &ground.interface]));
    again("a drop-in for the background", program().arg(&ground.interface));
    ground.expects_answer(&mut caller, 1);

    // Beside it, under another name, there is room.
    let other = Peer::start(&ground.topology, &ground.host, "other", Implementation::Weir).unwrap();
    drop(other);
    ground.expects_answer(&mut caller, 2);
    assert_eq!(HostState::of(&ground.host, &ground.interface), before);
}
