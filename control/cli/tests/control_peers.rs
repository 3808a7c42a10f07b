//! `weir peer` while a control process runs. What that answers is made of the API's own types, so that neither side can
//! change what they say of each other without the other.

mod common;

use common::control::*;
use common::*;
use serde_json::{Value, json};
use std::fs;
use weir_abi::ipc::Reply;
use weir_api::types::{
    Certainty, Diagnosis, Diff, DiffEntry, DiffOp, Finding, Health, Key, Live, Owner, Peer, PeerCreated,
    PeerState, Peers, Probe,
};
use weir_config::conf::Conf;

fn peer(byte: u8, name: Option<&str>, owner: Owner) -> Peer {
    Peer {
        public_key: Key(weir_abi::key::PublicKey::from_bytes([byte; 32])),
        name: name.map(str::to_owned),
        groups: vec!["staff".to_owned()],
        allowed_ips: vec!["10.77.0.9/32".parse().expect("a network")],
        endpoint: None,
        persistent_keepalive: Some(25),
        has_preshared_key: true,
        disabled: false,
        expires_at: None,
        notes: "two\nlines".to_owned(),
        owner,
        created_at: Some("2026-01-01T00:00:00Z".parse().expect("a time")),
        updated_at: None,
        conflict: None,
        live: Live {
            state: PeerState::Connected,
            state_since: None,
            state_reason: "the handshake completed".to_owned(),
            health: Health::Healthy,
            trouble: None,
            endpoint: Some("192.0.2.9:7777".to_owned()),
            last_handshake_at: None,
            rx_bytes: 1,
            tx_bytes: 2,
            rx_bytes_total: 3 << 30,
            tx_bytes_total: 4,
            latency_ms: Some(12.34),
            handshake_ms: None,
            shard: Some(0),
        },
    }
}

fn page(items: Vec<Peer>, next_cursor: Option<&str>) -> Answered {
    let total = items.len() as u64;
    let next_cursor = next_cursor.map(str::to_owned);
    Answered::json(
        200,
        &Peers {
            items,
            next_cursor,
            total,
        },
    )
}

/// The configuration that the control process makes for a client, with what `more` adds to `[Peer]`.
fn conf(private: &str, more: &str) -> String {
    format!(
        "[Interface]\n{private}Address = 10.77.0.9/32\n\n[Peer]\nPublicKey = {}\n{more}Endpoint = vpn.example.org:51820\n\
         AllowedIPs = 10.77.0.0/24\n",
        key(7)
    )
}

/// Answers for two peers: `ada` of the file, `phone` of the store.
fn two(asked: &Asked) -> Answered {
    let phone = peer(4, Some("phone"), Owner::Control);
    match asked.line().as_str() {
        line if line.starts_with("GET /v1/peers?") => {
            page(vec![peer(2, Some("ada"), Owner::File), phone], None)
        }
        line if line.contains("/diagnosis") => Answered::json(200, &diagnosis()),
        line if line.starts_with("DELETE") => Answered::nothing(),
        _ => Answered::json(200, &phone),
    }
}

fn diagnosis() -> Diagnosis {
    Diagnosis {
        state: PeerState::Disconnected,
        state_reason: "no answer".to_owned(),
        findings: vec![Finding {
            code: "wrong_preshared_key".to_owned(),
            certainty: Certainty::Certain,
            summary: "the preshared keys differ".to_owned(),
            detail: "a response came that ours does not open".to_owned(),
            remedy: "make a new one".to_owned(),
        }],
        probe: Some(Probe {
            handshake: false,
            handshake_ms: None,
            small_ms: Some(3.21),
            large_ms: None,
            large_bytes: Some(1420),
            note: None,
        }),
    }
}

fn path(byte: u8) -> String {
    format!(
        "/v1/peers/{}",
        key(byte)
            .replace('+', "%2B")
            .replace('/', "%2F")
            .replace('=', "%3D")
    )
}

#[test]
fn a_peer_that_is_added_is_the_store_s() {
    let place = Place::new(&written());
    let private = format!("PrivateKey = {}\n", key(8));
    let config = conf(&private, "");
    let answer = PeerCreated {
        peer: peer(4, Some("phone"), Owner::Control),
        config: Some(config.clone()),
    };
    let control = FakeControl::start(&place, move |asked| match asked.method.as_str() {
        "POST" => Answered::json(201, &answer),
        _ => Answered::problem(404, "Not found", "nothing here", &json!([])),
    });
    let file = place.path("phone.conf");
    let output = place.weir(&[
        "peer",
        "add",
        "phone",
        "--group",
        "staff",
        "--expires",
        "2027-01-31T13:00:00+01:00",
        "--notes",
        "hers",
        "--keepalive",
        "0",
        "--conf",
        file.to_str().unwrap(),
        "--qr",
        "always",
    ]);
    let printed = good(&output);
    assert!(printed.starts_with(&config) && printed.contains('█'), "{printed}");
    assert!(
        err(&output).contains("peer \"phone\" (10.77.0.9/32) added"),
        "{}",
        err(&output)
    );
    assert_eq!((fs::read_to_string(&file).unwrap(), mode(&file)), (config, 0o600));
    let asked = control.last("POST");
    assert_eq!(asked.line(), "POST /v1/peers");
    assert_eq!(
        asked.json(),
        json!({
            "name": "phone", "preshared_key": "generate", "groups": ["staff"], "expires_at": "2027-01-31T12:00:00Z",
            "notes": "hers", "full_tunnel": false
        })
    );
    assert_eq!(place.text(), written(), "the file is left alone");
}

