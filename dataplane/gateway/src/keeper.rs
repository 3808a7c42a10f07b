//! What goes on beside the packets: names are resolved again while handshakes fail, and what survives a restart is
//! kept on disk.

use crate::clock;
use crate::dataplane::DataPlane;
use crate::denied::Line;
use crate::load::Load;
use crate::resolve::{Candidates, Name, Resolved, Resolver};
use crate::state::{PeerState, Saver, State};
use crate::status;
use crossbeam_channel::{Receiver, at, never, select};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use weir_abi::desired::Revision;
use weir_abi::endpoint::Endpoint;
use weir_abi::events::EventKind;
use weir_abi::key::PublicKey;
use weir_engine::{Event, PeerId, Remembered, Wanted};
use weir_noise::{Instant, Tai64n};

/// Between two looks at what changed.
const PACE: Duration = Duration::from_secs(1);

/// A look is followed by this many times its duration without one: it asks the shards for all peers.
const REST: u32 = 20;

/// Between two rounds over the names that have no address, each of which the resolver looks up at its own pace.
const UNRESOLVED_PACE: Duration = Duration::from_secs(5);

/// Peers heard this long before the last sign of life of any are taken up again after a restart.
const TALKING: Duration = Duration::from_secs(300);

/// Peers taken up again at a time, and the time between.
const RESUMED: usize = 100;
const RESUME_PACE: Duration = Duration::from_millis(50);

const SECOND_NS: u64 = 1_000_000_000;

/// What was kept of peers, as the applier takes it.
pub fn remembered(state: &State) -> HashMap<PublicKey, Remembered> {
    let peers = state.peers.iter().map(|peer| {
        let timestamp = Tai64n::from_bytes(peer.greatest_timestamp);
        let timestamp = (timestamp != Tai64n::ZERO).then_some(timestamp);
        (
            peer.public_key,
            Remembered {
                endpoint: peer.endpoint,
                timestamp,
            },
        )
    });
    peers.collect()
}

/// Begins handshakes with the peers that were talking when the last run ended, a few at a time.
pub fn resume(plane: &DataPlane, state: &State) {
    let last = state
        .peers
        .iter()
        .map(|peer| peer.last_heard_unix_s)
        .max()
        .unwrap_or(0);
    let tables = plane.tables();
    let talking: Vec<PeerId> = state
        .peers
        .iter()
        .filter(|peer| peer.last_heard_unix_s > 0 && peer.last_heard_unix_s + TALKING.as_secs() >= last)
        .filter_map(|peer| tables.peer_by_key(&peer.public_key).map(|facts| facts.id))
        .collect();
    if talking.is_empty() {
        return;
    }
    tracing::info!(
        "{} peers were talking before the restart; calling them",
        talking.len()
    );
    // All within two seconds, however many there are.
    let batch = RESUMED.max(talking.len() / 40);
    for (count, peers) in talking.chunks(batch).enumerate() {
        if count > 0 {
            std::thread::sleep(RESUME_PACE);
        }
        plane.initiate(peers);
    }
}

/// Keeps names and state up to date until told to stop.
pub struct Keeper {
    plane: Arc<DataPlane>,
    saver: Option<Arc<Saver>>,
    resolver: Option<Resolver>,
    names: HashMap<Name, Known>,
    seen: Option<Revision>,
    heard: HashMap<PublicKey, u64>,
    /// When to look at what changed; nothing did where this is none.
    due: Option<std::time::Instant>,
    rested: std::time::Instant,
    /// When to ask again for the names that have no address; none lacks one where this is none.
    unresolved: Option<std::time::Instant>,
    load: Load,
}

#[derive(Default)]
struct Known {
    candidates: Candidates,
    peers: Vec<PeerId>,
}

impl Keeper {
    /// A keeper; without a `saver` nothing is kept.
    pub fn new(plane: Arc<DataPlane>, saver: Option<Arc<Saver>>, state: &State) -> Self {
        let heard = state
            .peers
            .iter()
            .map(|peer| (peer.public_key, peer.last_heard_unix_s))
            .collect();
        Self {
            plane,
            saver,
            resolver: None,
            names: HashMap::new(),
            seen: None,
            heard,
            due: None,
            rested: std::time::Instant::now(),
            unresolved: None,
            load: Load::default(),
        }
    }

