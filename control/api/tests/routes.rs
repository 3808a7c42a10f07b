//! Every route as an administrator sees it: what it answers when all is well, and each way in which it is not.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::fake::samples::{KEY, SECRET};
use common::{Server, filled};
use serde_json::{Value, json};
use weir_api::auth::ACCESS;
use weir_api::backend::{Refusal, StorageFault};
use weir_api::types::Owner;

fn peer() -> String {
    filled("/v1/peers/{public_key}")
}

fn settings() -> Value {
    serde_json::to_value(weir_api::types::Settings::default()).unwrap()
}

/// A body that the route takes.
fn body(method: &str, path: &str) -> Option<Value> {
    Some(match (method, path) {
        ("POST", "/v1/session") => json!({"name": "admin", "password": common::fake::samples::PASSWORD}),
        ("POST", "/v1/peers") => json!({"name": "phone"}),
        ("POST", "/v1/peers/bulk") => json!({"operations": [{"op": "delete", "public_key": KEY}]}),
        ("PUT", "/v1/peers/{public_key}") => json!({"name": "phone"}),
        ("PATCH", "/v1/peers/{public_key}") => json!({"disabled": true}),
        ("POST", "/v1/peers/{public_key}/diagnosis") => json!({"probe": true}),
        ("PUT", "/v1/rules") => json!({"items": [{"action": "deny", "to": ["10.0.0.0/8"]}]}),
        ("POST", "/v1/users") => json!({"name": "carol", "role": "viewer", "password": "correct horse"}),
        ("PATCH", "/v1/users/{name}") => json!({"disabled": true}),
        ("PUT", "/v1/users/{name}/password") => json!({"new": "correct horse"}),
        ("POST", "/v1/tokens") => json!({"name": "ci", "role": "viewer"}),
        ("PUT", "/v1/settings") => settings(),
        ("POST", "/v1/backup") => json!({"passphrase": "correct horse"}),
        ("POST", "/v1/restore") => json!({"passphrase": "correct horse", "backup": "c2VhbGVk"}),
        _ => return None,
    })
}

/// Whether the route changes something of the configuration, and so takes `dry_run`.
fn takes_dry_run(method: &str, path: &str) -> bool {
    let plain = ["/v1/session", "/v1/peers/{public_key}/diagnosis", "/v1/backup"];
    method != "GET" && !plain.contains(&path) && !path.starts_with("/v1/changes")
}

// Catches a route that does not answer, or answers something else than JSON where it should.
#[tokio::test]
async fn every_route_answers() {
    for access in ACCESS {
        let server = Server::new();
        let who = server.administrator();
        if access.path.starts_with("/v1/changes/") {
            let made = server
                .call("PUT", "/v1/settings?confirm_within_s=60")
                .by(&who)
                .json(settings())
                .send()
                .await;
            assert_eq!(made.status, 200);
        }
        if access.path == "/v1/tokens/{id}" {
            server.fake.held().tokens[0].id = "c1".to_owned();
        }
        // A stream has no end; its own tests read it.
        if access.path == "/v1/events" {
            continue;
        }
        let mut call = server.call(access.method, &filled(access.path)).by(&who);
        if let Some(body) = body(access.method, access.path) {
            call = call.json(body);
        }
        let answer = call.send().await;
        let expected: &[u16] = match (access.method, access.path) {
            (_, "/v1/docs") => &[308],
            ("POST", "/v1/peers" | "/v1/users" | "/v1/tokens") => &[201],
            ("PUT", "/v1/users/{name}/password") => &[204],
            ("DELETE", _) => &[204],
            ("POST", "/v1/changes/{id}/confirmation") => &[204],
            _ => &[200],
        };
        let said = answer.text();
        assert!(
            expected.contains(&answer.status.as_u16()),
            "{access:?}: {} {said}",
            answer.status
        );
        if answer.header("content-type") == "application/json" {
            assert!(answer.value().is_object(), "{access:?}: {said}");
        }
    }
}

