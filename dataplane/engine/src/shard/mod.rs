//! A shard: one core's share of the gateway. It owns its ports, the peers at home with it and their timers; it shares
//! nothing that changes. Everything happens in [`Shard::poll`], batch by batch.

mod access;
mod answer;
mod control;
mod handshake;
mod inbound;
mod macs;
mod outbound;
mod peers;
mod states;
#[cfg(test)]
mod tests;
mod timers;
mod transmit;

use crate::counters::Counters;
use crate::indices::{Indices, Place};
use crate::lately::Lately;
use crate::limiter::{Bucket, Limiter, Rates};
use crate::limits::*;
use crate::mesh::{Handed, Links, Message};
use crate::peer::Peer;
use crate::refusals::Refusals;
use crate::slots::{Shard as Number, Slot};
use crate::tables::{PeerId, Tables};
use crate::wheel::Wheel;
use crate::worker::{Job, Outcome};
use arc_swap::ArcSwap;
use core::net::SocketAddr;
use crossbeam_channel::{Receiver, Sender};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use inbound::Candidate;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::sync::Arc;
use weir_crypto::Aead;
use weir_crypto::blake2s::{self, Blake2s};
use weir_frame::{Frame, Port, PortRole};
use weir_noise::{CookieSecret, Instant};

pub use access::DeniedFlow;
pub use control::{Command, Event, PeerSnapshot, PortSnapshot, QueueSnapshot, Snapshot, Wanted};

/// The time, read once a batch.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The boot clock.
    pub at: Instant,
    /// The wall clock, in ns since the Unix epoch.
    pub unix_ns: u64,
}

/// What a shard is made of.
pub struct ShardParts {
    /// Its ends of the rings, which tell its number too.
    pub links: Links,
    /// The published tables.
    pub tables: Arc<ArcSwap<Tables>>,
    /// The AEAD back end.
    pub aead: &'static dyn Aead,
    /// Its ports, at most one of each role.
    pub ports: Vec<Box<dyn Port>>,
    /// To the handshake workers: initiations of others.
    pub stranger_jobs: Sender<Job>,
    /// To the handshake workers: our own handshakes.
    pub own_jobs: Sender<Job>,
    /// From the workers.
    pub outcomes: Receiver<Outcome>,
    /// From the gateway.
    pub commands: Receiver<Command>,
    /// To the gateway.
    pub events: Sender<Event>,
    /// The cookie secret that all shards share.
    pub cookie_secret: CookieSecret,
    /// Seeds indices, nonces of cookie replies and jitter.
    pub seed: [u8; 32],
    /// Frames taken from a port at a time.
    pub burst: usize,
    /// Packets of one peer that wait for a handshake.
    pub queue: usize,
    /// Limits on handshake messages.
    pub rates: Rates,
}

/// One port and what is about to leave by it.
struct PortSlot {
    port: Box<dyn Port>,
    tx: Vec<Frame>,
}

/// The shard.
pub struct Shard {
    number: Number,
    links: Links,
    published: Arc<ArcSwap<Tables>>,
    tables: Arc<Tables>,
    aead: &'static dyn Aead,
    macs: &'static dyn Blake2s,
    ports: Vec<PortSlot>,
    wan: Option<usize>,
    host: Option<usize>,
    stranger_jobs: Sender<Job>,
    own_jobs: Sender<Job>,
    outcomes: Receiver<Outcome>,
    commands: Receiver<Command>,
    events: Sender<Event>,
    cookie_secret: CookieSecret,
    random: ChaCha20Rng,
    burst: usize,
    queue: usize,

    peers: Vec<Option<Box<Peer>>>,
    free: Vec<Place>,
    by_id: HashMap<PeerId, Place, RandomState>,
    /// Homes of peers that a handshake moved away from their first one, with the count of their moves.
    moved: HashMap<PeerId, (Slot, u32), RandomState>,
    /// Endpoints of peers at home here.
    endpoints: HashMap<SocketAddr, peers::Users, RandomState>,
    indices: Indices,
    lately: Lately,
    wheel: Wheel,
    limiter: Limiter,
    icmp_errors: Bucket,
    judging: access::Judging,
    refusals: Refusals,
    /// Events for which there was no room.
    untold: u64,
    /// When the last poll began, and how many packets it received.
    polled: Instant,
    served: usize,
    /// The last slot generation of which each shard said that its peers are on their way.
    slots_done: Vec<u64>,
    /// Whether a slot of this shard is still answered for by its last owner.
    settling: bool,
    /// Peers that want an initiation made while the worker's queue was full.
    initiations: VecDeque<PeerId>,
    queued_bytes: usize,
    snapshots: VecDeque<control::Progress>,
    counters: Counters,