    /// Works until `stop` is closed or says something; then keeps the state once more.
    pub fn run(mut self, stop: &Receiver<()>) {
        self.follow_names();
        let plane = Arc::clone(&self.plane);
        loop {
            let answers = self
                .resolver
                .as_ref()
                .map_or_else(never, |resolver| resolver.answers().clone());
            // Nobody is woken while nothing waits to be kept.
            let due = self.due.map_or_else(never, at);
            let unresolved = self.unresolved.map_or_else(never, at);
            let relief = self.load.ends().map_or_else(never, at);
            select! {
                recv(stop) -> _ => break,
                recv(plane.events()) -> event => if let Ok(event) = event { self.event(event) },
                recv(answers) -> answer => if let Ok(answer) = answer { self.resolved(answer) },
                recv(due) -> _ => self.look(),
                recv(unresolved) -> _ => self.ask_unresolved(),
                recv(relief) -> _ => self.tell_relief(),
            }
        }
        self.keep();
    }

    fn event(&mut self, event: Event) {
        match event {
            // A time that was set stays: what changes all the time is to be kept, too.
            Event::Changed => self.await_look(),
            Event::Roamed { peer, from, to } => {
                self.await_look();
                let watchers = self.plane.watchers();
                if watchers.any()
                    && let Some(facts) = self.plane.tables().peer(peer)
                {
                    let peer = facts.public_key;
                    watchers.tell(EventKind::Roamed { peer, from, to });
                }
            }
            Event::Unanswered(id) | Event::GaveUp(id) => self.resolve_again(id),
            Event::UnderLoad(shard) => {
                self.plane.under_load();
                if self.load.begins(shard, std::time::Instant::now()) {
                    let on = true;
                    self.plane.watchers().tell(EventKind::UnderLoad { shard, on });
                }
            }
            Event::Denied(flow) => {
                let tables = self.plane.tables();
                let line = Line::new(&flow, &tables);
                tracing::info!("{line}");
                self.plane.watchers().tell(line.event());
            }
            Event::PeerState { peer, state, reason } => {
                let told = EventKind::PeerState { peer, state, reason };
                self.plane.watchers().tell(told);
            }
            Event::Refused(refused) => self.plane.watchers().tell(EventKind::Refused(refused)),
            Event::Lost(count) => self.plane.watchers().tell(EventKind::Lost(count)),
        }
    }

    fn await_look(&mut self) {
        // A time that was set stays: what changes all the time is to be kept, too.
        let soonest = self.rested.max(std::time::Instant::now() + PACE);
        self.due.get_or_insert(soonest);
    }

    fn tell_relief(&mut self) {
        for shard in self.load.ended(std::time::Instant::now()) {
            let on = false;
            self.plane.watchers().tell(EventKind::UnderLoad { shard, on });
        }
    }

    fn look(&mut self) {
        let begun = std::time::Instant::now();
        self.due = None;
        self.follow_names();
        self.keep();
        self.rested = std::time::Instant::now() + REST * begun.elapsed();
    }

    /// Asks for the names of peers that are new.
    fn follow_names(&mut self) {
        let tables = self.plane.tables();
        if self.seen.replace(tables.revision) == Some(tables.revision) {
            return;
        }
        let mut names: HashMap<Name, Known> = HashMap::new();
        for (&id, facts) in tables.peers.iter() {
            if let Some(Endpoint::Name { host, port }) = &facts.configured_endpoint {
                let name = Name {
                    host: host.clone(),
                    port: *port,
                };
                names.entry(name).or_default().peers.push(id);
            }
        }
        for (name, known) in &mut names {
            match self.names.remove(name) {
                Some(before) => {
                    known.candidates = before.candidates;
                    if let Some(address) = known.candidates.current() {
                        let new = known.peers.iter().filter(|id| !before.peers.contains(id));
                        new.for_each(|&id| self.plane.resolved(id, address));
                    }
                }
                None => self.ask(name),
            }
        }
        if let Some(resolver) = &self.resolver {
            self.names.keys().for_each(|name| resolver.forget(name));
        }
        self.names = names;
        self.await_unresolved();
    }

