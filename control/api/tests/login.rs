//! Logging in, sessions and their cookies, passwords.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::fake::samples::PASSWORD;
use common::{CLIENT, Server, Who, filled, tcp};
use jiff::SignedDuration;
use serde_json::json;
use weir_api::auth::{ACCESS, Need};
use weir_api::backend::LoginOutcome;
use weir_api::limits::LOGIN_FAILURES;
use weir_api::types::{Role, Scope};

// Catches a session that lives on after it was idle, after its longest time, after logging out, or whose user is gone.
#[tokio::test]
async fn sessions_end() {
    let server = Server::new();
    let begin = server.fake.held().now;
    let after = |minutes| begin + SignedDuration::from_mins(minutes);
    let who = server.session("viewer").await;
    let call = || server.call("GET", "/v1/status").by(&who).send();
    for minutes in (0..12 * 60).step_by(59) {
        server.fake.held().now = after(minutes);
        assert_eq!(call().await.status, 200, "{minutes}");
    }
    server.fake.held().now = after(12 * 60);
    call().await.is_problem(401, "unauthenticated");
    let idle = server.session("viewer").await;
    server.fake.held().now = after(13 * 60);
    server
        .call("GET", "/v1/status")
        .by(&idle)
        .send()
        .await
        .is_problem(401, "unauthenticated");
    let leaving = server.session("viewer").await;
    let left = server.call("DELETE", "/v1/session").by(&leaving).send().await;
    assert_eq!(left.status, 204);
    assert!(left.header("set-cookie").contains("Max-Age=0"));
    server
        .call("GET", "/v1/status")
        .by(&leaving)
        .send()
        .await
        .is_problem(401, "unauthenticated");
    let locked = server.session("viewer").await;
    server.fake.held().users.get_mut("viewer").unwrap().disabled = true;
    server
        .call("GET", "/v1/status")
        .by(&locked)
        .send()
        .await
        .is_problem(401, "unauthenticated");
}

// Catches a cookie that scripts can read, that other sites send, or that goes over plain HTTP though there is TLS.
#[tokio::test]
async fn the_cookie_is_guarded() {
    let server = Server::new();
    let log_in = |tls| {
        let call = server
            .call("POST", "/v1/session")
            .json(json!({"name": "admin", "password": PASSWORD}));
        call.over(Some(tcp(CLIENT, tls))).send()
    };
    let plain = log_in(false).await;
    assert_eq!(plain.value()["role"], "administrator");
    let cookie = plain.header("set-cookie").to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && !cookie.contains("Secure"));
    let under_tls = log_in(true).await;
    assert!(under_tls.header("set-cookie").contains("; Secure"));
    assert_eq!(under_tls.header("strict-transport-security"), "max-age=31536000");
    assert!(plain.headers.get("strict-transport-security").is_none());
    let secret = cookie.split(['=', ';']).nth(1).unwrap();
    assert!(
        !plain.text().contains(secret),
        "the cookie's secret is in the answer's body"
    );
}

// Catches a change that another site's page makes with the browser's cookie.
#[tokio::test]
async fn changes_by_cookie_need_the_csrf_token_and_our_own_origin() {
    let server = Server::new();
    let who = server.session("admin").await;
    let Who::Session { cookie, csrf } = &who else {
        unreachable!("a session was asked for")
    };
    let bare = || {
        server
            .call("DELETE", &filled("/v1/peers/{public_key}"))
            .header("cookie", cookie)
    };
    bare().send().await.is_problem(403, "csrf");
    bare()
        .header("x-csrf-token", "")
        .send()
        .await
        .is_problem(403, "csrf");
    bare()
        .header("x-csrf-token", &csrf[1..])
        .send()
        .await
        .is_problem(403, "csrf");
    let with = || bare().header("x-csrf-token", csrf);
    for origin in [
        "http://evil.example",
        "null",
        "http://gateway.example.evil",
        "http://gateway.example:81",
    ] {
        with()
            .header("origin", origin)
            .send()
            .await
            .is_problem(403, "csrf");
    }
    with()
        .header("sec-fetch-site", "cross-site")
        .send()
        .await
        .is_problem(403, "csrf");
    with()
        .header("sec-fetch-site", "same-site")
        .send()
        .await
        .is_problem(403, "csrf");
    assert_eq!(server.fake.held().changes, 0);
    // Reading needs none of it, and a token is sent by no browser of itself.
    assert_eq!(
        server
            .call("GET", "/v1/peers")
            .header("cookie", cookie)
            .send()
            .await
            .status,
        200
    );
    let ours = with()
        .header("origin", "http://gateway.example")
        .header("sec-fetch-site", "same-origin");
    assert_eq!(ours.send().await.status, 204);
    let body = json!({"name": "admin", "password": PASSWORD});
    let foreign = server
        .call("POST", "/v1/session")
        .json(body)
        .header("origin", "http://evil.example");
    foreign.send().await.is_problem(403, "csrf");
    let again = server
        .call("GET", "/v1/session")
        .header("cookie", cookie)
        .send()
        .await;
    assert_eq!(again.value()["csrf_token"], csrf.as_str());
}