// Catches a dry run that changes something, and a change that says nothing of what it would do.
#[tokio::test]
async fn a_dry_run_answers_a_diff_and_changes_nothing() {
    for access in ACCESS
        .iter()
        .filter(|access| takes_dry_run(access.method, access.path))
    {
        let server = Server::new();
        let who = server.administrator();
        server.fake.held().tokens[0].id = "c1".to_owned();
        let mut call = server
            .call(access.method, &format!("{}?dry_run=true", filled(access.path)))
            .by(&who);
        if let Some(body) = body(access.method, access.path) {
            call = call.json(body);
        }
        let answer = call.send().await;
        assert_eq!(answer.status, 200, "{access:?}: {}", answer.text());
        assert!(answer.value()["diff"].is_array(), "{access:?}: {}", answer.text());
        assert_eq!(server.fake.held().changes, 0, "{access:?}");
    }
}

// Catches a fault of the store or of the program that is answered with another status, or with what only the log may say.
#[tokio::test]
async fn every_refusal_has_its_status() {
    let secret = "at offset 12 of /var/lib".to_owned();
    let said = || "words".to_owned();
    let refusals = [
        (Refusal::NotFound { what: "peer" }, 404, "not-found"),
        (Refusal::Conflict { detail: said() }, 409, "conflict"),
        (Refusal::Taken(vec![]), 409, "conflict"),
        (Refusal::Precondition { etag: None }, 412, "precondition-failed"),
        (Refusal::Invalid(vec![]), 422, "invalid"),
        (
            Refusal::ReadOnly {
                owner: Owner::File,
                detail: said(),
            },
            409,
            "read-only",
        ),
        (Refusal::Forbidden { detail: said() }, 403, "forbidden"),
        (Refusal::Storage(StorageFault::Full), 507, "storage"),
        (Refusal::Storage(StorageFault::ReadOnly), 507, "storage"),
        (Refusal::Storage(StorageFault::Failed), 507, "storage"),
        (Refusal::Unavailable { detail: said() }, 503, "unavailable"),
        (
            Refusal::TooMany {
                what: "peers",
                retry_after_s: 7,
            },
            429,
            "too-many",
        ),
        (Refusal::Internal(secret.clone()), 500, "internal"),
    ];
    let changes = ACCESS
        .iter()
        .filter(|access| takes_dry_run(access.method, access.path));
    for access in changes {
        let server = Server::new();
        let who = server.administrator();
        for (refusal, status, kind) in &refusals {
            server.fake.held().fault = Some(refusal.clone());
            let mut call = server.call(access.method, &filled(access.path)).by(&who);
            if let Some(body) = body(access.method, access.path) {
                call = call.json(body);
            }
            let answer = call.send().await;
            answer.is_problem(*status, kind);
            assert!(!answer.text().contains(&secret));
            if *status == 429 {
                assert_eq!(answer.header("retry-after"), "7");
            }
        }
        assert_eq!(server.fake.held().changes, 0);
    }
}

// Catches a thing that is not there answered otherwise than 404, and a key that is none answered otherwise than 422.
#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let server = Server::new();
    let who = server.administrator();
    let absent = format!("/v1/peers/{}", "E".repeat(43));
    for access in ACCESS
        .iter()
        .filter(|access| access.path.contains("{public_key}"))
    {
        if access.method == "PUT" {
            continue;
        }
        for (key, status, kind) in [
            (absent.as_str(), 404, "not-found"),
            ("/v1/peers/%ff", 404, "not-found"),
            ("/v1/peers/AQID", 422, "invalid"),
        ] {
            let uri = access.path.replace("/v1/peers/{public_key}", key);
            let mut call = server.call(access.method, &uri).by(&who);
            if let Some(body) = body(access.method, access.path) {
                call = call.json(body);
            }
            call.send().await.is_problem(status, kind);
        }
    }
    for (method, uri) in [
        ("GET", "/v1/users/nobody"),
        ("DELETE", "/v1/users/nobody"),
        ("DELETE", "/v1/tokens/none"),
        ("DELETE", "/v1/changes/none"),
        ("POST", "/v1/changes/none/confirmation"),
        ("GET", "/v1/docs/none.js"),
        ("GET", "/v1/nothing"),
        ("GET", "/v1"),
        ("GET", "/nothing"),
        ("GET", "/v1/docs/../../etc/passwd"),
    ] {
        server
            .call(method, uri)
            .by(&who)
            .send()
            .await
            .is_problem(404, "not-found");
    }
}