    received: Vec<Frame>,
    held: Vec<Frame>,
    fresh: Vec<Frame>,
    unchecked: Vec<macs::Unchecked>,
    candidates: Vec<Candidate>,
    sealing: Vec<outbound::Sealing>,
    due: Vec<(PeerId, u64)>,
}

impl Shard {
    /// A shard ready to be polled.
    ///
    /// # Panics
    /// If two ports have one role or the ports own more frames than the rings home can hold.
    pub fn new(parts: ShardParts, now: Now) -> Self {
        let number = parts.links.shard();
        let tables = parts.tables.load_full();
        let shards = parts.links.shards();
        let mut random = ChaCha20Rng::from_seed(parts.seed);
        let limiter = Limiter::new(parts.rates, [random.next_u64(), random.next_u64()]);
        let mut shard = Self {
            number,
            // Whether the last owners of the present slots have handed everything on, they will say or have said.
            slots_done: vec![tables.slots.generation.saturating_sub(1); shards],
            settling: false,
            links: parts.links,
            published: parts.tables,
            tables,
            aead: parts.aead,
            macs: blake2s::best(),
            ports: Vec::new(),
            wan: None,
            host: None,
            stranger_jobs: parts.stranger_jobs,
            own_jobs: parts.own_jobs,
            outcomes: parts.outcomes,
            commands: parts.commands,
            events: parts.events,
            cookie_secret: parts.cookie_secret,
            random,
            burst: parts.burst.clamp(1, 256),
            queue: parts.queue,
            peers: Vec::new(),
            free: Vec::new(),
            by_id: HashMap::default(),
            moved: HashMap::default(),
            endpoints: HashMap::default(),
            indices: Indices::default(),
            lately: Lately::default(),
            wheel: Wheel::new(now.at),
            limiter,
            icmp_errors: Bucket::full(ICMP_ERRORS_PER_S),
            judging: access::Judging::default(),
            refusals: Refusals::default(),
            untold: 0,
            polled: now.at,
            served: 0,
            initiations: VecDeque::new(),
            queued_bytes: 0,
            snapshots: VecDeque::new(),
            counters: Counters::default(),
            received: Vec::with_capacity(256),
            held: Vec::with_capacity(256),
            fresh: Vec::with_capacity(2 * BATCH),
            unchecked: Vec::with_capacity(BATCH),
            candidates: Vec::with_capacity(2 * BATCH),
            sealing: Vec::with_capacity(2 * BATCH),
            due: Vec::with_capacity(TIMERS_PER_POLL),
        };
        for port in parts.ports {
            shard.add_port(port);
        }
        shard.settling = shard.awaits_slots();
        shard.access_changed(0);
        shard.start_peers(now);
        shard
    }

    /// The shard's number.
    pub fn number(&self) -> Number {
        self.number
    }

    /// What it counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Does everything there is to do now, a batch of each, and says whether there was anything.
    pub fn poll(&mut self, now: Now) -> bool {
        self.note_latency(now);
        let mut worked = self.take_tables(now);
        worked |= self.take_commands(now);
        worked |= self.take_messages(now);
        worked |= self.take_outcomes(now);
        worked |= self.take_datagrams(now);
        worked |= self.take_packets(now);
        worked |= self.take_timers(now);
        worked |= self.tell_snapshots(now);
        self.flush();
        worked
    }

    /// Counts how long the packets of the last poll took, which had them all sent by its end. Whoever polls comes again at
    /// once after a poll that had something to do, so that the clock is read once for both.
    fn note_latency(&mut self, now: Now) {
        if self.served > 0 {
            let took = now.at.since(self.polled).as_nanos() as u64 / 1000;
            self.counters.packet_latency.count(took, self.served as u64);
            self.served = 0;
        }
        self.polled = now.at;
    }

