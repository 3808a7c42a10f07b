//! Who may do what: every route and method as nobody, as each role, with and without its scope, by token and by cookie.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::fake::samples::SECRET;
use common::{Server, Who, filled, unix};
use jiff::SignedDuration;
use serde_json::json;
use weir_api::auth::{ACCESS, Need};
use weir_api::types::{Role, Scope};

// Catches a route that lets anybody in.
#[tokio::test]
async fn nobody_gets_401_everywhere() {
    let server = Server::new();
    let forged = [
        Who::Nobody,
        Who::Token("weir_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned()),
        Who::Token("not a token".to_owned()),
        Who::Session {
            cookie: format!("weir_session={}", "A".repeat(43)),
            csrf: String::new(),
        },
        Who::Session {
            cookie: "weir_session=".to_owned(),
            csrf: String::new(),
        },
    ];
    for access in ACCESS.iter().filter(|access| access.need != Need::Open) {
        for who in &forged {
            let answer = server
                .call(access.method, &filled(access.path))
                .by(who)
                .json(json!({}))
                .send()
                .await;
            answer.is_problem(401, "unauthenticated");
            assert_eq!(
                answer.header("www-authenticate"),
                "Bearer realm=\"weir\"",
                "{access:?}"
            );
        }
    }
    assert_eq!(server.fake.held().changes, 0);
}

// Catches a viewer that changes something or reads a secret, on any route, by token and by cookie.
#[tokio::test]
async fn a_viewer_changes_nothing_and_reads_no_secret() {
    let server = Server::new();
    let everything = server.token(Role::Viewer, Scope::ALL);
    let session = server.session("viewer").await;
    for who in [&everything, &session] {
        for access in ACCESS
            .iter()
            .filter(|access| access.path != "/v1/events" && access.path != "/v1/session")
        {
            for body in [
                json!({}),
                json!({"name": "x"}),
                json!({"probe": true}),
                json!({"operations": []}),
            ] {
                let answer = server
                    .call(access.method, &filled(access.path))
                    .by(who)
                    .json(body)
                    .send()
                    .await;
                assert!(
                    !answer.text().contains(SECRET) && !answer.text().contains("$argon2"),
                    "{access:?}"
                );
                let own_password =
                    access.path == "/v1/users/{name}/password" && matches!(who, Who::Session { .. });
                let diagnosis = access.path.ends_with("/diagnosis");
                if access.method != "GET" && access.path != "/v1/session" && !own_password && !diagnosis {
                    answer.is_problem(403, "forbidden");
                }
            }
        }
        assert_eq!(server.fake.held().changes, 0);
    }
    let probe = server
        .call("POST", &filled("/v1/peers/{public_key}/diagnosis"))
        .by(&session);
    probe
        .json(json!({"probe": true}))
        .send()
        .await
        .is_problem(403, "forbidden");
}

// Catches a route that needs another scope than the table says, and scopes that go beyond their role.
#[tokio::test]
async fn each_route_needs_its_scope() {
    let server = Server::new();
    for access in ACCESS.iter().filter(|access| access.path != "/v1/events") {
        let (Need::Scope(scope) | Need::Own(scope) | Need::OpenOnUnix(scope)) = access.need else {
            continue;
        };
        let others: Vec<Scope> = Scope::ALL
            .iter()
            .copied()
            .filter(|other| *other != scope)
            .collect();
        let lacking = server.token(Role::Administrator, &others);
        let alone = server.token(Role::Administrator, &[scope]);
        let below = match scope.role() {
            Role::Viewer => None,
            Role::Operator => Some(Role::Viewer),
            Role::Administrator => Some(Role::Operator),
        };
        let call = |who: &Who| {
            server
                .call(access.method, &filled(access.path))
                .by(who)
                .json(json!({}))
                .send()
        };
        call(&lacking).await.is_problem(403, "forbidden");
        if let Some(role) = below {
            call(&server.token(role, Scope::ALL))
                .await
                .is_problem(403, "forbidden");
        }
        let status = call(&alone).await.status;
        assert!(status != 401 && status != 403, "{access:?}: {status}");
    }
}

// Catches a token that is taken after its end, and one that is not found although it is valid.
#[tokio::test]
async fn tokens_expire() {
    let server = Server::new();
    let who = server.administrator();
    let now = server.fake.held().now;
    server.fake.held().tokens[0].expires_at = Some(now + SignedDuration::from_secs(60));
    let call = || server.call("GET", "/v1/status").by(&who).send();
    assert_eq!(call().await.status, 200);
    assert_eq!(server.fake.held().tokens[0].used_at, Some(now));
    server.fake.held().now = now + SignedDuration::from_secs(60);
    call().await.is_problem(401, "unauthenticated");
}

// Catches a token that may more than its maker, and one whose secret is kept or answered again.
#[tokio::test]
async fn tokens_may_no_more_than_their_maker() {
    let server = Server::new();
    let maker = server.token(
        Role::Administrator,
        &[Scope::TokensWrite, Scope::PeersRead, Scope::UsersRead],
    );
    let make = |body| server.call("POST", "/v1/tokens").by(&maker).json(body).send();
    let wrong = make(json!({"name": "a", "role": "viewer", "scopes": ["peers:read", "rules:read"]})).await;
    wrong.is_problem(422, "invalid");
    assert_eq!(wrong.value()["errors"][0]["field"], "scopes[1]");
    let above = make(json!({"name": "a", "role": "viewer", "scopes": ["peers:write"]})).await;
    above.is_problem(422, "invalid");
    make(json!({"name": "a", "role": "viewer", "scopes": []}))
        .await
        .is_problem(422, "invalid");
    let past = make(json!({"name": "a", "role": "viewer", "expires_at": "2020-01-01T00:00:00Z"})).await;
    assert_eq!(past.value()["errors"][0]["field"], "expires_at");
    let made = make(json!({"name": "a", "role": "administrator"})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(
        made.value()["scopes"],
        json!(["peers:read", "users:read", "tokens:write"])
    );
    let token = made.value()["token"].as_str().unwrap().to_owned();
    assert!(token.starts_with("weir_"));
    let listed = server.call("GET", "/v1/tokens").by(&maker).send().await;
    assert!(!listed.text().contains(&token));
    assert_eq!(
        server
            .call("GET", "/v1/peers")
            .by(&Who::Token(token))
            .send()
            .await
            .status,
        200
    );
}

// Catches a process of any user that is an administrator on the Unix socket, and a request whose connection nobody told.
#[tokio::test]
async fn the_unix_socket_knows_its_callers() {
    let server = Server::new();
    for (uid, status) in [(0, 200), (900, 200), (1000, 401)] {
        assert_eq!(
            server
                .call("GET", "/v1/users")
                .over(unix(uid))
                .send()
                .await
                .status,
            status,
            "{uid}"
        );
        assert_eq!(
            server.call("GET", "/metrics").over(unix(uid)).send().await.status,
            200,
            "{uid}"
        );
    }
    let by_token = server.token(Role::Viewer, &[Scope::PeersRead]);
    let call = server.call("GET", "/v1/users").over(unix(0)).by(&by_token);
    call.send().await.is_problem(403, "forbidden");
    server
        .call("GET", "/metrics")
        .send()
        .await
        .is_problem(401, "unauthenticated");
    server
        .call("GET", "/v1/users")
        .over(None)
        .send()
        .await
        .is_problem(500, "internal");
}

// Catches an answer without the headers that keep browsers from harm, and one that caches keep.
#[tokio::test]
async fn every_answer_has_its_headers() {
    let server = Server::new();
    let who = server.administrator();
    for access in ACCESS.iter().filter(|access| access.path != "/v1/events") {
        for who in [&who, &Who::Nobody] {
            let answer = server
                .call(access.method, &filled(access.path))
                .by(who)
                .json(json!({}))
                .send()
                .await;
            let policy = answer.header("content-security-policy").to_owned();
            assert!(
                policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"),
                "{access:?}"
            );
            assert!(!policy.contains("unsafe"), "{access:?}");
            assert_eq!(answer.header("x-content-type-options"), "nosniff", "{access:?}");
            assert_eq!(answer.header("referrer-policy"), "no-referrer", "{access:?}");
            if access.path.starts_with("/v1/") && !access.path.starts_with("/v1/docs") {
                assert_eq!(answer.header("cache-control"), "no-store", "{access:?}");
            }
        }
    }
    let nowhere = server.call("GET", "/v1/nothing").send().await;
    assert_eq!(nowhere.header("x-content-type-options"), "nosniff");
}

// Catches a page of the document that needs what the policy forbids.
#[tokio::test]
async fn the_document_page_works_under_the_policy() {
    let server = Server::new();
    let page = server.call("GET", "/v1/docs/").send().await;
    assert!(page.header("content-type").starts_with("text/html"));
    let text = page.text();
    assert!(!text.contains("<style") && !text.contains("onload="), "{text}");
    for script in text.split("<script").skip(1) {
        assert!(script.split('>').next().unwrap().contains("src="), "{script}");
    }
    for part in text
        .split(['"', '\''])
        .filter(|part| part.starts_with("http") || part.starts_with("//"))
    {
        assert!(part.starts_with("http://www.w3.org/"), "{part} is another host's");
    }
}