// Catches guessing without end, and a name that tells by its answer whether it exists.
#[tokio::test]
async fn logins_are_limited_and_tell_nothing() {
    let server = Server::new();
    let try_in = |name: &str, password: &str, from: &str| {
        let call = server
            .call("POST", "/v1/session")
            .json(json!({"name": name, "password": password}));
        call.over(Some(tcp(from, false))).send()
    };
    let (wrong, unknown) = (
        try_in("admin", "x", "192.0.2.1:1").await,
        try_in("nobody", "x", "192.0.2.2:1").await,
    );
    let odd = try_in("Robert'); DROP TABLE users;--", "x", "192.0.2.3:1").await;
    for answer in [&wrong, &unknown, &odd] {
        answer.is_problem(401, "unauthenticated");
        assert_eq!(answer.text(), wrong.text());
    }
    for n in 1..LOGIN_FAILURES {
        try_in("admin", "x", &format!("198.51.100.{n}:1"))
            .await
            .is_problem(401, "unauthenticated");
    }
    let limited = try_in("admin", PASSWORD, "198.51.100.99:1").await;
    limited.is_problem(429, "too-many");
    assert!((1..=61).contains(&limited.header("retry-after").parse::<u32>().unwrap()));
    assert_eq!(try_in("viewer", PASSWORD, "198.51.100.99:1").await.status, 200);
    let logins = server.fake.held().logins.clone();
    assert_eq!(logins.len(), LOGIN_FAILURES + 4);
    assert_eq!(
        logins[2].name, "",
        "what is no name is not written down: it may be a password"
    );
    let text = format!("{logins:?}");
    assert!(!text.contains(PASSWORD) && !text.contains("DROP"));
}

// Catches a user with a first password who may do anything before changing it, and a change without the current one.
#[tokio::test]
async fn the_first_password_is_changed_first() {
    let server = Server::new();
    server
        .fake
        .held()
        .users
        .get_mut("admin")
        .unwrap()
        .must_change_password = true;
    let who = server.session("admin").await;
    let session = server.call("GET", "/v1/session").by(&who).send().await;
    assert_eq!(session.value()["must_change_password"], true);
    for access in ACCESS
        .iter()
        .filter(|access| matches!(access.need, Need::Scope(_)))
    {
        let answer = server
            .call(access.method, &filled(access.path))
            .by(&who)
            .json(json!({}))
            .send()
            .await;
        answer.is_problem(403, "password-change-required");
    }
    let change = |name: &str, body| {
        server
            .call("PUT", &format!("/v1/users/{name}/password"))
            .by(&who)
            .json(body)
            .send()
    };
    change("viewer", json!({"new": "another horse"}))
        .await
        .is_problem(403, "password-change-required");
    change("admin", json!({"new": "another horse"}))
        .await
        .is_problem(422, "invalid");
    change("admin", json!({"current": "wrong", "new": "another horse"}))
        .await
        .is_problem(422, "invalid");
    change("admin", json!({"current": PASSWORD, "new": "short"}))
        .await
        .is_problem(422, "invalid");
    change("admin", json!({"current": PASSWORD, "new": PASSWORD}))
        .await
        .is_problem(422, "invalid");
    assert_eq!(
        change("admin", json!({"current": PASSWORD, "new": "another horse"}))
            .await
            .status,
        204
    );
    assert_eq!(server.call("GET", "/v1/peers").by(&who).send().await.status, 200);
}

// Catches a user or a token that changes somebody else's password.
#[tokio::test]
async fn a_password_is_ones_own() {
    let server = Server::new();
    let body = json!({"current": PASSWORD, "new": "another horse"});
    for who in [
        server.session("operator").await,
        server.token(Role::Operator, Scope::ALL),
    ] {
        let call = server
            .call("PUT", "/v1/users/viewer/password")
            .by(&who)
            .json(body.clone());
        call.send().await.is_problem(403, "forbidden");
    }
    let (one, other) = (server.session("viewer").await, server.session("viewer").await);
    assert_eq!(
        server
            .call("PUT", "/v1/users/viewer/password")
            .by(&one)
            .json(body)
            .send()
            .await
            .status,
        204
    );
    assert_eq!(server.call("GET", "/v1/peers").by(&one).send().await.status, 200);
    server
        .call("GET", "/v1/peers")
        .by(&other)
        .send()
        .await
        .is_problem(401, "unauthenticated");
}

// Catches a user who is locked out and logs in, and an answer that tells a right password of such a user from a wrong one.
#[tokio::test]
async fn a_user_who_is_locked_out_does_not_log_in() {
    let server = Server::new();
    server.fake.held().users.get_mut("viewer").unwrap().disabled = true;
    let log_in = |password: &str| {
        server
            .call("POST", "/v1/session")
            .json(json!({"name": "viewer", "password": password}))
            .send()
    };
    let (right, wrong) = (log_in(PASSWORD).await, log_in("wrong").await);
    right.is_problem(401, "unauthenticated");
    assert_eq!(right.text(), wrong.text());
    assert!(right.headers.get("set-cookie").is_none());
    let outcomes: Vec<_> = server
        .fake
        .held()
        .logins
        .iter()
        .map(|login| login.outcome)
        .collect();
    assert_eq!(outcomes, [LoginOutcome::Disabled, LoginOutcome::Refused]);
}
