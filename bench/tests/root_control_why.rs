//! "Why no handshake?": each reason is made on purpose, between real clients and a real gateway, and control must name it
//! as its main finding, with what an operator does about it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};
use weir_abi::key::PublicKey;
use weir_bench::api::peer_path;
use weir_bench::control_lab::{ControlLab, INSIDE, OUTSIDE, PORT, drop_packets, gateway_key};
use weir_bench::device_config::{KeyPair, preshared_key};
use weir_bench::{Ping, wait};
use weir_noise::Tai64n;
use weir_testkit::{Client, Received, Seed};

/// How long a reason may take to be found: three times what the longest threshold takes (twice REKEY_TIMEOUT, and an
/// initiation after it), as dataplane/docs/12-peer-states.md has them.
const LIMIT: Duration = Duration::from_secs(45);

/// Between two initiations of a client that misbehaves.
const CALL_AGAIN: Duration = Duration::from_millis(300);

/// What brings a client to call: an echo request that nobody answers.
fn calls(namespace: &weir_bench::Namespace) {
    let report = Ping::to(INSIDE).count(1).run(namespace).unwrap();
    assert_eq!(report.received, 0, "nothing passes the tunnel");
}

/// Diagnoses until this is the main finding, and returns it.
fn named(lab: &ControlLab, key: &PublicKey, probe: bool, code: &str, certainty: &str) -> Value {
    let mut last = Value::Null;
    let found = wait::until(&format!("the finding {code}, {certainty}"), LIMIT, || {
        last = lab.diagnosis(key, probe).unwrap();
        let main = &last["findings"][0];
        (main["code"] == code && main["certainty"] == certainty).then(|| main.clone())
    });
    let found = found.unwrap_or_else(|error| panic!("{error}\nfound instead: {last:#}"));
    println!("{code}: {} {}", found["summary"], found["detail"]);
    for part in ["summary", "remedy"] {
        assert!(
            found[part].as_str().is_some_and(|text| !text.is_empty()),
            "{found:#}"
        );
    }
    found
}

/// What the status tells of refused handshakes of this kind.
fn refused(lab: &ControlLab, why: &str) -> Vec<Value> {
    let status = lab.api().get("/v1/status").unwrap();
    let all = status["dataplane"]["refused"].as_array().unwrap().clone();
    all.into_iter().filter(|refused| refused["why"] == why).collect()
}

/// Catches a peer of which nothing arrives that is told to be well, or to be wrong in itself.
#[test]
fn udp_that_is_blocked() {
    let lab = ControlLab::new().unwrap();
    let created = lab.create("blocked", &json!({})).unwrap();
    let network = lab.network().unwrap();
    drop_packets(&network, "output", &format!("udp dport {PORT}")).unwrap();
    drop_packets(&network, "input", &format!("udp sport {PORT}")).unwrap();
    let _client = lab.use_conf(&network, &created.conf).unwrap();
    calls(&network);
    named(&lab, &created.key, false, "udp_blocked", "possible");

    // Once it is known where to look, it can be tried.
    let endpoint = SocketAddr::from((ControlLab::outer_address(&network).unwrap(), PORT));
    let patch = json!({ "endpoint": endpoint.to_string() });
    lab.api()
        .change("PATCH", &peer_path(&created.key), &patch)
        .unwrap();
    named(&lab, &created.key, true, "udp_blocked", "likely");
}

/// Catches a client with a mistaken server key whose calls are dropped without a word to the operator.
#[test]
fn a_wrong_server_key() {
    let lab = ControlLab::new().unwrap();
    let mut created = lab.create("mistaken", &json!({})).unwrap();
    created
        .conf
        .set("PublicKey", &KeyPair::seeded(98).public().to_string());
    let network = lab.network().unwrap();
    let _client = lab.use_conf(&network, &created.conf).unwrap();
    calls(&network);
    named(&lab, &created.key, false, "wrong_server_key", "possible");
    let source = ControlLab::outer_address(&network).unwrap().to_string();
    let refused = refused(&lab, "wrong_mac1");
    assert!(
        refused
            .iter()
            .any(|refused| refused["source"].as_str().unwrap().starts_with(&source)),
        "{refused:?}"
    );
}

/// Catches a peer that was deleted, or that calls with another key, of which nothing is said.
#[test]
fn a_peer_that_nobody_knows() {
    let lab = ControlLab::new().unwrap();
    // One that was never declared, seen in the status.
    let gone = lab.create("gone", &json!({})).unwrap();
    lab.api()
        .send("DELETE", &peer_path(&gone.key), &[], None)
        .unwrap()
        .expect(204)
        .unwrap();
    let network = lab.network().unwrap();
    let _stranger = lab.use_conf(&network, &gone.conf).unwrap();
    calls(&network);
    let key = gone.key.to_string();
    wait::until_true("the refusal of the unknown key", LIMIT, || {
        refused(&lab, "unknown_peer")
            .iter()
            .any(|refused| refused["peer"] == key.as_str())
    })
    .unwrap();
    named(&lab, &gone.key, false, "unknown_peer", "certain");

    // One that was connected and has another private key now: its source is known.
    let client = lab.connect("changed").unwrap();
    let other = KeyPair::seeded(99);
    let file = lab.topology().folder().join("other-key");
    std::fs::write(&file, other.private().expose_base64().as_bytes()).unwrap();
    client
        .peer
        .wg(&format!(
            "set {} private-key {}",
            client.peer.interface(),
            file.display()
        ))
        .unwrap();
    calls(client.peer.namespace());
    // The session of the old key is over when the gateway finds that out: it talks, and is not answered.
    Ping::to(client.address).count(1).run(lab.host()).unwrap();
    named(&lab, &client.key, true, "unknown_peer", "certain");
}

