//! A whole gateway without threads: shards, applier and worker, driven a round at a time.

use crate::allocator;
use crate::port::{MemoryPort, Parcel, PortHandle};
use crate::seed::Seed;
use crate::setup::{HostSteering, PeerSpec, Setup, WanSteering};
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use weir_abi::change::{Change, ChangeSet, Refusal};
use weir_abi::desired::Origin;
use weir_abi::drops::Drop;
use weir_abi::key::{PrivateKey, PublicKey};
use weir_engine::limits::{EVENTS, OWN_JOBS, QUEUED_PER_PEER, STRANGER_JOBS};
use weir_engine::{
    Applier, Command, Counters, Event, Job, Links, Now, Outcome, PeerSnapshot, RaiseCeiling, Rates,
    Remembered, Shard, ShardParts, Slot, Snapshot, Stamps, Wanted, Worker, mesh,
};
use weir_frame::{Home, LocalAddress, Meta, Path, Port, PortRole, Segmentation};
use weir_noise::{CookieSecret, Index, Instant};
use weir_wire::wireguard::{self, Message};

/// One shard's ports as the test holds them.
struct Handles {
    wan: PortHandle,
    host: PortHandle,
}

/// What a shard that does not run left behind.
struct Parked {
    links: Links,
    ports: Vec<Box<dyn Port>>,
}

/// The gateway.
pub struct Gateway {
    /// The one place where its configuration changes.
    pub applier: Applier,
    /// How datagrams find their shard.
    pub wan_steering: WanSteering,
    /// How packets of the host find their shard.
    pub host_steering: HostSteering,
    /// While set, the handshake worker does nothing.
    pub worker_paused: bool,
    /// Allocations that the shards made, where the counting allocator is installed.
    pub allocations: u64,
    /// Jobs that the worker did.
    pub jobs_done: u64,
    /// Added to the simulation's time for the boot clock, ns.
    pub boot_offset_ns: u64,
    /// Added to the simulation's time for the wall clock, ns.
    pub wall_offset_ns: i128,
    /// Events that shards told.
    pub events: VecDeque<Event>,
    setup: Setup,
    shards: Vec<Option<Shard>>,
    parked: Vec<Option<Parked>>,
    handles: Vec<Handles>,
    commands: Vec<(Sender<Command>, Receiver<Command>)>,
    outcomes: Vec<(Sender<Outcome>, Receiver<Outcome>)>,
    stranger_jobs: (Sender<Job>, Receiver<Job>),
    own_jobs: (Sender<Job>, Receiver<Job>),
    event_channel: (Sender<Event>, Receiver<Event>),
    worker: Worker,
    ceiling: Arc<AtomicU64>,
    cookie_secret: CookieSecret,
    random: ChaCha20Rng,
    /// The order in which the shards were polled last.
    order: Vec<usize>,
    running: usize,
    turn: usize,
}

impl Gateway {
    /// A gateway without peers, whose randomness follows from `seed` and `purpose`.
    pub fn new(setup: Setup, seed: &Seed, purpose: u64) -> Self {
        Self::build(setup, seed.random(purpose), Arc::default(), HashMap::new())
    }