// Catches a client that has its private key already and is never told the preshared key, and an address that is not heeded.
#[test]
fn a_peer_with_a_key_of_its_own_is_told_the_rest() {
    let place = Place::new("");
    let answer = PeerCreated {
        peer: peer(4, Some("site"), Owner::Control),
        config: None,
    };
    let control = FakeControl::start(&place, move |asked| match asked.method.as_str() {
        "POST" => Answered::json(201, &answer),
        _ => Answered::text(&conf("", "")),
    });
    let mut arguments = vec!["peer", "add", "site", "--public-key"];
    let public = key(4);
    arguments.extend([
        public.as_str(),
        "--gateway",
        "198.51.100.7",
        "--full-tunnel",
        "--json",
    ]);
    let answered: Value = serde_json::from_str(&good(&place.weir(&arguments))).unwrap();
    let conf = Conf::parse(answered["config"].as_str().unwrap(), "site.conf").unwrap();
    let sent = control.last("POST").json();
    assert_eq!(
        conf.peers[0]
            .preshared_key
            .as_ref()
            .map(|psk| psk.expose_base64().to_string())
            .as_deref(),
        sent["preshared_key"].as_str()
    );
    assert_eq!(sent["preshared_key"].as_str().map(str::len), Some(44));
    assert_eq!(sent["public_key"], public);
    assert_eq!(format!("{:?}", conf.peers[0].allowed_ips), "[0.0.0.0/0]");
    assert_eq!(
        conf.peers[0].endpoint.as_ref().unwrap().to_string(),
        "198.51.100.7:51820"
    );
    assert_eq!(control.last("GET").target, format!("{}/config", path(4)));
}

// Catches a client whose only private key went to an output that took nothing.
#[test]
fn a_peer_that_cannot_be_shown_is_removed_again() {
    let place = Place::new("");
    let answer = PeerCreated {
        peer: peer(4, Some("phone"), Owner::Control),
        config: Some(conf("", "")),
    };
    let control = FakeControl::start(&place, move |asked| match asked.method.as_str() {
        "POST" => Answered::json(201, &answer),
        _ => Answered::nothing(),
    });
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let file = place.path("phone.conf");
    let mut command = place.command(&["peer", "add", "phone", "--conf"]);
    refused(
        &command.arg(&file).stdout(full).output().unwrap(),
        &["No space left", "the peer is not added"],
    );
    assert_eq!(control.last("DELETE").target, path(4));
    assert!(!file.exists());
    // A file that cannot be written is known before there is a key.
    fs::write(&file, "").unwrap();
    let mut command = place.command(&["peer", "add", "phone", "--conf"]);
    refused(
        &command.arg(&file).output().unwrap(),
        &["phone.conf: cannot be created"],
    );
    assert_eq!(
        control
            .lines()
            .iter()
            .filter(|line| line.starts_with("POST"))
            .count(),
        1
    );
}

#[test]
fn a_refusal_names_field_value_and_expectation() {
    let place = Place::new("");
    let _control = FakeControl::start(&place, |_| {
        let errors = json!([
            { "field": "name", "value": "a\u{1b}[2J", "expected": "letters" },
            { "field": "preshared_key", "value": null, "expected": "a key" }
        ]);
        Answered::problem(422, "Invalid request", "two fields are wrong", &errors)
    });
    let output = place.weir(&["peer", "add", "a"]);
    refused(
        &output,
        &[
            "weir: Invalid request: two fields are wrong",
            "weir: name: \"a\\u001b[2J\"; expected letters",
            "weir: preshared_key; expected a key",
        ],
    );
    assert_eq!(out(&output), "");
}

