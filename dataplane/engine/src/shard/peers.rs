//! Peers come to be, change, move and go.

use super::{Event, Now, Shard};
use crate::indices::{Entry, IndexUse, Place};
use crate::mesh::{Message, PeerHome};
use crate::peer::{Handshake, Peer};
use crate::slots::{Shard as Number, Slot, SlotTable};
use crate::tables::{PeerFacts, PeerId};
use core::net::SocketAddr;
use std::sync::Arc;
use weir_abi::drops::Drop;
use weir_frame::Path;
use weir_noise::Index;

impl Shard {
    /// Takes the newest tables, and sees to the peers that they change.
    pub(super) fn take_tables(&mut self, now: Now) -> bool {
        if self.published.load().generation == self.tables.generation {
            return false;
        }
        let tables = self.published.load_full();
        let before = core::mem::replace(&mut self.tables, tables);
        self.lately.forget();
        let tables = Arc::clone(&self.tables);
        if !Arc::ptr_eq(&before.access, &tables.access) {
            self.access_changed(before.access.epoch());
        }
        match tables.changed_since(before.generation) {
            Some(changed) => {
                for id in changed {
                    self.peer_changed(id, now);
                }
            }
            None => {
                let mut known: Vec<PeerId> = self.by_id.keys().copied().collect();
                known.sort_unstable();
                for id in known {
                    self.peer_changed(id, now);
                }
                self.moved.retain(|&id, _| tables.peer(id).is_some());
                self.start_peers(now);
            }
        }
        if before.identity_serial != tables.identity_serial {
            self.identity_changed(now);
        }
        if before.slots.generation != tables.slots.generation {
            self.slots_changed(&before.slots, now);
        }
        true
    }

    /// Starts the peers at home here that want to be talked to without being asked.
    pub(super) fn start_peers(&mut self, now: Now) {
        let wanting = self
            .tables
            .peers
            .iter()
            .filter(|(_, facts)| facts.persistent_keepalive.is_some());
        // In the order of their numbers, as the same seed is to be the same run.
        let mut wanting: Vec<PeerId> = wanting.map(|(&id, _)| id).collect();
        wanting.sort_unstable();
        for id in wanting {
            self.start_peer(id, now);
        }
    }

    fn start_peer(&mut self, id: PeerId, now: Now) {
        if !self.by_id.contains_key(&id) && self.answers_for(self.home_of(id).slot).is_none() {
            self.activate(id, now);
        }
    }

    fn peer_changed(&mut self, id: PeerId, now: Now) {
        let facts = self.tables.peer(id).cloned();
        let Some(facts) = facts else {
            self.moved.remove(&id);
            if let Some(&place) = self.by_id.get(&id) {
                let key = self.peers[place as usize]
                    .as_ref()
                    .map(|peer| peer.facts.public_key);
                self.remove(place, now);
                key.into_iter().for_each(|key| self.tell_removed(key));
            }
            return;
        };
        let Some(&place) = self.by_id.get(&id) else {
            if facts.persistent_keepalive.is_some() {
                self.start_peer(id, now);
            }
            return;
        };
        let Some(peer) = &mut self.peers[place as usize] else {
            return;
        };
        peer.access = self.tables.access.class_of(id);
        if let Some(endpoint) = refresh(peer, facts, now) {
            self.look_for(place, endpoint);
        }
        self.schedule(place);
    }

    /// Gives a registered peer its home here.
    pub(super) fn activate(&mut self, id: PeerId, now: Now) -> Option<Place> {
        let facts = Arc::clone(self.tables.peer(id)?);
        let PeerHome { slot, moves, .. } = self.home_of(id);
        let jitter = self.jitter();
        let keepalive = facts.persistent_keepalive;
        let mut peer = Box::new(Peer::new(facts, slot, self.tables.identity_serial, jitter));
        peer.moves = moves;
        peer.timers.set_persistent_keepalive(keepalive, now.at);
        let path = peer.path.take();
        let place = self.settle(peer);
        if let Some(path) = path {
            self.look_for(place, path);
        }
        self.schedule(place);
        Some(place)
    }

