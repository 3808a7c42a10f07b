//! What control asks of a data plane, over the real socket of a real gateway: to watch, to declare, to read back.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::gateway::{FILE_PEER, FILE_PSK, Gateway, INTERFACE, LIMIT, PRIVATE};
use common::{isolated, run};
use std::time::{Duration, Instant};
use weir_abi::change::{AllowedIpChange, Change, ChangeSet, PeerChange, Refusal};
use weir_abi::desired::{Origin, Peer, Revision};
use weir_abi::events::{Event, EventKind, HEARTBEAT_MS, WATCHERS_MAX};
use weir_abi::ipc::{Declared, Reply, Request};
use weir_abi::key::{PresharedKey, PublicKey};
use weir_abi::rule::{Action, Rule};
use weir_gateway::ipc::Client;

const PSK: [u8; 32] = [0x55; 32];

fn key(number: u8) -> PublicKey {
    PublicKey::from_bytes([number; 32])
}

fn control(base: Option<Revision>, changes: Vec<Change>) -> Request {
    let origin = Origin::Control;
    Request::Apply(ChangeSet {
        base,
        origin,
        changes,
    })
}

fn declaration(number: u8) -> Change {
    Change::Peer(PeerChange {
        preshared_key: Some(PresharedKey::from_bytes(PSK)),
        name: Some(format!("peer {number}")),
        groups: Some(vec!["staff".to_owned()]),
        allowed_ips: vec![AllowedIpChange::Add(
            format!("10.77.0.{number}/32").parse().unwrap(),
        )],
        ..PeerChange::new(key(number))
    })
}

fn done(reply: Reply) -> Revision {
    match reply {
        Reply::Done(revision) => revision,
        other => panic!("{other:?}"),
    }
}

fn declared(gateway: &Gateway) -> Declared {
    match gateway.ask(&Request::Declared) {
        Reply::Declared(declared) => *declared,
        other => panic!("{other:?}"),
    }
}

/// A client that watches; the first answer has come.
fn watching() -> Client {
    let mut client = Client::connect(INTERFACE).unwrap();
    assert_eq!(client.ask(&Request::Watch).unwrap(), Reply::Events(Vec::new()));
    client
}

fn hear(client: &mut Client) -> Vec<Event> {
    match client.hear().unwrap() {
        Reply::Events(events) => events,
        other => panic!("{other:?}"),
    }
}

/// What is told until something is that `wanted` takes.
fn until(client: &mut Client, mut wanted: impl FnMut(&EventKind) -> bool) -> Vec<EventKind> {
    let (mut heard, begun) = (Vec::new(), Instant::now());
    while !heard.iter().any(&mut wanted) {
        assert!(begun.elapsed() < LIMIT, "{heard:?}");
        heard.extend(hear(client).into_iter().map(|event| event.what));
    }
    heard
}

// Catches a change by `wg`, by control or by a reload of which a watcher does not hear, or not who made it, and one that
// is told before or after its turn.
#[test]
fn a_watcher_hears_who_changed_what() {
    isolated(|| {
        let gateway = Gateway::start(&[]);
        let mut client = watching();
        run(&format!(
            "wg set {INTERFACE} peer {} allowed-ips 10.77.0.9/32",
            key(9)
        ));
        let rules = vec![Change::ReplaceRules(vec![Rule::new(Action::Accept)])];
        let by_control = done(gateway.ask(&control(None, vec![declaration(8)])));
        done(gateway.ask(&control(None, rules)));
        done(gateway.ask(&Request::Reload));
        run(&format!("wg set {INTERFACE} peer {} remove", key(8)));
        let last = Revision(by_control.0 + 3);
        let heard = until(
            &mut client,
            |what| matches!(what, EventKind::Changed { revision, .. } if *revision == last),
        );
        let changes: Vec<_> = heard
            .into_iter()
            .filter_map(|what| match what {
                EventKind::Changed {
                    revision,
                    origin,
                    peers,
                    rules,
                } => Some((revision.0 + 1 - by_control.0, origin, peers.unwrap(), rules)),
                _ => None,
            })
            .collect();
        assert_eq!(
            changes,
            [
                (0, Origin::Uapi, vec![key(9)], false),
                (1, Origin::Control, vec![key(8)], false),
                (2, Origin::Control, vec![], true),
                (3, Origin::File, vec![], false),
                (4, Origin::Uapi, vec![key(8)], false),
            ]
        );
    });
}

// Catches a gateway through which no packet passes any more, and a watcher that is not told.
#[test]
fn a_watcher_hears_that_the_device_was_set_down() {
    isolated(|| {
        let _gateway = Gateway::start(&[]);
        let mut client = watching();
        run(&format!("ip link set {INTERFACE} down"));
        until(
            &mut client,
            |what| matches!(what, EventKind::Warning(text) if text.contains("is down")),
        );
    });
}