    fn build(
        setup: Setup,
        mut random: ChaCha20Rng,
        ceiling: Arc<AtomicU64>,
        remembered: HashMap<PublicKey, Remembered>,
    ) -> Self {
        let mut applier = Applier::new(setup.shards, setup.mtu);
        applier.remember(remembered);
        let written = Arc::clone(&ceiling);
        let raise: RaiseCeiling = Box::new(move |ns| {
            written.store(ns, Ordering::Relaxed);
            true
        });
        let stamps = Arc::new(Mutex::new(Stamps::new(ceiling.load(Ordering::Relaxed), raise)));
        let worker = Worker::new(Arc::clone(applier.published()), stamps, bytes(&mut random));
        let cookie_secret = CookieSecret::new(bytes(&mut random));
        let mut parked = Vec::new();
        let mut handles = Vec::new();
        for links in mesh(setup.shards_max) {
            let shard = links.shard();
            let (wan, wan_handle) = MemoryPort::new(PortRole::Wan, Home { shard, port: 0 }, setup.pool);
            let (host, host_handle) = MemoryPort::new(PortRole::Host, Home { shard, port: 1 }, setup.pool);
            parked.push(Some(Parked {
                links,
                ports: vec![Box::new(wan), Box::new(host)],
            }));
            handles.push(Handles {
                wan: wan_handle,
                host: host_handle,
            });
        }
        Self {
            applier,
            wan_steering: WanSteering::Slot,
            host_steering: HostSteering::Flow,
            worker_paused: false,
            allocations: 0,
            jobs_done: 0,
            boot_offset_ns: 1_000_000_000_000,
            wall_offset_ns: 1_790_000_000_000_000_000,
            events: VecDeque::new(),
            shards: (0..setup.shards_max).map(|_| None).collect(),
            commands: (0..setup.shards_max).map(|_| unbounded()).collect(),
            outcomes: (0..setup.shards_max).map(|_| unbounded()).collect(),
            stranger_jobs: bounded(STRANGER_JOBS),
            own_jobs: bounded(OWN_JOBS),
            event_channel: bounded(EVENTS),
            running: setup.shards,
            order: (0..setup.shards_max).collect(),
            setup,
            parked,
            handles,
            worker,
            ceiling,
            cookie_secret,
            random,
            turn: 0,
        }
    }

    /// The gateway as a new start finds it: the state that is kept on disk (the ceiling of timestamps and, if
    /// `remember`, the peers' endpoints and timestamps) and no configuration.
    pub fn restarted(mut self, now_ns: u64, remember: bool) -> Self {
        let mut remembered = HashMap::new();
        if remember {
            for (key, peer) in self.peers(now_ns) {
                let (endpoint, timestamp) = (peer.endpoint, peer.timestamp);
                remembered.insert(key, Remembered { endpoint, timestamp });
            }
        }
        let mut next = Self::build(self.setup, self.random, self.ceiling, remembered);
        next.boot_offset_ns = self.boot_offset_ns;
        next.wall_offset_ns = self.wall_offset_ns;
        next.wan_steering = self.wan_steering;
        next.host_steering = self.host_steering;
        next
    }

    /// Its public key.
    pub fn public_key(&self) -> PublicKey {
        weir_noise::public_key(&PrivateKey::from_bytes(self.setup.private_key))
    }

    /// Where it is, in the family of `like`.
    pub fn address_towards(&self, like: SocketAddr) -> Option<SocketAddr> {
        let mut all = self.setup.addresses.iter().copied();
        all.find(|address| address.is_ipv4() == like.is_ipv4())
    }

    /// Its first address.
    pub fn address(&self) -> SocketAddr {
        self.setup.addresses[0]
    }

    /// Gives it other addresses.
    pub fn set_addresses(&mut self, addresses: Vec<SocketAddr>) {
        self.setup.addresses = addresses;
    }

    /// Whether datagrams to `address` are for it.
    pub fn owns(&self, address: SocketAddr) -> bool {
        self.setup.addresses.contains(&address)
    }

    /// Applies changes as one set, in the name of the UAPI socket.
    pub fn apply(&mut self, changes: Vec<Change>) -> Result<(), Refusal> {
        let set = ChangeSet {
            base: None,
            origin: Origin::Uapi,
            changes,
        };
        self.applier.apply(&set).map(|_revision| ())
    }

    /// Gives it its private key and these peers.
    pub fn configure(&mut self, peers: &[PeerSpec]) {
        let key = PrivateKey::from_bytes(self.setup.private_key);
        let mut changes = vec![Change::PrivateKey(Some(key))];
        changes.extend(peers.iter().map(PeerSpec::change));
        self.apply(changes).expect("the configuration is sound");
    }

