//! Backups as an administrator sees them.

mod common;

use common::{at, declare, entry, open, peer, user};
use weir_model::record::{OutboxKey, Write};
use weir_store::{BackupError, Passphrase, read_backup};

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text.as_bytes().to_vec())
}

const GOOD: &str = "correct horse battery";

// Catches a backup that does not restore everything, restores what was not in it, or leaves the data plane as it was.
#[test]
fn a_backup_restores_what_was() {
    let directory = tempfile::tempdir().unwrap();
    let opened = open(directory.path());
    let mut batch = declare(0..30);
    batch.writes.push(Write::User(user("alice")));
    opened.store.commit(&batch).unwrap();
    let bytes = opened.store.backup(&passphrase(GOOD), at(5)).unwrap();
    assert!(!bytes.windows(10).any(|window| window == b"$argon2id$"));

    // Another host, with peers of its own.
    let other = tempfile::tempdir().unwrap();
    let target = open(other.path());
    let mut current = target.state;
    let batch = declare(25..40);
    target.store.commit(&batch).unwrap();
    batch.writes.into_iter().for_each(|write| current.apply(write));
    let restored = read_backup(&bytes, &passphrase(GOOD)).unwrap();
    assert_eq!((restored.made_at, restored.audit.len()), (at(5), 30));
    assert_eq!((restored.state.peers.len(), restored.state.users.len()), (30, 1));
    let (_, state) = target.store.restore(&current, &restored.state, entry(1)).unwrap();
    drop(target.store);
    let again = open(other.path());
    assert!(again.state == state, "memory and file differ");
    assert!(again.state.peers == restored.state.peers && again.state.users == restored.state.users);
    for number in 0..40 {
        let key = OutboxKey::Peer(peer(number).public_key);
        assert!(again.state.outbox.contains_key(&key), "{number}");
    }
    assert_eq!(again.store.verify_audit().unwrap().fault, None);
}

// Catches a wrong passphrase told as damage, damage told as a wrong passphrase, and a damaged backup that is taken.
#[test]
fn a_wrong_passphrase_and_damage_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).store;
    store.commit(&declare(0..10)).unwrap();
    let short = store.backup(&passphrase("short"), at(0)).err();
    assert!(
        matches!(short, Some(BackupError::ShortPassphrase(5))),
        "{short:?}"
    );
    let bytes = store.backup(&passphrase(GOOD), at(0)).unwrap();
    let refused = read_backup(&bytes, &passphrase("correct horse batterx")).err();
    assert!(
        matches!(refused, Some(BackupError::WrongPassphrase)),
        "{refused:?}"
    );
    // In the header, of which damage shows before argon2 runs; at its end; in the first and the last chunk.
    for place in [0, 9, 12, 30, 60, 100, bytes.len() / 2, bytes.len() - 1] {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x40;
        let refused = read_backup(&damaged, &passphrase(GOOD)).err();
        assert!(
            matches!(refused, Some(BackupError::Damaged)),
            "byte {place}: {refused:?}"
        );
    }
    for length in [0, 10, 115, 116, bytes.len() - 1] {
        let refused = read_backup(&bytes[..length], &passphrase(GOOD)).err();
        assert!(
            matches!(refused, Some(BackupError::Damaged)),
            "{length} bytes: {refused:?}"
        );
    }
    let longer = [&bytes[..], b"x"].concat();
    assert!(read_backup(&longer, &passphrase(GOOD)).is_err());
    // A last good copy is no backup.
    store.keep_copy(at(1)).unwrap();
    let copy = std::fs::read(directory.path().join("state.copy")).unwrap();
    assert!(matches!(
        read_backup(&copy, &passphrase(GOOD)),
        Err(BackupError::Damaged)
    ));
}
