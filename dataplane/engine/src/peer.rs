//! Everything of one peer that changes, held by the one shard that is its home.

use crate::access::ClassId;
use crate::life::Life;
use crate::slots::Slot;
use crate::tables::{PeerFacts, PeerId};
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;
use weir_frame::Path;
use weir_noise::{CookieJar, Index, InitiationGate, Initiator, Instant, Keypairs, Tai64n, Timers};

/// How far a handshake that we began has come.
pub enum Handshake {
    /// None is under way.
    Idle,
    /// The worker makes the initiation.
    Making(Index),
    /// The initiation was sent.
    Waiting {
        /// What it left.
        initiator: Arc<Initiator>,
        /// Responses that the worker checks. The first need not be the true one: whoever saw the initiation can make
        /// others that bear its index.
        checking: u8,
    },
}

impl Handshake {
    /// The index under which it is known.
    pub fn index(&self) -> Option<Index> {
        match self {
            Handshake::Idle => None,
            Handshake::Making(index) => Some(*index),
            Handshake::Waiting { initiator, .. } => Some(initiator.local()),
        }
    }

    /// Whether the worker looks at a response to it.
    pub fn is_checked(&self) -> bool {
        matches!(self, Handshake::Waiting { checking, .. } if *checking > 0)
    }

    /// Whether it waits for a response to this index.
    pub fn waits_for(&self, index: Index) -> bool {
        matches!(self, Handshake::Waiting { .. }) && self.index() == Some(index)
    }
}

/// A peer at home. About 4 KiB with a live session, most of it the replay windows.
pub struct Peer {
    /// Its number, as its facts have it: read with each packet, and they are elsewhere.
    id: PeerId,
    /// What is to be of it.
    pub facts: Arc<PeerFacts>,
    /// Which access rules concern it; `None` where none can deny it anything.
    pub access: Option<ClassId>,
    /// The slot it is at home in, and of which its indices are.
    pub slot: Slot,
    /// How often it moved.
    pub moves: u32,
    /// Its sessions.
    pub keypairs: Keypairs,
    /// The handshake under way.
    pub handshake: Handshake,
    /// Its deadlines.
    pub timers: Timers,
    /// Cookies of the other side.
    pub cookies: CookieJar,
    /// Where it is.
    pub path: Option<Path>,
    /// The greatest timestamp received, and the distance between initiations.
    pub gate: InitiationGate,
    /// Packets that wait for a session, oldest first.
    pub queue: VecDeque<Box<[u8]>>,
    /// The earliest tick at which the wheel will look at it; `u64::MAX` for never.
    pub on_wheel: u64,
    /// Bytes of authentic messages received, as `wg` counts them.
    pub rx_bytes: u64,
    /// Bytes of messages sent, as `wg` counts them.
    pub tx_bytes: u64,
    /// When the last handshake completed, in ns since the Unix epoch; 0 for never.
    pub last_handshake_unix_ns: u64,
    /// When the last authentic message came.
    pub last_received: Option<Instant>,
    /// Initiations sent since the last completed handshake.
    pub unanswered: u32,
    /// Its state, and what was observed of its handshakes.
    pub life: Life,
    /// The identity's serial under which its sessions were made.
    pub identity_serial: u64,
    /// The slot table's generation whose shards all know where it is at home.
    pub told: u64,
    /// Whether it stands in line for an initiation.
    pub in_line: bool,
}

impl Peer {
    /// A peer that has done nothing yet.
    pub fn new(facts: Arc<PeerFacts>, slot: Slot, identity_serial: u64, jitter: Duration) -> Self {
        Self {
            id: facts.id,
            access: None,
            slot,
            moves: 0,
            keypairs: Keypairs::default(),
            handshake: Handshake::Idle,
            timers: Timers::new(jitter),
            cookies: CookieJar::default(),
            path: facts.endpoint.map(Path::to),
            gate: InitiationGate::new(facts.timestamp.unwrap_or(Tai64n::ZERO)),
            queue: VecDeque::new(),
            on_wheel: u64::MAX,
            rx_bytes: 0,
            tx_bytes: 0,
            last_handshake_unix_ns: 0,
            last_received: None,
            unanswered: 0,
            life: Life::default(),
            identity_serial,
            told: 0,
            in_line: false,
            facts,
        }
    }

    /// Its number.
    pub fn id(&self) -> PeerId {
        self.id
    }

    /// All indices under which it is known.
    pub fn indices(&self) -> impl Iterator<Item = Index> + '_ {
        self.keypairs.locals().chain(self.handshake.index())
    }

    /// When its timers or its state have something to do next.
    pub fn deadline(&self) -> Option<Instant> {
        let timers = self.timers.deadline().unwrap_or(Instant::NEVER);
        Some(timers.min(self.life.deadline())).filter(|&at| at != Instant::NEVER)
    }

    /// Puts a packet at the end of the queue; hands back the oldest if that makes more than `most`.
    pub fn enqueue(&mut self, packet: Box<[u8]>, most: usize) -> Option<Box<[u8]>> {
        self.queue.push_back(packet);
        if self.queue.len() > most {
            self.queue.pop_front()
        } else {
            None
        }
    }
}
