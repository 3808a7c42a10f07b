//! Kills a process that writes, again and again, at random moments: every commit that it was told of is there afterwards,
//! in order, and nothing else is. A program of its own, which runs itself as the writer.

mod common;

use std::env;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use common::{at, declare, key, open, peer};
use proptest::test_runner::{RngAlgorithm, TestRng};
use rand_core::Rng;
use weir_store::{Found, Observation, Store};

const ROUNDS: u32 = 50;

const SEED: u8 = 21;

/// The argument that makes this program the writer.
const WRITER: &str = "--write-until-killed";

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    if arguments.next().is_some_and(|argument| argument == WRITER) {
        let directory = arguments.next().expect("the writer is given a directory");
        write_until_killed(Path::new(&directory));
    }
    kill_writers();
    ExitCode::SUCCESS
}

/// Declares one peer a commit, each told on standard output once it is durable; keeps copies and history meanwhile.
fn write_until_killed(directory: &Path) -> ! {
    let opened = Store::open(directory, key(), at(0)).expect("the store opens");
    let store = opened.store;
    let background = store.clone();
    thread::spawn(move || {
        for second in 1.. {
            background.keep_copy(at(second)).expect("a copy is written");
            background
                .history()
                .flush(at(second))
                .expect("the history is written");
        }
    });
    for number in opened.state.peers.len() as u32.. {
        let committed = store.commit(&declare([number])).expect("a commit");
        assert_eq!(committed.number.0, u64::from(number) + 1);
        let seen = Observation {
            public_key: peer(0).public_key,
            rx_bytes: u64::from(number) + 1,
            tx_bytes: 0,
            last_handshake_unix_ns: 0,
        };
        store.history().observe([1; 16], &[seen], at(0));
        let mut out = std::io::stdout().lock();
        writeln!(out, "{number}")
            .and_then(|()| out.flush())
            .expect("the parent listens");
    }
    unreachable!("the numbers do not end before the process does");
}

fn kill_writers() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &[SEED; 32]);
    let mut told = None;
    for round in 0..ROUNDS {
        let mut writer = Command::new(env::current_exe().expect("this program has a path"))
            .arg(WRITER)
            .arg(directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the writer starts");
        let mut lines = BufReader::new(writer.stdout.take().expect("it is piped")).lines();
        let mut last = |line: Option<Result<String, _>>| {
            let line: Option<String> = line.and_then(Result::ok);
            // A line that the kill cut short is not a number told.
            told = line.and_then(|line| line.parse::<u32>().ok()).or(told);
        };
        // It begins within this, or every commit of the round is lost with it.
        last(lines.next());
        thread::sleep(Duration::from_micros(random.next_u64() % 60_000));
        writer.kill().expect("the writer is there");
        writer.wait().expect("the writer ends");
        lines.for_each(|line| last(Some(line)));
        check(directory.path(), told, &format!("round {round} of seed {SEED}"));
    }
    println!(
        "killed {ROUNDS} writers; {} commits were told, all are there",
        told.map_or(0, |told| told + 1)
    );
}

fn check(directory: &Path, told: Option<u32>, round: &str) {
    let opened = open(directory);
    let told = told.unwrap_or_else(|| panic!("{round}: nothing was ever written"));
    // A kill is no damage: the kernel keeps what was written.
    assert!(
        matches!(opened.report.found, Found::Intact),
        "{round}: {:?}",
        opened.report
    );
    assert_eq!(opened.report.history_lost, None, "{round}");
    let peers = opened.state.peers.len() as u32;
    // The last commit may have been done and not told.
    assert!(
        peers == told + 1 || peers == told + 2,
        "{round}: {peers} peers, {told} was told"
    );
    let expected = (0..peers).map(peer);
    assert!(
        opened.state.peers.values().cloned().eq(expected),
        "{round}: a peer is not what was written"
    );
    assert_eq!(opened.state.commit.0, u64::from(peers), "{round}");
    assert_eq!(opened.state.outbox.len() as u32, peers, "{round}");
    let log = opened
        .store
        .verify_audit()
        .unwrap_or_else(|error| panic!("{round}: {error}"));
    assert_eq!((log.newest, log.fault), (u64::from(peers), None), "{round}");
    let bytes = opened.store.history().totals(&peer(0).public_key).rx_bytes;
    assert!(bytes <= u64::from(peers), "{round}: {bytes} bytes were counted");
}
