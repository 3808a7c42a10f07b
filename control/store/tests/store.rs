//! The store as its owner sees it.

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use common::{at, declare, entry, key, open, peer, user};
use weir_model::record::{CommitNumber, OutboxKey, State, Write};
use weir_store::{
    Algorithm, Batch, Found, KeyOrigin, SealingKey, SealingKeyError, Store, StoreError, change_sealing_key,
};

// Catches a record that is lost, or changed, between a commit and the next start; and a state in memory that goes another
// way than the file.
#[test]
fn what_was_committed_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let opened = open(directory.path());
    assert!(matches!(opened.report.found, Found::Fresh) && !opened.report.read_only);
    let mut state = opened.state;
    let mut batch = declare(0..20);
    batch.writes.push(Write::User(user("alice")));
    batch.writes.push(Write::User(user("bob")));
    batch.writes.push(Write::RemovePeer(peer(3).public_key));
    let first = opened.store.commit(&batch).unwrap();
    assert_eq!((first.number, first.audit), (CommitNumber(1), 20));
    let second = Batch {
        writes: vec![Write::RemoveUser("bob".to_owned()), Write::Peer(peer(99))],
        outbox: vec![OutboxKey::Peer(peer(5).public_key), OutboxKey::Rules],
        ..Batch::default()
    };
    let second_number = opened.store.commit(&second).unwrap().number;
    for (batch, number) in [(batch, first.number), (second, second_number)] {
        batch.writes.into_iter().for_each(|write| state.apply(write));
        let outbox = batch.outbox.into_iter().map(|key| (key, number));
        state.outbox.extend(outbox);
        state.commit = number;
    }
    drop(opened.store);
    let again = open(directory.path());
    assert!(matches!(again.report.found, Found::Intact));
    assert_eq!(again.state.peers.len(), 20);
    assert!(again.state == state, "the file and memory differ");
}

// Catches a confirmation of an older push that makes control forget a newer change.
#[test]
fn only_what_was_confirmed_leaves_the_outbox() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).store;
    let first = store.commit(&declare([1, 2])).unwrap().number;
    let again = store.commit(&declare([2])).unwrap().number;
    let key = |number| OutboxKey::Peer(peer(number).public_key);
    store
        .confirm(&[(key(1), first), (key(2), first), (key(3), first)])
        .unwrap();
    drop(store);
    let outbox = open(directory.path()).state.outbox;
    assert_eq!(outbox.into_iter().collect::<Vec<_>>(), [(key(2), again)]);
}

// Catches a secret, or a name, that lies in the files as it is.
#[test]
fn nothing_secret_lies_in_the_files() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).store;
    let mut batch = declare(0..50);
    batch.writes.push(Write::User(user("alice")));
    store.commit(&batch).unwrap();
    store.close(at(1)).unwrap();
    let mut files = 0;
    for file in fs::read_dir(directory.path()).unwrap() {
        let file = file.unwrap();
        let bytes = fs::read(file.path()).unwrap();
        let has = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        for secret in [&[7u8; 32][..], b"$argon2id$", b"preshared_key"] {
            assert!(!has(secret), "{} shows {secret:?}", file.path().display());
        }
        assert_eq!(
            file.metadata().unwrap().mode() & 0o777,
            0o600,
            "{}",
            file.path().display()
        );
        files += 1;
    }
    assert!(files >= 3, "the store, a copy and the lock were expected");
}

