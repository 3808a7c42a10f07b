//! `weir token`, `weir user` and `weir admin`: who may use the API and the web page.

mod common;

use common::control::*;
use common::*;
use serde_json::json;
use std::fs;
use weir_api::types as api;

#[test]
fn tokens_are_made_shown_once_listed_and_revoked() {
    let place = Place::new("");
    let made = api::TokenCreated {
        token: "weir_secret".to_owned(),
        id: "t1".to_owned(),
        name: "ci".to_owned(),
        role: api::Role::Viewer,
        scopes: vec![api::Scope::PeersRead],
        expires_at: Some(time("2999-01-01T00:00:00Z")),
    };
    let listed = api::Token {
        id: "t1".to_owned(),
        name: "ci".to_owned(),
        role: api::Role::Viewer,
        scopes: vec![api::Scope::PeersRead, api::Scope::MetricsRead],
        created_at: time("2026-01-01T00:00:00Z"),
        created_by: "unix:0".to_owned(),
        expires_at: None,
        last_used_at: None,
    };
    let control = FakeControl::start(&place, move |asked| match asked.method.as_str() {
        "POST" => Answered::json(201, &made),
        "DELETE" => Answered::nothing(),
        _ => items(&[&listed]),
    });
    let output = place.weir(&[
        "token",
        "create",
        "ci",
        "--scope",
        "peers:read",
        "--expires",
        "2027-01-31T00:00:00Z",
    ]);
    assert_eq!(good(&output), "weir_secret\n");
    assert_parts(&err(&output), &["token t1 is shown this once; it ends in"]);
    assert_eq!(
        control.last("POST").json(),
        json!({ "name": "ci", "role": "viewer", "scopes": ["peers:read"], "expires_at": "2027-01-31T00:00:00Z" })
    );
    let made = json_of(&place, &["token", "create", "ci", "--role", "operator", "--json"]);
    assert_eq!(made["token"], "weir_secret");
    let sent = control.last("POST").json();
    assert_eq!((&sent["role"], sent.get("scopes")), (&json!("operator"), None));
    assert!(
        sent["expires_at"].is_string(),
        "a token ends unless one says otherwise"
    );

    let text = good(&place.weir(&["token", "list"]));
    assert_parts(
        &text,
        &["t1  ci    viewer  peers:read metrics:read  never  never  unix:0"],
    );
    assert_eq!(json_of(&place, &["token", "list", "--json"])[0]["id"], "t1");
    good(&place.weir(&["token", "revoke", "t 1"]));
    assert_eq!(control.last("DELETE").target, "/v1/tokens/t%201");
}

fn user(name: &str) -> api::User {
    api::User {
        name: name.to_owned(),
        role: api::Role::Operator,
        disabled: false,
        must_change_password: true,
        created_at: time("2026-01-01T00:00:00Z"),
        last_login_at: None,
    }
}

#[test]
fn users_are_added_listed_and_removed() {
    let place = Place::new("");
    let control = FakeControl::start(&place, |asked| match asked.method.as_str() {
        "GET" => items(&[user("ada")]),
        "DELETE" | "PUT" => Answered::nothing(),
        _ => Answered::json(201, &user("ada")),
    });
    fs::write(place.path("pass"), "correct horse").unwrap();
    good(&place.weir(&[
        "user",
        "add",
        "ada",
        "--role",
        "operator",
        "--password-file",
        "pass",
    ]));
    assert_eq!(
        control.last("POST").json(),
        json!({ "name": "ada", "role": "operator", "password": "correct horse", "must_change_password": true })
    );
    good(&place.weir(&["user", "passwd", "ada", "--password-file", "pass"]));
    assert_eq!(control.last("PUT").line(), "PUT /v1/users/ada/password");
    assert_eq!(control.last("PUT").json(), json!({ "new": "correct horse" }));
    let text = good(&place.weir(&["user", "list"]));
    assert_parts(&text, &["ada   operator  never       is to change the password"]);
    assert_eq!(json_of(&place, &["user", "list", "--json"])[0]["name"], "ada");
    good(&place.weir(&["user", "remove", "ada"]));
    assert_eq!(control.last("DELETE").target, "/v1/users/ada");
    // A password on the command line is in every list of processes.
    let output = place.weir(&["user", "passwd", "ada", "hunter2"]);
    assert_eq!(output.status.code(), Some(2));
}

// Catches a reset that leaves its administrator locked out: disabled, made less, or not there at all.
#[test]
fn an_administrator_gets_in_again() {
    let place = Place::new("");
    let control = FakeControl::start(&place, |asked| match asked.line().as_str() {
        "PUT /v1/users/admin/password" => Answered::nothing(),
        "PATCH /v1/users/admin" => Answered::json(200, &user("admin")),
        "POST /v1/users" => Answered::json(201, &user("new")),
        _ => Answered::problem(404, "Not found", "nobody is called so", &json!([])),
    });
    let output = place.weir(&["admin", "reset"]);
    let password = good(&output).trim_end().to_owned();
    assert!(password.len() >= 20, "{password}");
    assert!(!err(&output).contains(&password), "it is printed once");
    assert_eq!(control.last("PUT").json(), json!({ "new": password }));
    assert_eq!(
        control.last("PATCH").json(),
        json!({ "role": "administrator", "disabled": false, "must_change_password": true })
    );
    let made = json_of(&place, &["admin", "reset", "new", "--json"]);
    assert_ne!(made["password"], password);
    let sent = control.last("POST").json();
    assert_eq!(
        (&sent["name"], &sent["role"], &sent["password"]),
        (&json!("new"), &json!("administrator"), &made["password"])
    );
}
