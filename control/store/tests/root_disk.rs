//! A disk that is full, and one that takes no writes: what was acknowledged stays, what was not is refused by name, and
//! all goes on when the disk does. In mount namespaces of the tests' own, which end with their threads.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::thread;

use common::{at, declare, key, open, peer};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use weir_store::{Found, Observation, Store, StoreError};

/// Runs a test on a tmpfs of 16 MiB that nobody else sees.
fn on_small_disk(test: fn(&Path)) {
    thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace; is this root?");
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("private mounts");
        let directory = tempfile::tempdir().expect("a directory");
        let flags = MsFlags::empty();
        mount(
            Some("tmpfs"),
            directory.path(),
            Some("tmpfs"),
            flags,
            Some("size=16m"),
        )
        .expect("a tmpfs");
        test(&directory.path().join("control"));
        nix::mount::umount(directory.path()).expect("nothing holds the tmpfs");
    })
    .join()
    .expect("the test on its small disk");
}

/// Fills the disk.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
}

fn observe(store: &Store, bytes: u64) {
    let seen = Observation {
        public_key: peer(0).public_key,
        rx_bytes: bytes,
        tx_bytes: 0,
        last_handshake_unix_ns: 0,
    };
    store.history().observe([1; 16], &[seen], at(bytes as i64));
}

// Catches a commit that is told as done and is not, or as failed and is; a store that does not recover when room is made;
// a copy that is lost because a newer one did not fit; traffic that counts twice.
#[test]
fn a_full_disk_refuses_changes_and_loses_none() {
    on_small_disk(|directory| {
        let opened = open(directory);
        let (store, mut state) = (opened.store, opened.state);
        let mut commit = |numbers: std::ops::Range<u32>| {
            let batch = declare(numbers);
            let number = store.commit(&batch)?.number;
            batch.writes.into_iter().for_each(|write| state.apply(write));
            state
                .outbox
                .extend(batch.outbox.into_iter().map(|key| (key, number)));
            state.commit = number;
            Ok::<_, StoreError>(())
        };
        commit(0..100).unwrap();
        store.keep_copy(at(1)).unwrap();
        observe(&store, 10);
        store.history().flush(at(1)).unwrap();

        let filler = directory.join("filler");
        for round in 0..3 {
            fill(&filler);
            let mut refused = 0;
            for number in 0..200 {
                let first = 1_000 * (round + 1) + 20 * number;
                match commit(first..first + 20) {
                    Ok(()) => {}
                    Err(StoreError::DiskFull(path)) => {
                        assert!(path.ends_with("state.weir"));
                        refused += 1;
                    }
                    Err(error) => panic!("{error}"),
                }
                if refused > 3 {
                    break;
                }
            }
            assert!(refused > 3, "the disk was never full");
            assert!(matches!(store.keep_copy(at(2)), Err(StoreError::DiskFull(_))));
            assert!(directory.join("state.copy").exists() && !directory.join("state.copy.new").exists());
            observe(&store, 20 + u64::from(round));
            match store.history().flush(at(2)) {
                Ok(_) | Err(StoreError::DiskFull(_)) => {}
                Err(error) => panic!("{error}"),
            }
            assert_eq!(
                store.audit(None, 1, |_| true).unwrap().entries.len(),
                1,
                "it can still be read"
            );
            fs::remove_file(&filler).unwrap();
            commit(10 * round..10 * round + 5).unwrap();
            store.history().flush(at(3)).unwrap();
        }
        assert_eq!(store.verify_audit().unwrap().fault, None);
        store.close(at(4)).unwrap();
        let again = open(directory);
        assert!(matches!(again.report.found, Found::Intact), "{:?}", again.report);
        assert!(
            again.state == state,
            "what was acknowledged and what is stored differ"
        );
        assert_eq!(again.store.history().totals(&peer(0).public_key).rx_bytes, 22);
    });
}

// Catches a start that fails because the disk takes no writes, changes that are taken all the same, and a process that
// has to be restarted when the disk takes them again.
#[test]
fn a_read_only_disk_is_read_and_refuses_changes() {
    on_small_disk(|directory| {
        let store = open(directory).store;
        store.commit(&declare(0..10)).unwrap();
        store.close(at(1)).unwrap();
        let disk = directory.parent().unwrap();
        let remount = |flags| {
            let none = None::<&str>;
            mount(none, disk, none, MsFlags::MS_REMOUNT | flags, none).unwrap();
        };
        remount(MsFlags::MS_RDONLY);
        let opened = Store::open(directory, key(), at(2)).unwrap();
        assert!(opened.report.read_only && opened.store.is_read_only());
        assert_eq!(opened.state.peers.len(), 10);
        let refused = opened.store.commit(&declare(10..11)).err();
        assert!(matches!(refused, Some(StoreError::ReadOnly(_))), "{refused:?}");
        observe(&opened.store, 5);
        let refused = opened.store.history().flush(at(2)).err();
        assert!(matches!(refused, Some(StoreError::ReadOnly(_))), "{refused:?}");
        assert_eq!(opened.store.audit(None, 5, |_| true).unwrap().entries.len(), 5);
        remount(MsFlags::empty());
        opened.store.commit(&declare(10..11)).unwrap();
        assert!(!opened.store.is_read_only());
        opened.store.history().flush(at(3)).unwrap();
        drop(opened);
        let again = open(directory);
        assert_eq!(again.state.peers.len(), 11);
        assert_eq!(again.store.history().totals(&peer(0).public_key).rx_bytes, 5);
    });
}
