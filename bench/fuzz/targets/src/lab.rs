//! What the target of a whole shard needs once: ports, generations of tables, and the worker's results.

use crate::ends::{End, ends, preshared};
use arc_swap::ArcSwap;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use weir_abi::change::{AllowedIpChange, Change, ChangeSet, PeerChange};
use weir_abi::desired::Origin;
use weir_abi::endpoint::Endpoint;
use weir_abi::key::{PresharedKey, PrivateKey, PublicKey};
use weir_abi::prefix::Prefix;
use weir_engine::{Applier, Job, Links, Outcome, PeerId, Stamps, Tables, Worker, mesh};
use weir_frame::{Home, PoolSize, Port, PortRole};
use weir_noise::message::{INITIATION_LEN, RESPONSE_LEN};
use weir_noise::{Index, Initiator, OpenedInitiation, SessionKeys, Tai64n, initiate};
use weir_testkit::{MemoryPort, PortHandle};

/// The wall clock, in ns since the Unix epoch; it stands still.
pub(crate) const WALL_NS: u64 = 1_790_000_000_000_000_000;
/// Initiations that Alice has made, with growing timestamps.
pub(crate) const INITIATIONS: usize = 4;
/// Results kept before all are forgotten.
const KEPT: usize = 4096;

/// What an answer depends on: the message, our index, the tables, and how many jobs the worker did before.
type Asked = (Box<[u8; INITIATION_LEN]>, Index, u64, u32);

/// An answer as the worker made it.
#[derive(Clone)]
struct Answer {
    peer: PeerId,
    timestamp: Tai64n,
    response: [u8; RESPONSE_LEN],
    keys: Box<SessionKeys>,
    identity_serial: u64,
}

/// Where tables are published.
pub(crate) type Published = Arc<ArcSwap<Tables>>;

/// Alice's answer to an initiation of the gateway's.
type Answered = Option<([u8; RESPONSE_LEN], SessionKeys)>;

/// The lab. The gateway is Bob; Alice is the peer that the fuzzer plays, and a second peer never says anything.
pub(crate) struct Lab {
    pub(crate) alice: End,
    pub(crate) initiations: Vec<([u8; INITIATION_LEN], Initiator)>,
    /// What is published one after the other.
    pub(crate) generations: Vec<Arc<Tables>>,
    pub(crate) wan: PortHandle,
    pub(crate) host: PortHandle,
    /// Taken by the shard while it runs.
    pub(crate) parts: Option<(Links, Vec<Box<dyn Port>>)>,
    answers: HashMap<Asked, Option<Answer>>,
    answered: HashMap<[u8; INITIATION_LEN], Answered>,
    finished: HashMap<[u8; RESPONSE_LEN], SessionKeys>,
}

impl Lab {
    /// The lab of this thread. Frames are never given back to the allocator, so there is one.
    pub(crate) fn with<T>(call: impl FnOnce(&mut Lab) -> T) -> T {
        thread_local! {
            static LAB: RefCell<Lab> = RefCell::new(Lab::new());
        }
        LAB.with_borrow_mut(call)
    }

    fn new() -> Self {
        let [alice, _] = ends();
        let made = |nth: usize| {
            let timestamp = Tai64n::from_unix_nanos(WALL_NS + nth as u64);
            initiate(
                &alice.identity,
                &alice.remote,
                index(nth),
                timestamp,
                [nth as u8 + 1; 32],
            )
            .expect("keys of full order")
        };
        let initiations = (0..INITIATIONS).map(made).collect();
        let size = PoolSize {
            small: 64,
            small_bytes: 2048,
            large: 4,
            large_bytes: 65536 + 512,
            headroom: 128,
        };
        let (wan, wan_handle) = MemoryPort::new(PortRole::Wan, Home { shard: 0, port: 0 }, size);
        let (host, host_handle) = MemoryPort::new(PortRole::Host, Home { shard: 0, port: 1 }, size);
        let links = mesh(1).pop().expect("one shard");
        let generations = generations(*alice.identity.public());
        Self {
            alice,
            initiations,
            generations,
            wan: wan_handle,
            host: host_handle,
            parts: Some((links, vec![Box::new(wan), Box::new(host)])),
            answers: HashMap::new(),
            answered: HashMap::new(),
            finished: HashMap::new(),
        }
    }

