//! The applier: what is refused, what moves, and that a refused set leaves nothing behind.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use weir_abi::change::{AllowedIpChange, Change, ChangeSet, PeerChange, Refusal};
use weir_abi::desired::{Origin, Peer, Revision};
use weir_abi::key::{PresharedKey, PrivateKey, PublicKey};
use weir_abi::prefix::Prefix;
use weir_engine::{Applier, Remembered};

fn key(number: u8) -> PublicKey {
    PublicKey::from_bytes([number; 32])
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn set(origin: Origin, changes: Vec<Change>) -> ChangeSet {
    ChangeSet {
        base: None,
        origin,
        changes,
    }
}

fn uapi(changes: Vec<Change>) -> ChangeSet {
    set(Origin::Uapi, changes)
}

fn with_prefixes(number: u8, prefixes: &[&str]) -> Change {
    let allowed_ips = prefixes.iter().map(|p| AllowedIpChange::Add(prefix(p))).collect();
    Change::Peer(PeerChange {
        allowed_ips,
        ..PeerChange::new(key(number))
    })
}

fn declared(number: u8, prefixes: &[&str]) -> Peer {
    let allowed_ips = prefixes.iter().map(|p| prefix(p)).collect();
    Peer {
        allowed_ips,
        ..Peer::new(key(number), Origin::File)
    }
}

fn owner(applier: &Applier, address: &str) -> Option<PublicKey> {
    let tables = applier.published().load();
    let id = tables.routes.lookup(address.parse().unwrap())?;
    tables.peer(id).map(|facts| facts.public_key)
}

/// Everything that a `get` would tell.
fn whole(applier: &Applier) -> String {
    let desired = applier.desired();
    let peers: Vec<String> = desired
        .peers
        .iter()
        .map(|p| format!("{} {:?}", p.public_key, p.allowed_ips))
        .collect();
    format!(
        "{} {} {peers:?} {:?}",
        desired.listen_port,
        desired.fwmark,
        applier.revision()
    )
}

// Catches a prefix that two peers have, or that its last owner keeps in its list: a later removal would then take away
// the new owner's route.
#[test]
fn a_prefix_moves_to_whoever_asks_for_it_last() {
    let mut applier = Applier::new(1, 1420);
    applier
        .apply(&uapi(vec![with_prefixes(1, &["10.0.0.0/24", "10.0.1.0/24"])]))
        .unwrap();
    applier
        .apply(&uapi(vec![with_prefixes(2, &["10.0.0.0/24"])]))
        .unwrap();
    assert_eq!(owner(&applier, "10.0.0.9"), Some(key(2)));
    let peers = applier.desired().peers;
    assert_eq!(peers[0].allowed_ips, [prefix("10.0.1.0/24")]);
    applier.apply(&uapi(vec![Change::RemovePeer(key(1))])).unwrap();
    assert_eq!(
        (owner(&applier, "10.0.0.9"), owner(&applier, "10.0.1.9")),
        (Some(key(2)), None)
    );
}

// Catches a set of which the first half is in force though the second was refused.
#[test]
fn a_refused_set_changes_nothing() {
    let mut applier = Applier::new(1, 1420);
    let file = vec![declared(1, &["10.0.0.0/24"]), declared(2, &["10.0.2.0/24"])];
    applier
        .apply(&set(
            Origin::File,
            vec![Change::ListenPort(5), Change::ReplacePeers(file)],
        ))
        .unwrap();
    let before = whole(&applier);
    let refused = [
        uapi(vec![
            Change::ListenPort(6),
            with_prefixes(3, &["10.9.0.0/16"]),
            Change::RemovePeer(key(1)),
        ]),
        uapi(vec![Change::Fwmark(7), with_prefixes(3, &["10.0.0.0/24"])]),
        uapi(vec![with_prefixes(3, &[]), with_prefixes(1, &["10.5.0.0/16"])]),
        set(
            Origin::File,
            vec![
                Change::ListenPort(8),
                Change::ReplacePeers(vec![declared(1, &["10.0.0.0/24"]), declared(4, &["10.0.0.0/24"])]),
            ],
        ),
        set(
            Origin::File,
            vec![Change::ReplacePeers(vec![declared(1, &[]), declared(1, &[])])],
        ),
        ChangeSet {
            base: Some(Revision(0)),
            ..uapi(vec![Change::ListenPort(9)])
        },
    ];
    let mut refusals = Vec::new();
    for set in refused {
        assert_eq!(applier.prepare(&set).map(drop), applier.apply(&set).map(drop));
        refusals.push(applier.apply(&set).unwrap_err());
        assert_eq!(whole(&applier), before, "{set:?}");
    }
    assert_eq!(refusals[0], Refusal::DeclaredInFile(key(1)));
    assert_eq!(refusals[1], Refusal::DeclaredInFile(key(1)));
    assert_eq!(refusals[2], Refusal::DeclaredInFile(key(1)));
    let twice = Refusal::PrefixTwice {
        prefix: prefix("10.0.0.0/24"),
        first: key(1),
        second: key(4),
    };
    assert_eq!(refusals[3], twice);
    assert_eq!(refusals[4], Refusal::PeerTwice(key(1)));
    assert_eq!(refusals[5], Refusal::Stale { base: 0, current: 1 });
}

// Catches a reload that takes away what came over the UAPI socket, and one that declares such a peer a second time.
#[test]
fn a_reload_changes_the_peers_of_the_file_alone() {
    let mut applier = Applier::new(1, 1420);
    applier
        .apply(&uapi(vec![with_prefixes(9, &["10.9.0.0/16"])]))
        .unwrap();
    let reload = |peers| set(Origin::File, vec![Change::ReplacePeers(peers)]);
    applier
        .apply(&reload(vec![
            declared(1, &["10.1.0.0/16"]),
            declared(2, &["10.2.0.0/16"]),
        ]))
        .unwrap();
    let kept = applier.published().load().peer_by_key(&key(2)).unwrap().id;
    // The prefixes of the two change hands within one declaration.
    applier
        .apply(&reload(vec![
            declared(2, &["10.1.0.0/16"]),
            declared(3, &["10.2.0.0/16"]),
        ]))
        .unwrap();
    let owners = ["10.1.0.1", "10.2.0.1", "10.9.0.1"].map(|address| owner(&applier, address));
    assert_eq!(owners, [Some(key(2)), Some(key(3)), Some(key(9))]);
    assert_eq!(applier.published().load().peer_by_key(&key(2)).unwrap().id, kept);
    let twice = applier.apply(&reload(vec![declared(9, &[])])).unwrap_err();
    assert_eq!(
        twice,
        Refusal::DeclaredTwice {
            peer: key(9),
            asker: Origin::File,
            owner: Origin::Uapi,
        }
    );
}

// Catches a changed preshared key that is not in force, and one that cannot be taken away.
#[test]
fn a_preshared_key_is_set_and_taken_away() {
    let mut applier = Applier::new(1, 1420);
    let psk = |bytes| {
        let preshared_key = Some(PresharedKey::from_bytes(bytes));
        uapi(vec![Change::Peer(PeerChange {
            preshared_key,
            ..PeerChange::new(key(1))
        })])
    };
    for bytes in [[5; 32], [6; 32], [0; 32]] {
        applier.apply(&psk(bytes)).unwrap();
        let tables = applier.published().load();
        assert_eq!(
            tables.peer_by_key(&key(1)).unwrap().preshared_key.expose(),
            &bytes
        );
    }
    assert!(applier.desired().peers[0].preshared_key.is_none());
}

// Catches a peer with the interface's own key, which would be its own gateway: Linux leaves such a peer out silently,
// a file is told.
#[test]
fn the_interface_is_no_peer_of_itself() {
    let private = PrivateKey::from_bytes([7; 32]);
    let own = weir_noise::public_key(&private);
    let mut applier = Applier::new(1, 1420);
    applier
        .apply(&uapi(vec![Change::Peer(PeerChange::new(own))]))
        .unwrap();
    applier
        .apply(&uapi(vec![Change::PrivateKey(Some(private))]))
        .unwrap();
    applier
        .apply(&uapi(vec![Change::Peer(PeerChange::new(own))]))
        .unwrap();
    assert!(applier.desired().peers.is_empty());
    let file = set(
        Origin::File,
        vec![Change::ReplacePeers(vec![Peer::new(own, Origin::File)])],
    );
    assert_eq!(applier.apply(&file), Err(Refusal::OwnKey(own)));
}

// Catches a restart that forgets where peers were, and a remembered endpoint that overrides a configured one.
#[test]
fn what_was_remembered_counts_where_nothing_is_configured() {
    let remembered = Remembered {
        endpoint: Some("192.0.2.9:9".parse().unwrap()),
        timestamp: None,
    };
    let mut applier = Applier::new(1, 1420);
    applier.remember(HashMap::from([(key(1), remembered), (key(2), remembered)]));
    let configured = PeerChange {
        endpoint: Some("192.0.2.2:2".parse().unwrap()),
        ..PeerChange::new(key(2))
    };
    applier
        .apply(&uapi(vec![
            Change::Peer(PeerChange::new(key(1))),
            Change::Peer(configured),
        ]))
        .unwrap();
    let tables = applier.published().load();
    let endpoint = |number| {
        tables
            .peer_by_key(&key(number))
            .unwrap()
            .endpoint
            .unwrap()
            .to_string()
    };
    assert_eq!(
        (endpoint(1), endpoint(2)),
        ("192.0.2.9:9".to_owned(), "192.0.2.2:2".to_owned())
    );
}

// Catches an answer of the resolver that comes too late: the peer was given an address in place of the name.
#[test]
fn an_address_is_not_overridden_by_what_a_name_was_resolved_to() {
    let mut applier = Applier::new(1, 1420);
    let with_endpoint = |text: &str| {
        uapi(vec![Change::Peer(PeerChange {
            endpoint: Some(text.parse().unwrap()),
            ..PeerChange::new(key(1))
        })])
    };
    let place = |applier: &Applier| {
        let tables = applier.published().load();
        let facts = tables.peer_by_key(&key(1)).unwrap();
        (facts.id, facts.endpoint)
    };
    let (first, second) = (
        "192.0.2.1:51820".parse().unwrap(),
        "192.0.2.2:51820".parse().unwrap(),
    );
    applier.apply(&with_endpoint("gateway.example:51820")).unwrap();
    let (id, endpoint) = place(&applier);
    assert_eq!(endpoint, None);
    applier.resolved(id, first);
    assert_eq!(place(&applier), (id, Some(first)));
    applier.apply(&with_endpoint("192.0.2.2:51820")).unwrap();
    applier.resolved(id, first);
    assert_eq!(place(&applier), (id, Some(second)));
}

// Catches work that grows with the square of a peer's prefixes, when they are declared and when they move: this would
// hardly end, and a gateway that takes in a list of networks would stand still as long.
#[test]
fn a_great_many_prefixes_are_taken_in_and_moved() {
    const COUNT: u32 = 1 << 19;
    let all = |number: u8| {
        let add =
            |n| AllowedIpChange::Add(Prefix::new(std::net::Ipv4Addr::from_bits(n << 4).into(), 28).unwrap());
        uapi(vec![Change::Peer(PeerChange {
            allowed_ips: (0..COUNT).map(add).collect(),
            ..PeerChange::new(key(number))
        })])
    };
    let mut applier = Applier::new(1, 1420);
    for number in [1, 2, 1] {
        applier.apply(&all(number)).unwrap();
        let of = |number| {
            let tables = applier.published().load();
            tables
                .peer_by_key(&key(number))
                .map_or(0, |facts| facts.allowed_ips.len())
        };
        assert_eq!((of(number), of(3 - number)), (COUNT as usize, 0));
        assert_eq!(owner(&applier, "0.0.1.1"), Some(key(number)));
    }
}
