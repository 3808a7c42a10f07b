//! Who owns a peer or a rule, and so who may change it: the file, `wg` over the UAPI socket, and control.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use weir_abi::change::{AllowedIpChange, Change, ChangeSet, PeerChange, Refusal};
use weir_abi::desired::{Origin, Peer};
use weir_abi::key::{PresharedKey, PrivateKey, PublicKey};
use weir_abi::prefix::Prefix;
use weir_abi::rule::{Action, Rule, Sender, Target};
use weir_engine::{Applied, Applier};

fn key(number: u8) -> PublicKey {
    PublicKey::from_bytes([number; 32])
}

fn prefix(number: u8) -> Prefix {
    format!("10.0.{number}.0/24").parse().unwrap()
}

fn peer(number: u8) -> Peer {
    Peer {
        allowed_ips: vec![prefix(number)],
        ..Peer::new(key(number), Origin::File)
    }
}

fn change(number: u8) -> PeerChange {
    PeerChange {
        allowed_ips: vec![AllowedIpChange::Add(prefix(number))],
        ..PeerChange::new(key(number))
    }
}

fn apply(applier: &mut Applier, origin: Origin, changes: Vec<Change>) -> Result<Applied, Refusal> {
    let base = None;
    applier.apply(&ChangeSet {
        base,
        origin,
        changes,
    })
}

/// Peer 1 of the file, 2 of the UAPI socket, 3 of control.
fn one_of_each() -> Applier {
    let mut applier = Applier::new(1, 1420);
    apply(
        &mut applier,
        Origin::File,
        vec![Change::ReplacePeers(vec![peer(1)])],
    )
    .unwrap();
    apply(&mut applier, Origin::Uapi, vec![Change::Peer(change(2))]).unwrap();
    apply(&mut applier, Origin::Control, vec![Change::Peer(change(3))]).unwrap();
    applier
}

/// The number of each peer, and whose it is.
fn owners(applier: &Applier) -> Vec<(u8, Origin)> {
    let peers = applier.desired().peers;
    peers
        .iter()
        .map(|peer| (peer.public_key.as_bytes()[0], peer.origin))
        .collect()
}

// Catches a peer of the file that anybody else may change, take the addresses of, or remove, and a refusal that does not
// name both owners where both declare it.
#[test]
fn the_file_s_peers_are_the_file_s_alone() {
    let mut applier = one_of_each();
    let before = owners(&applier);
    let twice = Refusal::DeclaredTwice {
        peer: key(1),
        asker: Origin::Control,
        owner: Origin::File,
    };
    let words = twice.to_string();
    assert!(
        words.contains("in weir.toml") && words.contains("by the control process"),
        "{words}"
    );
    let named = PeerChange {
        update_only: true,
        name: Some("mine".to_owned()),
        ..PeerChange::new(key(1))
    };
    let mut thief = change(3);
    thief.allowed_ips.push(AllowedIpChange::Add(prefix(1)));
    let stolen = Refusal::PrefixTwice {
        prefix: prefix(1),
        first: key(1),
        second: key(3),
    };
    for (origin, asked, refusal) in [
        (Origin::Control, Change::Peer(change(1)), twice.clone()),
        (
            Origin::Control,
            Change::Peer(PeerChange::new(key(1))),
            twice.clone(),
        ),
        (
            Origin::Control,
            Change::ReplacePeers(vec![peer(3), peer(1)]),
            twice,
        ),
        (
            Origin::Control,
            Change::Peer(named.clone()),
            Refusal::DeclaredInFile(key(1)),
        ),
        (Origin::Uapi, Change::Peer(named), Refusal::DeclaredInFile(key(1))),
        (
            Origin::Control,
            Change::RemovePeer(key(1)),
            Refusal::DeclaredInFile(key(1)),
        ),
        (Origin::Control, Change::Peer(thief.clone()), stolen),
        (Origin::Uapi, Change::Peer(thief), Refusal::DeclaredInFile(key(1))),
    ] {
        let refused = apply(&mut applier, origin, vec![asked.clone()]);
        assert_eq!(refused, Err(refusal), "{asked:?}");
        assert_eq!(owners(&applier), before);
    }
    // Where it is, is nobody's to declare.
    let found = PeerChange {
        update_only: true,
        endpoint: Some("192.0.2.1:7".parse().unwrap()),
        ..PeerChange::new(key(1))
    };
    for origin in [Origin::Control, Origin::Uapi] {
        apply(&mut applier, origin, vec![Change::Peer(found.clone())]).unwrap();
        assert_eq!(owners(&applier), before);
    }
    // A reload that declares what the others have, names them too.
    for number in [2, 3] {
        let reload = vec![Change::ReplacePeers(vec![peer(1), peer(number)])];
        let refused = apply(&mut applier, Origin::File, reload).unwrap_err();
        let Refusal::DeclaredTwice { peer, asker, owner } = refused else {
            panic!("{refused}");
        };
        assert_eq!((peer, asker), (key(number), Origin::File));
        assert_eq!(owner, before[usize::from(number) - 1].1);
    }
}

