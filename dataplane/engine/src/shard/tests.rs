//! A shard without ports, called step by step: what can happen between two steps of one poll, and what it keeps.

use super::*;
use crate::applier::Applier;
use crate::indices::Entry;
use crate::mesh::{PeerHome, mesh};
use crate::peer::Handshake;
use core::time::Duration;
use crossbeam_channel::{bounded, unbounded};
use weir_abi::change::{Change, ChangeSet, PeerChange};
use weir_abi::desired::Origin;
use weir_abi::drops::Drop;
use weir_abi::endpoint::Endpoint;
use weir_abi::key::{PrivateKey, PublicKey};
use weir_frame::{LocalAddress, Path};

const NOW: Now = Now {
    at: Instant::from_nanos(1_000_000_000),
    unix_ns: 1_790_000_000_000_000_000,
};

/// One shard of two, and the other's ends of the rings.
struct Bench {
    applier: Applier,
    shard: Shard,
    other: Links,
    commands: Sender<Command>,
    declared: u64,
    _queues: (Receiver<Job>, Receiver<Job>, Sender<Outcome>, Receiver<Event>),
}

fn bench() -> Bench {
    let mut applier = Applier::new(2, 1420);
    apply(
        &mut applier,
        Change::PrivateKey(Some(PrivateKey::from_bytes([1; 32]))),
    );
    let mut links = mesh(2).into_iter();
    let (stranger_jobs, strangers) = bounded(STRANGER_JOBS);
    let (own_jobs, own) = bounded(OWN_JOBS);
    let (worked, outcomes) = unbounded();
    let (commands, inbox) = unbounded();
    let (events, told) = bounded(EVENTS);
    let parts = ShardParts {
        links: links.next().expect("two shards"),
        tables: Arc::clone(applier.published()),
        aead: weir_crypto::best(),
        ports: Vec::new(),
        stranger_jobs,
        own_jobs,
        outcomes,
        commands: inbox,
        events,
        cookie_secret: CookieSecret::new([2; 32]),
        seed: [3; 32],
        burst: BURST,
        queue: QUEUED_PER_PEER,
        rates: Rates::default(),
    };
    Bench {
        shard: Shard::new(parts, NOW),
        applier,
        other: links.next().expect("two shards"),
        commands,
        declared: 0,
        _queues: (strangers, own, worked, told),
    }
}

fn apply(applier: &mut Applier, change: Change) {
    let set = ChangeSet {
        base: None,
        origin: Origin::Uapi,
        changes: vec![change],
    };
    applier.apply(&set).expect("a sound change");
}

fn key(n: u64) -> PublicKey {
    let mut bytes = [9; 32];
    bytes[..8].copy_from_slice(&n.to_le_bytes());
    PublicKey::from_bytes(bytes)
}

impl Bench {
    /// Declares a peer, of which the shard has not heard yet.
    fn declare(&mut self, n: u64) -> PeerId {
        let endpoint = Endpoint::Address("203.0.113.1:1".parse().expect("an address and port"));
        let change = PeerChange {
            endpoint: Some(endpoint),
            ..PeerChange::new(key(n))
        };
        apply(&mut self.applier, Change::Peer(change));
        let tables = self.applier.published().load();
        tables.peer_by_key(&key(n)).expect("the peer").id
    }

    fn remove(&mut self, n: u64) {
        apply(&mut self.applier, Change::RemovePeer(key(n)));
    }

    /// A peer that is at home here in its first slot.
    fn at_home(&mut self) -> (PeerId, Place) {
        // Half of the slots are this shard's.
        loop {
            self.declared += 1;
            let id = self.declare(self.declared);
            self.shard.take_tables(NOW);
            if self.shard.answers_for(Slot::first_home(id)).is_none() {
                return (id, self.shard.activate(id, NOW).expect("a peer"));
            }
        }
    }
}

// Catches what another shard says of a peer that is new here being ignored: the sender's tables had it, and those
// published have it, only that this shard took its own at the beginning of the poll.
#[test]
fn messages_are_read_with_tables_no_older_than_their_sender_s() {
    let mut bench = bench();
    let peer = bench.declare(1);
    let slot = Slot(1000);
    let home = PeerHome { peer, slot, moves: 1 };
    assert!(bench.other.send(0, Message::Moved(home)).is_ok());
    bench.shard.take_messages(NOW);
    assert_eq!(bench.shard.home_of(peer), home);
}

// The same for what a worker made: its answer to a new peer's first initiation would be thrown away.
#[test]
fn outcomes_are_read_with_tables_no_older_than_their_worker_s() {
    let mut bench = bench();
    let mut peer = bench.declare(1);
    for n in 2.. {
        if bench.shard.answers_for(Slot::first_home(peer)).is_none() {
            break;
        }
        peer = bench.declare(n);
    }
    let index = bench.shard.indices.reserve(Slot(1), || 1);
    let outcome = Outcome::NotInitiated { peer, index };
    assert!(bench._queues.2.send(outcome).is_ok());
    bench.shard.take_outcomes(NOW);
    assert_eq!(bench.shard.counters.dropped(Drop::PeerRemoved), 0);
    assert!(bench.shard.by_id.contains_key(&peer));
}

