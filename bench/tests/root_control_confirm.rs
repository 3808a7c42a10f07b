//! A change that cuts the operator off reverts by itself: whoever manages the gateway through the tunnel, and locks
//! themselves out, is let in again when nobody confirms.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weir_bench::api::{Answer, peer_path};
use weir_bench::control_lab::{Client, ControlLab, INSIDE};
use weir_bench::{Ping, wait};

/// The shortest time after which a change reverts.
const CONFIRM_S: u64 = 10;

/// How long a reversal may take: three times that.
const LIMIT: Duration = Duration::from_secs(3 * CONFIRM_S);

fn answers(operator: &Client) -> bool {
    Ping::to(INSIDE)
        .count(1)
        .run(operator.peer.namespace())
        .unwrap()
        .received
        == 1
}

/// The change that an answer names in its header.
fn pending(answer: &Answer) -> Value {
    let header = answer
        .header("weir-change")
        .expect("a change that waits for its confirmation");
    serde_json::from_str(header).unwrap()
}

/// Catches a lock-out that lasts: an own peer that was disabled.
#[test]
fn an_operator_who_disabled_the_own_peer_is_let_in_again() {
    let mut lab = ControlLab::new().unwrap();
    let operator = lab.connect("operator").unwrap();
    let other = lab.connect("other").unwrap();
    let before = lab.peer(&operator.key).unwrap();
    let begun = Instant::now();
    let path = format!("{}?confirm_within_s={CONFIRM_S}", peer_path(&operator.key));
    let answer = lab
        .api()
        .change("PATCH", &path, &json!({ "disabled": true }))
        .unwrap();
    let change = pending(&answer);
    println!("{change}");
    wait::until_true("an operator who is cut off", LIMIT, || !answers(&operator)).unwrap();
    let waiting = lab.api().get("/v1/changes").unwrap();
    assert_eq!(waiting["items"].as_array().unwrap().len(), 1, "{waiting:#}");
    // Whoever kills control does not make the change stay.
    lab.restart_control().unwrap();
    wait::until_true("an operator who is let in again", LIMIT, || answers(&operator)).unwrap();
    assert!(
        begun.elapsed() >= Duration::from_secs(CONFIRM_S),
        "it had its time"
    );
    let after = lab.peer(&operator.key).unwrap();
    for field in ["disabled", "name", "allowed_ips", "groups"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    assert!(
        lab.api().get("/v1/changes").unwrap()["items"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    assert!(answers(&other));
}

/// Catches rules that lock out everybody and stay, and a confirmed change that reverts all the same.
#[test]
fn rules_that_deny_the_gateway_revert_unless_confirmed() {
    let lab = ControlLab::new().unwrap();
    let operator = lab.connect("operator").unwrap();
    let deny = json!({ "items": [{ "name": "lock out", "action": "deny", "to": [format!("{INSIDE}/32")] }] });
    let path = format!("/v1/rules?confirm_within_s={CONFIRM_S}");
    lab.api().change("PUT", &path, &deny).unwrap();
    wait::until_true("an operator who is cut off", LIMIT, || !answers(&operator)).unwrap();
    wait::until_true("an operator who is let in again", LIMIT, || answers(&operator)).unwrap();
    assert_eq!(lab.api().get("/v1/rules").unwrap()["items"], json!([]));

    // What is confirmed stays.
    let harmless = json!({ "items": [{ "name": "kept", "action": "deny", "to": ["203.0.113.0/24"] }] });
    let begun = Instant::now();
    let change = pending(&lab.api().change("PUT", &path, &harmless).unwrap());
    let id = change["id"]
        .as_str()
        .or(change["change"]["id"].as_str())
        .unwrap()
        .to_owned();
    lab.api()
        .change("POST", &format!("/v1/changes/{id}/confirmation"), &json!({}))
        .unwrap();
    while begun.elapsed() < Duration::from_secs(CONFIRM_S + 2) {
        assert_eq!(lab.api().get("/v1/rules").unwrap()["items"][0]["name"], "kept");
        std::thread::sleep(Duration::from_millis(200));
    }
}