// Catches a change of `wg` that control would take for its own and undo, or the reverse, and a peer that changes its
// owner though nothing of it was changed.
#[test]
fn who_changes_a_peer_has_it() {
    let mut applier = one_of_each();
    let keepalive = |number| {
        Change::Peer(PeerChange {
            persistent_keepalive: Some(25),
            ..PeerChange::new(key(number))
        })
    };
    apply(&mut applier, Origin::Uapi, vec![keepalive(3)]).unwrap();
    assert_eq!(owners(&applier)[2], (3, Origin::Uapi));
    let desired = applier.desired();
    assert_eq!(desired.peers[2].allowed_ips, [prefix(3)]);
    apply(&mut applier, Origin::Control, vec![keepalive(3)]).unwrap();
    assert_eq!(owners(&applier)[2], (3, Origin::Control));
    let same = apply(&mut applier, Origin::Uapi, vec![keepalive(3)]).unwrap();
    assert_eq!((owners(&applier)[2], same.peers), ((3, Origin::Control), vec![]));
    // Whoever loses addresses to another was not changed by its owner, and stays where it is.
    let mut taking = change(3);
    taking.allowed_ips.push(AllowedIpChange::Add(prefix(2)));
    let took = apply(&mut applier, Origin::Control, vec![Change::Peer(taking)]).unwrap();
    assert_eq!(owners(&applier)[1], (2, Origin::Uapi));
    assert_eq!(took.peers, [key(2), key(3)]);
    apply(&mut applier, Origin::Control, vec![Change::RemovePeer(key(2))]).unwrap();
    apply(&mut applier, Origin::Uapi, vec![Change::RemovePeer(key(3))]).unwrap();
    assert_eq!(owners(&applier), [(1, Origin::File)]);
}

// Catches control's start that takes away what `wg` made, leaves behind what it no longer declares, moves a peer that is
// declared as it was, and takes over a peer without its session: the number stands for that.
#[test]
fn control_replaces_its_own_and_takes_over_what_it_declares() {
    let mut applier = one_of_each();
    apply(
        &mut applier,
        Origin::Control,
        vec![Change::Peer(change(4)), Change::Peer(change(5))],
    )
    .unwrap();
    apply(&mut applier, Origin::Uapi, vec![Change::Peer(change(6))]).unwrap();
    let id = |applier: &Applier, number| applier.published().load().peer_by_key(&key(number)).unwrap().id;
    let second = id(&applier, 2);
    // 2 is taken over, 3 goes, 4 stays, 5 changes, 6 is nobody's business but its addresses.
    let five = Peer {
        allowed_ips: vec![prefix(5), prefix(6)],
        ..peer(5)
    };
    let replaced = apply(
        &mut applier,
        Origin::Control,
        vec![Change::ReplacePeers(vec![peer(2), peer(4), five])],
    )
    .unwrap();
    assert_eq!(
        owners(&applier),
        [
            (1, Origin::File),
            (2, Origin::Control),
            (4, Origin::Control),
            (5, Origin::Control),
            (6, Origin::Uapi)
        ]
    );
    assert_eq!(id(&applier, 2), second);
    let mut concerned: Vec<u8> = replaced.peers.iter().map(|key| key.as_bytes()[0]).collect();
    concerned.sort_unstable();
    assert_eq!(concerned, [2, 3, 5, 6]);
    // `wg setconf` begins with this.
    apply(&mut applier, Origin::Uapi, vec![Change::RemoveAllPeers]).unwrap();
    assert_eq!(owners(&applier), [(1, Origin::File)]);
}

