//! What others do to a running gateway's device: set down and up, robbed of an address or a route, removed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod callers;
mod ground;

use ground::{Ground, LIMIT, peer};
use weir_bench::configured::Configured;
use weir_bench::wait;

/// The networks of a site, which lie in no network of the gateway's own addresses and so need routes.
const SITE: &str = "10.5.0.0/16\", \"fd05::/64";

fn start(ground: &Ground) -> Configured {
    let toml = ground.toml() + &peer(2, SITE);
    Configured::start(&ground.topology, &ground.host, &ground.interface, &toml).unwrap()
}

fn warnings(gateway: &Configured) -> String {
    gateway.status().unwrap()["warnings"].to_string()
}

/// Catches addresses and routes that stay lost after a device was set down, as the kernel drops them then, and a status
/// that calls a gateway well while nothing can pass.
#[test]
fn a_device_set_down_and_up_has_what_it_had() {
    let ground = Ground::new();
    let gateway = start(&ground);
    let mut caller = ground.caller(0);
    let before = ground.state();

    let device = format!("link set {}", ground.interface);
    ground.host.ip(&format!("{device} down")).unwrap();
    assert_ne!(before, ground.state(), "nothing was lost, so nothing is shown");
    assert!(warnings(&gateway).contains(" is down"), "{}", warnings(&gateway));
    ground.host.ip(&format!("{device} up")).unwrap();
    let restored = wait::until_true("its addresses and routes", LIMIT, || before == ground.state());
    before.unchanged(&ground.state(), "down and up again");
    restored.unwrap();
    assert!(!warnings(&gateway).contains(" is down"), "{}", warnings(&gateway));
    ground.expects_answer(&mut caller, 1);
}

/// Catches a reload that believes what it set to be there still, and notes that are told twice after it.
#[test]
fn a_reload_puts_back_what_was_taken_away() {
    let ground = Ground::new();
    let mut gateway = start(&ground);
    let (before, told) = (ground.state(), warnings(&gateway));
    for taken in [
        "route delete 10.5.0.0/16",
        "-6 route delete fd05::/64",
        "address delete 10.77.0.1/16",
    ] {
        ground
            .host
            .ip(&format!("{taken} dev {}", ground.interface))
            .unwrap();
    }
    assert_ne!(before, ground.state(), "nothing was taken, so nothing is shown");
    gateway.reload().unwrap();
    before.unchanged(&ground.state(), "after the reload");
    assert_eq!(warnings(&gateway), told);
}

/// Catches a gateway whose device was taken and which ends as though it had been told to: nobody would start it anew.
#[test]
fn the_end_of_its_device_is_a_failure() {
    let ground = Ground::new();
    let before = ground.state();
    let mut gateway = start(&ground);
    ground
        .host
        .ip(&format!("link delete {}", ground.interface))
        .unwrap();
    let status = gateway.process().wait(LIMIT).unwrap();
    let log = gateway.process().log();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("the device was removed by another process"), "{log}");
    assert!(!log.contains('\u{1b}'), "colours belong on terminals: {log}");
    before.unchanged(&ground.state(), "after its device was removed");
}