    /// Takes in a peer that moved here.
    pub(super) fn adopt(&mut self, mut peer: Box<Peer>, now: Now) {
        let id = peer.id();
        if let Some(&place) = self.by_id.get(&id) {
            // Both shards took the peer for theirs; the one that has a session stays.
            self.remove(place, now);
        }
        let Some(facts) = self.tables.peer(id).cloned() else {
            self.retire(peer.indices(), now);
            return self.counters.drop_many(Drop::PeerRemoved, peer.queue.len());
        };
        let endpoint = refresh(&mut peer, facts, now);
        if peer.identity_serial != self.tables.identity_serial {
            // Those of this shard's slots were set aside for the peer until now.
            self.retire(peer.indices(), now);
            peer.keypairs.clear().into_iter().for_each(core::mem::drop);
            peer.handshake = Handshake::Idle;
            peer.cookies = Default::default();
            peer.identity_serial = self.tables.identity_serial;
            peer.life.reset(now);
        }
        self.note_move(home(&peer));
        self.queued_bytes += peer.queue.iter().map(|packet| packet.len()).sum::<usize>();
        peer.on_wheel = u64::MAX;
        peer.in_line = false;
        let path = endpoint.or(peer.path.take());
        let indices: Vec<_> = peer.indices().collect();
        let place = self.settle(peer);
        for index in indices {
            self.indices.assign(index, place);
        }
        if let Some(path) = path {
            self.look_for(place, path);
        }
        self.schedule(place);
        let owner = self.tables.slots.owner(self.home_of(id).slot);
        if owner == self.number {
            self.announce(place);
        } else {
            self.hand_peer_on(place, owner, now);
        }
    }