// Catches a wrong key taken for damage, after which a good store would be put aside.
#[test]
fn a_wrong_key_is_named_and_nothing_is_touched() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).store;
    store.commit(&declare(0..5)).unwrap();
    store.close(at(1)).unwrap();
    let wrong = SealingKey::from_bytes([1; 32]);
    let wrong_id = wrong.id();
    let refused = Store::open(directory.path(), wrong, at(2)).err();
    let Some(StoreError::WrongKey { expected, given, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!((expected, given), (key().id(), wrong_id));
    assert_eq!(open(directory.path()).state.peers.len(), 5);
}

// Catches two processes that write one store.
#[test]
fn a_store_has_one_owner() {
    let directory = tempfile::tempdir().unwrap();
    let opened = open(directory.path());
    let refused = Store::open(directory.path(), key(), at(0)).err();
    assert!(matches!(refused, Some(StoreError::Locked(_))), "{refused:?}");
    drop(opened);
    open(directory.path());
}

// Catches a sealing key that others may read, one made anew beside a store that it cannot open, and one overwritten.
#[test]
fn the_sealing_key_is_found_made_once_and_kept_private() {
    let directory = tempfile::tempdir().unwrap();
    let (made, origin) = SealingKey::find(directory.path(), None, None).unwrap();
    let path = directory.path().join("sealing.key");
    assert_eq!(origin, KeyOrigin::Created(path.clone()));
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    let (again, origin) = SealingKey::find(directory.path(), None, None).unwrap();
    assert_eq!((again.id(), origin), (made.id(), KeyOrigin::File(path.clone())));
    assert!(made.create_file(&path).is_err(), "a key was replaced");

    drop(Store::open(directory.path(), made, at(0)).unwrap());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let refused = SealingKey::find(directory.path(), None, None).err();
    assert!(
        matches!(refused, Some(SealingKeyError::Exposed { mode: 0o640, .. })),
        "{refused:?}"
    );
    fs::remove_file(&path).unwrap();
    let refused = SealingKey::find(directory.path(), None, None).err();
    assert!(
        matches!(refused, Some(SealingKeyError::Missing { .. })),
        "{refused:?}"
    );

    let credentials = tempfile::tempdir().unwrap();
    let credential = credentials.path().join("weir-sealing-key");
    key().create_file(&credential).unwrap();
    let (found, origin) = SealingKey::find(directory.path(), None, Some(credentials.path())).unwrap();
    assert_eq!(
        (found.id(), origin),
        (key().id(), KeyOrigin::Credential(credential))
    );
    for text in ["", "short", &"A".repeat(44), &format!("{}=\n\n", "A".repeat(43))] {
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let refused = SealingKey::find(directory.path(), Some(&path), None).err();
        assert!(
            matches!(refused, Some(SealingKeyError::NotAKey(_))),
            "{text:?}: {refused:?}"
        );
    }
}

// Catches a store that depends on the CPU it was made on.
#[test]
fn a_store_made_with_one_algorithm_goes_on_with_the_other() {
    let directory = tempfile::tempdir().unwrap();
    let open = |algorithm| Store::open_with(directory.path(), key(), algorithm, at(0)).unwrap();
    open(Algorithm::Aes256Gcm).store.commit(&declare(0..3)).unwrap();
    let opened = open(Algorithm::ChaCha20Poly1305);
    assert_eq!(opened.state.peers.len(), 3);
    opened.store.commit(&declare(3..6)).unwrap();
    drop(opened);
    assert_eq!(open(Algorithm::Aes256Gcm).state.peers.len(), 6);
}

// Catches pages that overlap or skip entries, a filter that is not asked, and a log that is not whole.
#[test]
fn the_audit_log_is_paged_and_verified() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).store;
    let empty = store.verify_audit().unwrap();
    assert_eq!((empty.checked, empty.newest, empty.fault), (0, 0, None));
    for chunk in 0..10 {
        store.commit(&declare(chunk * 5..chunk * 5 + 5)).unwrap();
    }
    let (mut below, mut numbers) = (None, Vec::new());
    loop {
        let page = store.audit(below, 7, |_| true).unwrap();
        assert_eq!((page.oldest, page.newest), (1, 50));
        numbers.extend(page.entries.iter().map(|entry| entry.number));
        let Some(next) = page.next else { break };
        below = Some(next);
    }
    assert_eq!(numbers, (1..=50).rev().collect::<Vec<_>>());
    let target = entry(12).target;
    let found = store
        .audit(None, 10, |entry| entry.entry.target == target)
        .unwrap();
    assert_eq!(
        found.entries.iter().map(|entry| entry.number).collect::<Vec<_>>(),
        [13]
    );
    let verified = store.verify_audit().unwrap();
    assert_eq!(
        (verified.checked, verified.oldest, verified.newest, verified.fault),
        (50, 1, 50, None)
    );

    assert_eq!(store.prune_audit(at(20)).unwrap(), 20);
    assert_eq!(store.prune_audit(at(20)).unwrap(), 0);
    let verified = store.verify_audit().unwrap();
    assert_eq!(
        (verified.checked, verified.oldest, verified.fault),
        (30, 21, None)
    );
    drop(store);
    let store = open(directory.path()).store;
    assert_eq!(
        store.prune_audit(at(1_000_000)).unwrap(),
        29,
        "the newest entry stays"
    );
    store.commit(&declare([60])).unwrap();
    assert_eq!(store.verify_audit().unwrap().fault, None);
}

// Catches an empty batch that costs a write.
#[test]
fn an_empty_batch_is_no_commit() {
    let directory = tempfile::tempdir().unwrap();
    let opened = open(directory.path());
    assert!(opened.state == State::default());
    let committed = opened.store.commit(&Batch::default()).unwrap();
    assert_eq!(committed.number, CommitNumber(0));
}

// Catches a key that still opens what it was changed for, records that are lost with it, and a change that cannot be
// finished after it was interrupted.
#[test]
fn the_sealing_key_can_be_changed() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).store;
    store.commit(&declare(0..20)).unwrap();
    store.keep_copy(at(1)).unwrap();
    store.close(at(2)).unwrap();
    let (old, new) = (key(), SealingKey::from_bytes([2; 32]));
    let before = fs::read(directory.path().join("state.weir")).unwrap();
    change_sealing_key(directory.path(), &old, &new).unwrap();
    // As if it had been interrupted before the store.
    fs::write(directory.path().join("state.weir"), before).unwrap();
    change_sealing_key(directory.path(), &old, &new).unwrap();
    let refused = Store::open(directory.path(), old, at(3)).err();
    assert!(
        matches!(refused, Some(StoreError::WrongKey { .. })),
        "{refused:?}"
    );
    let opened = Store::open(directory.path(), new.clone(), at(3)).unwrap();
    assert!(matches!(opened.report.found, Found::Intact) && opened.report.history_lost.is_none());
    assert_eq!(opened.state.peers.len(), 20);
    drop(opened);
    fs::remove_file(directory.path().join("state.weir")).unwrap();
    let opened = Store::open(directory.path(), new, at(3)).unwrap();
    assert_eq!(opened.state.peers.len(), 20, "the copy was not changed");
}
