//! `weir events`: what is kept, and what happens.

mod common;

use common::control::*;
use common::*;
use serde_json::{Value, json};
use weir_api::types as api;

/// The stream as the API writes it: numbered events, then one of the moment.
fn stream() -> String {
    let alert = api::Alert {
        id: "a".to_owned(),
        severity: api::Severity::Warning,
        kind: "peer_gone".to_owned(),
        since: time("2026-11-21T10:00:03Z"),
        summary: "phone is gone".to_owned(),
        detail: String::new(),
        remedy: String::new(),
        public_key: None,
    };
    let at = time("2026-11-21T10:00:00.123456Z");
    let events = [
        api::Event::PeerState(api::PeerStateChanged {
            at,
            public_key: api::Key(weir_abi::key::PublicKey::from_bytes([4; 32])),
            name: Some("phone\u{1b}[2J".to_owned()),
            state: api::PeerState::Connected,
            reason: "the handshake completed".to_owned(),
        }),
        api::Event::Refused(api::RefusedHandshake {
            at,
            source: "192.0.2.9:7".to_owned(),
            why: "wrong_mac1".to_owned(),
            peer: None,
            count: 4,
        }),
        api::Event::Change(api::Changed {
            at,
            actor: "wg".to_owned(),
            owner: api::Owner::Control,
            peers: None,
            rules: true,
            administration: false,
        }),
        api::Event::Alert(api::AlertChanged { raised: true, alert }),
        api::Event::Denied(api::DeniedFlow {
            at,
            public_key: None,
            rule: Some("web".to_owned()),
            source: "10.77.0.9".to_owned(),
            destination: "10.0.0.1".to_owned(),
            protocol: "tcp".to_owned(),
            port: Some(80),
        }),
    ];
    let mut text = ": hello\n\n".to_owned();
    for (number, event) in events.iter().enumerate() {
        let data = serde_json::to_string(event).expect("it is plain data");
        text.push_str(&format!(
            "id: e-{number}\nevent: {}\ndata: {data}\n\n",
            event.name()
        ));
    }
    text + "event: status\ndata: {\"unix_s\":1}\n\n"
}

#[test]
fn events_are_told_and_resumed() {
    let place = Place::new("");
    let lost = "event: lost\ndata: {\"count\":null}\n\n";
    let control = FakeControl::start(&place, move |asked| match asked.header("last-event-id") {
        Some("0") => Answered::text(&format!("{lost}{}", stream())),
        _ => Answered::text(&stream()),
    });
    let text = good(&place.weir(&["events"]));
    assert_parts(
        &text,
        &[
            "2026-11-21T10:00:00Z  peer_state phone\u{fffd}[2J: connected: the handshake completed\n",
            "refused    handshake from 192.0.2.9:7: wrong_mac1, 4 times\n",
            "change     wg changed many peers, access rules\n",
            "2026-11-21T10:00:03Z  alert      warning: phone is gone\n",
            "denied     10.77.0.9 -> 10.0.0.1 tcp 80 denied by web\n",
        ],
    );
    assert_eq!(
        text.lines().count(),
        5,
        "what is of the moment is no event to be listed:\n{text}"
    );
    assert_eq!(control.last("GET").header("last-event-id"), Some("0"));
    let output = place.weir(&["events", "--json", "--follow", "--after", "e-3"]);
    refused(&output, &["ended the stream of events"]);
    let events: Vec<Value> = out(&output)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(events.len(), 6);
    assert_eq!(
        (&events[1]["id"], &events[1]["event"]),
        (&json!("e-1"), &json!("refused"))
    );
    assert_eq!(events[1]["data"]["count"], 4);
    assert_eq!(control.last("GET").header("last-event-id"), Some("e-3"));
}