// Catches a name or groups that cannot be set or taken away, are lost with another change, or would garble a terminal.
#[test]
fn names_and_groups_are_set_with_a_peer() {
    let mut applier = one_of_each();
    let labelled = |name: &str, groups: &[&str]| {
        vec![Change::Peer(PeerChange {
            name: Some(name.to_owned()),
            groups: Some(groups.iter().map(|&group| group.to_owned()).collect()),
            ..PeerChange::new(key(3))
        })]
    };
    apply(&mut applier, Origin::Control, labelled("ada", &["staff"])).unwrap();
    let psk = PeerChange {
        preshared_key: Some(PresharedKey::from_bytes([9; 32])),
        ..PeerChange::new(key(3))
    };
    apply(&mut applier, Origin::Uapi, vec![Change::Peer(psk)]).unwrap();
    let third = applier.desired().peers.remove(2);
    assert_eq!(
        (third.name.as_deref(), third.groups),
        (Some("ada"), vec!["staff".to_owned()])
    );
    apply(&mut applier, Origin::Control, labelled("", &[])).unwrap();
    let third = applier.desired().peers.remove(2);
    assert_eq!((third.name, third.groups), (None, vec![]));
    let long = "x".repeat(65);
    for (name, group) in [("\u{1b}[2J", "a"), (&long, "a"), ("a", ""), ("a", "\n")] {
        let refused = apply(&mut applier, Origin::Control, labelled(name, &[group])).unwrap_err();
        assert!(matches!(refused, Refusal::Text { .. }), "{name:?} {group:?}");
        assert!(!refused.to_string().contains('\u{1b}'));
    }
}

// Catches rules of one owner that replace another's, control's judged before the file's, a rule of a peer that control
// disabled which keeps the rest from being in force, and one that matches everybody as its peer is gone.
#[test]
fn each_owner_has_rules_of_its_own() {
    let mut applier = one_of_each();
    let named = |name: &str| Rule {
        name: Some(name.to_owned()),
        ..Rule::new(Action::Accept)
    };
    let rules = |rules: Vec<Rule>| vec![Change::ReplaceRules(rules)];
    let names = |applier: &Applier| -> Vec<String> {
        let rules = applier.desired().rules;
        rules.into_iter().filter_map(|rule| rule.name).collect()
    };
    let first = apply(&mut applier, Origin::Control, rules(vec![named("c1")])).unwrap();
    assert!(first.rules);
    apply(&mut applier, Origin::File, rules(vec![named("f")])).unwrap();
    apply(
        &mut applier,
        Origin::Control,
        rules(vec![named("c1"), named("c2")]),
    )
    .unwrap();
    assert_eq!(names(&applier), ["f", "c1", "c2"]);
    let same = apply(&mut applier, Origin::File, rules(vec![named("f")])).unwrap();
    assert!(!same.rules);

    let absent = vec![
        Rule {
            from: vec![Sender::Peer(key(9)), Sender::Group("nobody".to_owned())],
            ..Rule::new(Action::Deny)
        },
        Rule {
            from: vec![Sender::Peer(key(3))],
            to: vec![Target::Peer(key(9)), Target::Group("nobody".to_owned())],
            ..Rule::new(Action::Deny)
        },
    ];
    let refused = apply(&mut applier, Origin::File, rules(absent.clone()));
    assert!(
        matches!(
            refused,
            Err(Refusal::RuleOfUnknownPeer { rule: 1, .. })
                | Err(Refusal::RuleOfUnknownGroup { rule: 1, .. })
        ),
        "{refused:?}"
    );
    apply(&mut applier, Origin::File, rules(vec![])).unwrap();
    apply(&mut applier, Origin::Control, rules(absent)).unwrap();
    let restricted = |applier: &Applier, number| {
        let tables = applier.published().load();
        let id = tables.peer_by_key(&key(number)).unwrap().id;
        tables.access.class_of(id).is_some()
    };
    assert!(!restricted(&applier, 1) && !restricted(&applier, 2));
    // It concerns the peer as soon as that is there.
    apply(&mut applier, Origin::Control, vec![Change::Peer(change(9))]).unwrap();
    assert!(restricted(&applier, 9) && !restricted(&applier, 2));
    apply(&mut applier, Origin::Control, vec![Change::RemovePeer(key(9))]).unwrap();
    assert_eq!(applier.desired().rules.len(), 2);
}

// Catches a change based on what is no longer so.
#[test]
fn a_stale_base_is_refused() {
    let mut applier = one_of_each();
    apply(
        &mut applier,
        Origin::Uapi,
        vec![Change::PrivateKey(Some(PrivateKey::from_bytes([5; 32])))],
    )
    .unwrap();
    let now = applier.revision();
    let set = |base: u64| ChangeSet {
        base: Some(weir_abi::desired::Revision(base)),
        origin: Origin::Control,
        changes: vec![Change::Peer(change(3))],
    };
    let stale = applier.apply(&set(now.0 - 1)).unwrap_err();
    assert_eq!(
        stale,
        Refusal::Stale {
            base: now.0 - 1,
            current: now.0
        }
    );
    assert_eq!(applier.apply(&set(now.0)).unwrap().revision.0, now.0 + 1);
}