    /// Sees to names without an address: nothing is sent to their peers that could remain unanswered.
    fn await_unresolved(&mut self) {
        let lacks = |known: &Known| known.candidates.current().is_none();
        if self.names.values().any(lacks) {
            let soonest = std::time::Instant::now() + UNRESOLVED_PACE;
            self.unresolved.get_or_insert(soonest);
        } else {
            self.unresolved = None;
        }
    }

    fn ask_unresolved(&mut self) {
        self.unresolved = None;
        let lacking = self
            .names
            .iter()
            .filter(|(_, known)| known.candidates.current().is_none());
        let lacking: Vec<Name> = lacking.map(|(name, _)| name.clone()).collect();
        lacking.iter().for_each(|name| self.ask(name));
        self.await_unresolved();
    }

    fn ask(&mut self, name: &Name) {
        if self.resolver.is_none() {
            match Resolver::start() {
                Ok(resolver) => self.resolver = Some(resolver),
                Err(error) => return tracing::error!("names cannot be resolved: {error}"),
            }
        }
        if let Some(resolver) = &self.resolver {
            resolver.ask(name);
        }
    }

    fn resolve_again(&mut self, id: PeerId) {
        let found = self.names.iter_mut().find(|(_, known)| known.peers.contains(&id));
        let Some((name, known)) = found else { return };
        let name = name.clone();
        if let Some(address) = known.candidates.advance() {
            self.plane.resolved(id, address);
        }
        self.ask(&name);
    }

    fn resolved(&mut self, answer: Resolved) {
        let addresses = match answer.addresses {
            Ok(addresses) => addresses,
            Err(why) => {
                let warning = format!("endpoint {}: {why}", answer.name.host);
                tracing::warn!("{warning}");
                return self.plane.watchers().warn(&warning);
            }
        };
        let Some(known) = self.names.get_mut(&answer.name) else {
            return;
        };
        let first = known.candidates.current().is_none();
        known.candidates.update(addresses);
        let Some(address) = known.candidates.current() else {
            return;
        };
        known
            .peers
            .iter()
            .for_each(|&id| self.plane.resolved(id, address));
        if first {
            tracing::info!("endpoint {} is {address}", answer.name.host);
            self.await_unresolved();
        }
    }

    fn keep(&mut self) {
        let Some(saver) = &self.saver else { return };
        let snapshots = self.plane.snapshots(&Wanted::All);
        let active = status::by_id(&snapshots);
        let tables = self.plane.tables();
        let (boot, wall_s) = (
            Instant::from_nanos(clock::boot_nanos()),
            clock::wall_nanos() / SECOND_NS,
        );
        let mut peers = Vec::new();
        for (id, facts) in tables.peers.iter() {
            let peer = active.get(id).map(|(_, peer)| *peer);
            let endpoint = peer.map_or(facts.endpoint, |peer| peer.endpoint);
            let timestamp = peer.map_or(facts.timestamp, |peer| peer.timestamp);
            if let Some(at) = peer.and_then(|peer| peer.last_received) {
                let ago = boot.since(at).as_secs();
                self.heard.insert(facts.public_key, wall_s.saturating_sub(ago));
            }
            let heard = self.heard.get(&facts.public_key).copied().unwrap_or(0);
            if endpoint.is_some() || timestamp.is_some() || heard > 0 {
                peers.push(PeerState {
                    public_key: facts.public_key,
                    endpoint,
                    greatest_timestamp: timestamp.map_or([0; 12], |t| *t.as_bytes()),
                    last_heard_unix_s: heard,
                });
            }
        }
        peers.sort_unstable_by_key(|peer| peer.public_key);
        saver.keep_peers(peers);
    }
}
