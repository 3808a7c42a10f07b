//! Access rules in the applier: what is refused as a whole, and when rules are compiled anew.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use weir_abi::change::{AllowedIpChange, Change, ChangeSet, PeerChange, Refusal};
use weir_abi::desired::{Origin, Peer};
use weir_abi::key::{PrivateKey, PublicKey};
use weir_abi::rule::{Action, ENTRIES_MAX, Protocol, RULES_MAX, Rule, Sender, Target};
use weir_engine::{Access, Applier};

fn key(number: u8) -> PublicKey {
    PublicKey::from_bytes([number; 32])
}

fn peer(number: u8, groups: &[&str]) -> Peer {
    Peer {
        allowed_ips: vec![format!("10.0.{number}.0/24").parse().unwrap()],
        groups: groups.iter().map(|&group| group.to_owned()).collect(),
        ..Peer::new(key(number), Origin::File)
    }
}

fn from(sender: Sender) -> Rule {
    Rule {
        from: vec![sender],
        ..Rule::new(Action::Deny)
    }
}

fn to(target: Target) -> Rule {
    Rule {
        to: vec![target],
        ..Rule::new(Action::Deny)
    }
}

fn staff() -> Sender {
    Sender::Group("staff".to_owned())
}

fn apply(applier: &mut Applier, origin: Origin, changes: Vec<Change>) -> Result<(), Refusal> {
    let set = ChangeSet {
        base: None,
        origin,
        changes,
    };
    applier.apply(&set).map(drop)
}

fn reload(applier: &mut Applier, peers: &[Peer], rules: &[Rule]) -> Result<(), Refusal> {
    let changes = vec![
        Change::ReplaceRules(rules.to_vec()),
        Change::ReplacePeers(peers.to_vec()),
    ];
    apply(applier, Origin::File, changes)
}

fn access(applier: &Applier) -> Arc<Access> {
    Arc::clone(&applier.published().load().access)
}

fn restricted(applier: &Applier, number: u8) -> bool {
    let tables = applier.published().load();
    let id = tables.peer_by_key(&key(number)).unwrap().id;
    tables.access.class_of(id).is_some()
}

// Catches a rule in force that nobody can be meant by, half a set applied, and rules judged before the peers that come
// with them are there.
#[test]
fn rules_that_name_nobody_are_refused_with_their_set() {
    let mut applier = Applier::new(1, 1420);
    let peers = [peer(1, &["staff"]), peer(2, &[])];
    let good = [from(Sender::Peer(key(2))), from(staff())];
    reload(&mut applier, &peers, &good).unwrap();
    let unknown_peer = Refusal::RuleOfUnknownPeer { rule: 2, key: key(9) };
    let unknown_group = Refusal::RuleOfUnknownGroup {
        rule: 2,
        group: "guests".to_owned(),
    };
    let guests = || "guests".to_owned();
    let ports = Rule {
        ports: vec![53.into()],
        protocol: Some(Protocol::Icmp),
        ..Rule::new(Action::Deny)
    };
    for (rule, refusal) in [
        (from(Sender::Peer(key(9))), unknown_peer.clone()),
        (to(Target::Peer(key(9))), unknown_peer),
        (from(Sender::Group(guests())), unknown_group.clone()),
        (to(Target::Group(guests())), unknown_group),
        (ports.clone(), Refusal::RulePorts(2)),
        (
            Rule {
                protocol: None,
                ..ports
            },
            Refusal::RulePorts(2),
        ),
    ] {
        let refused = reload(
            &mut applier,
            &[peer(1, &["staff"])],
            &[Rule::new(Action::Accept), rule],
        );
        assert_eq!(refused, Err(refusal));
        assert_eq!(applier.desired().rules, good);
        assert_eq!(applier.desired().peers.len(), 2);
    }
    // The last member of a group that a rule names, and a peer that one names, may not go alone.
    let rename = apply(
        &mut applier,
        Origin::File,
        vec![Change::ReplacePeers(vec![peer(1, &["guests"]), peer(2, &[])])],
    );
    assert!(
        matches!(rename, Err(Refusal::RuleOfUnknownGroup { rule: 2, .. })),
        "{rename:?}"
    );
    let gone = apply(&mut applier, Origin::File, vec![Change::RemovePeer(key(2))]);
    assert!(
        matches!(gone, Err(Refusal::RuleOfUnknownPeer { rule: 1, .. })),
        "{gone:?}"
    );
}

// Catches lists without bound.
#[test]
fn rules_and_their_entries_are_bounded() {
    let mut applier = Applier::new(1, 1420);
    let most = vec![Rule::new(Action::Deny); RULES_MAX];
    reload(&mut applier, &[], &most).unwrap();
    let more = vec![Rule::new(Action::Deny); RULES_MAX + 1];
    assert!(matches!(
        reload(&mut applier, &[], &more),
        Err(Refusal::TooMany { most: RULES_MAX, .. })
    ));
    let target = Target::Prefix("10.0.0.0/8".parse().unwrap());
    let entries = Rule {
        to: vec![target; ENTRIES_MAX + 1],
        ..Rule::new(Action::Deny)
    };
    let refused = reload(&mut applier, &[], &[entries]);
    assert!(
        matches!(
            refused,
            Err(Refusal::TooMany {
                most: ENTRIES_MAX,
                ..
            })
        ),
        "{refused:?}"
    );
    assert_eq!(applier.desired().rules.len(), RULES_MAX);
}

// Catches rules lost or compiled anew by what `wg` sets, peers of `wg` that escape the rules for any, groups that stay
// after a reload, and counts that begin anew though the rules are the same.
#[test]
fn rules_follow_reloads_and_outlive_what_wg_sets() {
    let mut applier = Applier::new(1, 1420);
    reload(
        &mut applier,
        &[peer(1, &["staff"]), peer(2, &[])],
        &[from(staff())],
    )
    .unwrap();
    let before = access(&applier);
    assert_eq!((restricted(&applier, 1), restricted(&applier, 2)), (true, false));

    let added = PeerChange {
        allowed_ips: vec![AllowedIpChange::Add("10.9.0.0/24".parse().unwrap())],
        ..PeerChange::new(key(3))
    };
    apply(&mut applier, Origin::Uapi, vec![Change::Peer(added)]).unwrap();
    apply(
        &mut applier,
        Origin::Uapi,
        vec![Change::RemoveAllPeers, Change::ListenPort(7)],
    )
    .unwrap();
    apply(
        &mut applier,
        Origin::Uapi,
        vec![Change::PrivateKey(Some(PrivateKey::from_bytes([5; 32])))],
    )
    .unwrap();
    assert_eq!(access(&applier).serial(), before.serial());
    assert!(restricted(&applier, 1));

    reload(
        &mut applier,
        &[peer(1, &[]), peer(2, &["staff"])],
        &[from(staff())],
    )
    .unwrap();
    assert_eq!((restricted(&applier, 1), restricted(&applier, 2)), (false, true));
    assert_eq!(access(&applier).serial(), before.serial());

    apply(
        &mut applier,
        Origin::Uapi,
        vec![Change::Peer(PeerChange::new(key(3)))],
    )
    .unwrap();
    assert!(!restricted(&applier, 3));
    reload(&mut applier, &[peer(1, &[])], &[Rule::new(Action::Deny)]).unwrap();
    assert!(restricted(&applier, 1) && restricted(&applier, 3));
    assert_eq!(access(&applier).serial(), before.serial() + 1);
    reload(&mut applier, &[peer(1, &[])], &[]).unwrap();
    assert!(!restricted(&applier, 1) && !restricted(&applier, 3));
}