    /// The shards that run at this moment.
    pub fn shards(&self) -> usize {
        self.running
    }

    /// Changes the number of shards as the gateway's binary does: new ones start before the slots move, old ones are
    /// polled until [`Gateway::end_idle_shards`].
    pub fn set_shards(&mut self, shards: usize, now_ns: u64) {
        assert!(
            shards <= self.setup.shards_max,
            "there are links for fewer shards"
        );
        self.running = shards;
        for number in 0..shards {
            self.start(number, now_ns);
        }
        self.applier.set_shards(shards);
        for number in shards..self.setup.shards_max {
            // The sockets close; what they hold the kernel would lose, a steering program would not.
            self.handles[number].wan.pass_on(&self.handles[0].wan);
            self.handles[number].host.pass_on(&self.handles[0].host);
        }
    }

    /// Ends shards that answer for nothing any more. To be called at rest.
    pub fn end_idle_shards(&mut self) {
        for number in self.running..self.shards.len() {
            if let Some(shard) = self.shards[number].take() {
                let (links, ports) = shard.into_parts();
                self.parked[number] = Some(Parked { links, ports });
            }
        }
    }

    /// The clocks at this moment of the simulation.
    pub fn now(&self, now_ns: u64) -> Now {
        Now {
            at: Instant::from_nanos(now_ns + self.boot_offset_ns),
            unix_ns: (i128::from(now_ns) + self.wall_offset_ns).max(0) as u64,
        }
    }

    /// Polls shards once, in an order by chance and not all of them every time, and lets the worker do some jobs. Says whether anybody did
    /// anything.
    pub fn round(&mut self, now_ns: u64) -> bool {
        for number in 0..self.running {
            self.start(number, now_ns);
        }
        let now = self.now(now_ns);
        let mut worked = false;
        for step in 0..self.order.len() {
            let other = step + self.random.next_u32() as usize % (self.order.len() - step);
            self.order.swap(step, other);
            let Some(shard) = &mut self.shards[self.order[step]] else {
                continue;
            };
            // A core that is late.
            if self.running > 1 && self.random.next_u32().is_multiple_of(4) {
                worked = true;
                continue;
            }
            let before = allocator::allocations();
            worked |= shard.poll(now);
            self.allocations += allocator::allocations() - before;
        }
        let most = 1 + self.random.next_u32() as usize % 64;
        worked |= self.work(now, most);
        while let Ok(event) = self.event_channel.1.try_recv() {
            self.events.push_back(event);
            if self.events.len() > EVENTS {
                self.events.pop_front();
            }
        }
        worked
    }

    fn work(&mut self, now: Now, most: usize) -> bool {
        if self.worker_paused {
            return false;
        }
        for done in 0..most {
            let job = self
                .own_jobs
                .1
                .try_recv()
                .or_else(|_| self.stranger_jobs.1.try_recv());
            let Ok(job) = job else { return done > 0 };
            self.jobs_done += 1;
            let (shard, outcome) = self.worker.run(job, now.unix_ns);
            let sent = self.outcomes[usize::from(shard)].0.send(outcome);
            assert!(sent.is_ok(), "the gateway holds both ends");
        }
        true
    }

    /// The next moment at which a shard wants to be polled.
    pub fn deadline_ns(&self) -> Option<u64> {
        let deadlines = self.shards.iter().flatten().filter_map(Shard::deadline);
        deadlines
            .min()
            .map(|at| at.as_nanos().saturating_sub(self.boot_offset_ns))
    }

    /// A datagram arrives.
    pub fn deliver(&mut self, from: SocketAddr, to: SocketAddr, class: u8, bytes: &[u8]) {
        self.deliver_segmented(from, to, class, bytes, Segmentation::None);
    }