// Catches indices of a peer removed on its way here, or whose sessions are void, that stay set aside for good.
#[test]
fn a_peer_that_arrives_too_late_leaves_no_index_behind() {
    for removed in [true, false] {
        let mut bench = bench();
        let id = bench.declare(1);
        bench.shard.take_tables(NOW);
        let facts = Arc::clone(bench.shard.tables.peer(id).expect("the peer"));
        let index = bench.shard.indices.reserve(Slot(1), || 1);
        let mut peer = Box::new(Peer::new(facts, Slot(1), 0, Default::default()));
        peer.identity_serial = bench.shard.tables.identity_serial;
        peer.handshake = Handshake::Making(index);
        peer.moves = 1;
        if removed {
            bench.remove(1);
        } else {
            let next = PrivateKey::from_bytes([4; 32]);
            apply(&mut bench.applier, Change::PrivateKey(Some(next)));
        }
        assert!(bench.other.send(0, Message::Adopt(peer)).is_ok());
        bench.shard.take_messages(NOW);
        assert_eq!(bench.shard.indices.get(index), Some(Entry::Retired));
    }
}

// Catches homes of peers long gone that stay in memory, where a shard missed more generations than the log tells.
#[test]
fn homes_of_removed_peers_are_forgotten() {
    for behind in [1, 2 * CHANGE_LOG] {
        let mut bench = bench();
        let peer = bench.declare(1);
        bench.shard.take_tables(NOW);
        let slot = Slot(1000);
        bench.shard.note_move(PeerHome { peer, slot, moves: 1 });
        assert_eq!(bench.shard.moved.len(), 1);
        bench.remove(1);
        for n in 1..behind {
            bench.declare(1 + n as u64);
        }
        bench.shard.take_tables(NOW);
        assert_eq!(bench.shard.moved.len(), 0, "{behind} generations behind");
    }
}

// Catches packets that wait for sessions and take more memory than is set aside for them: many small ones, each pushed
// out by a large one that nobody weighs.
#[test]
fn packets_that_wait_stay_within_their_memory() {
    let mut bench = bench();
    let (small, large) = (vec![7; 30], vec![7; 60_000]);
    let peers: Vec<Place> = (0..5).map(|_| bench.at_home().1).collect();
    for packet in [&small, &large] {
        for &place in &peers {
            for _ in 0..QUEUED_PER_PEER {
                bench.shard.wait(place, packet, NOW);
                assert!(bench.shard.queued_bytes <= QUEUED_BYTES);
            }
        }
    }
    assert!(
        bench.shard.queued_bytes > QUEUED_BYTES / 2,
        "hardly any could wait"
    );
    // What is counted is what is there.
    for &place in &peers {
        bench.shard.drop_queued(place, Drop::HandshakeFailed);
    }
    assert_eq!(bench.shard.queued_bytes, 0);
}

// Catches a shard that stops for whoever asked it to describe itself and does not read the answer.
#[test]
fn a_snapshot_that_nobody_reads_stops_nothing() {
    let mut bench = bench();
    for _ in 0..2 * SNAPSHOT_SLICE {
        bench.at_home();
    }
    let homes = bench.shard.by_id.len();
    let (to, parts) = bounded(1);
    let asked = Command::Snapshot {
        peers: Wanted::All,
        to,
    };
    assert!(bench.commands.send(asked).is_ok());
    let (done, finished) = bounded(1);
    // A shard that waits for its reader would wait for ever, so it is another thread that does.
    let polls = std::thread::spawn(move || {
        for _ in 0..10 {
            bench.shard.poll(NOW);
        }
        assert!(done.send(()).is_ok());
        bench
    });
    let patience = Duration::from_secs(30);
    assert!(
        finished.recv_timeout(patience).is_ok(),
        "the shard waits for its reader"
    );
    let mut bench = polls.join().expect("the thread has finished");
    let mut told = 0;
    loop {
        bench.shard.poll(NOW);
        match parts.try_recv() {
            Ok(part) => told += part.peers.len(),
            Err(_) => break,
        }
    }
    assert_eq!(told, homes);

    // Nor does it keep awake for somebody who has gone without reading.
    let (to, parts) = bounded(1);
    let asked = Command::Snapshot {
        peers: Wanted::All,
        to,
    };
    assert!(bench.commands.send(asked).is_ok());
    bench.shard.poll(NOW);
    bench.shard.poll(NOW);
    assert!(!bench.shard.may_sleep());
    drop(parts);
    bench.shard.poll(NOW);
    assert!(bench.shard.may_sleep());
}

// Catches a local address that stays though it no longer works, or goes with another peer's: where an endpoint is one
// peer's, was several peers' and where it has been left.
#[test]
fn the_local_address_is_forgotten_by_whoever_is_at_the_endpoint() {
    let mut bench = bench();
    let places: Vec<Place> = (0..4).map(|_| bench.at_home().1).collect();
    let at = |last: u8| Path {
        remote: std::net::SocketAddr::new([203, 0, 113, last].into(), 7),
        local: Some(LocalAddress {
            ip: [192, 0, 2, 1].into(),
            interface: 0,
        }),
    };
    for endpoints in [
        [1, 2, 3, 4],
        [1, 1, 1, 4],
        [2, 1, 2, 4],
        [1, 2, 2, 2],
        [5, 6, 7, 8],
    ] {
        for gone in 1..9 {
            for (&place, endpoint) in places.iter().zip(endpoints) {
                bench.shard.roam(place, at(endpoint));
            }
            bench.shard.forget_source(at(gone).remote);
            for (&place, endpoint) in places.iter().zip(endpoints) {
                let peer = bench.shard.peers[place as usize].as_ref().expect("the peer");
                let local = peer.path.expect("a path").local;
                assert_eq!(
                    local.is_none(),
                    endpoint == gone,
                    "{endpoint} of {endpoints:?}, {gone} gone"
                );
            }
        }
    }
}
