//! One shard with its ports, its tables and sessions with some clients: everything that a window runs in.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use crossbeam_channel::{Receiver, Sender, unbounded};
use weir_abi::change::{Change, ChangeSet};
use weir_abi::desired::Origin;
use weir_abi::key::PrivateKey;
use weir_crypto::{Aead, Plaintext, Seal, TAG_BYTES};
use weir_engine::limits::QUEUED_PER_PEER;
use weir_engine::{
    Applier, Command, Event, Job, Now, Outcome, Rates, Shard, ShardParts, Stamps, Worker, mesh,
};
use weir_frame::{Home, LocalAddress, Meta, Path, PoolSize, PortRole};
use weir_noise::{CookieSecret, Instant};
use weir_testkit::{Client, Parcel, PeerSpec, Received, Seed, packets};
use weir_wire::wireguard::{TRANSPORT_HEADER_LEN, TransportHeader};
use zerocopy::IntoBytes;

use super::port::{Load, LoadedPort};
use super::{Case, Direction, MTU, WINDOW, ticks};

const PRIVATE_KEY: [u8; 32] = [1; 32];

/// Between one batch and the next, in ns.
const STEP_NS: u64 = 10_000;

/// Between handshakes, in ns: slower than what makes a shard ask for cookies.
const HANDSHAKE_NS: u64 = 5_000_000;

/// The shard and what it is driven by.
pub(super) struct Rig {
    shard: Shard,
    aead: &'static dyn Aead,
    wan: Load,
    host: Load,
    clients: Vec<Client>,
    worker: Worker,
    jobs: Receiver<Job>,
    outcomes: Sender<Outcome>,
    _commands: Sender<Command>,
    _events: Receiver<Event>,
    now_ns: u64,
}

impl Rig {
    /// A shard that takes `burst` frames at a time and has a session with each of `peers` clients.
    pub fn new(peers: usize, burst: usize, aead: &'static dyn Aead) -> Self {
        let seed = Seed::from(1);
        let private = PrivateKey::from_bytes(PRIVATE_KEY);
        let key = weir_noise::public_key(&private);
        let clients: Vec<Client> = (0..peers)
            .map(|n| Client::new(private_key(n), key, address(n), seed.random(n as u64)))
            .collect();
        let mut applier = Applier::new(1, MTU as u16);
        let mut changes = vec![Change::PrivateKey(Some(private))];
        changes.extend(clients.iter().enumerate().map(|(n, client)| {
            PeerSpec::new(client.public_key(), &[&format!("{}/32", inside(n).ip())]).change()
        }));
        let set = ChangeSet {
            base: None,
            origin: Origin::Uapi,
            changes,
        };
        applier.apply(&set).expect("the configuration is sound");

        let size = PoolSize {
            small: 2 * WINDOW,
            large: 0,
            ..PoolSize::default()
        };
        let (wan_port, wan) = LoadedPort::new(PortRole::Wan, Home { shard: 0, port: 0 }, size);
        let (host_port, host) = LoadedPort::new(PortRole::Host, Home { shard: 0, port: 1 }, size);
        let (stranger_jobs, jobs) = unbounded();
        let (outcomes, shard_outcomes) = unbounded();
        let (commands, shard_commands) = unbounded();
        let (shard_events, events) = unbounded();
        let links = mesh(1).pop().expect("a mesh of one has one shard's ends");
        let parts = ShardParts {
            links,
            tables: Arc::clone(applier.published()),
            aead,
            ports: vec![Box::new(wan_port), Box::new(host_port)],
            own_jobs: stranger_jobs.clone(),
            stranger_jobs,
            outcomes: shard_outcomes,
            commands: shard_commands,
            events: shard_events,
            cookie_secret: CookieSecret::new([2; 32]),
            seed: [3; 32],
            burst,
            queue: QUEUED_PER_PEER,
            rates: Rates::default(),
        };
        let stamps = Arc::new(Mutex::new(Stamps::new(0, Box::new(|_| true))));
        let worker = Worker::new(Arc::clone(applier.published()), stamps, [4; 32]);
        let mut rig = Self {
            shard: Shard::new(parts, at(0)),
            aead,
            wan,
            host,
            clients,
            worker,
            jobs,
            outcomes,
            _commands: commands,
            _events: events,
            now_ns: HANDSHAKE_NS,
        };
        for n in 0..peers {
            rig.shake_hands(n);
        }
        rig
    }

    /// Makes the packets of a case ready to be received.
    pub fn load(&mut self, case: Case) {
        match case.direction {
            Direction::Out => self.host.put(|parcels| {
                if parcels.len() != WINDOW || parcels[0].bytes.len() != case.bytes {
                    *parcels = (0..WINDOW).map(|n| outgoing(case, n)).collect();
                }
            }),
            Direction::In => {
                let (clients, aead) = (&mut self.clients, self.aead);
                self.wan.put(|parcels| {
                    if parcels.len() != WINDOW || parcels[0].bytes.len() != case.message_len() {
                        *parcels = (0..WINDOW).map(|n| incoming(case, n)).collect();
                    }
                    let at = at(self.now_ns).at;
                    for (n, parcel) in parcels.iter_mut().enumerate() {
                        let n = n % case.sessions;
                        seal(&mut clients[n], aead, &mut parcel.bytes, &inner(case, n), at);
                    }
                });
            }
        }
        self.poll();
    }

