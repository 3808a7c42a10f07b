//! The commands that only the control process can answer, for people and for programs. What it answers is made of the
//! API's own types.

mod common;

use common::control::*;
use common::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixListener;
use weir_abi::ipc::Reply;
use weir_api::types as api;

#[test]
fn a_control_process_that_is_not_there_is_named() {
    let place = Place::new("");
    for arguments in [
        &["rule", "list"][..],
        &["events"],
        &["audit"],
        &["audit", "verify"],
        &["token", "list"],
        &["user", "list"],
        &["admin", "reset"],
        &["changes"],
    ] {
        refused(
            &place.weir(arguments),
            &["no control process runs", "api.sock", "weir run"],
        );
    }
    // A socket that a killed one left behind.
    fs::create_dir(place.path("control")).unwrap();
    drop(UnixListener::bind(place.path("control/api.sock")).unwrap());
    refused(&place.weir(&["rule", "list"]), &["no control process runs"]);
}

// Catches an answer of another version that is taken for an empty one, and a refusal that is no problem of the API's.
#[test]
fn what_cannot_be_read_is_said() {
    let place = Place::new("");
    let _control = FakeControl::start(&place, |asked| match asked.target.as_str() {
        "/v1/rules" => Answered::text("{\"items\": [{}]}"),
        "/v1/tokens" => Answered::text("<html>"),
        _ => Answered {
            status: 507,
            ..Answered::text("full")
        },
    });
    refused(
        &place.weir(&["rule", "list"]),
        &["answer to GET /v1/rules cannot be read", "the same version"],
    );
    refused(
        &place.weir(&["token", "list"]),
        &["answer to GET /v1/tokens cannot be read"],
    );
    refused(&place.weir(&["user", "list"]), &["HTTP status 507"]);
}

#[test]
fn rules_are_listed() {
    let place = Place::new("");
    let rule = api::Rule {
        name: Some("web".to_owned()),
        action: api::Action::Deny,
        from: vec!["group:staff".parse().unwrap()],
        to: vec!["10.0.0.0/8".parse().unwrap()],
        protocol: Some("tcp".parse().unwrap()),
        ports: vec!["80".parse().unwrap(), "1000-2000".parse().unwrap()],
        log: true,
        owner: api::Owner::Control,
        packets: Some(17),
    };
    let _control = FakeControl::start(&place, move |_| items(&[&rule]));
    let text = good(&place.weir(&["rule", "list"]));
    assert_parts(
        &text,
        &["1     web   deny    group:staff  10.0.0.0/8  tcp       80 1000-2000  yes  17       control"],
    );
    assert_eq!(json_of(&place, &["rule", "list", "--json"])[0]["action"], "deny");
}

