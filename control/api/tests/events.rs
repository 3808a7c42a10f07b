//! Events as they are streamed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use axum::body::{Body, BodyDataStream};
use common::fake::samples::KEY;
use common::{CLIENT, Server, Who, tcp};
use core::time::Duration;
use futures_util::StreamExt as _;
use http::{Request, Response};
use tower::ServiceExt as _;
use weir_api::limits::{EVENT_QUEUE, HEARTBEAT, LISTENERS_MAX};
use weir_api::types::{Event, LostEvents, RefusedHandshake, Role, Scope};

fn refused(count: u64) -> Event {
    Event::Refused(RefusedHandshake {
        at: jiff::Timestamp::UNIX_EPOCH,
        source: "192.0.2.1:1".to_owned(),
        why: "wrong_mac1".to_owned(),
        peer: None,
        count,
    })
}

async fn listen(server: &Server, who: &Who, uri: &str, last: Option<&str>) -> Response<Body> {
    let Who::Token(token) = who else {
        unreachable!("a token was made")
    };
    let mut request = Request::get(uri).header("authorization", format!("Bearer {token}"));
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let mut request = request
        .header("accept-encoding", "gzip")
        .body(Body::empty())
        .unwrap();
    request.extensions_mut().insert(tcp(CLIENT, false));
    server.router.clone().oneshot(request).await.unwrap()
}

async fn stream(server: &Server, who: &Who, uri: &str, last: Option<&str>) -> BodyDataStream {
    let response = listen(server, who, uri, last).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert!(
        response.headers().get("content-encoding").is_none(),
        "a stream that is compressed is held back"
    );
    response.into_body().into_data_stream()
}

async fn next(stream: &mut BodyDataStream) -> Option<String> {
    let chunk = tokio::time::timeout(Duration::from_secs(60), stream.next())
        .await
        .expect("an event in time")?;
    Some(String::from_utf8(chunk.unwrap().to_vec()).unwrap())
}

// Catches an event without its name, its id or its data, and one of the moment that has an id.
#[tokio::test(start_paused = true)]
async fn events_are_streamed_as_they_happen() {
    let server = Server::new();
    let who = server.token(Role::Viewer, &[Scope::EventsRead]);
    let mut events = stream(&server, &who, "/v1/events", None).await;
    server.fake.hub.publish(refused(7));
    let text = next(&mut events).await.unwrap();
    assert!(
        text.contains("event: refused\n") && text.contains("id: test-1\n"),
        "{text}"
    );
    assert!(text.contains("\"count\":7") && text.ends_with("\n\n"), "{text}");
    server
        .fake
        .hub
        .publish(Event::Lost(LostEvents { count: Some(1) }));
    let text = next(&mut events).await.unwrap();
    assert!(text.contains("event: lost\n") && !text.contains("id:"), "{text}");
    drop(events);
    assert_eq!(server.fake.hub.listeners(), 0);
}

// Catches a listener that comes back and misses events, or is not told that it did.
#[tokio::test(start_paused = true)]
async fn a_listener_that_comes_back_is_told_what_it_missed() {
    let server = Server::new();
    let who = server.token(Role::Viewer, &[Scope::EventsRead]);
    for count in 1..=3 {
        server.fake.hub.publish(refused(count));
    }
    let mut events = stream(&server, &who, "/v1/events", Some("test-1")).await;
    assert!(next(&mut events).await.unwrap().contains("id: test-2\n"));
    assert!(next(&mut events).await.unwrap().contains("id: test-3\n"));
    let mut events = stream(&server, &who, "/v1/events", Some("earlier-1")).await;
    assert!(next(&mut events).await.unwrap().contains("event: lost\n"));
}

// Catches a stream that lives on without showing it, or after its token was revoked.
#[tokio::test(start_paused = true)]
async fn a_stream_shows_that_it_lives_and_ends_with_its_right() {
    let server = Server::new();
    let who = server.token(Role::Viewer, &[Scope::EventsRead]);
    let mut events = stream(&server, &who, "/v1/events", None).await;
    let begun = tokio::time::Instant::now();
    assert!(next(&mut events).await.unwrap().starts_with(':'));
    assert_eq!(begun.elapsed().as_secs(), HEARTBEAT.as_secs());
    server.fake.held().tokens.clear();
    assert_eq!(next(&mut events).await, None);
}

// Catches a slow listener that is kept, and one that is dropped without being told.
#[tokio::test(start_paused = true)]
async fn a_slow_listener_is_told_and_dropped() {
    let server = Server::new();
    let who = server.token(Role::Viewer, &[Scope::EventsRead]);
    let mut events = stream(&server, &who, "/v1/events", None).await;
    for count in 0..EVENT_QUEUE as u64 + 5 {
        server.fake.hub.publish(refused(count));
    }
    let text = next(&mut events).await.unwrap();
    assert!(
        text.contains("event: lost\n") && text.contains("\"count\":5"),
        "{text}"
    );
    assert_eq!(next(&mut events).await, None);
}

// Catches listeners without end.
#[tokio::test(start_paused = true)]
async fn listeners_are_limited() {
    let server = Server::new();
    let who = server.token(Role::Viewer, &[Scope::EventsRead]);
    let mut all = Vec::new();
    for _ in 0..LISTENERS_MAX {
        all.push(stream(&server, &who, "/v1/events", None).await);
    }
    let refused = listen(&server, &who, "/v1/events", None).await;
    assert_eq!(refused.status(), 429);
    assert!(refused.headers().contains_key("retry-after"));
    all.pop();
    assert_eq!(listen(&server, &who, "/v1/events", None).await.status(), 200);
}

// Catches a peer's counters that do not come, or come to one who may not read peers.
#[tokio::test(start_paused = true)]
async fn a_peers_counters_come_every_second() {
    let server = Server::new();
    let uri = format!(
        "/v1/events?peer={}",
        KEY.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
    );
    let blind = server.token(Role::Viewer, &[Scope::EventsRead]);
    assert_eq!(listen(&server, &blind, &uri, None).await.status(), 403);
    let who = server.token(Role::Viewer, &[Scope::EventsRead, Scope::PeersRead]);
    let mut events = stream(&server, &who, &uri, None).await;
    let begun = tokio::time::Instant::now();
    for second in 1..=3 {
        let text = next(&mut events).await.unwrap();
        assert!(
            text.contains("event: peer\n") && text.contains("\"rx_bytes\":1"),
            "{text}"
        );
        assert_eq!(begun.elapsed().as_secs(), second);
    }
    let absent = format!("/v1/events?peer={}%3D", "E".repeat(43));
    assert_eq!(listen(&server, &who, &absent, None).await.status(), 404);
}
