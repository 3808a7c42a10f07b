//! What a person got wrong is refused with the field named, the value and what was expected, and nothing is changed: not
//! the store, not the audit log, not the data plane.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use weir_bench::api::peer_path;
use weir_bench::control_lab::ControlLab;
use weir_bench::device_config::KeyPair;

/// A wrong request, and the field that the refusal must name.
struct Wrong {
    method: &'static str,
    path: String,
    body: Value,
    field: &'static str,
}

fn wrong(method: &'static str, path: impl Into<String>, body: Value, field: &'static str) -> Wrong {
    Wrong {
        method,
        path: path.into(),
        body,
        field,
    }
}

/// Peers that cannot be. `taken` is an address that another peer has.
fn peers(taken: &str) -> Vec<Wrong> {
    let peer = |body: Value, field| wrong("POST", "/v1/peers", body, field);
    let with = |member: &str, value: Value| {
        let mut body = json!({ "name": "new" });
        body[member] = value;
        body
    };
    vec![
        peer(json!({}), "name"),
        peer(json!({ "name": "" }), "name"),
        peer(json!({ "name": "a\nb" }), "name"),
        peer(json!({ "name": "$(id)" }), "name"),
        peer(json!({ "name": "<script>" }), "name"),
        peer(json!({ "name": "x".repeat(65) }), "name"),
        peer(json!({ "name": 7 }), "name"),
        peer(with("colour", json!("red")), "colour"),
        peer(with("public_key", json!("short")), "public_key"),
        peer(with("preshared_key", json!("short")), "preshared_key"),
        peer(with("groups", json!(["fine", "<b>"])), "groups[1]"),
        peer(with("allowed_ips", json!(["10.0.0.0/33"])), "allowed_ips[0]"),
        peer(
            with("allowed_ips", json!(["10.77.200.1/32", "ten"])),
            "allowed_ips[1]",
        ),
        peer(with("allowed_ips", json!([taken])), "allowed_ips[0]"),
        peer(with("endpoint", json!("192.0.2.1:0")), "endpoint"),
        peer(with("persistent_keepalive", json!(65536)), "persistent_keepalive"),
        peer(with("expires_at", json!("tomorrow")), "expires_at"),
        peer(with("notes", json!("x".repeat(100_000))), "notes"),
        wrong("PUT", "/v1/peers/short", json!({ "name": "new" }), "public_key"),
    ]
}

fn others(known: &str) -> Vec<Wrong> {
    let new = KeyPair::seeded(7).public().to_string();
    let bulk = json!({ "operations": [
        { "op": "put", "public_key": new, "peer": { "name": "new", "allowed_ips": ["10.77.200.2/32"] } },
        { "op": "patch", "public_key": known, "peer": { "allowed_ips": ["10.77.200.2/32"] } },
    ] });
    let rule = |rule: Value| json!({ "items": [{ "action": "accept" }, rule] });
    vec![
        wrong(
            "POST",
            "/v1/peers/bulk",
            bulk,
            "operations[1].peer.allowed_ips[0]",
        ),
        wrong(
            "POST",
            "/v1/peers/bulk",
            json!({ "operations": [] }),
            "operations",
        ),
        wrong(
            "PUT",
            "/v1/rules",
            rule(json!({ "action": "maybe" })),
            "items[1].action",
        ),
        wrong(
            "PUT",
            "/v1/rules",
            rule(json!({ "action": "deny", "from": ["10.0.0.0/8"] })),
            "items[1].from[0]",
        ),
        wrong(
            "PUT",
            "/v1/rules",
            rule(json!({ "action": "deny", "protocol": "tcp", "ports": ["0x50"] })),
            "items[1].ports[0]",
        ),
        wrong(
            "PUT",
            "/v1/rules",
            rule(json!({ "action": "deny", "ports": ["80"] })),
            "items[1].ports",
        ),
        wrong("GET", "/v1/peers?limit=1001", Value::Null, "limit"),
        wrong("GET", "/v1/peers?sort=colour", Value::Null, "sort"),
        wrong("GET", "/v1/peers?cursor=nonsense", Value::Null, "cursor"),
        wrong(
            "PATCH",
            format!("{}?confirm_within_s=5", peer_path(&known.parse().unwrap())),
            json!({}),
            "confirm_within_s",
        ),
        wrong(
            "POST",
            "/v1/users",
            json!({ "name": "Alice!", "role": "viewer", "password": "a long password" }),
            "name",
        ),
        wrong(
            "POST",
            "/v1/users",
            json!({ "name": "alice", "role": "viewer", "password": "short" }),
            "password",
        ),
        wrong(
            "POST",
            "/v1/users",
            json!({ "name": "alice", "role": "king", "password": "a long password" }),
            "role",
        ),
        wrong(
            "POST",
            "/v1/backup",
            json!({ "passphrase": "short" }),
            "passphrase",
        ),
    ]
}

/// Everything that a change could have changed.
fn state(lab: &ControlLab) -> [String; 5] {
    let get = |path: &str| lab.api().get(path).unwrap();
    let mut peers = get("/v1/peers?limit=1000");
    for peer in peers["items"].as_array_mut().unwrap() {
        // Of the moment.
        peer["live"] = Value::Null;
    }
    let declared = lab
        .gateway
        .wg(&format!("show {} allowed-ips", lab.gateway.interface()))
        .unwrap();
    [
        peers.to_string(),
        get("/v1/rules").to_string(),
        get("/v1/users").to_string(),
        get("/v1/audit?limit=1000").to_string(),
        format!("{declared}{}", lab.gateway.status().unwrap()["revision"]),
    ]
}

/// Catches bad input that is taken in part or altogether, that ends as a fault of the server's, whose field is not named, and
/// secrets that are repeated in the refusal.
#[test]
fn bad_input_names_its_field_and_changes_nothing() {
    let lab = ControlLab::new().unwrap();
    let known = lab
        .create("known", &json!({ "allowed_ips": ["10.77.3.3/32"] }))
        .unwrap();
    let before = state(&lab);
    let mut failures = Vec::new();
    for case in peers("10.77.3.3/32")
        .into_iter()
        .chain(others(&known.key.to_string()))
    {
        let body = (!case.body.is_null()).then_some(&case.body);
        let answer = lab.api().send(case.method, &case.path, &[], body).unwrap();
        let problem = answer.json();
        let shown = || {
            format!(
                "{} {} {}: {} {problem:#}",
                case.method, case.path, case.body, answer.status
            )
        };
        let named = problem["errors"].as_array().is_some_and(|errors| {
            let told = |error: &&Value| error["expected"].as_str().is_some_and(|text| !text.is_empty());
            errors
                .iter()
                .filter(told)
                .any(|error| error["field"] == case.field)
        });
        let typed = answer.header("content-type") == Some("application/problem+json");
        if !(400..500).contains(&answer.status) || !named || !typed {
            failures.push(format!("{} is not named: {}", case.field, shown()));
        }
        let secret = matches!(case.field, "preshared_key" | "password" | "passphrase");
        if secret && problem.to_string().contains("\"short\"") {
            failures.push(format!("a secret is repeated: {}", shown()));
        }
        println!("{}: {}", case.field, problem["detail"]);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    for (before, after) in before.iter().zip(state(&lab)) {
        assert_eq!(before, &after);
    }
}
