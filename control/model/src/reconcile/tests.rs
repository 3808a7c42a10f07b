use super::*;
use crate::record::Write;
use std::collections::BTreeSet;
use weir_abi::desired::Revision;
use weir_abi::rule::{Action, Rule};

const BOOT: [u8; 16] = [1; 16];

fn key(n: u8) -> PublicKey {
    PublicKey::from_bytes([n; 32])
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn peer(n: u8) -> Peer {
    Peer {
        allowed_ips: vec![format!("10.0.0.{n}/32").parse().unwrap()],
        name: Some(format!("peer{n}")),
        ..Peer::new(key(n), at(0))
    }
}

fn there(n: u8, origin: Origin) -> desired::Peer {
    desired::Peer {
        origin,
        ..as_declared(&peer(n))
    }
}

fn state(peers: &[Peer]) -> Snapshot {
    let mut state = Snapshot::default();
    for peer in peers {
        state.apply(&Write::Peer(peer.clone()));
    }
    state
}

fn declared(peers: &[desired::Peer]) -> Declared {
    Declared {
        revision: Revision(7),
        boot_id: BOOT,
        peers: peers.to_vec(),
        rules: Vec::new(),
    }
}

/// With a data plane that ran on since.
fn meet(state: &Snapshot, outbox: &[OutboxKey], found: &Declared) -> Reconciled {
    let seen = DataPlaneSeen {
        boot_id: BOOT,
        revision: Revision(3),
    };
    let outbox: BTreeSet<OutboxKey> = outbox.iter().copied().collect();
    {
        let held = Held {
            state,
            outbox: &outbox,
            seen: Some(&seen),
            recovered: false,
        };
        reconcile(&held, &GatewayFacts::default(), found, at(100))
    }
}

fn record(change: &Change) -> &Peer {
    match change {
        Change::TakePeer(peer) => peer,
        other => panic!("{other:?}"),
    }
}

// Catches work done, or a peer written, though both sides agree.
#[test]
fn nothing_is_done_where_both_agree() {
    let state = state(&[peer(1), peer(2)]);
    let found = declared(&[there(2, Origin::Uapi), there(1, Origin::Control)]);
    assert_eq!(meet(&state, &[], &found), Reconciled::default());
}

// Catches a change by wg that is undone, or one of ours that is taken for wg's.
#[test]
fn the_outbox_tells_whose_a_difference_is() {
    let ours = state(&[peer(1)]);
    let mut changed = there(1, Origin::Uapi);
    changed.persistent_keepalive = Some(5);
    let result = meet(&ours, &[], &declared(std::slice::from_ref(&changed)));
    assert_eq!(record(&result.taken[0]).persistent_keepalive, Some(5));
    assert_eq!(record(&result.taken[0]).name.as_deref(), Some("peer1"));
    assert!(result.pushed.is_empty());

    let result = meet(&ours, &[OutboxKey::Peer(key(1))], &declared(&[changed]));
    assert!(result.taken.is_empty() && result.pushed == [key(1)].into());

    let result = meet(&ours, &[], &declared(&[]));
    assert_eq!(result.taken, [Change::LosePeer(key(1))]);
    let result = meet(&ours, &[OutboxKey::Peer(key(1))], &declared(&[]));
    assert_eq!((result.taken.len(), result.pushed), (0, [key(1)].into()));
}

// Catches a peer made by wg that is forgotten, and one removed here that comes back.
#[test]
fn peers_that_only_the_data_plane_has() {
    let empty = state(&[]);
    let found = declared(&[there(1, Origin::Uapi)]);
    let result = meet(&empty, &[], &found);
    assert_eq!(record(&result.taken[0]).public_key, key(1));
    let result = meet(&empty, &[OutboxKey::Peer(key(1))], &found);
    assert_eq!((result.taken.len(), result.pushed), (0, [key(1)].into()));
    // Control's own that its store does not know is not wg's.
    let result = meet(&empty, &[], &declared(&[there(1, Origin::Control)]));
    assert_eq!((result.taken.len(), result.pushed), (0, [key(1)].into()));
}

// Catches a data plane that started anew taken for one in which wg removed everybody.
#[test]
fn a_data_plane_that_started_anew_is_told_everything() {
    let state = state(&[peer(1), peer(2)]);
    let found = Declared {
        boot_id: [2; 16],
        ..declared(&[there(3, Origin::Uapi)])
    };
    let result = meet(&state, &[], &found);
    assert!(result.everything && result.rules);
    assert_eq!(result.taken.len(), 1);
    assert_eq!(record(&result.taken[0]).public_key, key(3));
}

// Catches access that outlasts its end because nobody was there, and that of a disabled peer whom wg let in again.
#[test]
fn peers_that_ended_leave_unless_wg_let_them_in() {
    let ended = Peer {
        expires_at: Some(at(50)),
        ..peer(1)
    };
    let disabled = Peer {
        disabled: true,
        ..peer(2)
    };
    let state = state(&[ended, disabled]);
    let result = meet(&state, &[], &declared(&[]));
    assert_eq!(result, Reconciled::default());
    let result = meet(&state, &[], &declared(&[there(1, Origin::Control)]));
    assert_eq!((result.taken.len(), result.pushed), (0, [key(1)].into()));
    let mut again = there(2, Origin::Uapi);
    again.persistent_keepalive = Some(9);
    let result = meet(&state, &[], &declared(&[again]));
    assert!(!record(&result.taken[0]).disabled);
}

// Catches a network that wg gave to another peer and that is given back.
#[test]
fn networks_that_wg_moved_stay_moved() {
    let state = state(&[peer(1), peer(2)]);
    let mut loser = there(1, Origin::Control);
    loser.allowed_ips.clear();
    let mut winner = there(2, Origin::Uapi);
    winner.allowed_ips.push("10.0.0.1/32".parse().unwrap());
    let result = meet(&state, &[], &declared(&[loser.clone(), winner]));
    assert_eq!(result.taken.len(), 2);
    assert!(result.pushed.is_empty());
    // Lost to nobody: the data plane is behind.
    let result = meet(&state, &[], &declared(&[loser, there(2, Origin::Control)]));
    assert_eq!((result.taken.len(), result.pushed), (0, [key(1)].into()));
}

// Catches a peer of the file that is pushed, and the others held up by it.
#[test]
fn conflicts_with_the_file_are_named_and_left_alone() {
    let state = state(&[peer(1), peer(2), peer(3)]);
    let mut facts = GatewayFacts::default();
    let mut file = crate::gateway::FilePeers::default();
    let known = crate::gateway::FilePeer {
        name: None,
        groups: vec![],
        allowed_ips: vec![],
    };
    file.peers.insert(key(1), known);
    file.prefixes.insert("10.0.0.2/32".parse().unwrap(), key(9));
    facts.file = std::sync::Arc::new(file);
    let outbox = [1, 2, 3].map(|n| OutboxKey::Peer(key(n))).into();
    let held = Held {
        state: &state,
        outbox: &outbox,
        seen: None,
        recovered: false,
    };
    let result = reconcile(&held, &facts, &declared(&[]), at(0));
    assert_eq!(
        result.conflicts.keys().copied().collect::<Vec<_>>(),
        [key(1), key(2)]
    );
    assert!(
        result.conflicts[&key(1)].contains("weir.toml") && result.conflicts[&key(2)].contains("10.0.0.2/32")
    );
    assert_eq!(result.pushed, [key(3)].into());
}

// Catches rules that are not told again, and told though they are the same.
#[test]
fn rules_are_told_where_they_differ() {
    let mut ours = state(&[]);
    assert!(!meet(&ours, &[], &declared(&[])).rules);
    let rules = crate::record::Rules {
        items: vec![Rule::new(Action::Deny)],
        updated_at: None,
    };
    ours.apply(&Write::Rules(rules));
    assert!(meet(&ours, &[], &declared(&[])).rules);
}

// Catches an endpoint that stays configured though it was taken away.
#[test]
fn an_endpoint_that_goes_needs_a_whole_declaration() {
    let state = state(&[peer(1)]);
    let mut known = there(1, Origin::Control);
    known.endpoint = Some("192.0.2.1:1".parse().unwrap());
    let result = meet(&state, &[OutboxKey::Peer(key(1))], &declared(&[known]));
    assert!(result.everything && result.pushed == [key(1)].into());
}

// Catches peers that are cut off because the store had to go back to an older copy.
#[test]
fn a_recovered_store_learns_from_the_data_plane() {
    let state = state(&[peer(1)]);
    let mut newer = there(1, Origin::Control);
    newer.persistent_keepalive = Some(7);
    let found = declared(&[newer, there(2, Origin::Control)]);
    let seen = DataPlaneSeen {
        boot_id: BOOT,
        revision: Revision(3),
    };
    let outbox = BTreeSet::new();
    let held = Held {
        state: &state,
        outbox: &outbox,
        seen: Some(&seen),
        recovered: true,
    };
    let result = reconcile(&held, &GatewayFacts::default(), &found, at(100));
    let taken: Vec<PublicKey> = result
        .taken
        .iter()
        .map(|change| record(change).public_key)
        .collect();
    assert_eq!((taken, result.pushed.len()), (vec![key(2), key(1)], 0));
}
