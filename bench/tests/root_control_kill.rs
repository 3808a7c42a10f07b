//! The control process may be killed at any time, and may find no room on its disk: the tunnel knows nothing of it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weir_bench::api::{Answer, peer_path};
use weir_bench::control;
use weir_bench::control_lab::{Client, ControlLab, INSIDE};
use weir_bench::counted::Counted;
use weir_bench::device_config::KeyPair;
use weir_bench::small_disk::SmallDisk;
use weir_bench::{Ping, Topology, wait};

/// How often control is killed.
const KILLS: u32 = 100;

/// For how long it may be away: 2 s, with three times the patience.
const READY: Duration = Duration::from_secs(6);

/// How long other things may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Numbered datagrams a second, each way.
const PER_S: u32 = 500;

/// KiB of the small disk.
const DISK_KIB: u32 = 16 << 10;

/// Datagrams from one client to the other, through the gateway, and back.
fn traffic(one: &Client, other: &Client) -> [Counted; 2] {
    let start = |from: &Client, to: &Client| {
        let destination = SocketAddr::new(to.address, 0);
        Counted::start(from.peer.namespace(), to.peer.namespace(), destination, PER_S).unwrap()
    };
    [start(one, other), start(other, one)]
}

/// Two clients that have reached each other, so that what is sent from now on arrives.
fn clients(lab: &ControlLab) -> [Client; 2] {
    let clients = ["one", "other"].map(|name| lab.connect(name).unwrap());
    Ping::to(clients[1].address)
        .until_answered(clients[0].peer.namespace(), LIMIT)
        .unwrap();
    clients
}

fn none_lost(traffic: [Counted; 2]) {
    for counted in traffic {
        let report = counted.finish().unwrap();
        assert_eq!(report.sent, report.received, "{report:?}");
        println!("{report:?}");
    }
}

/// When each client's last handshake was, as the data plane says on a way that control has no part in.
fn handshakes(lab: &ControlLab, clients: [&Client; 2]) -> [Value; 2] {
    let status = lab.gateway.status().unwrap();
    clients.map(|client| {
        let key = client.key.to_string();
        let peers = status["peers"].as_array().unwrap();
        let peer = peers
            .iter()
            .find(|peer| peer["public_key"] == key.as_str())
            .unwrap();
        peer["last_handshake_unix_ns"].clone()
    })
}

fn names(lab: &ControlLab) -> BTreeSet<String> {
    let peers = lab.api().get("/v1/peers?limit=1000").unwrap();
    let items = peers["items"].as_array().unwrap();
    items
        .iter()
        .map(|peer| peer["name"].as_str().unwrap().to_owned())
        .collect()
}

/// Catches a data plane that waits for control or begins anew with it, a store that does not open after a kill in the
/// midst of its writing, and a change that was acknowledged and is gone. Sessions must outlast it: nothing is renegotiated.
#[test]
fn a_hundred_kills_under_traffic() {
    let mut lab = ControlLab::new().unwrap();
    let [one, other] = clients(&lab);
    let before = handshakes(&lab, [&one, &other]);
    let mut expected = names(&lab);
    let counted = traffic(&one, &other);
    let mut slowest = Duration::ZERO;
    for round in 0..KILLS {
        let name = format!("peer {round}");
        let key = KeyPair::seeded(1000 + u64::from(round)).public();
        let input = json!({ "name": name });
        lab.api().change("PUT", &peer_path(&key), &input).unwrap();
        expected.insert(name);
        // A change that is under way when it is killed; whether it was made is not known to anybody.
        let mut api = lab.api();
        let torn = std::thread::spawn(move || {
            api.change("PUT", &peer_path(&key), &json!({ "name": "torn", "notes": "x" }))
        });
        lab.control.kill().unwrap();
        let torn = torn.join().unwrap();
        let begun = Instant::now();
        lab.start_control().unwrap();
        slowest = slowest.max(begun.elapsed());
        assert!(
            begun.elapsed() < READY,
            "round {round}: ready after {:?}",
            begun.elapsed()
        );
        let found = lab.peer(&key).unwrap();
        assert!(
            found["name"] == "torn" || (torn.is_err() && found["name"] == format!("peer {round}")),
            "round {round}: {torn:?}, {found:#}"
        );
        lab.api()
            .change(
                "PATCH",
                &peer_path(&key),
                &json!({ "name": format!("peer {round}") }),
            )
            .unwrap();
    }
    println!("the slowest start took {slowest:?}");
    none_lost(counted);
    assert_eq!(names(&lab), expected);
    assert_eq!(
        handshakes(&lab, [&one, &other]),
        before,
        "a session was renegotiated"
    );
    let declared = lab.gateway.status().unwrap()["peers"].as_array().unwrap().len();
    assert_eq!(declared, expected.len(), "the data plane has them all");
    let verified = lab.api().get("/v1/audit/verification").unwrap();
    assert_eq!(verified["intact"], true, "{verified:#}");
}

