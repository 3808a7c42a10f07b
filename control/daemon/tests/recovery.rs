//! What the control process and a data plane tell each other when either comes back, or somebody else changed something.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::plane::{Kept, Plane};
use common::{Control, key, peer_path, until};
use serde_json::json;
use weir_abi::change::{Change, PeerChange};
use weir_abi::desired::{Origin, Peer};

/// A folder that goes with the test.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn put(control: &Control, n: u8) {
    let body = json!({ "name": format!("peer{n}"), "allowed_ips": [format!("10.77.0.{n}/32")] });
    let (status, answer) = control.ask("PUT", &peer_path(key(n)), Some(&body));
    assert!(matches!(status, 200 | 201), "{status} {answer}");
}

fn names(control: &Control) -> Vec<String> {
    let peers = control.get("/v1/peers?limit=1000");
    peers["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|peer| peer["name"].as_str().unwrap_or("").to_owned())
        .collect()
}

fn actors(control: &Control) -> Vec<String> {
    let log = control.get("/v1/audit?limit=1000");
    let entries = log["items"].as_array().unwrap();
    entries
        .iter()
        .map(|e| {
            format!(
                "{} {}",
                e["actor"].as_str().unwrap(),
                e["action"].as_str().unwrap()
            )
        })
        .collect()
}

// Catches a peer that is stored and not in force, and one that is removed and still is.
#[test]
fn what_is_changed_is_in_force_at_once() {
    let folder = folder();
    let plane = Plane::start(folder.path(), 1);
    let control = Control::start(folder.path());
    control.await_ready();
    let (status, created) = control.ask(
        "POST",
        "/v1/peers",
        Some(&json!({ "name": "phone", "preshared_key": "generate" })),
    );
    assert_eq!(status, 201, "{created}");
    let config = created["config"].as_str().unwrap();
    assert!(
        config.contains("PrivateKey = ") && config.contains("PresharedKey = "),
        "{config}"
    );
    assert!(config.contains("Endpoint = vpn.example.org:51820") && config.contains("Address = 10.77.0.2/32"));
    let in_force = plane.kept().peers.clone();
    assert_eq!(in_force.len(), 1);
    assert_eq!(
        (in_force[0].origin, in_force[0].name.as_deref()),
        (Origin::Control, Some("phone"))
    );
    assert!(in_force[0].preshared_key.is_some());
    let path = peer_path(in_force[0].public_key);
    let (status, _) = control.ask("PATCH", &path, Some(&json!({ "disabled": true })));
    assert_eq!((status, plane.count()), (200, 0));
    let (status, _) = control.ask(
        "PATCH",
        &path,
        Some(&json!({ "disabled": false, "persistent_keepalive": 9 })),
    );
    assert_eq!((status, plane.count()), (200, 1));
    let (status, _) = control.ask("DELETE", &path, None);
    assert_eq!((status, plane.count()), (204, 0));
    control.end();
}

// Catches peers lost by a restart of either side, and changes made while the other was away.
#[test]
fn each_side_s_restart_loses_nothing() {
    let folder = folder();
    let plane = Plane::start(folder.path(), 1);
    let control = Control::start(folder.path());
    control.await_ready();
    (2..6).for_each(|n| put(&control, n));
    drop(plane);
    until("the loss", || control.ask("GET", "/readyz", None).0 == 503);
    put(&control, 6);
    let (status, _) = control.ask("DELETE", &peer_path(key(2)), None);
    assert_eq!(status, 204);
    // Another start: it knows nothing but what its file says, and one peer that `wg` made since.
    let found = Peer {
        persistent_keepalive: Some(7),
        ..Peer::new(key(9), Origin::Uapi)
    };
    let plane = Plane::start_with(
        folder.path(),
        Kept {
            boot_id: [2; 16],
            revision: 1,
            peers: vec![found],
            ..Kept::default()
        },
    );
    control.await_ready();
    until("all peers", || plane.count() == 5);
    assert_eq!(names(&control).len(), 5);
    assert!(actors(&control).contains(&"wg peer.created".to_owned()));
    control.end();

    // Control's own restart: nothing is told that is in force already.
    plane.kept().asked.clear();
    let control = Control::start(folder.path());
    control.await_ready();
    assert_eq!(names(&control).len(), 5);
    let asked = plane.kept().asked.clone();
    assert!(asked.iter().all(|set| set.changes.is_empty()), "{asked:?}");
    control.end();
}

// Catches changes by wg that are undone, or that the store and the audit log do not get.
#[test]
fn what_wg_changes_is_taken_over() {
    let folder = folder();
    let plane = Plane::start(folder.path(), 1);
    let control = Control::start(folder.path());
    control.await_ready();
    (2..5).for_each(|n| put(&control, n));
    let keepalive = |n: u8, seconds| {
        Change::Peer(PeerChange {
            persistent_keepalive: Some(seconds),
            ..PeerChange::new(key(n))
        })
    };
    plane.wg(vec![
        keepalive(2, 33),
        Change::RemovePeer(key(3)),
        keepalive(20, 5),
    ]);
    let read = |n: u8| control.ask("GET", &peer_path(key(n)), None);
    until("wg's changes", || read(2).1["persistent_keepalive"] == json!(33));
    assert_eq!(read(3).0, 404);
    assert_eq!(read(20).1["persistent_keepalive"], json!(5));
    assert_eq!(read(2).1["name"], json!("peer2"));
    let actors = actors(&control);
    for entry in ["wg peer.changed", "wg peer.removed", "wg peer.created"] {
        assert!(actors.contains(&entry.to_owned()), "{entry}: {actors:?}");
    }
    control.end();

    // While control was away.
    plane.wg(vec![Change::RemovePeer(key(4)), keepalive(21, 6)]);
    let control = Control::start(folder.path());
    control.await_ready();
    let read = |n: u8| control.ask("GET", &peer_path(key(n)), None);
    until("what wg did meanwhile", || read(4).0 == 404 && read(21).0 == 200);
    assert_eq!(plane.count(), 3);
    control.end();
}

// Catches a conflict with the file that is not said, or that keeps the others out.
#[test]
fn conflicts_with_the_file_are_said_and_hold_up_nobody() {
    let folder = folder();
    let plane = Plane::start(folder.path(), 1);
    let control = Control::start(folder.path());
    control.await_ready();
    (2..5).for_each(|n| put(&control, n));
    drop(plane);
    let file = Peer {
        allowed_ips: vec!["10.77.0.3/32".parse().unwrap()],
        ..Peer::new(key(2), Origin::File)
    };
    let mut kept = Kept {
        boot_id: [2; 16],
        revision: 1,
        ..Kept::default()
    };
    kept.peers.push(file);
    let plane = Plane::start_with(folder.path(), kept);
    until("the others", || plane.count() == 2);
    assert!(plane.peer(key(4)).is_some());
    let (_, peer) = control.ask("GET", &peer_path(key(2)), None);
    assert!(
        peer["conflict"]
            .as_str()
            .is_some_and(|why| why.contains("weir.toml")),
        "{peer}"
    );
    let (_, peer) = control.ask("GET", &peer_path(key(3)), None);
    assert!(
        peer["conflict"]
            .as_str()
            .is_some_and(|why| why.contains("10.77.0.3/32")),
        "{peer}"
    );
    let alerts = control.get("/v1/alerts");
    let conflicts = alerts["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|a| a["kind"] == "conflict")
        .count();
    assert_eq!(conflicts, 2, "{alerts}");
    // A conflict that ends brings the peer back, and is not taken for a removal.
    let (status, answer) = control.ask(
        "PATCH",
        &peer_path(key(3)),
        Some(&json!({ "allowed_ips": ["10.77.0.33/32"] })),
    );
    assert_eq!(status, 200, "{answer}");
    until("the peer whose conflict ended", || plane.peer(key(3)).is_some());
    // The file's own is not to be had from here.
    let (status, _) = control.ask(
        "POST",
        "/v1/peers",
        Some(&json!({ "name": "x", "allowed_ips": ["10.77.0.3/32"] })),
    );
    assert_eq!(status, 409);
    control.end();
}

// Catches a change that outlasts its time, and one that reverts though it was confirmed.
#[test]
fn unconfirmed_changes_revert_over_a_restart() {
    let folder = folder();
    let plane = Plane::start(folder.path(), 1);
    let control = Control::start(folder.path());
    control.await_ready();
    put(&control, 2);
    put(&control, 3);
    let path = format!("{}?confirm_within_s=10", peer_path(key(2)));
    let (status, _) = control.ask("DELETE", &path, None);
    assert_eq!((status, plane.count()), (204, 1));
    let path = format!("{}?confirm_within_s=10", peer_path(key(3)));
    let (status, _) = control.ask("PATCH", &path, Some(&json!({ "notes": "stays" })));
    assert_eq!(status, 200);
    let waiting = control.get("/v1/changes");
    let items = waiting["items"].as_array().unwrap();
    assert_eq!(items.len(), 2, "{waiting}");
    let stays = items
        .iter()
        .find(|c| c["diff"][0]["op"] == "add")
        .expect("the patch");
    let confirm = format!("/v1/changes/{}/confirmation", stays["id"].as_str().unwrap());
    let (status, answer) = control.ask("POST", &confirm, None);
    assert!(matches!(status, 200 | 204), "{status} {answer}");
    control.end();
    let control = Control::start(folder.path());
    control.await_ready();
    until("the revert", || plane.count() == 2);
    let (_, peer) = control.ask("GET", &peer_path(key(3)), None);
    assert_eq!(peer["notes"], json!("stays"));
    assert!(actors(&control).contains(&"weir change.reverted".to_owned()));
    control.end();
}

// Catches a dry run that changes something, and one that tells another difference than the change makes.
#[test]
fn a_dry_run_changes_nothing() {
    let folder = folder();
    let plane = Plane::start(folder.path(), 1);
    let control = Control::start(folder.path());
    control.await_ready();
    put(&control, 2);
    let revision = plane.kept().revision;
    let path = format!("{}?dry_run=true", peer_path(key(2)));
    let (status, answer) = control.ask(
        "PATCH",
        &path,
        Some(&json!({ "name": "other", "preshared_key": "generate" })),
    );
    assert_eq!(status, 200);
    let diff = answer["diff"].as_array().unwrap();
    assert_eq!(diff.len(), 2, "{answer}");
    assert_eq!(
        (diff[0]["op"].as_str(), diff[0]["after"].as_str()),
        (Some("replace"), Some("other"))
    );
    assert_eq!(diff[1]["after"].as_str(), Some("(secret)"));
    assert_eq!(
        (plane.kept().revision, names(&control)),
        (revision, vec!["peer2".to_owned()])
    );
    control.end();
}

// Catches one commit a change: with many askers at once a thousand peers would take a thousand waits for the disk; and a
// data plane that is told of each by itself.
#[test]
fn changes_that_wait_together_are_made_together() {
    let folder = folder();
    let plane = Plane::start(folder.path(), 1);
    let control = Control::start(folder.path());
    control.await_ready();
    let operations: Vec<_> = (0..1000)
        .map(|n: u32| {
            let secret = weir_abi::key::PrivateKey::from_bytes(core::array::from_fn(|i| (n >> (i % 4 * 8)) as u8 ^ 90));
            let peer = json!({ "name": format!("many{n}") });
            json!({ "op": "put", "public_key": weir_config::key::public_key(&secret).to_string(), "peer": peer })
        })
        .collect();
    let (status, answer) = control.ask(
        "POST",
        "/v1/peers/bulk",
        Some(&json!({ "operations": operations })),
    );
    assert_eq!((status, &answer["created"]), (200, &json!(1000)), "{answer}");
    assert_eq!(plane.count(), 1000);
    let before = plane.kept().asked.len();
    std::thread::scope(|scope| {
        for asker in 0..8 {
            let (control, operations) = (&control, &operations);
            scope.spawn(move || {
                for operation in operations.iter().skip(asker).step_by(8) {
                    let key = operation["public_key"].as_str().unwrap().parse().unwrap();
                    let (status, answer) = control.ask(
                        "PATCH",
                        &peer_path(key),
                        Some(&json!({ "persistent_keepalive": 21 })),
                    );
                    assert_eq!(status, 200, "{answer}");
                }
            });
        }
    });
    assert!(
        plane
            .kept()
            .peers
            .iter()
            .all(|peer| peer.persistent_keepalive == Some(21))
    );
    let asked = plane.kept().asked.len() - before;
    assert!(asked < 1000, "{asked} sets of changes");
    control.end();
}
