//! What is kept beside the packets, while the gateway is busy.

mod common;

use common::isolated;
use common::plane::{plane, set};
use crossbeam_channel::bounded;
use nix::mount::{MsFlags, mount};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use weir_abi::change::{Change, PeerChange};
use weir_abi::endpoint::Endpoint;
use weir_abi::key::PublicKey;
use weir_gateway::dataplane::DataPlane;
use weir_gateway::keeper::Keeper;
use weir_gateway::state::{self, Saver, State};

/// Many times what the keeper takes between two looks at what changed.
const LIMIT: Duration = Duration::from_secs(15);

/// Three times what a name that failed once or twice rests.
const RESOLVED_IN: Duration = Duration::from_secs(60);

/// A data plane with one peer.
fn with_peer(endpoint: Endpoint) -> DataPlane {
    let mut peer = PeerChange::new(PublicKey::from_bytes([7; 32]));
    peer.endpoint = Some(endpoint);
    plane(vec![Change::Peer(peer)])
}

/// Catches a state that is kept only once nothing happens for a while: on a gateway with some hundred peers a handshake
/// completes every second, and a crash would lose all that was learnt since the start.
#[test]
fn what_changes_without_a_pause_is_kept_all_the_same() {
    isolated(|| {
        let plane = Arc::new(with_peer("192.0.2.7:51820".parse().expect("an endpoint")));
        let file = Path::new("/run/weir0.state");
        let loaded = state::load(file);
        let saver = Arc::new(Saver::start(file.to_owned(), &loaded).expect("a thread"));
        let keeper = Keeper::new(Arc::clone(&plane), Some(saver), &State::default());
        let (stop, stopped) = bounded::<()>(0);
        let keeping = thread::spawn(move || keeper.run(&stopped));
        let begun = Instant::now();
        let mut mark = 1;
        while state::load(file).state.peers.is_empty() {
            assert!(
                begun.elapsed() < LIMIT,
                "nothing is kept after {LIMIT:?} of changes"
            );
            plane.apply(&set(vec![Change::Fwmark(mark)])).expect("root marks");
            mark = 3 - mark;
            thread::sleep(Duration::from_millis(100));
        }
        drop(stop);
        keeping.join().expect("the keeper does not panic");
    });
}

/// Catches a name that is looked up once: a gateway starts before its resolver answers, and to a peer without an address
/// nothing is sent whose failure could lead to another look.
#[test]
fn a_name_that_has_no_address_is_looked_up_again() {
    isolated(|| {
        let hosts = common::file("hosts", "127.0.0.1 localhost\n");
        let resolver = common::file(
            "resolv.conf",
            "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
        );
        for (own, of_host) in [(&hosts, "/etc/hosts"), (&resolver, "/etc/resolv.conf")] {
            mount(
                Some(own.as_str()),
                of_host,
                None::<&str>,
                MsFlags::MS_BIND,
                None::<&str>,
            )
            .expect(of_host);
        }
        let plane = Arc::new(with_peer("late.test:51820".parse().expect("an endpoint")));
        let keeper = Keeper::new(Arc::clone(&plane), None, &State::default());
        let (stop, stopped) = bounded::<()>(0);
        let keeping = thread::spawn(move || keeper.run(&stopped));
        let address = || plane.tables().peers.iter().find_map(|(_, facts)| facts.endpoint);
        // Long enough for the first look to have failed.
        thread::sleep(Duration::from_secs(2));
        assert_eq!(address(), None);
        fs::write(&hosts, "192.0.2.7 late.test\n").expect(&hosts);
        let begun = Instant::now();
        while address() != Some("192.0.2.7:51820".parse().expect("an address")) {
            assert!(
                begun.elapsed() < RESOLVED_IN,
                "not looked up again: {:?}",
                address()
            );
            thread::sleep(Duration::from_millis(100));
        }
        drop(stop);
        keeping.join().expect("the keeper does not panic");
    });
}