    fn settle(&mut self, mut peer: Box<Peer>) -> Place {
        let id = peer.id();
        peer.access = self.tables.access.class_of(id);
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                self.peers.push(None);
                (self.peers.len() - 1) as Place
            }
        };
        self.peers[place as usize] = Some(peer);
        self.by_id.insert(id, place);
        place
    }

    /// Takes a peer away for good.
    fn remove(&mut self, place: Place, now: Now) {
        self.drop_queued(place, Drop::PeerRemoved);
        let Some(peer) = self.unsettle(place) else { return };
        self.retire(peer.indices(), now);
    }

    fn retire(&mut self, indices: impl Iterator<Item = Index>, now: Now) {
        indices.for_each(|index| self.indices.retire(index, now.at));
    }

    fn unsettle(&mut self, place: Place) -> Option<Box<Peer>> {
        // What waits to be sealed may be under its keys.
        self.seal_waiting();
        let peer = self.peers[place as usize].take()?;
        self.by_id.remove(&peer.id());
        self.free.push(place);
        if let Some(path) = peer.path {
            self.forget_endpoint(path.remote);
        }
        Some(peer)
    }

    /// Moves a peer to the shard `to`, at home in `slot` from now on.
    pub(super) fn move_peer(&mut self, place: Place, to: Number, slot: Slot, now: Now) {
        let Some(mut peer) = self.unsettle(place) else {
            return;
        };
        peer.slot = slot;
        peer.moves += 1;
        peer.told = self.tables.slots.generation;
        let home = home(&peer);
        self.note_move(home);
        self.hand_on(peer, to, now);
        self.announce_move(home);
    }

    /// Tells every shard where a peer that moved is at home, unless all that run have heard of it.
    fn announce(&mut self, place: Place) {
        let generation = self.tables.slots.generation;
        let Some(peer) = &mut self.peers[place as usize] else {
            return;
        };
        if peer.moves == 0 || core::mem::replace(&mut peer.told, generation) == generation {
            return;
        }
        let home = home(peer);
        self.announce_move(home);
    }

    fn announce_move(&mut self, home: PeerHome) {
        for other in self.others() {
            // A message of this kind waits for room and is never handed back, as all those below.
            let _ = self.links.send(other, Message::Moved(home));
        }
    }

    /// The other shards that run. Those that end need to hear of nothing, and nobody empties their rings.
    fn others(&self) -> impl Iterator<Item = Number> + use<> {
        let number = self.number;
        (0..self.tables.slots.shards() as Number).filter(move |&other| other != number)
    }

    /// Remembers where a peer is at home now, unless a later move is known.
    pub(super) fn note_move(&mut self, home: PeerHome) {
        let PeerHome { peer, slot, moves } = home;
        if moves == 0 || self.tables.peer(peer).is_none() {
            return;
        }
        let known = self.moved.entry(peer).or_insert((slot, moves));
        if known.1 <= moves {
            *known = (slot, moves);
        }
    }

    /// The slots have other owners: what was known of the lost ones goes to their new owners, peers whose slot went
    /// follow it, and then the new owners learn that this is all.
    fn slots_changed(&mut self, before: &SlotTable, now: Now) {
        self.pass_on_moves(before);
        self.pass_on_indices(before);
        for place in 0..self.peers.len() {
            let Some(peer) = &self.peers[place] else { continue };
            let owner = self.tables.slots.owner(peer.slot);
            self.announce(place as Place);
            if owner != self.number {
                self.hand_peer_on(place as Place, owner, now);
            }
        }
        let generation = self.tables.slots.generation;
        self.slots_done[usize::from(self.number)] = generation;
        self.settling = self.awaits_slots();
        for other in self.others() {
            let _ = self.links.send(other, Message::SlotsDone(generation));
        }
    }

    /// Whether any slot of this shard is still answered for by its last owner.
    pub(super) fn awaits_slots(&self) -> bool {
        let owners = self.tables.slots.owners().iter().enumerate();
        let own = owners.filter(|&(_, &owner)| owner == self.number);
        own.map(|(slot, _)| Slot(slot as u16))
            .any(|slot| self.answers_for(slot).is_some())
    }

    /// The new owner of a slot, if it was this shard's and no longer is.
    fn lost_to(&self, before: &SlotTable, slot: Slot) -> Option<Number> {
        let owner = self.tables.slots.owner(slot);
        (before.owner(slot) == self.number && owner != self.number).then_some(owner)
    }

    /// Whoever answers for a peer's first home knows where it moved.
    fn pass_on_moves(&mut self, before: &SlotTable) {
        let mut moved: Vec<_> = self.moved.iter().map(|(&peer, &moved)| (peer, moved)).collect();
        moved.sort_unstable();
        for (peer, (slot, moves)) in moved {
            if let Some(to) = self.lost_to(before, Slot::first_home(peer)) {
                let home = PeerHome { peer, slot, moves };
                let _ = self.links.send(to, Message::Moved(home));
            }
        }
    }

    /// Whoever answers for an index's slot knows what the index is in use for, and where its peer is.
    fn pass_on_indices(&mut self, before: &SlotTable) {
        let mut indices: Vec<_> = self.indices.iter().collect();
        indices.sort_unstable_by_key(|&(index, _)| index);
        for (index, entry) in indices {
            let Some(to) = self.lost_to(before, Slot::of(index)) else {
                continue;
            };
            let usage = match entry {
                Entry::Reserved => {
                    // From here on the new owner knows whose session comes of it; this shard may never hear.
                    self.indices.release(index);
                    IndexUse::Reserved
                }
                Entry::Retired => IndexUse::Retired,
                Entry::Elsewhere(id) => IndexUse::Session(id),
                Entry::Peer(place) => match &self.peers[place as usize] {
                    Some(peer) => IndexUse::Session(peer.id()),
                    None => continue,
                },
            };
            if let IndexUse::Session(id) = usage
                && self.moved.contains_key(&id)
            {
                let home = self.home_of(id);
                let _ = self.links.send(to, Message::Moved(home));
            }
            let _ = self.links.send(to, Message::Index(index, usage));
        }
    }

    /// Hands a peer to the shard that owns its slot now. Its home slot stays.
    fn hand_peer_on(&mut self, place: Place, to: Number, now: Now) {
        if let Some(peer) = self.unsettle(place) {
            self.hand_on(peer, to, now);
        }
    }

    fn hand_on(&mut self, peer: Box<Peer>, to: Number, now: Now) {
        self.queued_bytes -= peer.queue.iter().map(|packet| packet.len()).sum::<usize>();
        for index in peer.indices() {
            self.indices.forward(index, peer.id(), now.at);
        }
        let _ = self.links.send(to, Message::Adopt(peer));
    }

    /// Sessions made under another private key mean nothing any more.
    fn identity_changed(&mut self, now: Now) {
        for place in 0..self.peers.len() {
            let Some(peer) = &mut self.peers[place] else {
                continue;
            };
            let retired: Vec<_> = peer.indices().collect();
            peer.keypairs.clear().into_iter().for_each(core::mem::drop);
            peer.handshake = Handshake::Idle;
            peer.cookies = Default::default();
            peer.identity_serial = self.tables.identity_serial;
            for index in retired {
                self.indices.retire(index, now.at);
            }
            self.live(place as Place, now, |life, _| life.reset(now));
        }
    }

    /// The peer's authentic packets come over `path`: it is reached there from now on.
    pub(super) fn roam(&mut self, place: Place, path: Path) {
        if let Some((peer, from)) = self.move_path(place, path) {
            let to = path.remote;
            self.tell(Event::Roamed { peer, from, to });
        }
    }

    /// The peer is to be reached over `path` from now on.
    fn look_for(&mut self, place: Place, path: Path) {
        if self.move_path(place, path).is_some() {
            self.tell(Event::Changed);
        }
    }

    /// Gives a peer another path; says whose it is and where it was if that is another place.
    fn move_path(&mut self, place: Place, path: Path) -> Option<(PeerId, Option<SocketAddr>)> {
        let peer = self.peers[place as usize].as_mut()?;
        let (id, before) = (peer.id(), peer.path.replace(path));
        if before.map(|path| path.remote) == Some(path.remote) {
            return None;
        }
        if let Some(before) = before {
            self.forget_endpoint(before.remote);
        }
        let users = self.endpoints.entry(path.remote).or_default();
        users.count += 1;
        users.only = (users.count == 1).then_some(place);
        Some((id, before.map(|path| path.remote)))
    }

    fn forget_endpoint(&mut self, remote: SocketAddr) {
        if let Some(users) = self.endpoints.get_mut(&remote) {
            users.count -= 1;
            users.only = None;
            if users.count == 0 {
                self.endpoints.remove(&remote);
            }
        }
    }

    /// The local address towards `remote` no longer works. Where that was everybody's, this comes once for each peer.
    pub(super) fn forget_source(&mut self, remote: SocketAddr) {
        let Some(users) = self.endpoints.get(&remote) else {
            return;
        };
        let places = match users.only {
            Some(place) => place as usize..place as usize + 1,
            None => 0..self.peers.len(),
        };
        for peer in self.peers[places].iter_mut().flatten() {
            if let Some(path) = &mut peer.path
                && path.remote == remote
            {
                path.local = None;
            }
        }
    }
}

/// The peers at home here that have one endpoint.
#[derive(Default)]
pub(super) struct Users {
    count: u32,
    /// Which, if it is one and that is known without a search.
    only: Option<Place>,
}

/// Where the peer is at home.
fn home(peer: &Peer) -> PeerHome {
    PeerHome {
        peer: peer.id(),
        slot: peer.slot,
        moves: peer.moves,
    }
}

/// Gives a peer its newest facts, and hands back where it is to be looked for, if that was set on purpose meanwhile.
fn refresh(peer: &mut Peer, facts: Arc<PeerFacts>, now: Now) -> Option<Path> {
    let before = core::mem::replace(&mut peer.facts, Arc::clone(&facts));
    peer.timers
        .set_persistent_keepalive(facts.persistent_keepalive, now.at);
    let set = before.endpoint_serial != facts.endpoint_serial;
    facts.endpoint.filter(|_| set).map(Path::to)
}