// Catches a 405 without its problem, and one that does not say what is allowed.
#[tokio::test]
async fn methods_that_a_route_does_not_know_are_named() {
    let server = Server::new();
    let answer = server.call("DELETE", "/v1/peers").send().await;
    answer.is_problem(405, "method-not-allowed");
    let mut allowed: Vec<&str> = answer.header("allow").split(',').map(str::trim).collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "POST"]);
    for method in ["PATCH", "OPTIONS", "TRACE", "BREW"] {
        server
            .call(method, "/v1/status")
            .send()
            .await
            .is_problem(405, "method-not-allowed");
    }
}

// Catches a body that is taken though it is of another type, too large, or no JSON; and limits that differ per route.
#[tokio::test]
async fn bodies_are_judged_before_they_are_read() {
    let server = Server::new();
    let who = server.administrator();
    let post = || server.call("POST", "/v1/peers").by(&who);
    post()
        .bytes("text/plain", b"{}".to_vec())
        .send()
        .await
        .is_problem(415, "media-type");
    post()
        .bytes("application/x-www-form-urlencoded", b"name=a".to_vec())
        .send()
        .await
        .is_problem(415, "media-type");
    post()
        .bytes("application/merge-patch+json", b"{}".to_vec())
        .send()
        .await
        .is_problem(415, "media-type");
    post().send().await.is_problem(415, "media-type");
    post()
        .bytes("application/json; charset=utf-8", b"{".to_vec())
        .send()
        .await
        .is_problem(400, "syntax");
    post()
        .bytes("application/json", vec![0xff; 10])
        .send()
        .await
        .is_problem(400, "syntax");
    let large = format!("{{\"name\":\"{}\"}}", "a".repeat(weir_api::limits::BODY_MAX));
    post()
        .bytes("application/json", large.clone().into_bytes())
        .send()
        .await
        .is_problem(413, "too-large");
    let bulk = server
        .call("POST", "/v1/peers/bulk")
        .by(&who)
        .bytes("application/json", large.into_bytes());
    bulk.send().await.is_problem(422, "invalid");
    let patch = server.call("PATCH", &peer()).by(&who);
    let answer = patch
        .bytes("application/merge-patch+json", b"{\"notes\":\"x\"}".to_vec())
        .send()
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.value()["notes"], "x");
    let deep = format!("{}{}", "{\"name\":".repeat(10_000), "}".repeat(10_000));
    let answer = post().bytes("application/json", deep.into_bytes()).send().await;
    assert!(answer.status.is_client_error(), "{}", answer.text());
}