#[test]
fn all_pages_are_listed() {
    let place = Place::new("");
    let control = FakeControl::start(&place, |asked| {
        let one = |byte| vec![peer(byte, Some(&format!("p{byte}\u{1b}[2J")), Owner::Control)];
        match asked.target.contains("cursor=a%2Fb") {
            false => page(one(4), Some("a/b")),
            true => page(one(5), None),
        }
    });
    let text = good(&place.weir(&["peer", "list", "--find", "p & q", "--state", "connected"]));
    for part in [
        "NAME",
        "p4\u{fffd}[2J",
        "p5",
        "connected",
        "192.0.2.9:7777",
        "3.00 GiB",
        "never",
        "control",
        &key(5),
    ] {
        assert!(text.contains(part), "{text}\nlacks {part}");
    }
    assert_eq!(
        control.lines()[0],
        "GET /v1/peers?q=p%20%26%20q&state=connected&limit=1000"
    );
    let json: Value = serde_json::from_str(&good(&place.weir(&["peer", "list", "--json"]))).unwrap();
    assert_eq!(json[1]["public_key"], key(5));
    assert_eq!(json[0]["live"]["rx_bytes_total"], 3u64 << 30);
}

#[test]
fn one_peer_is_shown_by_name_and_by_key() {
    let place = Place::new("");
    let control = FakeControl::start(&place, two);
    let text = good(&place.weir(&["peer", "show", "phone"]));
    for part in [
        "peer phone",
        &key(4),
        "connected: the handshake completed",
        "12.3 ms",
        "two / lines",
        "staff",
        "25 s",
    ] {
        assert!(text.contains(part), "{text}\nlacks {part}");
    }
    let json: Value = serde_json::from_str(&good(&place.weir(&["peer", "show", &key(4), "--json"]))).unwrap();
    assert_eq!(json["name"], "phone");
    assert_eq!(control.last("GET").target, path(4));
    refused(
        &place.weir(&["peer", "show", "nobody"]),
        &["peer \"nobody\": there is none of this name"],
    );
}

#[test]
fn what_is_named_is_changed() {
    let place = Place::new("");
    let control = FakeControl::start(&place, two);
    let output = place.weir(&[
        "peer",
        "set",
        "phone",
        "--name",
        "tablet",
        "--groups",
        "none",
        "--endpoint",
        "none",
        "--expires",
        "none",
        "--allowed-ips",
        "10.77.0.9/32,10.9.0.0/24",
        "--keepalive",
        "0",
    ]);
    good(&output);
    let patch = control.last("PATCH");
    assert_eq!(patch.line(), format!("PATCH {}", path(4)));
    assert_eq!(
        patch.json(),
        json!({
            "name": "tablet", "groups": [], "endpoint": null, "expires_at": null, "persistent_keepalive": 0,
            "allowed_ips": ["10.77.0.9/32", "10.9.0.0/24"]
        })
    );
    assert_eq!(patch.header("content-type"), Some("application/merge-patch+json"));
    good(&place.weir(&["peer", "disable", "phone", "--confirm-within", "60"]));
    let patch = control.last("PATCH");
    assert_eq!(
        (patch.json(), patch.target),
        (
            json!({ "disabled": true }),
            format!("{}?confirm_within_s=60", path(4))
        )
    );
    good(&place.weir(&["peer", "enable", "phone"]));
    assert_eq!(control.last("PATCH").json(), json!({ "disabled": false }));
    let output = place.weir(&["peer", "remove", "phone"]);
    assert!(
        err(&output).contains("peer \"phone\" removed"),
        "{}",
        err(&output)
    );
    assert_eq!(control.last("DELETE").line(), format!("DELETE {}", path(4)));
    refused(
        &place.weir(&["peer", "set", "phone"]),
        &["nothing to change was named"],
    );
    refused(
        &place.weir(&["peer", "set", "phone", "--expires", "soon"]),
        &["--expires: \"soon\"; expected a time"],
    );
    let before = control.lines().len();
    refused(
        &place.weir(&["peer", "remove", "ada"]),
        &["declared in weir.toml", "weir peer remove --file"],
    );
    assert!(
        control.lines()[before..]
            .iter()
            .all(|line| line.starts_with("GET"))
    );
}

