//! One owner of truth, visible as such: what `wg` changes lands in control's store and audit log, what `weir.toml` declares
//! is not control's, and a data plane that starts anew gets all peers back.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use serde_json::{Value, json};
use weir_abi::key::PublicKey;
use weir_bench::api::peer_path;
use weir_bench::control_lab::{ControlLab, INSIDE};
use weir_bench::device_config::KeyPair;
use weir_bench::{Ping, wait};

/// How long something may take to come to control's notice: three times the 5 s within which the data plane tells something.
const LIMIT: Duration = Duration::from_secs(15);

/// How long a client may take to find out that the gateway began anew, and to call it again: three times KEEPALIVE_TIMEOUT
/// and REKEY_TIMEOUT.
const CALL_LIMIT: Duration = Duration::from_secs(45);

fn key(seed: u64) -> PublicKey {
    KeyPair::seeded(seed).public()
}

/// Waits until control shows a peer with these allowed IPs; none waits until it shows no such peer.
fn shows(lab: &ControlLab, key: &PublicKey, allowed_ips: Option<&str>) -> Value {
    wait::until(
        &format!("peer {key} with {allowed_ips:?} in control"),
        LIMIT,
        || {
            let answer = lab.api().send("GET", &peer_path(key), &[], None).unwrap();
            match (answer.status, allowed_ips) {
                (404, None) => Some(Value::Null),
                (200, Some(expected)) => {
                    let peer = answer.json();
                    (peer["allowed_ips"] == json!([expected])).then_some(peer)
                }
                _ => None,
            }
        },
    )
    .unwrap()
}

/// Actions in the audit log by this actor and on this peer, the newest first.
fn audited(lab: &ControlLab, actor: &str, key: &PublicKey) -> Vec<String> {
    let log = lab.api().get("/v1/audit?limit=1000").unwrap();
    let target = format!("peer/{key}");
    let entries = log["items"].as_array().unwrap();
    entries
        .iter()
        .filter(|entry| entry["actor"] == actor && entry["target"] == target.as_str())
        .map(|entry| entry["action"].as_str().unwrap().to_owned())
        .collect()
}

/// Catches a `wg set` that control does not learn of, undoes, or takes without saying by whom, while it runs and while it
/// was away; and control's own change made meanwhile that is lost by it.
#[test]
fn what_wg_sets_is_taken_into_the_store() {
    let mut lab = ControlLab::new().unwrap();
    let interface = lab.gateway.interface().to_owned();
    let set = |lab: &ControlLab, key: &PublicKey, rest: &str| {
        lab.gateway
            .wg(&format!("set {interface} peer {key} {rest}"))
            .unwrap();
    };
    let (one, two, ours) = (key(21), key(22), key(23));
    set(&lab, &one, "allowed-ips 10.77.1.1/32");
    let shown = shows(&lab, &one, Some("10.77.1.1/32"));
    assert_eq!(shown["owner"], "control");
    assert!(
        !audited(&lab, "wg", &one).is_empty(),
        "{:#}",
        lab.api().get("/v1/audit").unwrap()
    );

    // One change of each kind while it is away.
    set(&lab, &two, "allowed-ips 10.77.1.2/32");
    shows(&lab, &two, Some("10.77.1.2/32"));
    let input = json!({ "name": "ours", "allowed_ips": ["10.77.1.3/32"] });
    lab.api().change("PUT", &peer_path(&ours), &input).unwrap();
    // An orderly end, by which it is written down what the data plane has confirmed: what was not goes before what `wg` does
    // to the same peer.
    lab.control.stop().unwrap();
    set(&lab, &one, "allowed-ips 10.77.2.1/32");
    set(&lab, &two, "remove");
    set(&lab, &key(24), "allowed-ips 10.77.2.4/32");
    set(&lab, &ours, "persistent-keepalive 25");
    lab.start_control().unwrap();
    shows(&lab, &one, Some("10.77.2.1/32"));
    shows(&lab, &two, None);
    shows(&lab, &key(24), Some("10.77.2.4/32"));
    let shown = shows(&lab, &ours, Some("10.77.1.3/32"));
    assert_eq!(
        (&shown["name"], &shown["persistent_keepalive"]),
        (&json!("ours"), &json!(25))
    );
    for (peer, least) in [(&one, 2), (&two, 2), (&key(24), 1), (&ours, 1)] {
        let entries = audited(&lab, "wg", peer);
        assert!(entries.len() >= least, "{peer}: {entries:?}");
    }
    let verified = lab.api().get("/v1/audit/verification").unwrap();
    assert_eq!(verified["intact"], true, "{verified:#}");

    // The peer that `wg` made is changed here as any other.
    let patch = json!({ "name": "by wg", "allowed_ips": ["10.77.2.5/32"] });
    lab.api().change("PATCH", &peer_path(&key(24)), &patch).unwrap();
    wait::until_true("the change in the data plane", LIMIT, || {
        lab.gateway
            .wg(&format!("show {interface} allowed-ips"))
            .unwrap()
            .contains("10.77.2.5/32")
    })
    .unwrap();
}

