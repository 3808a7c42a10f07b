//! Changes: versions, repetitions, confirmation.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::fake::samples::KEY;
use common::{Server, filled};
use serde_json::{Value, json};
use weir_api::types::{Role, Scope};

fn peer() -> String {
    filled("/v1/peers/{public_key}")
}

// Catches a change that overwrites what somebody else changed meanwhile, and a creation that replaces.
#[tokio::test]
async fn versions_guard_changes() {
    let server = Server::new();
    let who = server.administrator();
    let read = server.call("GET", &peer()).by(&who).send().await;
    let etag = read.header("etag").to_owned();
    assert!(etag.starts_with('"') && etag.ends_with('"'), "{etag}");
    let patch = |tag: &str| {
        let call = server.call("PATCH", &peer()).by(&who).header("if-match", tag);
        call.json(json!({"notes": "x"})).send()
    };
    let changed = patch(&etag).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    let newer = changed.header("etag").to_owned();
    assert_ne!(newer, etag);
    let late = patch(&etag).await;
    late.is_problem(412, "precondition-failed");
    assert_eq!(late.header("etag"), newer);
    patch(&format!("W/{newer}"))
        .await
        .is_problem(412, "precondition-failed");
    assert_eq!(patch(&format!("\"x\", {newer}")).await.status, 200);
    assert_eq!(patch("*").await.status, 200);
    for bad in ["x", "\"x", &["\"x\""; 17].join(",")] {
        patch(bad).await.is_problem(422, "invalid");
    }
    let put = |uri: &str| {
        let call = server.call("PUT", uri).by(&who).header("if-none-match", "*");
        call.json(json!({"name": "new"})).send()
    };
    put(&peer()).await.is_problem(412, "precondition-failed");
    let other = format!("/v1/peers/{}", "E".repeat(43));
    let created = put(&other).await;
    assert_eq!(created.status, 201, "{}", created.text());
    let again = server
        .call("PUT", &other)
        .by(&who)
        .json(json!({"name": "new"}))
        .send()
        .await;
    assert_eq!(
        (again.status.as_u16(), &again.value()["name"]),
        (200, &created.value()["name"])
    );
    let gone = server
        .call("DELETE", &other)
        .by(&who)
        .header("if-match", "\"nothing\"")
        .send()
        .await;
    gone.is_problem(412, "precondition-failed");
    let rules = server
        .call("PUT", "/v1/rules")
        .by(&who)
        .header("if-match", "\"nothing\"")
        .json(json!({"items": []}));
    rules.send().await.is_problem(412, "precondition-failed");
}

// Catches an answer that is sent again though the caller has it.
#[tokio::test]
async fn what_the_caller_has_is_not_sent_again() {
    let server = Server::new();
    let who = server.administrator();
    let read = server.call("GET", "/v1/settings").by(&who).send().await;
    let again = server
        .call("GET", "/v1/settings")
        .by(&who)
        .header("if-none-match", read.header("etag"))
        .send()
        .await;
    assert_eq!(again.status, 304);
    assert!(again.bytes.is_empty());
    let other = server
        .call("GET", "/v1/settings")
        .by(&who)
        .header("if-none-match", "\"x\"")
        .send()
        .await;
    assert_eq!(other.status, 200);
}