// Catches a watcher who cannot tell a gateway at rest from one that hangs, places that are never given back, and one
// watcher too many.
#[test]
fn watchers_are_told_that_nothing_happens_and_are_bounded() {
    isolated(|| {
        let _gateway = Gateway::start(&[]);
        let mut clients: Vec<Client> = (0..WATCHERS_MAX).map(|_| watching()).collect();
        let mut late = Client::connect(INTERFACE).unwrap();
        let refused = late.ask(&Request::Watch).unwrap();
        assert!(
            matches!(&refused, Reply::Failed(why) if why.contains("watch")),
            "{refused:?}"
        );
        let begun = Instant::now();
        // What the start itself brought may come first.
        while !hear(&mut clients[0]).is_empty() {}
        assert!(begun.elapsed() < 3 * Duration::from_millis(HEARTBEAT_MS));
        drop(clients);
        let begun = Instant::now();
        while !matches!(late.ask(&Request::Watch).unwrap(), Reply::Events(_)) {
            assert!(begun.elapsed() < LIMIT, "no place was given back");
            std::thread::sleep(Duration::from_millis(20));
        }
    });
}

// Catches a change that control makes against a state that is no longer so, which would undo what `wg` did meanwhile.
#[test]
fn a_stale_base_is_refused_and_what_wg_did_can_be_read_back() {
    isolated(|| {
        let gateway = Gateway::start(&[]);
        let base = done(gateway.ask(&control(None, vec![declaration(8)])));
        run(&format!(
            "wg set {INTERFACE} peer {} persistent-keepalive 21 peer {} allowed-ips 10.77.0.9/32",
            key(8),
            key(9)
        ));
        let stale = gateway.ask(&control(Some(base), vec![Change::RemovePeer(key(8))]));
        let current = base.0 + 1;
        assert_eq!(
            stale,
            Reply::Refused(Refusal::Stale {
                base: base.0,
                current
            })
        );
        let read = declared(&gateway);
        assert_eq!(read.revision.0, current);
        let found: Vec<_> = read
            .peers
            .iter()
            .map(|peer| (peer.public_key, peer.origin, peer.persistent_keepalive))
            .collect();
        assert_eq!(
            found,
            [(key(8), Origin::Uapi, Some(21)), (key(9), Origin::Uapi, None)]
        );
        assert_eq!(read.peers[0].name.as_deref(), Some("peer 8"));
        assert_eq!(read.peers[0].groups, ["staff"]);
        // Rebased, it goes through: control takes both over.
        let peers = read.peers.into_iter().map(|peer| Peer {
            origin: Origin::Control,
            ..peer
        });
        let again = control(Some(read.revision), vec![Change::ReplacePeers(peers.collect())]);
        done(gateway.ask(&again));
        assert!(
            declared(&gateway)
                .peers
                .iter()
                .all(|peer| peer.origin == Origin::Control)
        );
    });
}

// Catches a preshared key of the file's, or the private key, in what control reads, and control's own missing there:
// it would push peers without theirs after a restart of its own.
#[test]
fn what_is_declared_has_control_s_keys_and_not_the_file_s() {
    isolated(|| {
        let gateway = Gateway::start(&[]);
        let rules = vec![Rule::new(Action::Deny)];
        let changes = vec![declaration(8), Change::ReplaceRules(rules.clone())];
        done(gateway.ask(&control(None, changes)));
        let read = declared(&gateway);
        assert_eq!((read.peers.len(), &read.rules), (1, &rules));
        assert_eq!(read.peers[0].preshared_key, Some(PresharedKey::from_bytes(PSK)));
        let bytes = postcard::to_stdvec(&read).unwrap();
        let has = |secret: &[u8]| bytes.windows(32).any(|window| window == secret);
        assert!(has(&PSK) && !has(&FILE_PSK) && !has(&PRIVATE));

        let Reply::Status(status) = gateway.ask(&Request::Status { peers: true }) else {
            panic!("a status");
        };
        assert_eq!(status.boot_id, read.boot_id);
        assert_eq!(status.addresses, ["10.77.0.1/24"]);
        assert_eq!(
            status.client_endpoint.unwrap().to_string(),
            "vpn.example.org:7777"
        );
        assert_eq!(
            (status.dns, status.keepalive_s),
            (vec!["10.77.0.1".to_owned()], 25)
        );
        assert_eq!(status.config_path.as_deref(), Some("/run/weir.toml"));
        let owners: Vec<_> = status
            .peers
            .iter()
            .map(|peer| (peer.origin, peer.groups.len()))
            .collect();
        assert_eq!(owners, [(Origin::File, 0), (Origin::Control, 1)]);
        assert_eq!(status.rules[0].origin, Origin::Control);
        // What was asked for of peers, in the order of the question.
        let keys = vec![key(8), key(99), PublicKey::from_bytes(FILE_PEER)];
        let Reply::Peers(peers) = gateway.ask(&Request::Peers(keys.clone())) else {
            panic!("peers");
        };
        let found: Vec<_> = peers.iter().map(|peer| peer.public_key).collect();
        assert_eq!(found, [keys[0], keys[2]]);
        // Another run says that it is another.
        drop(gateway);
        let gateway = Gateway::start(&[]);
        let next = declared(&gateway);
        assert_ne!(next.boot_id, read.boot_id);
        assert!(next.peers.is_empty() && next.rules.is_empty());
    });
}
