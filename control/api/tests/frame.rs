//! What surrounds every request: time limits, compression, the page beside the API.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use axum::Router;
use axum::routing::get;
use common::Server;
use serde_json::json;
use weir_api::backend::{Refusal, StorageFault};
use weir_api::limits::REQUEST_TIMEOUT;

// Catches a request that waits for ever.
#[tokio::test(start_paused = true)]
async fn a_request_ends_in_time() {
    let server = Server::new();
    let who = server.administrator();
    server.fake.held().hangs = true;
    let begun = tokio::time::Instant::now();
    server
        .call("GET", "/v1/status")
        .by(&who)
        .send()
        .await
        .is_problem(503, "timeout");
    assert_eq!(begun.elapsed().as_secs(), REQUEST_TIMEOUT.as_secs());
}

// Catches an Idempotency-Key that stays taken after its request was refused.
#[tokio::test]
async fn a_repetition_after_a_refusal_is_tried_again() {
    let server = Server::new();
    let who = server.administrator();
    let create = || {
        let call = server
            .call("POST", "/v1/peers")
            .by(&who)
            .header("idempotency-key", "k");
        call.json(json!({"name": "phone"})).send()
    };
    server.fake.held().fault = Some(Refusal::Storage(StorageFault::Full));
    create().await.is_problem(507, "storage");
    server.fake.held().fault = None;
    assert_eq!(create().await.status, 201);
}

// Catches answers that are sent larger than they need be.
#[tokio::test]
async fn answers_are_compressed_for_who_can_read_it() {
    let server = Server::new();
    let who = server.administrator();
    let plain = server.call("GET", "/v1/audit").by(&who).send().await;
    assert_eq!(plain.header("content-encoding"), "");
    let small = server
        .call("GET", "/v1/audit")
        .by(&who)
        .header("accept-encoding", "gzip")
        .send()
        .await;
    assert_eq!(small.header("content-encoding"), "gzip");
    assert!(small.bytes.len() < plain.bytes.len() / 2);
}

// Catches a page that takes the API's paths, or the other way round, and one without the headers of every answer.
#[tokio::test]
async fn the_page_lies_beside_the_api() {
    let page = Router::new().fallback(get(|| async { "the page" }));
    let server = Server::with_page(Some(page));
    for path in ["/", "/peers", "/v1x", "/assets/main.js"] {
        let answer = server.call("GET", path).send().await;
        assert_eq!(answer.text(), "the page", "{path}");
        assert!(
            answer
                .header("content-security-policy")
                .contains("default-src 'self'")
        );
    }
    for path in ["/v1", "/v1/", "/v1/nothing", "/v1/peers/a/b/c"] {
        server.call("GET", path).send().await.is_problem(404, "not-found");
    }
    server
        .call("GET", "/v1/peers")
        .send()
        .await
        .is_problem(401, "unauthenticated");
}