/// Catches a peer that two owners declare and one of them silently loses, a conflict that names one side alone, and one
/// that keeps other peers out.
#[test]
fn a_peer_of_both_is_a_conflict_and_the_others_work() {
    let mut lab = ControlLab::new().unwrap();
    let client = lab.connect("client").unwrap();
    let both = key(31);
    let input = json!({ "name": "of the store", "allowed_ips": ["10.77.3.1/32"] });
    lab.api().change("PUT", &peer_path(&both), &input).unwrap();
    lab.control.kill().unwrap();
    let declared = format!(
        "\n[[peer]]\nname = \"of the file\"\npublic_key = \"{both}\"\nallowed_ips = [\"10.77.3.2/32\"]\n"
    );
    lab.gateway.write(&lab.toml(&declared)).unwrap();
    // A reload is refused, since control's peer is in force; a start knows the file alone.
    lab.restart_gateway().unwrap();
    lab.start_control().unwrap();

    let conflict = wait::until("the conflict", LIMIT, || {
        let peer = lab.peer(&both).unwrap();
        peer["conflict"].as_str().map(str::to_owned)
    })
    .unwrap();
    println!("{conflict}");
    for side in ["weir.toml", "the store"] {
        assert!(conflict.contains(side), "{side} is not named: {conflict}");
    }
    let alerts = lab.api().get("/v1/alerts").unwrap();
    let key = both.to_string();
    let raised = alerts["items"]
        .as_array()
        .unwrap()
        .iter()
        .any(|alert| alert["public_key"] == key.as_str());
    assert!(raised, "{alerts:#}");
    Ping::to(INSIDE)
        .until_answered(client.peer.namespace(), CALL_LIMIT)
        .unwrap();

    // What the file declares is the file's.
    let status = lab.gateway.status().unwrap();
    let peers = status["peers"].as_array().unwrap();
    let peer = peers
        .iter()
        .find(|peer| peer["public_key"] == key.as_str())
        .unwrap();
    assert_eq!(peer["allowed_ips"], json!(["10.77.3.2/32"]));

    // Without it in the store there is no conflict, and it is shown as the file's, read-only.
    lab.api().send("DELETE", &peer_path(&both), &[], None).unwrap();
    wait::until_true("the end of the conflict", LIMIT, || {
        let peer = lab.peer(&both).unwrap();
        peer["conflict"].is_null() && peer["owner"] == "file"
    })
    .unwrap();
    let refused = lab
        .api()
        .send("PATCH", &peer_path(&both), &[], Some(&json!({ "name": "mine" })))
        .unwrap();
    assert_eq!(refused.status, 409, "{:#}", refused.json());
    assert!(String::from_utf8_lossy(&refused.body).contains("weir.toml"));
}

/// Catches a data plane that starts with the file's peers alone and stays so, and changes made while it was away that are
/// lost.
#[test]
fn a_new_data_plane_gets_all_peers() {
    let mut lab = ControlLab::new().unwrap();
    let client = lab.connect("client").unwrap();
    let by_wg = key(41);
    lab.gateway
        .wg(&format!(
            "set {} peer {by_wg} allowed-ips 10.77.4.1/32",
            lab.gateway.interface()
        ))
        .unwrap();
    shows(&lab, &by_wg, Some("10.77.4.1/32"));
    lab.gateway.kill().unwrap();
    wait::until_true("that the data plane is away", LIMIT, || {
        lab.api().get("/v1/status").unwrap()["dataplane"].is_null()
    })
    .unwrap();
    let meanwhile = key(42);
    let input = json!({ "name": "meanwhile", "allowed_ips": ["10.77.4.2/32"] });
    lab.api().change("PUT", &peer_path(&meanwhile), &input).unwrap();
    lab.restart_gateway().unwrap();
    let expected: std::collections::BTreeSet<String> =
        [client.key, by_wg, meanwhile].map(|key| key.to_string()).into();
    wait::until_true("all peers in the data plane", LIMIT, || {
        let status = lab.gateway.status().unwrap();
        let peers = status["peers"].as_array().unwrap().iter();
        let keys: std::collections::BTreeSet<String> = peers
            .map(|peer| peer["public_key"].as_str().unwrap().to_owned())
            .collect();
        keys == expected
    })
    .unwrap();
    Ping::to(INSIDE)
        .until_answered(client.peer.namespace(), CALL_LIMIT)
        .unwrap();
}
