//! The `wg` tool and wg-quick with the real gateway, as a drop-in and configured by a file.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use weir_bench::configured_lab::ConfiguredLab;
use weir_bench::device_config::{DeviceConfig, KeyPair, PeerConfig, preshared_key};
use weir_bench::gateway_topology::{client_key, gateway_key, server_address};
use weir_bench::tunnel::{Family, Side, Site, Tunnel, direct};
use weir_bench::{Implementation, Peer, Ping, Topology, programs, wait};

const LIMIT: Duration = Duration::from_secs(15);

/// Writes a configuration that `wg` reads, for root only.
fn conf(topology: &Topology, name: &str, text: &str) -> String {
    let path = topology.folder().join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}

/// The lines of a configuration in no particular order: `wg` sorts peers as it likes.
fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
    lines.retain(|line| !line.is_empty());
    lines.sort();
    lines
}

fn three_peers() -> DeviceConfig {
    let peer = |number: u64| {
        let prefixes = [format!("10.66.{number}.0/24"), format!("fd66:{number}::/64")];
        PeerConfig::new(KeyPair::seeded(number).public(), &[&prefixes[0], &prefixes[1]])
    };
    DeviceConfig {
        key: KeyPair::seeded(60),
        listen_port: Some(51833),
        peers: vec![
            peer(61)
                .endpoint("192.0.2.61:51820".parse().unwrap())
                .preshared_key(preshared_key(61)),
            peer(62)
                .endpoint("[2001:db8::62]:51820".parse().unwrap())
                .persistent_keepalive_s(25),
            peer(63),
        ],
    }
}

