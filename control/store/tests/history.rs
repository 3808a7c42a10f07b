//! Totals and series of traffic, across restarts of control and of the data plane.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;

use common::{at, declare, open, peer};
use weir_abi::key::PublicKey;
use weir_store::{Observation, Resolution, Store, Sums};

fn key(number: u32) -> PublicKey {
    peer(number).public_key
}

fn seen(number: u32, bytes: u64) -> Observation {
    Observation {
        public_key: key(number),
        rx_bytes: bytes,
        tx_bytes: 2 * bytes,
        last_handshake_unix_ns: bytes / 1_000,
    }
}

fn observe(store: &Store, boot: u8, number: u32, bytes: u64, second: i64) {
    store
        .history()
        .observe([boot; 16], &[seen(number, bytes)], at(second));
}

fn totals(store: &Store, number: u32) -> (u64, u64) {
    let totals = store.history().totals(&key(number));
    (totals.rx_bytes, totals.tx_bytes)
}

fn series(store: &Store, number: u32, resolution: Resolution) -> Vec<(i64, Sums)> {
    let points = store
        .history()
        .series(&key(number), resolution, at(-200_000_000), at(200_000_000));
    points
        .unwrap()
        .into_iter()
        .map(|point| (point.unix_s, point.sums))
        .collect()
}

// Catches bytes that are counted twice or not at all: when control restarts in the same data plane, with and without
// having written; when the data plane restarts; when a peer's counters begin anew.
#[test]
fn every_byte_counts_once_whoever_restarts() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).store;
    observe(&store, 1, 1, 1_000, 0);
    observe(&store, 1, 1, 1_500, 1);
    store.history().flush(at(2)).unwrap();
    observe(&store, 1, 1, 1_700, 3);
    assert_eq!(totals(&store, 1), (1_700, 3_400));
    // Killed before it wrote the last 200: they are still in the data plane's counters.
    drop(store);
    let store = open(directory.path()).store;
    assert_eq!(totals(&store, 1), (1_500, 3_000));
    observe(&store, 1, 1, 1_800, 10);
    assert_eq!(totals(&store, 1), (1_800, 3_600));
    store.history().flush(at(11)).unwrap();
    // Another data plane: what it counts is new, even where it has counted more.
    observe(&store, 2, 1, 5_000, 20);
    assert_eq!(totals(&store, 1), (6_800, 13_600));
    // The peer was removed and declared again.
    observe(&store, 2, 1, 10, 30);
    assert_eq!(totals(&store, 1), (6_810, 13_620));
    store.close(at(31)).unwrap();
    let store = open(directory.path()).store;
    observe(&store, 2, 1, 10, 40);
    assert_eq!(totals(&store, 1), (6_810, 13_620));
    assert_eq!(store.history().totals(&key(1)).handshakes, 2);
    let sum = |resolution| {
        series(&store, 1, resolution)
            .iter()
            .map(|(_, sums)| sums.rx_bytes)
            .sum::<u64>()
    };
    assert_eq!(
        (sum(Resolution::FiveMinutes), sum(Resolution::Hour)),
        (6_810, 6_810)
    );
}

// Catches a bucket that starts anew when control does, buckets in the wrong place, and rows for peers that are idle.
#[test]
fn series_go_on_in_the_same_buckets() {
    let directory = tempfile::tempdir().unwrap();
    let mut bytes = 0;
    for second in [0, 200, 250, 299, 300, 301, 3_599, 3_600] {
        let store = open(directory.path()).store;
        bytes += 10;
        observe(&store, 1, 1, bytes, second);
        observe(&store, 1, 2, 7, second);
        store.history().flush(at(second)).unwrap();
    }
    let store = open(directory.path()).store;
    let begin = 1_800_000_000;
    let rx = |number, resolution| -> Vec<(i64, u64)> {
        let points = series(&store, number, resolution).into_iter();
        points
            .map(|(unix_s, sums)| (unix_s - begin, sums.rx_bytes))
            .collect()
    };
    assert_eq!(
        rx(1, Resolution::FiveMinutes),
        [(0, 40), (300, 20), (3_300, 10), (3_600, 10)]
    );
    assert_eq!(rx(1, Resolution::Hour), [(0, 70), (3_600, 10)]);
    assert_eq!(rx(2, Resolution::FiveMinutes), [(0, 7)]);
    assert_eq!(rx(3, Resolution::Hour), []);
    // What is not yet written shows as well.
    observe(&store, 1, 1, bytes + 5, 3_700);
    observe(&store, 1, 1, bytes + 6, 4_000);
    assert_eq!(rx(1, Resolution::FiveMinutes)[3..], [(3_600, 15), (3_900, 1)]);
}

// Catches a file that grows for ever.
#[test]
fn what_is_too_old_is_pruned_and_totals_stay() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).store;
    let day = 86_400;
    for hour in 0..40 * 24 {
        observe(&store, 1, 1, 100 * (hour as u64 + 1), hour * 3_600);
        if hour % 6 == 0 {
            store.history().flush(at(hour * 3_600)).unwrap();
        }
    }
    store.history().flush(at(40 * day)).unwrap();
    let fine = series(&store, 1, Resolution::FiveMinutes);
    let hours = series(&store, 1, Resolution::Hour);
    assert_eq!((fine.len(), hours.len()), (48, 720));
    assert!(fine[0].0 - 1_800_000_000 >= 38 * day && hours[0].0 - 1_800_000_000 >= 10 * day);
    assert_eq!(totals(&store, 1).0, 100 * 40 * 24);
    store.history().forget(&key(1));
    store.history().flush(at(40 * day)).unwrap();
    drop(store);
    assert_eq!(totals(&open(directory.path()).store, 1), (0, 0));
}

// Catches totals that begin anew, or count twice, when the history is damaged or gone.
#[test]
fn a_damaged_history_goes_on_from_the_copys_totals() {
    for damage in [0, 1] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("history.weir");
        let store = open(directory.path()).store;
        store.commit(&declare([1])).unwrap();
        observe(&store, 1, 1, 1_000, 0);
        store.close(at(1)).unwrap();
        match damage {
            0 => fs::write(&path, b"no history").unwrap(),
            _ => fs::remove_file(&path).unwrap(),
        }
        let opened = open(directory.path());
        let lost = opened.report.history_lost.expect("the loss is said");
        assert!(lost.contains("history.weir"), "{lost}");
        assert_eq!(opened.state.peers.len(), 1);
        let store = opened.store;
        assert_eq!(totals(&store, 1), (1_000, 2_000));
        observe(&store, 1, 1, 1_300, 2);
        assert_eq!(totals(&store, 1), (1_300, 2_600));
        store.close(at(3)).unwrap();
        let opened = open(directory.path());
        assert_eq!(
            (totals(&opened.store, 1), opened.report.history_lost),
            ((1_300, 2_600), None)
        );
    }
}