    /// A datagram, or several back to back as UDP GRO joins them, arrives; the first decides where.
    pub fn deliver_segmented(
        &mut self,
        from: SocketAddr,
        to: SocketAddr,
        class: u8,
        bytes: &[u8],
        segmentation: Segmentation,
    ) {
        let first = match segmentation {
            Segmentation::Datagrams { size } => &bytes[..bytes.len().min(usize::from(size))],
            Segmentation::None | Segmentation::Super { .. } => bytes,
        };
        let shard = self.wan_shard(from, first);
        let local = LocalAddress {
            ip: to.ip(),
            interface: 1,
        };
        let meta = Meta {
            path: Some(Path {
                remote: from,
                local: Some(local),
            }),
            traffic_class: class,
            segmentation,
            partial_checksum: None,
        };
        self.handles[shard].wan.deliver(bytes, meta);
    }

    /// The host sends a packet into the tunnel.
    pub fn host_send(&mut self, packet: &[u8]) {
        self.host_send_with(packet, Meta::default());
    }

    /// The host sends a packet with offloads.
    pub fn host_send_with(&mut self, packet: &[u8], meta: Meta) {
        let shard = match self.host_steering {
            HostSteering::Flow => hash(&packet[..packet.len().min(40)]) as usize % self.running,
            HostSteering::All(shard) => usize::from(shard),
            HostSteering::Turns => {
                self.turn += 1;
                self.turn % self.running
            }
        };
        self.handles[shard].host.deliver(packet, meta);
    }