/// Catches a setting lost between `wg setconf` and `wg showconf`, and a `syncconf` or `addconf` that does more or less
/// than it should.
#[test]
fn configurations_come_back_as_they_were_set() {
    let topology = Topology::new().unwrap();
    let namespace = topology.namespace("alone").unwrap();
    let peer = Peer::start(&topology, &namespace, "d", Implementation::Weir).unwrap();
    let interface = peer.interface().to_owned();
    let wg = |arguments: &str| peer.wg(&arguments.replace("DEV", &interface)).unwrap();
    let whole = three_peers();
    let showconf = || lines(&wg("showconf DEV"));

    peer.configure(&whole).unwrap();
    assert_eq!(showconf(), lines(&whole.expose_conf()));
    // What was shown can be set again.
    let shown = conf(&topology, "shown.conf", &wg("showconf DEV"));
    wg(&format!("setconf DEV {shown}"));
    assert_eq!(showconf(), lines(&whole.expose_conf()));

    let mut fewer = whole.clone();
    fewer.peers.remove(1);
    peer.synchronize(&fewer).unwrap();
    assert_eq!(showconf(), lines(&fewer.expose_conf()));

    let third = whole.expose_conf();
    let second = third.split("\n[Peer]").nth(2).unwrap();
    let more = conf(&topology, "more.conf", &format!("[Peer]{second}"));
    wg(&format!("addconf DEV {more}"));
    assert_eq!(showconf(), lines(&whole.expose_conf()));

    let key = KeyPair::seeded(61).public();
    wg(&format!(
        "set DEV fwmark 0x77 listen-port 51834 peer {key} remove"
    ));
    assert_eq!(wg("show DEV fwmark").trim(), "0x77");
    assert_eq!(wg("show DEV listen-port").trim(), "51834");
    assert_eq!(wg("show DEV peers").lines().count(), 2);
    // A prefix moves to whom it is given.
    let (second, third) = (KeyPair::seeded(62).public(), KeyPair::seeded(63).public());
    wg(&format!("set DEV peer {third} allowed-ips 10.66.62.0/24"));
    let allowed = wg("show DEV allowed-ips");
    assert!(
        allowed.contains(&format!("{third}\t10.66.62.0/24\n")),
        "{allowed}"
    );
    assert!(
        allowed.contains(&format!("{second}\tfd66:62::/64\n")),
        "{allowed}"
    );
    let text = wg("show DEV");
    for expected in [
        "public key: ",
        "listening port: 51834",
        "fwmark: 0x77",
        "persistent keepalive: every 25 seconds",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

/// Catches `syncconf` that disturbs a peer which stays: its session would be lost, and its counters.
#[test]
fn syncconf_leaves_sessions_alone() {
    let topology = Topology::new().unwrap();
    let [left, right] = direct(&topology).unwrap();
    let left = Site::new(&left, Implementation::Weir);
    let right = Site::new(&right, Implementation::WireguardGo).called_at(Side::Right.outer(Family::V4));
    let tunnel = Tunnel::new(topology, left, right, Some(preshared_key(7))).unwrap();
    tunnel.await_answers(Side::Left).unwrap();
    let weir = tunnel.peer(Side::Left);
    let mut config = tunnel.config(Side::Left);
    config
        .peers
        .push(PeerConfig::new(KeyPair::seeded(61).public(), &["10.66.61.0/24"]));
    let session = |weir: &Peer| {
        let peers = weir.peers().unwrap();
        let key = Side::Right.key().public();
        let status = peers.into_iter().find(|peer| peer.public_key == key).unwrap();
        (status.latest_handshake_s, status.received_bytes > 0)
    };
    let before = session(weir);
    assert!(before.0.is_some() && before.1);
    weir.synchronize(&config).unwrap();
    assert_eq!(weir.peers().unwrap().len(), 2);
    assert_eq!(session(weir), before);
    let report = Ping::to(Side::Right.address(Family::V4))
        .run(weir.namespace())
        .unwrap();
    assert_eq!(report.received, report.sent);
}

/// Catches `wg` being refused on a configured gateway, or taking away what the file declares.
#[test]
fn wg_adds_to_what_the_file_declares() {
    let lab = ConfiguredLab::new(Implementation::WireguardGo).unwrap();
    let interface = lab.gateway.interface().to_owned();
    let wg = |arguments: &str| lab.gateway.wg(&arguments.replace("DEV", &interface));
    let (of_file, of_wg) = (client_key().public(), KeyPair::seeded(61).public());

    wg(&format!("set DEV peer {of_wg} allowed-ips 10.66.61.0/24")).unwrap();
    let shown = wg("showconf DEV").unwrap();
    assert!(
        shown.contains(&of_file.to_string()) && shown.contains(&of_wg.to_string()),
        "{shown}"
    );
    let routes = lab
        .gateway
        .namespace()
        .ip(&format!("route show dev {interface}"))
        .unwrap();
    assert!(routes.contains("10.66.61.0/24"), "{routes}");

    assert!(wg(&format!("set DEV peer {of_file} remove")).is_err());
    assert!(wg(&format!("set DEV peer {of_file} allowed-ips 10.66.61.7/32")).is_err());
    lab.await_answer(server_address(Family::V4)).unwrap();

    let text = format!(
        "[Peer]\nPublicKey = {}\nAllowedIPs = 10.66.62.0/24\n",
        KeyPair::seeded(62).public()
    );
    let more = conf(lab.topology(), "more.conf", &text);
    wg(&format!("addconf DEV {more}")).unwrap();
    assert_eq!(wg("show DEV peers").unwrap().lines().count(), 3);
    // The interface's own keys and port come with it, as `wg showconf` and `wg-quick save` write them.
    let whole = format!(
        "[Interface]\nPrivateKey = {}\nListenPort = 51820\n\n{text}",
        *gateway_key().private().expose_base64()
    );
    let only = conf(lab.topology(), "only.conf", &whole);
    for verb in ["syncconf", "setconf"] {
        wg(&format!("set DEV peer {of_wg} allowed-ips 10.66.61.0/24")).unwrap();
        // wg asks for the removal of whom the file does not list, the client among them.
        let done = wg(&format!("{verb} DEV {only}"));
        let peers = wg("show DEV peers").unwrap();
        assert!(peers.contains(&of_file.to_string()), "{verb}: {peers}");
        assert_eq!(
            done.is_ok(),
            !peers.contains(&of_wg.to_string()),
            "{verb}: {done:?}, {peers}"
        );
    }
    lab.await_answer(server_address(Family::V4)).unwrap();
}

/// Catches a drop-in that wg-quick cannot bring up, that loops its own packets back into a tunnel for everything (the
/// mark), or that is not gone after `wg-quick down`.
#[test]
fn wg_quick_brings_a_full_tunnel_up_and_down() {
    let topology = Topology::new().unwrap();
    let [left, right] = direct(&topology).unwrap();
    let server = Peer::start(&topology, &right, "s", Implementation::WireguardGo).unwrap();
    server
        .configure(&DeviceConfig {
            key: Side::Right.key(),
            listen_port: Some(51820),
            peers: vec![PeerConfig::new(
                Side::Left.key().public(),
                &["10.9.0.1/32", "fd09::1/128"],
            )],
        })
        .unwrap();
    for address in ["10.9.0.2/24", "fd09::2/64", "198.51.100.9/32"] {
        server.address(address).unwrap();
    }
    server.up(1420).unwrap();

    let interface = topology.interface("q");
    let text = format!(
        "[Interface]\nPrivateKey = {}\nAddress = 10.9.0.1/24, fd09::1/64\n\n\
         [Peer]\nPublicKey = {}\nAllowedIPs = 0.0.0.0/0, ::/0\nEndpoint = 192.0.2.2:51820\n",
        *Side::Left.key().private().expose_base64(),
        Side::Right.key().public(),
    );
    let file = conf(&topology, &format!("{interface}.conf"), &text);
    let quick = |verb: &str| {
        let mut command = programs::tool("wg-quick").unwrap();
        let program = programs::weir("weir-dataplane").unwrap();
        command.env("WG_QUICK_USERSPACE_IMPLEMENTATION", program);
        left.run(command.args([verb, &file])).unwrap()
    };
    quick("up");
    // Only the default route through the tunnel leads to the last one.
    for destination in ["10.9.0.2", "fd09::2", "198.51.100.9"] {
        Ping::to(destination.parse().unwrap())
            .until_answered(&left, LIMIT)
            .unwrap();
    }
    quick("down");
    let socket = format!("/var/run/wireguard/{interface}.sock");
    wait::until_true("the end of the drop-in", LIMIT, || {
        !Path::new(&socket).exists() && left.ip(&format!("link show dev {interface}")).is_err()
    })
    .unwrap();
    assert_eq!(
        left.ip("rule show").unwrap().lines().count(),
        3,
        "rules of wg-quick are left"
    );
}