// Catches a repetition that makes a second peer, one that another caller is answered, and one with another body.
#[tokio::test]
async fn repetitions_are_answered_like_the_first() {
    let server = Server::new();
    let (who, other) = (
        server.administrator(),
        server.token(Role::Operator, &[Scope::PeersWrite]),
    );
    let create = |by, key: &str, body: Value| {
        server
            .call("POST", "/v1/peers")
            .by(by)
            .header("idempotency-key", key)
            .json(body)
            .send()
    };
    let first = create(&who, "k1", json!({"name": "phone"})).await;
    assert_eq!(first.status, 201);
    let again = create(&who, "k1", json!({"name": "phone"})).await;
    assert_eq!((again.status, again.text()), (first.status, first.text()));
    assert_eq!(
        (again.header("etag"), again.header("idempotent-replayed")),
        (first.header("etag"), "true")
    );
    assert_eq!(server.fake.held().changes, 1);
    create(&who, "k1", json!({"name": "other"}))
        .await
        .is_problem(422, "idempotency-key-reused");
    let theirs = create(&other, "k1", json!({"name": "phone"})).await;
    assert_ne!(theirs.text(), first.text());
    assert_eq!(server.fake.held().changes, 2);
    for key in ["", &"x".repeat(129)] {
        create(&who, key, json!({"name": "phone"}))
            .await
            .is_problem(422, "invalid");
    }
    // What was refused may be tried again with the fault put right.
    create(&who, "k2", json!({"name": "<"}))
        .await
        .is_problem(422, "invalid");
    assert_eq!(create(&who, "k2", json!({"name": "tablet"})).await.status, 201);
}

// Catches a repetition at the same time that is run twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repetitions_at_the_same_time_run_once() {
    let server = Server::new();
    let who = server.administrator();
    let create = || {
        let call = server
            .call("POST", "/v1/peers")
            .by(&who)
            .header("idempotency-key", "k");
        call.json(json!({"name": "phone"})).send()
    };
    let answers = futures_util::future::join_all((0..20).map(|_| create())).await;
    assert!(
        answers
            .iter()
            .all(|answer| answer.status == 201 || answer.status == 409)
    );
    assert_eq!(server.fake.held().changes, 1);
}

// Catches a change that is not said to revert, and one that cannot be confirmed.
#[tokio::test]
async fn a_change_reverts_unless_it_is_confirmed() {
    let server = Server::new();
    let who = server.administrator();
    let made = server
        .call("PATCH", &format!("{}?confirm_within_s=60", peer()))
        .by(&who);
    let made = made.json(json!({"disabled": true})).send().await;
    let said: Value = serde_json::from_str(made.header("weir-change")).unwrap();
    assert_eq!(said["reverts_at"], "2026-11-21T12:01:00Z");
    let id = said["id"].as_str().unwrap();
    let pending = server.call("GET", "/v1/changes").by(&who).send().await;
    assert_eq!(pending.value()["items"][0]["id"], id);
    let confirm = || {
        server
            .call("POST", &format!("/v1/changes/{id}/confirmation"))
            .by(&who)
            .send()
    };
    assert_eq!(confirm().await.status, 204);
    confirm().await.is_problem(404, "not-found");
}

// Catches a bulk change that is made in part, one without end, and one that names two keys.
#[tokio::test]
async fn bulk_changes_are_whole() {
    let server = Server::new();
    let who = server.administrator();
    let bulk = |operations: Value| {
        server
            .call("POST", "/v1/peers/bulk")
            .by(&who)
            .json(json!({"operations": operations}))
            .send()
    };
    let absent = "ISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+P0A=";
    let wrong = bulk(json!([
        {"op": "delete", "public_key": KEY},
        {"op": "delete", "public_key": absent},
    ]))
    .await;
    wrong.is_problem(422, "invalid");
    assert!(
        wrong.value()["errors"][0]["field"]
            .as_str()
            .unwrap()
            .starts_with("operations[1]")
    );
    assert_eq!(server.fake.held().peers.len(), 1);
    let two =
        bulk(json!([{"op": "put", "public_key": absent, "peer": {"name": "a", "public_key": KEY}}])).await;
    assert_eq!(two.value()["errors"][0]["field"], "operations[0].peer.public_key");
    bulk(json!([])).await.is_problem(422, "invalid");
    let many: Vec<Value> = (0..1001)
        .map(|_| json!({"op": "delete", "public_key": KEY}))
        .collect();
    bulk(json!(many)).await.is_problem(422, "invalid");
    let done = bulk(json!([
        {"op": "put", "public_key": absent, "peer": {"name": "a"}},
        {"op": "patch", "public_key": KEY, "peer": {"notes": null}},
    ]))
    .await;
    assert_eq!(done.value(), json!({"created": 1, "changed": 1, "removed": 0}));
}

