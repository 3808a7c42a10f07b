//! The control process beside a real data plane, with a stock client that is made through the API alone:
//!
//! ```text
//! client 192.0.2.2 ──veth── 192.0.2.1 gateway: weir-dataplane and weir-control
//! client 10.77.0.2 ═════WireGuard════ 10.77.0.1
//! ```
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{peer_path, request, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use weir_abi::key::{PresharedKey, PrivateKey};
use weir_bench::configured::Configured;
use weir_bench::device_config::{DeviceConfig, KeyPair, PeerConfig};
use weir_bench::{End, Implementation, Namespace, Peer, Ping, Process, Topology};
use weir_config::conf::Conf;

/// How long a tunnel may take to come up, and a process to answer.
const LIMIT: Duration = Duration::from_secs(20);

const PORT: u16 = 51820;

/// A gateway without peers, and the process that controls it.
struct Ground {
    gateway: Configured,
    control: Process,
    client: Namespace,
    own: Namespace,
    socket: PathBuf,
    // Last, because fields are dropped in this order.
    topology: Topology,
}

impl Ground {
    fn new() -> Self {
        let topology = Topology::new().unwrap();
        let client = topology.namespace("client").unwrap();
        let own = topology.namespace("gateway").unwrap();
        let ends = (
            End::new(&client, "wan", &["192.0.2.2/24"]),
            End::new(&own, "wan", &["192.0.2.1/24"]),
        );
        topology.veth(&ends.0, &ends.1).unwrap();
        let interface = topology.interface("gw");
        let head = Configured::head(&topology, &interface, &KeyPair::seeded(2));
        let toml = format!(
            "{head}listen_port = {PORT}\naddresses = [\"10.77.0.1/24\"]\nendpoint = \"192.0.2.1:{PORT}\"\n"
        );
        let gateway = Configured::start(&topology, &own, &interface, &toml).unwrap();
        let socket = topology.folder().join("api.sock");
        let control = start_control(&topology, &own, &interface, &socket);
        let ground = Self {
            gateway,
            control,
            client,
            own,
            socket,
            topology,
        };
        ground.await_ready();
        ground
    }

    fn await_ready(&self) {
        until("the control process to be ready", || {
            self.socket.exists()
                && std::os::unix::net::UnixStream::connect(&self.socket).is_ok()
                && self.ask("GET", "/readyz", None).0 == 200
        });
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let (status, _, body) = request(&self.socket, method, path, &[], body);
        (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
    }

    /// Kills the control process as `kill -9` does, and starts it anew.
    fn kill_control(&mut self) {
        self.control.kill().unwrap();
        let socket = &self.socket;
        self.control = start_control(&self.topology, &self.own, self.gateway.interface(), socket);
    }
}

fn start_control(topology: &Topology, namespace: &Namespace, interface: &str, socket: &Path) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir-control"));
    command
        .args([
            "--allow-root",
            "--listen",
            "none",
            "--sample-s",
            "1",
            "--interface",
            interface,
        ])
        .arg("--store")
        .arg(topology.folder().join("control"))
        .arg("--socket")
        .arg(socket);
    topology.start(namespace, "weir-control", &mut command).unwrap()
}

/// A client as its configuration says, by wireguard-go.
fn join(ground: &Ground, text: &str) -> Peer {
    let conf = Conf::parse(text, "client.conf").unwrap();
    let private: &PrivateKey = conf.interface.private_key.as_ref().unwrap();
    let seen = &conf.peers[0];
    let Some(weir_abi::endpoint::Endpoint::Address(endpoint)) = seen.endpoint else {
        panic!("no address in {:?}", seen.endpoint);
    };
    let prefixes: Vec<String> = seen.allowed_ips.iter().map(ToString::to_string).collect();
    let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
    let mut gateway = PeerConfig::new(seen.public_key, &prefixes).endpoint(endpoint);
    if let Some(key) = &seen.preshared_key {
        gateway = gateway.preshared_key(PresharedKey::clone(key));
    }
    let client = Peer::start(
        &ground.topology,
        &ground.client,
        "cl",
        Implementation::WireguardGo,
    )
    .unwrap();
    let device = DeviceConfig {
        key: KeyPair::of(private.clone()),
        listen_port: None,
        peers: vec![gateway],
    };
    client.configure(&device).unwrap();
    for address in &conf.interface.addresses {
        client.address(&format!("{}/24", address.address)).unwrap();
    }
    client.up(1420).unwrap();
    client
}

// Catches a peer of the API that is not in force in the real data plane, a configuration that does not connect, traffic
// that stops with the control process, and a `wg set` that is lost.
#[test]
fn a_client_made_by_the_api_passes_traffic() {
    let mut ground = Ground::new();
    let body = json!({ "name": "phone", "preshared_key": "generate" });
    let (status, created) = ground.ask("POST", "/v1/peers", Some(&body));
    assert_eq!(status, 201, "{created}");
    let key = created["peer"]["public_key"].as_str().unwrap().parse().unwrap();
    let client = join(&ground, created["config"].as_str().unwrap());
    let inside: IpAddr = "10.77.0.1".parse().unwrap();
    Ping::to(inside)
        .until_answered(client.namespace(), LIMIT)
        .unwrap();
    let live = |ground: &Ground| ground.ask("GET", &peer_path(key), None).1["live"].clone();
    until("the session in the API", || live(&ground)["state"] == "connected");
    assert!(live(&ground)["rx_bytes_total"].as_u64().unwrap() > 0);

    // Without control the tunnel goes on, and wg changes what control will take over.
    ground.control.signal(Signal::SIGKILL).unwrap();
    Ping::to(inside)
        .until_answered(client.namespace(), LIMIT)
        .unwrap();
    ground
        .gateway
        .wg(&format!(
            "set {} peer {key} persistent-keepalive 11",
            ground.gateway.interface()
        ))
        .unwrap();
    ground.kill_control();
    ground.await_ready();
    let (_, peer) = ground.ask("GET", &peer_path(key), None);
    assert_eq!(peer["persistent_keepalive"], json!(11), "{peer}");
    assert_eq!(peer["name"], json!("phone"));
    Ping::to(inside)
        .until_answered(client.namespace(), LIMIT)
        .unwrap();

    // A probe finds nothing wrong; a peer that is disabled is cut off, and said to be.
    let (status, found) = ground.ask(
        "POST",
        &format!("{}/diagnosis", peer_path(key)),
        Some(&json!({ "probe": true })),
    );
    assert_eq!(
        (status, &found["findings"][0]["code"]),
        (200, &json!("connected")),
        "{found}"
    );
    let (status, _) = ground.ask("PATCH", &peer_path(key), Some(&json!({ "disabled": true })));
    assert_eq!(status, 200);
    let (_, found) = ground.ask("POST", &format!("{}/diagnosis", peer_path(key)), Some(&json!({})));
    assert_eq!(found["findings"][0]["code"], json!("disabled"), "{found}");
    let wg = ground
        .gateway
        .wg(&format!("show {} peers", ground.gateway.interface()))
        .unwrap();
    assert_eq!(wg.trim(), "");
}

// Catches metrics without the names that dashboards know, and a label that breaks out of its quotes.
#[test]
fn metrics_have_the_names_that_dashboards_know() {
    let ground = Ground::new();
    let (status, created) = ground.ask("POST", "/v1/peers", Some(&json!({ "name": "a b" })));
    assert_eq!(status, 201, "{created}");
    let key = created["peer"]["public_key"].as_str().unwrap().to_owned();
    let metrics = || {
        ground
            .ask("GET", "/metrics", None)
            .1
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    until("the peer's series", || metrics().contains(&key));
    let text = metrics();
    for name in [
        "wireguard_device_info",
        "wireguard_peer_info",
        "wireguard_peer_last_handshake_seconds",
        "wireguard_peer_receive_bytes_total",
        "wireguard_peer_transmit_bytes_total",
        "weir_drops_total",
        "weir_packet_latency_seconds_bucket",
        "weir_peer_connected",
    ] {
        let typed = text
            .lines()
            .any(|line| line.starts_with(&format!("# TYPE {}", name.trim_end_matches("_bucket"))));
        assert!(typed || name == "weir_drops_total", "{name}\n{text}");
    }
    assert!(text.contains("name=\"a b\""), "{text}");
}

/// A file system of its own, of 32 MiB, unmounted when dropped.
struct Small(PathBuf);

impl Small {
    fn mount(folder: PathBuf) -> Self {
        std::fs::create_dir_all(&folder).unwrap();
        mount(&[
            "-t",
            "tmpfs",
            "-o",
            "size=32m,mode=0700",
            "weir-test",
            &folder.display().to_string(),
        ]);
        Self(folder)
    }

    fn remount(&self, how: &str) {
        mount(&["-o", &format!("remount,{how}"), &self.0.display().to_string()]);
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Whoever still has a file there open goes with the topology.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

fn mount(arguments: &[&str]) {
    let status = Command::new("mount").args(arguments).status().unwrap();
    assert!(status.success(), "mount {arguments:?}");
}

/// A change that takes room: peers with all the notes that fit, without networks.
fn large(n: u32) -> Value {
    let operation = |place: u32| {
        let seed = (100 * n + place).to_le_bytes();
        let private = PrivateKey::from_bytes(core::array::from_fn(|i| seed[i % 4] ^ 0x5a));
        let key = weir_config::key::public_key(&private).to_string();
        let peer =
            json!({ "name": format!("more{n}-{place}"), "allowed_ips": [], "notes": "x".repeat(2000) });
        json!({ "op": "put", "public_key": key, "peer": peer })
    };
    json!({ "operations": (0..100).map(operation).collect::<Vec<_>>() })
}

// Catches a full or read-only disk that reaches the data plane, is told as a success, or outlasts its mending.
#[test]
fn a_disk_that_takes_nothing_is_said_and_harms_no_traffic() {
    let mut ground = Ground::new();
    let (status, created) = ground.ask("POST", "/v1/peers", Some(&json!({ "name": "phone" })));
    assert_eq!(status, 201, "{created}");
    ground.control.kill().unwrap();
    let store = ground.topology.folder().join("control");
    let kept = ground.topology.folder().join("kept");
    std::fs::rename(&store, &kept).unwrap();
    let small = Small::mount(store.clone());
    let copied = Command::new("cp")
        .arg("-a")
        .arg(kept.join("."))
        .arg(&store)
        .status()
        .unwrap();
    assert!(copied.success());
    ground.kill_control();
    ground.await_ready();
    let client = join(&ground, created["config"].as_str().unwrap());
    let inside: IpAddr = "10.77.0.1".parse().unwrap();
    Ping::to(inside)
        .until_answered(client.namespace(), LIMIT)
        .unwrap();

    let add = |n: u32| ground.ask("POST", "/v1/peers/bulk", Some(&large(n)));
    let filler = store.join("filler");
    let filled = std::fs::write(&filler, vec![7; 32 << 20]);
    assert!(filled.is_err(), "the file system is full");
    let refused = (0..200)
        .map(add)
        .find(|(status, _)| *status != 200)
        .expect("no room for ever");
    assert_eq!(
        (refused.0, refused.1["status"].as_u64()),
        (507, Some(507)),
        "{}",
        refused.1
    );
    let count = |ground: &Ground| ground.ask("GET", "/v1/peers", None).1["total"].as_u64().unwrap();
    let in_force = |ground: &Ground| {
        let shown = ground
            .gateway
            .wg(&format!("show {} peers", ground.gateway.interface()))
            .unwrap();
        shown.lines().count() as u64
    };
    assert_eq!(count(&ground), in_force(&ground));
    Ping::to(inside)
        .until_answered(client.namespace(), LIMIT)
        .unwrap();
    std::fs::remove_file(&filler).unwrap();
    until("room again", || add(1000).0 == 200);

    // Not even then does it start with fewer peers.
    let known = count(&ground);
    ground.control.kill().unwrap();
    small.remount("ro");
    ground.kill_control();
    ground.await_ready();
    assert_eq!(count(&ground), known);
    let add = |n: u32| ground.ask("POST", "/v1/peers/bulk", Some(&large(n)));
    let (status, answer) = add(2000);
    assert_eq!(status, 507, "{answer}");
    Ping::to(inside)
        .until_answered(client.namespace(), LIMIT)
        .unwrap();
    small.remount("rw");
    until("a disk that is written again", || add(3000).0 == 200);
    assert_eq!(count(&ground), in_force(&ground));
    ground.control.kill().unwrap();
}
