//! How many changes of single peers a second the store takes at 10,000 peers, by the size of batches; how long opening
//! it and keeping a copy take. `cargo bench -p weir-store`; on the disk of `TMPDIR`.

#[path = "../tests/common/mod.rs"]
mod common;

use std::fs;
use std::time::{Duration, Instant};

use common::{at, declare, open, peer};
use weir_abi::key::PublicKey;
use weir_store::Observation;

const PEERS: u32 = 10_000;

fn main() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path()).store;
    let (_, filled) = timed(|| {
        for chunk in 0..PEERS / 1_000 {
            store
                .commit(&declare(chunk * 1_000..(chunk + 1) * 1_000))
                .expect("a commit");
        }
    });
    println!("{PEERS} peers declared in batches of 1,000: {filled:?}");
    for size in [1, 10, 50, 100] {
        let mut times = Vec::new();
        for batch in 0..40 {
            let numbers = (0..size).map(|change| (batch * 7_919 + change * 101) % PEERS);
            let batch = declare(numbers);
            times.push(timed(|| store.commit(&batch).expect("a commit")).1);
        }
        times.sort_unstable();
        let total: Duration = times.iter().sum();
        let rate = f64::from(size) * 40.0 / total.as_secs_f64();
        println!(
            "batches of {size:3}: median {:?}, slowest {:?}, {rate:.0} changes a second",
            times[20], times[39]
        );
    }
    println!("copy: {:?}", timed(|| store.keep_copy(at(1)).expect("a copy")).1);
    println!(
        "audit log checked: {:?}",
        timed(|| store.verify_audit().expect("a check")).1
    );
    let seen = |number, bytes| Observation {
        public_key: PublicKey::from_bytes(*peer(number).public_key.as_bytes()),
        rx_bytes: bytes,
        tx_bytes: bytes,
        last_handshake_unix_ns: bytes,
    };
    for bytes in 1..4 {
        let observed: Vec<_> = (0..PEERS).map(|number| seen(number, bytes)).collect();
        let (_, time) = timed(|| store.history().observe([1; 16], &observed, at(bytes as i64)));
        println!("{PEERS} peers observed: {time:?}");
        let (_, time) = timed(|| store.history().flush(at(bytes as i64)).expect("a flush"));
        println!("{PEERS} peers written: {time:?}");
    }
    drop(store);
    let (opened, time) = timed(|| open(directory.path()));
    println!("opened: {time:?}, {} peers", opened.state.peers.len());
    for file in fs::read_dir(directory.path()).expect("the directory").flatten() {
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        println!("{}: {} KiB", file.file_name().display(), length >> 10);
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begin = Instant::now();
    (work(), begin.elapsed())
}