    /// When the shard wants to be polled though nothing arrives.
    pub fn deadline(&self) -> Option<Instant> {
        [self.wheel.deadline(), self.indices.deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Prepares for sleep, and says whether the shard may: after this, whoever has something for it wakes it.
    pub fn may_sleep(&self) -> bool {
        self.links.alarm().fall_asleep();
        let idle = !self.links.pending()
            && !self.links.congested()
            && self.outcomes.is_empty()
            && self.commands.is_empty()
            && self.initiations.is_empty()
            && self.snapshots.is_empty()
            && self.published.load().generation == self.tables.generation;
        if !idle {
            self.links.alarm().awake();
        }
        idle
    }

    /// Appends what the shard is to be woken by when it is readable: its ports' descriptors of now.
    pub fn descriptors(&self, out: &mut Vec<RawFd>) {
        self.ports.iter().for_each(|slot| slot.port.descriptors(out));
    }

    /// Says that the shard sleeps no longer.
    pub fn woke(&mut self) {
        self.links.alarm().awake();
        self.ports.iter_mut().for_each(|slot| slot.port.woke());
    }

    /// Takes the shard apart again: its ends of the rings and its ports. Peers still at home are lost.
    pub fn into_parts(self) -> (Links, Vec<Box<dyn Port>>) {
        (self.links, self.ports.into_iter().map(|slot| slot.port).collect())
    }

    fn add_port(&mut self, port: Box<dyn Port>) {
        let place = match port.role() {
            PortRole::Wan => &mut self.wan,
            PortRole::Host => &mut self.host,
        };
        assert!(
            place.is_none(),
            "shard {} has a port of that role already",
            self.number
        );
        let number = usize::from(port.home().port);
        assert_eq!(
            number,
            self.ports.len(),
            "a port's home tells its place in the shard's list"
        );
        assert_eq!(port.home().shard, self.number, "a port's home is its shard");
        *place = Some(number);
        self.ports.push(PortSlot {
            port,
            tx: Vec::with_capacity(4 * BATCH),
        });
        let frames: usize = self.ports.iter().map(|slot| slot.port.frames()).sum();
        assert!(
            frames <= FRAMES_PER_SHARD,
            "{frames} frames; at most {FRAMES_PER_SHARD} fit the rings home"
        );
    }

    fn take_messages(&mut self, now: Now) -> bool {
        let mut worked = false;
        // What it sent itself comes last: that waits for something from another.
        let own = usize::from(self.number);
        let others = (0..self.links.shards()).filter(|&from| from != own);
        for from in others.chain([own]) {
            while let Some(frame) = self.links.receive_home(from) {
                self.give_back(frame);
                worked = true;
            }
            let arrived = self.links.arrived(from).min(HANDOFF_BUDGET);
            if arrived > 0 {
                self.catch_up(now);
            }
            for _ in 0..arrived {
                let Some(message) = self.links.receive(from) else {
                    break;
                };
                worked = true;
                match message {
                    Message::Datagram(frame, handed) => self.datagram(frame, handed, now),
                    Message::Packet(frame, handed) => {
                        // It may begin a handshake in place of one to which the response waits here.
                        self.check_handshakes(now);
                        self.packet(frame, handed, now);
                    }
                    Message::Adopt(peer) => {
                        self.open_candidates(now);
                        self.adopt(peer, now);
                    }
                    Message::Moved(home) => self.note_move(home),
                    Message::Index(index, usage) => self.indices.inherit(index, usage, now.at),
                    Message::Release(index) => self.indices.release(index),
                    Message::SlotsDone(generation) => {
                        self.slots_done[from] = self.slots_done[from].max(generation);
                        let settling = self.awaits_slots();
                        if core::mem::replace(&mut self.settling, settling) && !settling {
                            // Those declared meanwhile were nobody's.
                            self.start_peers(now);
                        }
                    }
                    Message::Outcome(outcome, handed) => {
                        self.open_candidates(now);
                        self.outcome(*outcome, handed, now);
                    }
                }
            }
        }
        self.open_candidates(now);
        self.give_back_held();
        worked
    }

    /// Takes the newest tables before something is read that was made with them: a shard or worker that was quicker to
    /// take them may speak of peers and slots that this one has not heard of yet.
    fn catch_up(&mut self, now: Now) {
        if self.published.load().generation != self.tables.generation {
            self.open_candidates(now);
            self.take_tables(now);
        }
    }

    fn take_datagrams(&mut self, now: Now) -> bool {
        let Some(wan) = self.wan else { return false };
        let mut received = core::mem::take(&mut self.received);
        let count = self.ports[wan].port.receive(&mut received, self.burst);
        let datagrams = received.iter().map(inbound::datagrams_in).sum();
        self.counters.burst(datagrams);
        self.served += datagrams;
        for frame in received.drain(..) {
            self.datagram(frame, Handed::default(), now);
        }
        self.received = received;
        self.open_candidates(now);
        self.give_back_held();
        while let Some(remote) = self.ports[wan].port.forgotten_source() {
            self.forget_source(remote);
        }
        count > 0
    }

    fn take_packets(&mut self, now: Now) -> bool {
        let Some(host) = self.host else { return false };
        let mut received = core::mem::take(&mut self.received);
        let count = self.ports[host].port.receive(&mut received, self.burst);
        self.counters.burst(count);
        self.served += count;
        for frame in received.drain(..) {
            self.packet(frame, Handed::default(), now);
        }
        self.received = received;
        self.give_back_held();
        count > 0
    }
}