/// Catches two preshared keys that differ, taken for a path that is blocked.
#[test]
fn a_wrong_preshared_key() {
    let lab = ControlLab::new().unwrap();
    let mut created = lab
        .create("spoilt", &json!({ "preshared_key": "generate" }))
        .unwrap();
    created
        .conf
        .set("PresharedKey", &preshared_key(8).expose_base64());
    let network = lab.network().unwrap();
    let _client = lab.use_conf(&network, &created.conf).unwrap();
    calls(&network);
    named(&lab, &created.key, true, "wrong_preshared_key", "certain");
    let live = lab.peer(&created.key).unwrap()["live"].clone();
    assert!(live["last_handshake_at"].is_null(), "{live:#}");
}

/// Catches a client whose clock was set back, or a replay, of which the operator learns nothing.
#[test]
fn an_old_timestamp() {
    let lab = ControlLab::new().unwrap();
    let key = KeyPair::seeded(50);
    let input = json!({ "name": "backwards", "allowed_ips": ["10.77.9.9/32"] });
    lab.api()
        .change("PUT", &peer_path(&key.public()), &input)
        .unwrap();
    let network = lab.network().unwrap();
    let socket = network.enter(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
    socket.connect((OUTSIDE, PORT)).unwrap();
    socket.set_read_timeout(Some(CALL_AGAIN)).unwrap();
    let address = socket.local_addr().unwrap();
    let mut client = Client::new(
        *key.private().expose(),
        gateway_key().public(),
        address,
        Seed::from(50).random(0),
    );
    let begun = Instant::now();
    let mut call = |unix_s: u64| {
        let now = weir_noise::Instant::from_nanos(begun.elapsed().as_nanos() as u64);
        let initiation = client.initiation_at(Tai64n::from_unix_nanos(unix_s * 1_000_000_000), now);
        socket.send(&initiation).unwrap();
        let mut answer = [0; 2048];
        let length = socket.recv(&mut answer).ok()?;
        Some(client.receive(&answer[..length], now))
    };
    assert_eq!(call(1_800_000_000), Some(Received::Session));
    let mut found = Value::Null;
    wait::until_true("the finding old_timestamp, certain", LIMIT, || {
        assert_eq!(call(1_700_000_000), None, "an old initiation is not answered");
        found = lab.diagnosis(&key.public(), false).unwrap();
        let main = &found["findings"][0];
        main["code"] == "old_timestamp" && main["certainty"] == "certain"
    })
    .unwrap_or_else(|error| panic!("{error}\nfound instead: {found:#}"));
    assert!(!refused(&lab, "old_timestamp").is_empty());
}

/// Catches a peer that expired and goes on, or of which nobody says that its time is over.
#[test]
fn a_peer_that_expired() {
    let lab = ControlLab::new().unwrap();
    let client = lab.connect("guest").unwrap();
    let soon = Timestamp::now() + 2.seconds();
    let patch = json!({ "expires_at": soon.to_string() });
    lab.api()
        .change("PATCH", &peer_path(&client.key), &patch)
        .unwrap();
    named(&lab, &client.key, false, "expired", "certain");
    wait::until_true("an end of its traffic", LIMIT, || {
        Ping::to(INSIDE)
            .count(1)
            .run(client.peer.namespace())
            .unwrap()
            .received
            == 0
    })
    .unwrap();
    assert_eq!(lab.peer(&client.key).unwrap()["live"]["state"], "absent");

    // It comes back with another time.
    lab.api()
        .change("PATCH", &peer_path(&client.key), &json!({ "expires_at": null }))
        .unwrap();
    Ping::to(INSIDE)
        .until_answered(client.peer.namespace(), LIMIT)
        .unwrap();
}

/// Catches a path on which only the gateway's datagrams are lost, taken for a wrong key or for a peer that is off.
#[test]
fn a_blocked_return_path() {
    let lab = ControlLab::new().unwrap();
    let created = lab.create("unheard", &json!({})).unwrap();
    let network = lab.network().unwrap();
    drop_packets(&network, "input", &format!("udp sport {PORT}")).unwrap();
    let _client = lab.use_conf(&network, &created.conf).unwrap();
    calls(&network);
    named(&lab, &created.key, true, "blocked_return_path", "certain");
}

/// Catches a path that swallows large packets while the peer is shown to be well.
#[test]
fn an_mtu_black_hole() {
    let lab = ControlLab::new().unwrap();
    let client = lab.connect("narrow").unwrap();
    let sound = lab.diagnosis(&client.key, true).unwrap();
    assert_eq!(sound["findings"][0]["code"], "connected", "before: {sound:#}");
    assert!(sound["probe"]["large_ms"].is_number(), "before: {sound:#}");
    drop_packets(client.peer.namespace(), "input", "ip length > 1300").unwrap();
    named(&lab, &client.key, true, "mtu_black_hole", "certain");
}