    /// Does a run's `nth` job as the worker would; answers to Alice are computed once each.
    pub(crate) fn work(
        &mut self,
        tables: &Published,
        stamps: &Arc<Mutex<Stamps>>,
        job: Job,
        nth: u32,
    ) -> Outcome {
        let mut seed = [8; 32];
        seed[..4].copy_from_slice(&nth.to_le_bytes());
        let mut worker = Worker::new(Arc::clone(tables), Arc::clone(stamps), seed);
        let Job::Respond {
            shard,
            index,
            message,
            path,
            arrived,
            proved,
        } = job
        else {
            return worker.run(job, WALL_NS).1;
        };
        if self.answers.len() >= KEPT {
            self.answers.clear();
        }
        let key = (message.clone(), index, tables.load().generation, nth);
        let answer = self.answers.entry(key).or_insert_with(|| {
            let job = Job::Respond {
                shard,
                index,
                message: message.clone(),
                path,
                arrived,
                proved,
            };
            match worker.run(job, WALL_NS).1 {
                Outcome::Responded {
                    peer,
                    timestamp,
                    response,
                    keys,
                    identity_serial,
                    ..
                } => Some(Answer {
                    peer,
                    timestamp,
                    response: *response,
                    keys,
                    identity_serial,
                }),
                _ => None,
            }
        });
        match answer.clone() {
            Some(Answer {
                peer,
                timestamp,
                response,
                keys,
                identity_serial,
            }) => Outcome::Responded {
                peer,
                shard,
                path,
                arrived,
                timestamp,
                response: Box::new(response),
                keys,
                proved,
                identity_serial,
            },
            None => Outcome::Refused {
                index,
                reason: weir_abi::drops::Drop::BadHandshake,
                claimed: None,
                path,
                proved,
            },
        }
    }

    /// Alice's session after a response to one of her initiations.
    pub(crate) fn finish(&mut self, response: &[u8; RESPONSE_LEN], receiver: u32) -> SessionKeys {
        if self.finished.len() >= KEPT {
            self.finished.clear();
        }
        let (alice, initiations) = (&self.alice, &self.initiations);
        let finish = || {
            let asked = |(_, initiator): &&(_, Initiator)| initiator.local().0 == receiver;
            let (_, initiator) = initiations
                .iter()
                .find(asked)
                .expect("an answer to what Alice asked");
            let keys = initiator.finish(&alice.identity, &preshared(), response);
            keys.expect("a right answer")
        };
        self.finished.entry(*response).or_insert_with(finish).clone()
    }

    /// Alice's answer to an initiation that the gateway made for her.
    pub(crate) fn answer(&mut self, message: &[u8; INITIATION_LEN]) -> Answered {
        if self.answered.len() >= KEPT {
            self.answered.clear();
        }
        let alice = &self.alice;
        let respond = || {
            let opened = OpenedInitiation::open(&alice.identity, message).ok()?;
            let authentic = opened.authenticate(&alice.remote).ok()?;
            authentic
                .respond(&alice.remote, &preshared(), index(INITIATIONS), [9; 32])
                .ok()
        };
        self.answered.entry(*message).or_insert_with(respond).clone()
    }
}

/// Alice's index for the `nth` handshake.
fn index(nth: usize) -> Index {
    Index(0xa11c_e000 + nth as u32)
}

/// The tables of a gateway whose configuration changes under traffic.
fn generations(alice: PublicKey) -> Vec<Arc<Tables>> {
    let silent = PublicKey::from_bytes([0x42; 32]);
    let prefix = |text: &str| AllowedIpChange::Add(text.parse::<Prefix>().expect("a prefix"));
    let peer = |key, prefixes: &[&str], endpoint: Option<&str>| {
        Change::Peer(PeerChange {
            preshared_key: Some(if key == alice {
                preshared()
            } else {
                PresharedKey::ZERO
            }),
            endpoint: endpoint.map(|text| text.parse::<Endpoint>().expect("an endpoint")),
            persistent_keepalive: Some(if key == alice { 0 } else { 25 }),
            replace_allowed_ips: true,
            allowed_ips: prefixes.iter().map(|text| prefix(text)).collect(),
            ..PeerChange::new(key)
        })
    };
    let own = |byte| Change::PrivateKey(Some(PrivateKey::from_bytes([byte; 32])));
    let mut applier = Applier::new(1, 1420);
    let mut generations = Vec::new();
    let steps = [
        // The addresses of `packet::Flow` are one byte repeated: these are halves of all there are.
        vec![
            own(0x22),
            peer(alice, &["0.0.0.0/1", "::/1"], None),
            peer(silent, &["128.0.0.0/1", "8000::/1"], Some("192.0.2.9:9")),
        ],
        vec![peer(alice, &["0.0.0.0/2", "::/2"], None)],
        vec![peer(alice, &["0.0.0.0/0", "::/0"], Some("192.0.2.8:8"))],
        vec![Change::RemovePeer(alice)],
        vec![peer(alice, &["0.0.0.0/1", "::/1"], None)],
        vec![own(0x23)],
        vec![own(0x22)],
        vec![Change::PrivateKey(None)],
    ];
    for changes in steps {
        let set = ChangeSet {
            base: None,
            origin: Origin::Uapi,
            changes,
        };
        applier.apply(&set).expect("nothing in it contradicts");
        if generations.len() == 2 {
            applier.set_mtu(1280);
        }
        generations.push(applier.published().load_full());
    }
    generations
}