#[test]
fn a_dry_run_shows_the_difference_and_a_commit_confirm_how_it_is_kept() {
    let place = Place::new("");
    let control = FakeControl::start(&place, |asked| {
        if asked.target.contains("dry_run=true") {
            let entry = |op, before: Option<Value>, after: Option<Value>| DiffEntry {
                op,
                path: "/peers/x/name".to_owned(),
                before,
                after,
            };
            let diff = vec![
                entry(DiffOp::Replace, Some(json!("phone")), Some(json!("tablet"))),
                entry(DiffOp::Add, None, Some(json!(7))),
                entry(DiffOp::Remove, Some(json!("(secret)")), None),
            ];
            return Answered::json(200, &Diff { diff });
        }
        if asked.method == "PATCH" {
            return two(asked).with(
                "Weir-Change",
                r#"{"id":"c7","reverts_at":"2000-01-01T00:00:00Z"}"#,
            );
        }
        two(asked)
    });
    let text = good(&place.weir(&["peer", "set", "phone", "--name", "tablet", "--dry-run"]));
    assert_eq!(
        text,
        "~ /peers/x/name: \"phone\" -> \"tablet\"\n+ /peers/x/name: 7\n- /peers/x/name: \"(secret)\"\n"
    );
    assert_eq!(control.last("PATCH").target, format!("{}?dry_run=true", path(4)));
    let json = good(&place.weir(&["peer", "set", "phone", "--name", "tablet", "--dry-run", "--json"]));
    assert_eq!(
        serde_json::from_str::<Value>(&json).unwrap()["diff"][0]["op"],
        "replace"
    );
    let output = place.weir(&[
        "peer",
        "set",
        "phone",
        "--name",
        "tablet",
        "--confirm-within",
        "60",
    ]);
    good(&output);
    assert!(
        err(&output).contains("weir changes confirm c7"),
        "{}",
        err(&output)
    );
}

#[test]
fn a_diagnosis_is_told() {
    let place = Place::new("");
    let control = FakeControl::start(&place, two);
    let output = place.weir(&["peer", "why", "phone", "--probe"]);
    assert_eq!(
        output.status.code(),
        Some(1),
        "what was found is a failure, as of doctor"
    );
    let text = out(&output);
    for part in [
        "disconnected: no answer",
        "1. certain: the preshared keys differ",
        "do: make a new one",
        "probe: no handshake; small echo back in 3.2 ms; echo of 1420 bytes not back",
    ] {
        assert!(text.contains(part), "{text}\nlacks {part}");
    }
    assert_eq!(control.last("POST").json(), json!({ "probe": true }));
    let json = out(&place.weir(&["peer", "why", "phone", "--json"]));
    assert_eq!(
        serde_json::from_str::<Value>(&json).unwrap()["findings"][0]["code"],
        "wrong_preshared_key"
    );
}

// Catches a file that is changed behind the control process's back, and a store asked where the file was meant.
#[test]
fn the_file_is_changed_where_it_is_meant_and_where_nothing_else_is_there() {
    let place = Place::new(&written());
    let _gateway = FakeGateway::start(&place, "weirtest", weir_abi::VERSION, done);
    let config = place.config.to_str().unwrap();
    good(&place.peer(&["add", "one"]));
    let control = FakeControl::start(&place, two);
    good(&place.weir(&["peer", "--file", "--config", config, "add", "two"]));
    good(&place.weir(&["peer", "--config", config, "add", "three"]));
    assert!(control.lines().is_empty(), "{:?}", control.lines());
    for name in ["one", "two", "three"] {
        assert!(
            place.text().contains(&format!("name = \"{name}\"")),
            "{}",
            place.text()
        );
    }
    for (arguments, said) in [
        (
            &["add", "x", "--expires", "30d"][..],
            "--expires: only the control process",
        ),
        (
            &["remove", "one", "--dry-run"],
            "--dry-run: only the control process",
        ),
        (&["show", "one"], "peer show: only the control process"),
        (&["why", "one"], "peer why: only the control process"),
        (
            &["list", "--state", "connected"],
            "choosing peers: only the control process",
        ),
    ] {
        refused(&place.peer(arguments), &[said]);
    }
}

// Catches clients of a translating gateway that reach nothing behind it.
#[test]
fn a_client_of_a_translating_gateway_sends_it_everything() {
    let place = Place::new(&written().replacen("\n\n#", "\n\n[gateway]\nnat = true\n\n#", 1));
    let mut plane = status("weirtest");
    plane.config_path = Some(place.config.to_str().unwrap().to_owned());
    let _gateway = FakeGateway::start(&place, "weirtest", weir_abi::VERSION, move |_| {
        Reply::Status(Box::new(plane.clone()))
    });
    let answer = PeerCreated {
        peer: peer(4, Some("phone"), Owner::Control),
        config: Some(conf("", "")),
    };
    let control = FakeControl::start(&place, move |asked| match asked.target.as_str() {
        "/v1/status" => {
            let control = json!({
                "version": "0", "started_at": "2026-01-01T00:00:00Z", "store": "ok", "store_trouble": null, "pending": 0
            });
            Answered::json(
                200,
                &json!({ "control": control, "dataplane": { "interface": "weirtest" } }),
            )
        }
        _ => Answered::json(201, &answer),
    });
    for (option, full) in [(None, true), (Some("--split-tunnel"), false)] {
        let arguments: Vec<&str> = ["peer", "add", "phone"].into_iter().chain(option).collect();
        good(&place.weir(&arguments));
        assert_eq!(control.last("POST").json()["full_tunnel"], full, "{option:?}");
    }
}
