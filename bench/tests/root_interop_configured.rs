//! A gateway that `weir.toml` describes does what the file says on its host, follows the file without losing a packet,
//! and leaves nothing behind.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::net::{IpAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use weir_bench::configured_lab::ConfiguredLab;
use weir_bench::counted::Counted;
use weir_bench::device_config::KeyPair;
use weir_bench::gateway_topology::{client_address, gateway_address, server_address, translated_address};
use weir_bench::tunnel::Family;
use weir_bench::{Implementation, Namespace, programs, wait};

const LIMIT: Duration = Duration::from_secs(15);

/// The source that a TCP server on `to` sees when `from` connects to it.
fn seen_source(from: &Namespace, to: &Namespace, server: IpAddr) -> IpAddr {
    let listener = to.enter(|| TcpListener::bind((server, 0))).unwrap();
    let address = listener.local_addr().unwrap();
    thread::scope(|scope| {
        let accepted = scope.spawn(|| listener.accept().unwrap().1.ip());
        from.enter(|| TcpStream::connect_timeout(&address, LIMIT).unwrap());
        accepted.join().unwrap()
    })
}

/// `count` peers as the file declares them, none like the client.
fn more_peers(count: u64) -> String {
    let mut toml = String::new();
    for number in 0..count {
        let key = KeyPair::seeded(1000 + number).public();
        write!(
            toml,
            "\n[[peer]]\nname = \"peer {number}\"\npublic_key = \"{key}\"\nallowed_ips = [\"10.88.{number}.0/24\"]\n"
        )
        .unwrap();
    }
    toml
}

/// Catches addresses, routes or translation that the file asks for and the host does not get, and what of them stays
/// behind after the end.
#[test]
fn the_host_is_set_up_and_left_as_it_was() {
    let mut lab = ConfiguredLab::new(Implementation::WireguardGo).unwrap();
    let host = lab.gateway.namespace().clone();
    let interface = lab.gateway.interface().to_owned();
    for family in Family::BOTH {
        let source = seen_source(lab.client.namespace(), &lab.server, server_address(family));
        assert_eq!(source, translated_address(family));
    }
    let addresses = host.ip(&format!("address show dev {interface}")).unwrap();
    assert!(
        addresses.contains("10.77.0.1/24") && addresses.contains("fd77::1/64"),
        "{addresses}"
    );
    lab.gateway.write(&lab.toml(&more_peers(2))).unwrap();
    lab.gateway.reload().unwrap();
    let routes = host.ip(&format!("route show dev {interface}")).unwrap();
    assert!(
        routes.contains("10.88.0.0/24") && routes.contains("10.88.1.0/24"),
        "{routes}"
    );

    let tables = || {
        host.run(programs::tool("nft").unwrap().args(["list", "tables"]))
            .unwrap()
    };
    assert!(tables().contains(&format!("weir_{interface}")), "{}", tables());
    lab.gateway.process().signal(Signal::SIGTERM).unwrap();
    assert!(lab.gateway.process().wait(LIMIT).unwrap().success());
    assert_eq!(tables(), "");
    assert!(host.ip(&format!("link show dev {interface}")).is_err());
    let forwarding = host
        .run(Command::new("cat").args([
            "/proc/sys/net/ipv4/ip_forward",
            "/proc/sys/net/ipv6/conf/all/forwarding",
        ]))
        .unwrap();
    assert_eq!(forwarding, "0\n0\n", "it was off before");
    for folder in ["/var/run/wireguard", "/run/weir"] {
        let socket = format!("{folder}/{interface}.sock");
        assert!(!std::path::Path::new(&socket).exists(), "{socket}");
    }
}

/// Catches a single packet lost while the file is read again, peers come and go, and one is added by `weir peer add`.
#[test]
fn a_reload_loses_no_packet() {
    let mut lab = ConfiguredLab::new(Implementation::WireguardGo).unwrap();
    let (client, host) = (lab.client.namespace().clone(), lab.gateway.namespace().clone());
    let start = |from, to, address: IpAddr| Counted::start(from, to, (address, 0).into(), 500).unwrap();
    let flows = [
        (
            "client to server",
            start(&client, &lab.server, server_address(Family::V4)),
        ),
        (
            "client to gateway",
            start(&client, &host, gateway_address(Family::V6)),
        ),
        (
            "gateway to client",
            start(&host, &client, client_address(Family::V4)),
        ),
    ];
    for round in 1..=10 {
        lab.gateway.write(&lab.toml(&more_peers(round * 8))).unwrap();
        lab.gateway.reload().unwrap();
    }
    lab.gateway.write(&lab.toml(&more_peers(1))).unwrap();
    lab.gateway.reload().unwrap();
    let mut add = Command::new(programs::weir("weir").unwrap());
    add.args(["peer", "add", "phone", "--gateway", "192.0.2.1", "--config"])
        .arg(lab.gateway.file());
    let printed = host.run(&mut add).unwrap();
    assert!(
        printed.contains("[Interface]"),
        "no client configuration was printed"
    );
    wait::until_true("the third peer", LIMIT, || {
        lab.gateway.status().unwrap()["peers"].as_array().unwrap().len() == 3
    })
    .unwrap();
    for (flow, counted) in flows {
        let report = counted.finish().unwrap();
        assert!(
            report.sent > 0 && report.received == report.sent,
            "{flow}: {report:?}"
        );
    }
}

/// Catches a bad file that takes anything down with it, or that is taken in part.
#[test]
fn a_bad_file_changes_nothing() {
    let mut lab = ConfiguredLab::new(Implementation::WireguardGo).unwrap();
    let before = lab.gateway.status().unwrap()["revision"].clone();
    let bad =
        lab.toml(&more_peers(3)) + "\n[[peer]]\nname = \"x\"\npublic_key = \"not a key\"\nallowed_ips = []\n";
    lab.gateway.write(&bad).unwrap();
    lab.gateway.process().signal(Signal::SIGHUP).unwrap();
    wait::until_true("the refusal in the log", LIMIT, || {
        let log = lab.gateway.process().log();
        log.contains("public_key") && log.contains("not changed")
    })
    .unwrap();
    assert_eq!(lab.gateway.status().unwrap()["revision"], before);
    lab.await_answer(server_address(Family::V4)).unwrap();
}
