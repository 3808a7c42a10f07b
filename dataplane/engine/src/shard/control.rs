//! What the gateway asks of a shard and what a shard tells the gateway.

use super::access::DeniedFlow;
use super::{Now, Shard};
use crate::counters::Counters;
use crate::life::LifeSnapshot;
use crate::limits::{PEERS_MAX, QUEUED_BYTES, SNAPSHOT_SLICE};
use crate::peer::Peer;
use crate::tables::PeerId;
use core::net::SocketAddr;
use core::time::Duration;
use crossbeam_channel::{Sender, TrySendError};
use std::sync::Arc;
use weir_abi::key::PublicKey;
use weir_abi::peer_state::{PeerState, StateReason};
use weir_abi::refused::RefusedHandshake;
use weir_frame::{Port, PortCounters, PortMode, PortRole};
use weir_noise::{Instant, Tai64n};

/// A request of the gateway.
pub enum Command {
    /// Describe yourself and, if asked for, the peers at home; the answer may come in several parts.
    Snapshot {
        /// Which peers are wanted.
        peers: Wanted,
        /// Where the parts go.
        to: Sender<Snapshot>,
    },
    /// Begin a handshake with each of these peers that is at home here: after a restart.
    Initiate(Vec<PeerId>),
    /// A round trip through the tunnel to this peer, if it is at home here, took so long.
    Measured(PeerId, Duration),
    /// Use this port in place of the one at its number; the old one is dropped.
    ReplacePort(Box<dyn Port>),
}

/// Peers that a snapshot is to describe, as far as they are at home on the shard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// None.
    None,
    /// These.
    These(Arc<[PeerId]>),
    /// All.
    All,
}

/// Something the gateway may want to act on. Events may be lost when nobody reads them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// Some peer's endpoint, timestamp or session changed: what is kept for restarts is out of date.
    Changed,
    /// More than one initiation to this peer found no answer: its name may want resolving.
    Unanswered(PeerId),
    /// The handshake with this peer was given up.
    GaveUp(PeerId),
    /// An access rule that asks for it denied a flow.
    Denied(DeniedFlow),
    /// So many initiations arrive at this shard that sources are to prove themselves. It is told again as long as that lasts, at least
    /// once in [`UNDER_LOAD_HOLD`](crate::limits::UNDER_LOAD_HOLD).
    UnderLoad(u16),
    /// Authentic packets of a peer came from another place: what is kept for restarts is out of date.
    Roamed {
        /// Who.
        peer: PeerId,
        /// Where it was.
        from: Option<SocketAddr>,
        /// Where it is.
        to: SocketAddr,
    },
    /// A peer is in another state, or in it for another reason.
    PeerState {
        /// Who.
        peer: PublicKey,
        /// Its state since.
        state: PeerState,
        /// What brought it there.
        reason: StateReason,
    },
    /// Handshake messages were refused; not all of them are told.
    Refused(RefusedHandshake),
    /// So many events of this shard found no room before this one.
    Lost(u64),
}

/// A queue of a shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueueSnapshot {
    /// What waits there.
    pub name: &'static str,
    /// How much is in it.
    pub depth: u64,
    /// How much fits.
    pub capacity: u64,
}

/// One port of a shard, in the words of [`Port`].
#[derive(Clone, Copy, Debug)]
pub struct PortSnapshot {
    /// What it is for.
    pub role: PortRole,
    /// The mode in force.
    pub mode: PortMode,
    /// What it counted.
    pub counters: PortCounters,
    /// All frames that it owns.
    pub frames: usize,
    /// Those of them that are abroad.
    pub abroad: usize,
    /// Those of them that are in the kernel's hands.
    pub in_kernel: usize,
}

impl PortSnapshot {
    fn of(port: &dyn Port) -> Self {
        Self {
            role: port.role(),
            mode: port.mode(),
            counters: port.counters(),
            frames: port.frames(),
            abroad: port.abroad(),
            in_kernel: port.in_kernel(),
        }
    }
}

/// A shard, or a part of it.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The shard's number.
    pub shard: u16,
    /// Its counters.
    pub counters: Counters,
    /// Its ports.
    pub ports: Vec<PortSnapshot>,
    /// Peers at home.
    pub active_peers: usize,
    /// Whether cookies are demanded.
    pub under_load: bool,
    /// Packets that each access rule decided here, in the rules' order, and the serial of the rules.
    pub rules: (u64, Vec<u64>),
    /// Handshake messages refused lately, of each kind the latest last.
    pub refused: Vec<RefusedHandshake>,
    /// What waits.
    pub queues: Vec<QueueSnapshot>,
    /// Some of the peers at home.
    pub peers: Vec<PeerSnapshot>,
    /// Whether this is the last part.
    pub last: bool,
}

/// A peer at home.
#[derive(Clone, Debug)]
pub struct PeerSnapshot {
    /// Its number.
    pub id: PeerId,
    /// Where it is.
    pub endpoint: Option<SocketAddr>,
    /// Bytes of authentic messages received.
    pub rx_bytes: u64,
    /// Bytes of messages sent.
    pub tx_bytes: u64,
    /// When the last handshake completed, in ns since the Unix epoch.
    pub last_handshake_unix_ns: u64,
    /// When the last authentic message came.
    pub last_received: Option<Instant>,
    /// The greatest timestamp received.
    pub timestamp: Option<Tai64n>,
    /// Whether there is a session that seals.
    pub has_session: bool,
    /// Initiations sent since the last completed handshake.
    pub unanswered: u32,
    /// Packets that wait for a session.
    pub queued: usize,
    /// Its state, and what was observed of its handshakes.
    pub life: LifeSnapshot,
}