    /// Runs what was loaded through the shard; says what it took, in [`ticks::UNIT`].
    ///
    /// # Panics
    /// If a packet was not carried.
    pub fn window(&mut self, case: Case) -> u64 {
        let done = |shard: &Shard| match case.direction {
            Direction::Out => shard.counters().sealed,
            Direction::In => shard.counters().opened,
        };
        let before = done(&self.shard);
        let polls = WINDOW.div_ceil(case.burst);
        let began = ticks::now();
        self.polls(polls);
        let took = ticks::now().wrapping_sub(began);
        let carried = done(&self.shard) - before;
        assert_eq!(carried, WINDOW as u64, "{case}: packets were dropped");
        took
    }

    /// What was loaded goes through the shard uncounted.
    pub fn warm_up(&mut self, case: Case) {
        for _ in 0..WINDOW.div_ceil(case.burst) {
            self.poll();
        }
    }

    /// What callgrind is told to count in.
    #[inline(never)]
    fn polls(&mut self, count: usize) {
        for _ in 0..count {
            self.poll();
        }
    }

    #[inline]
    fn poll(&mut self) {
        self.now_ns += STEP_NS;
        self.shard.poll(at(self.now_ns));
    }

    fn shake_hands(&mut self, n: usize) {
        self.now_ns += HANDSHAKE_NS;
        let at = at(self.now_ns).at;
        let initiation = self.clients[n].initiation(at);
        self.wan.keep(true);
        self.receive(n, initiation);
        let job = self.jobs.try_recv().expect("an initiation makes a job");
        let (_, outcome) = self.worker.run(job, self.now_ns);
        self.outcomes
            .send(outcome)
            .expect("the shard holds the other end");
        self.poll();
        let responses = self.wan.sent();
        assert_eq!(responses.len(), 1, "client {n} was not answered");
        let received = self.clients[n].receive(&responses[0], at);
        assert_eq!(received, Received::Session, "client {n}");
        let keepalive = self.clients[n].data(&[], at);
        self.wan.keep(false);
        self.receive(n, keepalive);
    }

    fn receive(&mut self, n: usize, bytes: Vec<u8>) {
        let meta = from(n);
        self.wan.put(|parcels| *parcels = vec![Parcel { bytes, meta }]);
        self.poll();
        self.poll();
    }
}

fn seal(client: &mut Client, aead: &dyn Aead, message: &mut [u8], packet: &[u8], at: Instant) {
    let session = client.session.as_mut().expect("it has shaken hands");
    let counter = session
        .reserve(at)
        .expect("a run takes less than a session's life");
    let (header, out) = message.split_at_mut(TRANSPORT_HEADER_LEN);
    header.copy_from_slice(TransportHeader::new(session.remote().0, counter).as_bytes());
    let mut jobs = [Seal {
        key: session.send_key(),
        counter,
        plaintext: Plaintext::At(packet),
        out,
    }];
    aead.seal(&mut jobs);
}

/// A packet from the host to the peer whose turn it is.
fn outgoing(case: Case, n: usize) -> Parcel {
    let peer = n % case.sessions;
    Parcel {
        bytes: packets::udp(outside(), inside(peer), &vec![7; case.bytes - 28]),
        meta: Meta::default(),
    }
}

/// Room for a message of the peer whose turn it is.
fn incoming(case: Case, n: usize) -> Parcel {
    Parcel {
        bytes: vec![0; case.message_len()],
        meta: from(n % case.sessions),
    }
}

fn inner(case: Case, peer: usize) -> Vec<u8> {
    packets::udp(inside(peer), outside(), &vec![7; case.bytes - 28])
}

fn from(n: usize) -> Meta {
    let local = LocalAddress {
        ip: Ipv4Addr::new(192, 0, 2, 1).into(),
        interface: 1,
    };
    let path = Path {
        remote: address(n),
        local: Some(local),
    };
    Meta {
        path: Some(path),
        ..Meta::default()
    }
}

fn at(now_ns: u64) -> Now {
    Now {
        at: Instant::from_nanos(1_000_000_000 + now_ns),
        unix_ns: 1_790_000_000_000_000_000 + now_ns,
    }
}

fn private_key(n: usize) -> [u8; 32] {
    let mut key = [9; 32];
    key[8..16].copy_from_slice(&(n as u64).to_le_bytes());
    key
}

fn address(n: usize) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::from_bits(0xcb00_7100 + n as u32).into(), 51820)
}

/// Where a peer's packets come from.
fn inside(n: usize) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::from_bits(0x0a00_0000 + n as u32).into(), 1000)
}

/// What peers talk to.
fn outside() -> SocketAddr {
    SocketAddr::new(Ipv4Addr::new(198, 51, 100, 7).into(), 2000)
}

/// Bytes of a tag, header and padded packet.
pub(super) fn message_len(inner: usize) -> usize {
    TRANSPORT_HEADER_LEN + padded(inner) + TAG_BYTES
}

/// Bytes of a packet as it is sealed (whitepaper, 5.4.6).
pub(super) fn padded(inner: usize) -> usize {
    inner.next_multiple_of(16).min(MTU)
}