/// Declares a peer that takes room.
fn change(lab: &ControlLab, seed: u64) -> Answer {
    let key = KeyPair::seeded(seed).public();
    let input = json!({ "name": format!("peer {seed}"), "notes": "so that it takes room ".repeat(40) });
    lab.api()
        .send("PUT", &peer_path(&key), &[], Some(&input))
        .unwrap()
}

/// The answer to a change that finds no place: a problem that says so.
fn expects_507(answer: &Answer) {
    let problem = answer.json();
    assert_eq!(answer.status, 507, "{problem:#}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(problem["status"], 507, "{problem:#}");
    assert!(!problem["detail"].as_str().unwrap().is_empty());
}

/// Catches a full disk or one that became read-only that disturbs the tunnel, that ends control, that is answered as if the
/// change were made or as a fault of the server's, that is not told in the status, and after which a restart is needed.
#[test]
fn a_disk_without_room() {
    let mut lab = ControlLab::without_control(Arc::new(Topology::new().unwrap()), "").unwrap();
    let store = lab.control.store();
    std::fs::create_dir(&store).unwrap();
    let disk = SmallDisk::new(&store, DISK_KIB, control::UID).unwrap();
    disk.enter(|| lab.start_control()).unwrap();
    let [one, other] = clients(&lab);
    let before = handshakes(&lab, [&one, &other]);
    let counted = traffic(&one, &other);
    let mut numbers = 1000..;
    let mut change = |lab: &ControlLab| change(lab, numbers.next().unwrap());
    assert_eq!(change(&lab).status, 201);

    disk.fill().unwrap();
    // There may be room left within the store's own file.
    let refused = (0..5000)
        .map(|_| change(&lab))
        .find(|answer| answer.status != 201);
    expects_507(&refused.expect("a full disk has room for few changes"));
    let peers = names(&lab);
    assert!(
        peers.contains("one") && peers.contains("other"),
        "what is there is shown"
    );
    let status = lab.api().get("/v1/status").unwrap();
    assert_eq!(status["control"]["store"], "full", "{:#}", status["control"]);
    disk.free().unwrap();
    wait::until_true("a change after space was freed", LIMIT, || {
        change(&lab).status == 201
    })
    .unwrap();

    // A disk becomes read-only under a process by a fault of it, which cannot be made here; a start finds the same.
    lab.control.stop().unwrap();
    disk.set_read_only(true).unwrap();
    disk.enter(|| lab.start_control()).unwrap();
    expects_507(&change(&lab));
    let status = lab.api().get("/v1/status").unwrap();
    assert_eq!(status["control"]["store"], "read_only", "{:#}", status["control"]);
    disk.set_read_only(false).unwrap();
    wait::until_true("a change after the disk is writable", LIMIT, || {
        change(&lab).status == 201
    })
    .unwrap();
    assert_eq!(lab.api().get("/v1/status").unwrap()["control"]["store"], "ok");

    none_lost(counted);
    assert_eq!(handshakes(&lab, [&one, &other]), before);
    Ping::to(INSIDE)
        .until_answered(one.peer.namespace(), LIMIT)
        .unwrap();
}