#[test]
fn the_audit_log_is_listed_verified_and_reported_on() {
    let place = Place::new("");
    let entry = |number: u64| api::AuditEntry {
        number,
        at: time("2026-11-21T10:00:00.123Z"),
        actor: "user:ada".to_owned(),
        source: "192.0.2.9".to_owned(),
        action: "peer.create".to_owned(),
        target: format!("peer/{number}"),
        before: None,
        after: Some(json!({ "name": "x" })),
        hash: "00".to_owned(),
    };
    let verification = |intact| api::AuditVerification {
        intact,
        entries: 9,
        oldest: Some(1),
        newest: Some(9),
        oldest_hash: None,
        newest_hash: Some("ab12".to_owned()),
        trouble: (!intact).then(|| "entry 4 was altered".to_owned()),
    };
    let intact = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let is_intact = std::sync::Arc::clone(&intact);
    let control = FakeControl::start(&place, move |asked| match asked.target.split('?').next() {
        Some("/v1/audit") => items(&[entry(9), entry(8)]),
        Some("/v1/audit/verification") => Answered::json(
            200,
            &verification(is_intact.load(std::sync::atomic::Ordering::SeqCst)),
        ),
        _ if asked.target.contains("format=csv") => Answered::text("from,to\n1,2\n"),
        _ => Answered::json(
            200,
            &json!({ "audit_intact": true, "changes": BTreeMap::from([("ada", 3)]) }),
        ),
    });
    let text = good(&place.weir(&["audit"]));
    assert_parts(
        &text,
        &["8      2026-11-21T10:00:00Z  user:ada  192.0.2.9  peer.create  peer/8"],
    );
    assert!(
        text.find("peer/8") < text.find("peer/9"),
        "the newest comes last:\n{text}"
    );
    assert_eq!(control.last("GET").target, "/v1/audit?limit=50");
    let listed = json_of(
        &place,
        &[
            "audit",
            "list",
            "--limit",
            "7",
            "--actor",
            "user:ada",
            "--from",
            "2026-11-01T00:00:00Z",
            "--json",
        ],
    );
    assert_eq!(listed[1]["number"], 9);
    assert_eq!(
        control.last("GET").target,
        "/v1/audit?from=2026-11-01T00%3A00%3A00Z&actor=user%3Aada&limit=7"
    );

    let text = good(&place.weir(&["audit", "verify"]));
    assert_eq!(text, "audit log: whole; 9 entries, the newest's hash is ab12\n");
    intact.store(false, std::sync::atomic::Ordering::SeqCst);
    let output = place.weir(&["audit", "verify"]);
    assert_eq!(output.status.code(), Some(1));
    assert_parts(&out(&output), &["NOT WHOLE: entry 4 was altered"]);
    let output = place.weir(&["audit", "verify", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    assert_parts(&out(&output), &["\"intact\": false"]);

    assert_eq!(good(&place.weir(&["audit", "report", "--csv"])), "from,to\n1,2\n");
    let report = json_of(
        &place,
        &["audit", "report", "--json", "--to", "2026-12-01T00:00:00Z"],
    );
    assert_eq!(report["changes"]["ada"], 3);
    assert_eq!(
        control.last("GET").target,
        "/v1/compliance?to=2026-12-01T00%3A00%3A00Z&format=json"
    );
}

#[test]
fn backups_are_written_and_restored() {
    let place = Place::new("");
    let restored = api::Restored {
        peers: 3,
        rules: 1,
        users: 2,
        tokens: 0,
        made_at: time("2026-11-21T10:00:00Z"),
    };
    let control = FakeControl::start(&place, move |asked| match asked.line().as_str() {
        "POST /v1/backup" => Answered {
            body: vec![0, 255, 7],
            ..Answered::text("")
        },
        "POST /v1/restore?dry_run=true" => Answered::json(200, &json!({ "diff": [] })),
        _ => Answered::json(200, &restored),
    });
    fs::write(place.path("pass"), "correct horse\nmore\n").unwrap();
    let file = ["--passphrase-file", "pass"];
    let output = place.weir(&[&["backup", "all.weir"][..], &file].concat());
    good(&output);
    assert_parts(&err(&output), &["all.weir: 3 B written"]);
    let path = place.path("all.weir");
    assert_eq!((fs::read(&path).unwrap(), mode(&path)), (vec![0, 255, 7], 0o600));
    assert_eq!(
        control.last("POST").json(),
        json!({ "passphrase": "correct horse" })
    );

    let before = control.lines().len();
    refused(
        &place.weir(&[&["backup", "all.weir"][..], &file].concat()),
        &["all.weir: cannot be created"],
    );
    assert_eq!(
        control.lines().len(),
        before,
        "nothing is asked for that cannot be written"
    );

    let output = place.weir(&[&["restore", "all.weir", "--dry-run"][..], &file].concat());
    assert_eq!(good(&output), "nothing would change\n");
    let output = place.weir(&[&["restore", "all.weir"][..], &file].concat());
    good(&output);
    assert_parts(
        &err(&output),
        &["as it was at 2026-11-21T10:00:00Z: 3 peers, 1 access rules, 2 users, 0 tokens"],
    );
    assert_eq!(
        control.last("POST").json(),
        json!({ "passphrase": "correct horse", "backup": "AP8H" })
    );
    let json = json_of(&place, &[&["restore", "all.weir", "--json"][..], &file].concat());
    assert_eq!(json["peers"], 3);

    fs::write(place.path("pass"), "\n").unwrap();
    refused(
        &place.weir(&[&["restore", "all.weir"][..], &file].concat()),
        &["passphrase: empty; expected one"],
    );
    // Without a terminal there is nobody to ask.
    let mut command = std::process::Command::new("setsid");
    command
        .arg(env!("CARGO_BIN_EXE_weir"))
        .arg("--control-directory")
        .arg(place.path("control"));
    let output = command
        .current_dir(place.folder.path())
        .args(["backup", "other.weir"])
        .output()
        .unwrap();
    refused(
        &output,
        &["passphrase: there is no terminal", "--passphrase-file FILE"],
    );
    assert!(
        !place.path("other.weir").exists(),
        "what was not written is not left behind"
    );
}

#[test]
fn changes_are_listed_confirmed_and_reverted() {
    let place = Place::new("");
    let pending = api::PendingChange {
        id: "c7".to_owned(),
        made_at: time("2026-01-01T00:00:00Z"),
        made_by: "user:ada".to_owned(),
        reverts_at: time("2999-01-01T00:00:00Z"),
        diff: vec![api::DiffEntry {
            op: api::DiffOp::Add,
            path: "/rules/0".to_owned(),
            before: None,
            after: Some(json!("x")),
        }],
    };
    let control = FakeControl::start(&place, move |asked| match asked.method.as_str() {
        "GET" => items(&[&pending]),
        _ => Answered::nothing(),
    });
    let text = good(&place.weir(&["changes"]));
    assert_parts(
        &text,
        &["change c7 by user:ada reverts in", "+ /rules/0: \"x\"\n"],
    );
    assert_eq!(json_of(&place, &["changes", "list", "--json"])[0]["id"], "c7");
    good(&place.weir(&["changes", "confirm", "c7"]));
    assert_eq!(control.last("POST").line(), "POST /v1/changes/c7/confirmation");
    good(&place.weir(&["changes", "revert", "c7"]));
    assert_eq!(control.last("DELETE").line(), "DELETE /v1/changes/c7");
}

#[test]
fn the_status_tells_of_control_and_of_what_is_wrong() {
    let place = Place::new("");
    let plane = status("weirtest");
    let _gateway = FakeGateway::start(&place, "weirtest", weir_abi::VERSION, move |_| {
        Reply::Status(Box::new(plane.clone()))
    });
    let text = good(&place.weir(&["status"]));
    assert_parts(&text, &["control  none runs"]);
    assert_eq!(json_of(&place, &["status", "--json"])[0]["control"], Value::Null);
    let _control = FakeControl::start(&place, |asked| match asked.target.as_str() {
        "/v1/alerts" => items(&[json!({
            "id": "a", "severity": "critical", "kind": "x", "since": "2026-01-01T00:00:00Z", "summary": "phone is gone",
            "detail": "", "remedy": "look for it", "public_key": null
        })]),
        _ => Answered::json(
            200,
            &json!({
                "control": api::ControlStatus {
                    version: "0.1.0".to_owned(),
                    started_at: time("2026-01-01T00:00:00Z"),
                    store: api::StoreState::LastGoodCopy,
                    store_trouble: Some("page 7 is damaged".to_owned()),
                    pending: 3,
                },
                "dataplane": { "interface": "weirtest" },
                "peers": api::PeerCounts::default(),
                "alerts": 1,
            }),
        ),
    });
    let text = good(&place.weir(&["status"]));
    assert_parts(
        &text,
        &[
            "weir-control 0.1.0",
            "last good copy: page 7 is damaged",
            "3 changes not yet in the data plane",
            "critical, since 2026-01-01T00:00:00Z",
            "phone is gone; look for it",
        ],
    );
    let json = json_of(&place, &["status", "--json"]);
    assert_eq!(json[0]["control"]["control"]["store"], "last_good_copy");
    assert_eq!(json[0]["control"]["alerts"][0]["severity"], "critical");
}

// Catches a command that no shell completes.
#[test]
fn completions_know_every_command() {
    let place = Place::new("");
    for shell in ["bash", "zsh", "fish"] {
        let script = good(&place.weir(&["completion", shell]));
        for word in [
            "audit",
            "backup",
            "restore",
            "token",
            "events",
            "changes",
            "revoke",
            "why",
            "--confirm-within",
        ] {
            let word = word.trim_start_matches('-');
            assert!(script.contains(word), "{shell} does not complete {word}");
        }
    }
}
