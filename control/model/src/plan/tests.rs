use super::*;
use crate::record::{Actor, PasswordHash, Role, Source, User};
use crate::{FilePeer, FilePeers, UserEdit};
use jiff::Timestamp;
use proptest::prelude::*;
use weir_abi::rule::{Rule, Sender};

fn key(n: u8) -> PublicKey {
    PublicKey::from_bytes([n; 32])
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn by(second: i64) -> Asker {
    Asker {
        actor: Actor::Uid(0),
        source: Source::UnixSocket,
        now: Timestamp::from_second(second).unwrap(),
    }
}

fn facts() -> GatewayFacts {
    let mut file = FilePeers::default();
    let known = FilePeer {
        name: Some("fixed".to_owned()),
        groups: vec!["site".to_owned()],
        allowed_ips: vec![],
    };
    file.peers.insert(key(250), known);
    file.names.insert("fixed".to_owned(), key(250));
    file.groups.insert("site".to_owned());
    file.prefixes.insert(prefix("10.0.9.0/24"), key(250));
    GatewayFacts {
        public_key: Some(key(251)),
        addresses: vec!["10.0.0.1/24".parse().unwrap()],
        file: Arc::new(file),
        ..GatewayFacts::default()
    }
}

fn named(name: &str, prefixes: Option<&[&str]>) -> PeerEdit {
    PeerEdit {
        name: Some(Some(name.to_owned())),
        allowed_ips: prefixes.map(|all| all.iter().map(|text| prefix(text)).collect()),
        ..PeerEdit::default()
    }
}

fn make(state: &Snapshot, changes: Vec<Change>) -> Result<Planned, Refused> {
    let placed: Vec<Placed> = changes.into_iter().map(Placed::from).collect();
    plan(state, &facts(), &placed, &by(100))
}

fn state(peers: &[(u8, &str, &[&str])]) -> Snapshot {
    let changes = peers
        .iter()
        .map(|(n, name, prefixes)| Change::CreatePeer(key(*n), named(name, Some(prefixes))));
    make(&Snapshot::default(), changes.collect()).unwrap().next
}

fn fields(refused: Result<Planned, Refused>) -> Vec<String> {
    match refused {
        Err(Refused::Invalid(problems) | Refused::Conflict(problems)) => {
            problems.into_iter().map(|problem| problem.field).collect()
        }
        other => panic!("{other:?}"),
    }
}

// Catches a bad value that is taken, and a problem that does not name its field.
#[test]
fn each_bad_field_is_named() {
    let state = state(&[(1, "ada", &["10.0.0.2/32"])]);
    let refuse = |edit: PeerEdit| fields(make(&state, vec![Change::CreatePeer(key(2), edit)]));
    assert_eq!(refuse(named("../x", Some(&[]))), ["name"]);
    assert_eq!(refuse(named("ada", Some(&[]))), ["name"]);
    assert_eq!(refuse(named("fixed", Some(&[]))), ["name"]);
    assert_eq!(refuse(named("b", Some(&["10.0.0.2/32"]))), ["allowed_ips[0]"]);
    assert_eq!(refuse(named("b", Some(&["10.0.9.0/24"]))), ["allowed_ips[0]"]);
    assert_eq!(refuse(named("b", Some(&["10.0.0.1/32"]))), ["allowed_ips[0]"]);
    assert_eq!(
        refuse(named("b", Some(&["10.0.0.3/32", "10.0.0.3/32"]))),
        ["allowed_ips[1]"]
    );
    let groups = Some(vec!["ok".to_owned(), "$(id)".to_owned()]);
    assert_eq!(
        refuse(PeerEdit {
            groups,
            ..named("b", Some(&[]))
        }),
        ["groups[1]"]
    );
    let past = Some(Some(Timestamp::from_second(99).unwrap()));
    assert_eq!(
        refuse(PeerEdit {
            expires_at: past,
            ..named("b", Some(&[]))
        }),
        ["expires_at"]
    );
    let own = vec![Change::CreatePeer(key(251), named("b", Some(&[])))];
    assert_eq!(fields(make(&state, own)), ["public_key"]);
    let weak = vec![Change::CreatePeer(key(0), named("b", Some(&[])))];
    assert_eq!(fields(make(&state, weak)), ["public_key"]);
    let file = make(&state, vec![Change::PatchPeer(key(250), named("b", None))]);
    assert_eq!(file, Err(Refused::DeclaredInFile(key(250))));
}

// Catches a set of changes that is judged one by one: names and networks may change hands within it.
#[test]
fn a_set_is_judged_as_a_whole() {
    let state = state(&[(1, "ada", &["10.0.0.2/32"]), (2, "bob", &["10.0.0.3/32"])]);
    let swap = vec![
        Change::PatchPeer(key(1), named("bob", Some(&["10.0.0.3/32"]))),
        Change::PatchPeer(key(2), named("ada", Some(&["10.0.0.2/32"]))),
    ];
    let planned = make(&state, swap).unwrap();
    assert_eq!(planned.counts, [0, 2, 0]);
    assert_eq!(planned.next.names.get("ada"), Some(&key(2)));
    assert_eq!(planned.next.prefixes.get(&prefix("10.0.0.3/32")), Some(&key(1)));
    // Given and taken back: the first owner still has it, and is known to.
    let back = vec![
        Change::PatchPeer(key(2), named("bob", Some(&["10.0.0.2/32"]))),
        Change::PatchPeer(key(2), named("bob", Some(&["10.0.0.4/32"]))),
    ];
    let planned = make(&state, back).unwrap();
    assert_eq!(planned.next.prefixes.get(&prefix("10.0.0.2/32")), Some(&key(1)));
}

// Catches a write, an audit entry or a word to the data plane where nothing changes, and a version that stays the same.
#[test]
fn what_changes_nothing_writes_nothing() {
    let state = state(&[(1, "ada", &["10.0.0.2/32"])]);
    let same = make(&state, vec![Change::PatchPeer(key(1), named("ada", None))]).unwrap();
    assert!(same.is_empty() && same.differences.is_empty() && same.next == state);
    let changed = make(&state, vec![Change::PatchPeer(key(1), named("eve", None))]).unwrap();
    let version = |state: &Snapshot| state.peer(&key(1)).unwrap().updated_at;
    assert!(version(&changed.next) > version(&state));
    assert_eq!(changed.audit[0].before["name"], "ada");
    assert_eq!(changed.differences[0].path.rsplit('/').next(), Some("name"));
}

// Catches a secret in a difference or in the audit log, and a new one that does not show as changed.
#[test]
fn secrets_change_without_being_shown() {
    let secret = |byte| Some(Some(weir_abi::key::PresharedKey::from_bytes([byte; 32])));
    let first = PeerEdit {
        preshared_key: secret(7),
        ..named("ada", Some(&[]))
    };
    let one = make(&Snapshot::default(), vec![Change::CreatePeer(key(1), first)]).unwrap();
    let second = PeerEdit {
        preshared_key: secret(8),
        ..PeerEdit::default()
    };
    let two = make(&one.next, vec![Change::PatchPeer(key(1), second)]).unwrap();
    assert_eq!(two.differences.len(), 1);
    let shown = format!("{:?} {:?} {:?}", two.differences, two.audit, one.audit);
    assert!(shown.contains("(secret, changed)"), "{shown}");
    let hidden = weir_abi::key::PresharedKey::from_bytes([8; 32]);
    assert!(
        !shown.contains(hidden.expose_base64().as_str()) && !shown.contains("8, 8"),
        "{shown}"
    );
}

// Catches a peer that goes while a rule speaks of it, and a rule about nobody.
#[test]
fn rules_and_peers_agree() {
    let state = state(&[(1, "ada", &["10.0.0.2/32"])]);
    let rule = |from: Sender| Rule {
        from: vec![from],
        ..Rule::new(weir_abi::rule::Action::Deny)
    };
    let set = |rules: Vec<Rule>| make(&state, vec![Change::Rules(rules)]);
    assert_eq!(
        fields(set(vec![rule(Sender::Peer(key(7)))])),
        ["items[0].from[0]"]
    );
    assert_eq!(
        fields(set(vec![rule(Sender::Group("none".to_owned()))])),
        ["items[0].from[0]"]
    );
    assert!(
        set(vec![
            rule(Sender::Group("site".to_owned())),
            rule(Sender::Peer(key(250)))
        ])
        .is_ok()
    );
    let ruled = set(vec![rule(Sender::Peer(key(1)))]).unwrap();
    assert!(ruled.rules);
    assert_eq!(
        fields(make(&ruled.next, vec![Change::RemovePeer(key(1))])),
        ["public_key"]
    );
    let both = vec![Change::RemovePeer(key(1)), Change::Rules(Vec::new())];
    assert!(make(&ruled.next, both).is_ok());
}

// Catches an operator locked out for good.
#[test]
fn the_last_administrator_stays() {
    let now = Timestamp::from_second(1).unwrap();
    let user = User {
        name: "admin".to_owned(),
        role: Role::Administrator,
        password: PasswordHash::from_phc("x".to_owned()),
        must_change_password: false,
        disabled: false,
        created_at: now,
        updated_at: now,
        last_login_at: None,
    };
    let state = make(&Snapshot::default(), vec![Change::CreateUser(Box::new(user))])
        .unwrap()
        .next;
    let name = || "admin".to_owned();
    let role = UserEdit {
        role: Some(Role::Viewer),
        ..UserEdit::default()
    };
    let disabled = UserEdit {
        disabled: Some(true),
        ..UserEdit::default()
    };
    for change in [
        Change::RemoveUser(name()),
        Change::PatchUser(name(), role),
        Change::PatchUser(name(), disabled),
    ] {
        assert!(matches!(make(&state, vec![change]), Err(Refused::Conflict(_))));
    }
}

// Catches a revert that leaves something as it was changed.
#[test]
fn a_revert_puts_back_what_was() {
    let before = state(&[(1, "ada", &["10.0.0.2/32"]), (2, "bob", &["10.0.0.3/32"])]);
    let changes = vec![
        Change::RemovePeer(key(1)),
        Change::PatchPeer(key(2), named("eve", Some(&["10.0.0.2/32"]))),
        Change::CreatePeer(key(3), named("new", None)),
        Change::Rules(vec![Rule::new(weir_abi::rule::Action::Deny)]),
    ];
    let mut planned = make(&before, changes).unwrap();
    let id = ChangeId::from_bytes([1; 16]);
    planned.next.apply(&Write::Pending(crate::record::PendingChange {
        id,
        actor: Actor::Uid(0),
        summary: String::new(),
        made_at: by(100).now,
        reverts_at: by(200).now,
        before: planned.before.clone(),
    }));
    let reverted = make(&planned.next, vec![Change::Revert(id)]).unwrap().next;
    let shown = |state: &Snapshot| -> BTreeMap<PublicKey, (Option<String>, Vec<Prefix>)> {
        state
            .peers
            .iter()
            .map(|(key, peer)| (*key, (peer.name.clone(), peer.allowed_ips.clone())))
            .collect()
    };
    assert_eq!(shown(&reverted), shown(&before));
    assert_eq!(reverted.rules.items, before.rules.items);
    assert!(reverted.pending.is_empty());
}

proptest! {
    // Catches indices of names and networks that drift from the peers, addresses given twice, and writes that do not make
    // the state that was planned.
    #[test]
    fn the_state_is_whole_after_any_changes(
        steps in prop::collection::vec((0u8..12, 0u8..4, 0u8..8, any::<bool>()), 1..60),
    ) {
        let mut state = Snapshot::default();
        for (n, what, place, given) in steps {
            let key = key(n + 1);
            let prefixes: Vec<String> = vec![format!("10.0.0.{}/32", place + 2)];
            let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
            let edit = named(&format!("peer{place}"), given.then_some(&prefixes[..]));
            let change = match what {
                0 => Change::CreatePeer(key, edit),
                1 => Change::PutPeer(key, edit),
                2 => Change::PatchPeer(key, edit),
                _ => Change::RemovePeer(key),
            };
            let Ok(planned) = make(&state, vec![change]) else { continue };
            let mut written = state.clone();
            planned.writes.iter().for_each(|write| written.apply(write));
            prop_assert_eq!(&written, &planned.next);
            state = planned.next;
            let mut names = BTreeMap::new();
            let mut owners = BTreeMap::new();
            for (key, peer) in state.peers.iter() {
                if let Some(name) = &peer.name {
                    prop_assert!(names.insert(name.clone(), *key).is_none());
                }
                for prefix in &peer.allowed_ips {
                    prop_assert!(owners.insert(*prefix, *key).is_none());
                }
            }
            prop_assert_eq!(names, state.names.iter().map(|(n, k)| (n.clone(), *k)).collect::<BTreeMap<_, _>>());
            prop_assert_eq!(owners, state.prefixes.iter().map(|(p, k)| (*p, *k)).collect::<BTreeMap<_, _>>());
        }
    }
}