// Catches a query that is taken though it says something unknown or outside its range.
#[tokio::test]
async fn queries_are_as_strict_as_bodies() {
    let server = Server::new();
    let who = server.administrator();
    for (uri, field) in [
        ("/v1/peers?limit=0", "limit"),
        ("/v1/peers?limit=1001", "limit"),
        ("/v1/peers?limit=-1", "limit"),
        ("/v1/peers?limit=a", "limit"),
        ("/v1/peers?lim=1", "lim"),
        ("/v1/peers?limit=1&limit=2", "limit"),
        ("/v1/peers?cursor=%00", "cursor"),
        ("/v1/peers?cursor=AAE", "cursor"),
        ("/v1/peers?state=", "state"),
        ("/v1/peers?state=gone", "state"),
        ("/v1/peers?sort=colour", "sort"),
        ("/v1/audit?from=yesterday", "from"),
        (
            "/v1/compliance?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
            "from",
        ),
        ("/v1/compliance?from=-009999-01-02T01:59:59Z", "from"),
        ("/v1/compliance?format=pdf", "format"),
        ("/v1/events?peer=AQID", "peer"),
        (
            "/v1/peers/AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA/history?range=1y",
            "range",
        ),
    ] {
        let answer = server.call("GET", uri).by(&who).send().await;
        answer.is_problem(422, "invalid");
        assert_eq!(
            answer.value()["errors"][0]["field"],
            field,
            "{uri}: {}",
            answer.text()
        );
    }
    for (uri, field) in [
        ("?confirm_within_s=9", "confirm_within_s"),
        ("?confirm_within_s=3601", "confirm_within_s"),
        ("?dry_run=perhaps", "dry_run"),
        ("?dryrun=true", "dryrun"),
    ] {
        let answer = server
            .call("DELETE", &format!("{}{uri}", peer()))
            .by(&who)
            .send()
            .await;
        answer.is_problem(422, "invalid");
        assert_eq!(answer.value()["errors"][0]["field"], field, "{uri}");
    }
    // A change that cannot revert by itself does not take the wish that it does.
    server
        .call("DELETE", "/v1/users/viewer?confirm_within_s=60")
        .by(&who)
        .send()
        .await
        .is_problem(422, "invalid");
    let empty = server.call("GET", "/v1/peers?q=&cursor=").by(&who).send().await;
    assert_eq!(empty.status, 200, "a form sends what was left out as nothing");
}

// Catches a private or preshared key in any answer but the one that makes it.
#[tokio::test]
async fn a_private_key_is_answered_once() {
    let server = Server::new();
    let who = server.administrator();
    let created = server
        .call("POST", "/v1/peers")
        .by(&who)
        .json(json!({"name": "phone"}))
        .send()
        .await;
    assert!(created.value()["config"].as_str().unwrap().contains(SECRET));
    assert!(!created.header("etag").is_empty());
    let key: String = created.value()["peer"]["public_key"].as_str().unwrap().to_owned();
    let own = json!({"name": "own", "public_key": "ISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+P0A="});
    let with_key = server
        .call("POST", "/v1/peers")
        .by(&who)
        .json(own.clone())
        .send()
        .await;
    assert_eq!(with_key.value()["config"], Value::Null);
    server
        .call("POST", "/v1/peers")
        .by(&who)
        .json(own)
        .send()
        .await
        .is_problem(409, "conflict");
    for uri in [
        "/v1/peers".to_owned(),
        format!("/v1/peers/{}", key.replace('/', "%2F").replace('+', "%2B")),
    ] {
        let read = server.call("GET", &uri).by(&who).send().await;
        assert_eq!(read.status, 200, "{uri}: {}", read.text());
        assert!(!read.text().contains(SECRET) && !read.text().contains("PrivateKey"));
    }
}

// Catches a compliance report in CSV that loses lines.
#[tokio::test]
async fn the_compliance_report_comes_as_json_and_csv() {
    let server = Server::new();
    let who = server.administrator();
    let json = server.call("GET", "/v1/compliance").by(&who).send().await;
    assert_eq!(json.value()["from"], "2026-10-22T12:00:00Z");
    let csv = server
        .call("GET", "/v1/compliance?format=csv")
        .by(&who)
        .send()
        .await;
    assert!(csv.header("content-type").starts_with("text/csv"));
    let text = csv.text();
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(
        lines[0],
        "kind,subject,name,count,rx_bytes,tx_bytes,first_seen,last_seen"
    );
    let peer = format!("peer,{KEY},laptop,7,8,9,2026-10-22T12:00:00Z,");
    assert!(
        lines.contains(&peer.as_str()) && lines.contains(&"changes,user:admin,,1,,,,"),
        "{text}"
    );
}

// Catches readiness that is said though something is missing.
#[tokio::test]
async fn readiness_says_what_is_missing() {
    let server = Server::new();
    assert_eq!(server.call("GET", "/readyz").send().await.status, 200);
    server.fake.held().ready = false;
    let answer = server.call("GET", "/readyz").send().await;
    answer.is_problem(503, "unavailable");
    assert!(answer.text().contains("data plane"));
    assert_eq!(server.call("GET", "/livez").send().await.status, 200);
}