impl PeerSnapshot {
    fn of(peer: &Peer, now: Now) -> Self {
        Self {
            id: peer.id(),
            endpoint: peer.path.map(|path| path.remote),
            rx_bytes: peer.rx_bytes,
            tx_bytes: peer.tx_bytes,
            last_handshake_unix_ns: peer.last_handshake_unix_ns,
            last_received: peer.last_received,
            timestamp: Some(peer.gate.greatest()).filter(|&greatest| greatest != Tai64n::ZERO),
            has_session: peer
                .keypairs
                .current()
                .is_some_and(|keypair| !keypair.expired(now.at)),
            unanswered: peer.unanswered,
            queued: peer.queue.len(),
            life: peer.life.snapshot(),
        }
    }
}

/// A snapshot being told.
pub(super) struct Progress {
    next: usize,
    peers: Wanted,
    to: Sender<Snapshot>,
    /// A part for which there was no room.
    unsent: Option<Snapshot>,
}

impl Shard {
    pub(super) fn take_commands(&mut self, now: Now) -> bool {
        let mut worked = false;
        while let Ok(command) = self.commands.try_recv() {
            worked = true;
            match command {
                Command::Snapshot { peers, to } => {
                    self.snapshots.push_back(Progress {
                        next: 0,
                        peers,
                        to,
                        unsent: None,
                    });
                }
                Command::Initiate(peers) => peers.into_iter().for_each(|id| self.wake_peer(id, now)),
                Command::Measured(id, latency) => self.measured(id, latency),
                Command::ReplacePort(port) => self.replace_port(port),
            }
        }
        worked
    }

    fn measured(&mut self, id: PeerId, latency: Duration) {
        let place = self.by_id.get(&id).copied();
        if let Some(peer) = place.and_then(|place| self.peers[place as usize].as_mut()) {
            peer.life.measured(latency);
        }
    }

    fn wake_peer(&mut self, id: PeerId, now: Now) {
        let place = match self.by_id.get(&id).copied() {
            Some(place) => Some(place),
            None if self.answers_for(self.home_of(id).slot).is_none() => self.activate(id, now),
            None => None,
        };
        if let Some(place) = place {
            self.request_handshake(place, now);
        }
    }

    fn replace_port(&mut self, port: Box<dyn Port>) {
        let home = port.home();
        assert_eq!(home.shard, self.number, "a port's home is its shard");
        self.flush();
        let slot = &mut self.ports[usize::from(home.port)];
        assert_eq!(
            slot.port.role(),
            port.role(),
            "a port is replaced by one of its role"
        );
        slot.port = port;
    }

    /// Tells a slice of the snapshots that were asked for. Packets never wait for whoever asked: a part for which there
    /// is no room is kept for the next poll.
    pub(super) fn tell_snapshots(&mut self, now: Now) -> bool {
        let Some(mut progress) = self.snapshots.pop_front() else {
            return false;
        };
        let part = match progress.unsent.take() {
            Some(part) => part,
            None => self.describe(&mut progress, now),
        };
        let last = part.last;
        match progress.to.try_send(part) {
            Ok(()) if last => {}
            Ok(()) => self.snapshots.push_back(progress),
            Err(TrySendError::Full(part)) => {
                progress.unsent = Some(part);
                self.snapshots.push_back(progress);
                return false;
            }
            // Whoever asked has gone; then there is nothing more to tell.
            Err(TrySendError::Disconnected(_)) => {}
        }
        true
    }

    /// The next part of a snapshot.
    fn describe(&self, progress: &mut Progress, now: Now) -> Snapshot {
        let from = progress.next;
        let upto = |count: usize| from.min(count)..(from + SNAPSHOT_SLICE).min(count);
        let (slice, count): (Vec<&Peer>, usize) = match &progress.peers {
            Wanted::None => (Vec::new(), 0),
            Wanted::All => {
                let slice = self.peers[upto(self.peers.len())].iter().flatten();
                (slice.map(|peer| &**peer).collect(), self.peers.len())
            }
            Wanted::These(ids) => {
                let places = ids[upto(ids.len())].iter().filter_map(|id| self.by_id.get(id));
                let peers = places.filter_map(|&place| self.peers[place as usize].as_deref());
                (peers.collect(), ids.len())
            }
        };
        progress.next = upto(count).end;
        Snapshot {
            shard: self.number,
            peers: slice
                .into_iter()
                .map(|peer| PeerSnapshot::of(peer, now))
                .collect(),
            counters: self.counters.clone(),
            ports: self
                .ports
                .iter()
                .map(|slot| PortSnapshot::of(&*slot.port))
                .collect(),
            active_peers: self.by_id.len(),
            under_load: self.limiter.under_load(now.at),
            rules: self.judging.decided(),
            refused: self.refusals.iter().copied().collect(),
            queues: self.queues(),
            last: progress.next == count,
        }
    }

    fn queues(&self) -> Vec<QueueSnapshot> {
        let queue = |name, depth: usize, capacity: usize| QueueSnapshot {
            name,
            depth: depth as u64,
            capacity: capacity as u64,
        };
        let outcomes = self.outcomes.capacity().unwrap_or(usize::MAX);
        vec![
            queue("handoff", self.links.queued(), self.links.capacity()),
            queue("waiting_bytes", self.queued_bytes, QUEUED_BYTES),
            queue("handshake_outcomes", self.outcomes.len(), outcomes),
            queue("handshakes_to_begin", self.initiations.len(), PEERS_MAX),
        ]
    }

    /// Tells the gateway. What it has no room for is lost, and that is told as soon as there is room again.
    pub(super) fn tell(&mut self, event: Event) {
        if self.untold > 0 && self.events.try_send(Event::Lost(self.untold)).is_ok() {
            self.untold = 0;
        }
        let told = self.untold == 0 && self.events.try_send(event).is_ok();
        self.untold += u64::from(!told);
    }
}