    /// What the gateway gave to the host, oldest first within a shard.
    pub fn host_received(&mut self) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        for handles in &self.handles {
            while let Some(parcel) = handles.host.take() {
                packets.push(parcel.bytes);
            }
        }
        packets
    }

    /// Hands everything that the gateway gave to the host to `visit`, and the buffers back to their ports.
    pub fn host_drain(&mut self, mut visit: impl FnMut(&Parcel)) {
        for handles in &self.handles {
            while let Some(parcel) = handles.host.take() {
                visit(&parcel);
                handles.host.recycle(parcel);
            }
        }
    }

    /// Hands every datagram that the gateway sent to `visit`, and the buffers back to their ports.
    pub fn wan_drain(&mut self, mut visit: impl FnMut(&Parcel)) {
        for handles in &self.handles {
            while let Some(parcel) = handles.wan.take() {
                visit(&parcel);
                handles.wan.recycle(parcel);
            }
        }
    }

    /// The next datagram that a shard sent.
    pub fn sent(&mut self) -> Option<Parcel> {
        self.handles.iter().find_map(|handles| handles.wan.take())
    }

    /// A shard's ports, WAN and host.
    pub fn handles(&self, shard: usize) -> (&PortHandle, &PortHandle) {
        (&self.handles[shard].wan, &self.handles[shard].host)
    }

    /// Frames that are not at home in any port: 0 at rest.
    pub fn frames_abroad(&self) -> usize {
        let abroad = |handles: &Handles| handles.wan.abroad() + handles.host.abroad();
        self.handles.iter().map(abroad).sum()
    }

    /// Counters of each running shard.
    pub fn counters(&self) -> impl Iterator<Item = &Counters> {
        self.shards.iter().flatten().map(Shard::counters)
    }

    /// Packets dropped for this reason.
    pub fn dropped(&self, reason: Drop) -> u64 {
        self.counters().map(|counters| counters.dropped(reason)).sum()
    }

    /// Every reason for which packets were dropped, and how many.
    pub fn drops(&self) -> Vec<(&'static str, u64)> {
        let count = |reason: &Drop| (reason.name(), self.dropped(*reason));
        Drop::ALL.iter().map(count).filter(|(_, n)| *n > 0).collect()
    }

    /// Jobs of strangers that wait for the worker.
    pub fn jobs_waiting(&self) -> usize {
        self.stranger_jobs.1.len()
    }

    /// Gives a shard something to do.
    pub fn command(&self, shard: usize, command: Command) {
        let sent = self.commands[shard].0.send(command);
        assert!(sent.is_ok(), "the gateway holds both ends");
    }

    /// Has every shard describe itself and its peers; the shards are polled for it.
    pub fn snapshot(&mut self, now_ns: u64) -> Vec<Snapshot> {
        let (to, parts) = unbounded();
        let mut wanted = 0;
        for number in 0..self.shards.len() {
            if self.shards[number].is_some() {
                let to = to.clone();
                self.command(
                    number,
                    Command::Snapshot {
                        peers: Wanted::All,
                        to,
                    },
                );
                wanted += 1;
            }
        }
        let mut snapshots = Vec::new();
        while wanted > 0 {
            self.round(now_ns);
            for part in parts.try_iter() {
                wanted -= usize::from(part.last);
                snapshots.push(part);
            }
        }
        snapshots
    }

    /// Every peer at home on any shard, by key.
    pub fn peers(&mut self, now_ns: u64) -> HashMap<PublicKey, PeerSnapshot> {
        let snapshots = self.snapshot(now_ns);
        let tables = self.applier.published().load_full();
        let mut peers = HashMap::new();
        for peer in snapshots.into_iter().flat_map(|snapshot| snapshot.peers) {
            if let Some(facts) = tables.peer(peer.id) {
                let twice = peers.insert(facts.public_key, peer);
                assert!(twice.is_none(), "peer {:?} is at home twice", facts.id);
            }
        }
        peers
    }

    /// The peer with this key, if it is at home anywhere.
    pub fn peer(&mut self, now_ns: u64, key: &PublicKey) -> Option<PeerSnapshot> {
        self.peers(now_ns).remove(key)
    }

    /// The shard where a peer is at home.
    pub fn home(&mut self, now_ns: u64, key: &PublicKey) -> Option<u16> {
        let id = self.applier.published().load().peer_by_key(key)?.id;
        let snapshots = self.snapshot(now_ns);
        let home = snapshots
            .iter()
            .find(|snapshot| snapshot.peers.iter().any(|peer| peer.id == id));
        home.map(|snapshot| snapshot.shard)
    }

    fn wan_shard(&self, from: SocketAddr, datagram: &[u8]) -> usize {
        let tables = self.applier.published().load();
        let by_source = hash(from.to_string().as_bytes()) as usize % self.running;
        let by_slot = match wireguard::classify(datagram) {
            Message::Transport { receiver, .. } => Some(receiver),
            Message::Response(response) => Some(response.receiver.get()),
            Message::CookieReply(reply) => Some(reply.receiver.get()),
            Message::Initiation(_) | Message::Unknown(_) => None,
        }
        .map_or(by_source, |index| {
            usize::from(tables.slots.owner(Slot::of(Index(index))))
        });
        match self.wan_steering {
            WanSteering::Slot => by_slot,
            WanSteering::Source => by_source,
            WanSteering::All(shard) => usize::from(shard),
            WanSteering::Wrong => (by_slot + 1) % self.running,
        }
    }

    fn start(&mut self, number: usize, now_ns: u64) {
        let Some(Parked { links, ports }) = self.parked[number].take() else {
            return;
        };
        let parts = ShardParts {
            links,
            tables: Arc::clone(self.applier.published()),
            aead: weir_crypto::best(),
            ports,
            stranger_jobs: self.stranger_jobs.0.clone(),
            own_jobs: self.own_jobs.0.clone(),
            outcomes: self.outcomes[number].1.clone(),
            commands: self.commands[number].1.clone(),
            events: self.event_channel.0.clone(),
            cookie_secret: self.cookie_secret.clone(),
            seed: bytes(&mut self.random),
            burst: self.setup.burst,
            queue: QUEUED_PER_PEER,
            rates: Rates::default(),
        };
        self.shards[number] = Some(Shard::new(parts, self.now(now_ns)));
    }
}

fn bytes(random: &mut ChaCha20Rng) -> [u8; 32] {
    let mut bytes = [0; 32];
    random.fill_bytes(&mut bytes);
    bytes
}

/// FNV-1a: the same on every run, as a seeded simulation needs.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}