// Catches a rule that is taken though the data plane would refuse it, and rules of the file that go with an answer.
#[tokio::test]
async fn rules_are_judged() {
    let server = Server::new();
    let who = server.administrator();
    let put = |item: Value| {
        server
            .call("PUT", "/v1/rules")
            .by(&who)
            .json(json!({"items": [item]}))
            .send()
    };
    for (item, field) in [
        (json!({"action": "accept", "owner": "file"}), "items[0].owner"),
        (json!({"action": "accept", "ports": ["80"]}), "items[0].ports"),
        (
            json!({"action": "accept", "protocol": "icmp", "ports": ["80"]}),
            "items[0].ports",
        ),
        (
            json!({"action": "accept", "ports": ["90-80"]}),
            "items[0].ports[0]",
        ),
        (json!({"action": "reject"}), "items[0].action"),
        (
            json!({"action": "deny", "from": ["10.0.0.0/8"]}),
            "items[0].from[0]",
        ),
        (
            json!({"action": "deny", "to": vec!["10.0.0.0/8"; 257]}),
            "items[0].to",
        ),
    ] {
        let answer = put(item).await;
        answer.is_problem(422, "invalid");
        assert_eq!(answer.value()["errors"][0]["field"], field);
    }
    let made =
        put(json!({"name": "web", "action": "accept", "protocol": "tcp", "ports": ["80", "8000-8100"]}))
            .await;
    assert_eq!(made.status, 200, "{}", made.text());
    // What is answered may be sent back.
    let back = server
        .call("PUT", "/v1/rules")
        .by(&who)
        .json(made.value())
        .send()
        .await;
    assert_eq!(back.value(), made.value());
}

// Catches the last administrator locking everybody out.
#[tokio::test]
async fn the_last_administrator_stays() {
    let server = Server::new();
    let who = server.administrator();
    server
        .call("DELETE", "/v1/users/admin")
        .by(&who)
        .send()
        .await
        .is_problem(409, "conflict");
    let patch = server
        .call("PATCH", "/v1/users/admin")
        .by(&who)
        .json(json!({"role": "viewer"}));
    patch.send().await.is_problem(409, "conflict");
}

// Catches a bulk change whose fault is named by its place alone, and one that brings too little or too much.
#[tokio::test]
async fn bulk_changes_name_the_field() {
    let server = Server::new();
    let who = server.administrator();
    for (operation, field) in [
        (
            json!({"op": "put", "public_key": KEY, "peer": {"name": "a", "allowed_ips": ["x"]}}),
            "operations[0].peer.allowed_ips[0]",
        ),
        (
            json!({"op": "put", "public_key": KEY, "peer": {"name": "a", "colour": 1}}),
            "operations[0].peer.colour",
        ),
        (
            json!({"op": "put", "public_key": KEY, "peer": ["a"]}),
            "operations[0].peer",
        ),
        (json!({"op": "put", "public_key": KEY}), "operations[0].peer"),
        (
            json!({"op": "delete", "public_key": KEY, "peer": {}}),
            "operations[0].peer",
        ),
        (
            json!({"op": "delete", "public_key": "x"}),
            "operations[0].public_key",
        ),
        (json!({"op": "move", "public_key": KEY}), "operations[0].op"),
    ] {
        let call = server
            .call("POST", "/v1/peers/bulk")
            .by(&who)
            .json(json!({"operations": [operation]}));
        let answer = call.send().await;
        answer.is_problem(422, "invalid");
        assert_eq!(answer.value()["errors"][0]["field"], field, "{}", answer.text());
    }
    let secret = json!({"op": "put", "public_key": KEY, "peer": {"name": "a", "preshared_key": "hunter2"}});
    let call = server
        .call("POST", "/v1/peers/bulk")
        .by(&who)
        .json(json!({"operations": [secret]}));
    assert!(!call.send().await.text().contains("hunter2"));
}
