//! From the WAN in: datagrams are told apart, transport data is opened in batches, and what is inside goes to the
//! host if its sender may send it.

use super::macs::Unchecked;
use super::{Now, Shard};
use crate::access::ClassId;
use crate::indices::{Entry, Place};
use crate::limits::{BATCH, HOPS_MAX};
use crate::mesh::{Handed, Message, PeerHome};
use crate::slots::{Shard as Number, Slot};
use crate::tables::PeerId;
use arrayvec::ArrayVec;
use weir_abi::drops::Drop;
use weir_crypto::{Key, Open};
use weir_frame::{Frame, Meta, Segmentation};
use weir_noise::Index;
use weir_wire::ecn::{self, Ecn};
use weir_wire::wireguard::{self, TAG_LEN, TRANSPORT_HEADER_LEN};
use weir_wire::{ip, tcp};

/// A transport message about to be opened: `held[frame]` holds it from `start` on, `len` bytes.
pub(super) struct Candidate {
    place: Place,
    index: Index,
    counter: u64,
    frame: usize,
    start: usize,
    len: usize,
}

/// A peer, and which access rules concern it.
type Sender = (PeerId, Option<ClassId>);

/// Where an index leads from here.
pub(super) enum Lead {
    /// To a peer at home here.
    Here(Place),
    /// To another shard, or back to this one, for a session of this peer if it is known whose it is.
    There(Number, Option<PeerHome>),
    /// Nowhere.
    Nowhere,
}

impl Shard {
    /// Takes one received frame in; its transport messages wait for [`Shard::open_candidates`].
    pub(super) fn datagram(&mut self, frame: Frame, handed: Handed, now: Now) {
        if frame.meta().path.is_none() {
            self.counters.drop(Drop::Malformed);
            return self.give_back(frame);
        }
        self.learn(handed);
        match wireguard::classify(frame.bytes()) {
            wireguard::Message::Transport {
                receiver, counter, ..
            } if frame.meta().segmentation == Segmentation::None => {
                self.transport(frame, Index(receiver), counter, handed, now);
            }
            _ => self.datagrams(frame, handed, now),
        }
    }

    /// A frame that is one transport message.
    #[inline]
    fn transport(&mut self, frame: Frame, index: Index, counter: u64, handed: Handed, now: Now) {
        match self.lead(index, handed) {
            Lead::Here(place) => {
                let (at, len) = (self.held.len(), frame.len());
                self.held.push(frame);
                self.candidate(place, index, counter, at, 0, len, now);
            }
            Lead::There(to, home) => self.hand_over_datagram(to, home, frame, handed.hops),
            Lead::Nowhere => {
                self.counters.drop(Drop::UnknownIndex);
                self.give_back(frame);
            }
        }
    }

    /// A frame of anything else, or of several datagrams.
    fn datagrams(&mut self, frame: Frame, handed: Handed, now: Now) {
        let size = datagram_len(&frame);
        if let Some((to, home)) = self.common_target(&frame, size, handed) {
            return self.hand_over_datagram(to, home, frame, handed.hops);
        }
        let (place, len) = (self.held.len(), frame.len());
        self.held.push(frame);
        let mut start = 0;
        while start < len {
            let end = len.min(start + size);
            self.message(place, start, end, handed, now);
            start = end;
        }
        if len == 0 {
            self.counters.drop(Drop::Malformed);
        }
    }

    /// The one other shard, and the one peer, that every datagram of the frame is for.
    fn common_target(
        &self,
        frame: &Frame,
        size: usize,
        handed: Handed,
    ) -> Option<(Number, Option<PeerHome>)> {
        let mut common = None;
        for datagram in frame.bytes().chunks(size) {
            let Lead::There(to, home) = self.lead(receiver(datagram)?, handed) else {
                return None;
            };
            if common.is_some_and(|other| other != (to, home)) {
                return None;
            }
            common = Some((to, home));
        }
        common
    }

    fn message(&mut self, frame: usize, start: usize, end: usize, handed: Handed, now: Now) {
        let datagram = &self.held[frame].bytes()[start..end];
        match wireguard::classify(datagram) {
            wireguard::Message::Transport {
                receiver, counter, ..
            } => {
                let index = Index(receiver);
                match self.lead(index, handed) {
                    Lead::Here(place) => self.candidate(place, index, counter, frame, start, end, now),
                    Lead::There(to, home) => {
                        let hops = handed.hops;
                        self.hand_over_copy(to, Handed { hops, home }, frame, start, end);
                    }
                    Lead::Nowhere => self.counters.drop(Drop::UnknownIndex),
                }
            }
            wireguard::Message::Initiation(_) => {
                let message = Unchecked {
                    frame,
                    start,
                    end,
                    answers: None,
                };
                self.handshake(message, now);
            }
            wireguard::Message::Response(response) => {
                let index = Index(response.receiver.get());
                match self.lead(index, handed) {
                    Lead::Here(place) => {
                        let message = Unchecked {
                            frame,
                            start,
                            end,
                            answers: Some((place, index)),
                        };
                        self.handshake(message, now);
                    }
                    Lead::There(to, home) => {
                        let hops = handed.hops;
                        self.hand_over_copy(to, Handed { hops, home }, frame, start, end);
                    }
                    Lead::Nowhere => self.counters.drop(Drop::UnknownIndex),
                }
            }
            wireguard::Message::CookieReply(reply) => {
                let index = Index(reply.receiver.get());
                match self.lead(index, handed) {
                    Lead::Here(place) => {
                        let message = datagram.try_into().expect("a cookie reply has its length");
                        self.cookie_reply(place, &message, now);
                    }
                    Lead::There(to, home) => {
                        let hops = handed.hops;
                        self.hand_over_copy(to, Handed { hops, home }, frame, start, end);
                    }
                    Lead::Nowhere => self.counters.drop(Drop::UnknownIndex),
                }
            }
            wireguard::Message::Unknown(_) => self.counters.drop(Drop::Malformed),
        }
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "one datagram of a frame: where it lies and what it says"
    )]
    fn candidate(
        &mut self,
        place: Place,
        index: Index,
        counter: u64,
        frame: usize,
        start: usize,
        end: usize,
        now: Now,
    ) {
        let Some(peer) = &mut self.peers[place as usize] else {
            return self.counters.drop(Drop::UnknownIndex);
        };
        let Some((_, keypair)) = peer.keypairs.by_local(index) else {
            return self.counters.drop(Drop::UnknownIndex);
        };
        if !keypair.may_receive(now.at) {
            return self.counters.drop(Drop::Expired);
        }
        if !keypair.replay.check(counter) {
            return self.counters.drop(Drop::Replayed);
        }
        self.candidates.push(Candidate {
            place,
            index,
            counter,
            frame,
            start,
            len: end - start,
        });
        if self.candidates.len() == BATCH {
            self.open_candidates(now);
        }
    }

    /// Takes in what waits, as one batch: handshake messages, then transport data, of which it passes on what is authentic.
    pub(super) fn open_candidates(&mut self, now: Now) {
        self.check_handshakes(now);
        if self.candidates.is_empty() {
            return;
        }
        let mut candidates = core::mem::take(&mut self.candidates);
        let mut outs = core::mem::take(&mut self.fresh);
        candidates.retain(|candidate| {
            let frame = self.fresh_host(candidate.len - TRANSPORT_HEADER_LEN - TAG_LEN);
            if frame.is_none() {
                self.counters.drop(Drop::NoFrame);
            }
            frame.map(|frame| outs.push(frame)).is_some()
        });
        let outcomes = self.open_batch(&candidates, &mut outs);
        for ((candidate, out), outcome) in candidates.drain(..).zip(outs.drain(..)).zip(outcomes) {
            match outcome {
                Ok(()) => self.opened(&candidate, out, now),
                Err(reason) => {
                    self.counters.drop(reason);
                    self.give_back(out);
                }
            }
        }
        self.candidates = candidates;
        self.fresh = outs;
    }

    /// Opens each candidate into its frame; where that is not to be had, says why.
    fn open_batch(&self, candidates: &[Candidate], outs: &mut [Frame]) -> ArrayVec<Result<(), Drop>, BATCH> {
        let mut outcomes = ArrayVec::new();
        let mut jobs: ArrayVec<Open<'_>, BATCH> = ArrayVec::new();
        for (candidate, out) in candidates.iter().zip(outs) {
            let Some(key) = self.receive_key(candidate) else {
                outcomes.push(Err(Drop::UnknownIndex));
                continue;
            };
            let datagram = &self.held[candidate.frame].bytes()[candidate.start..][..candidate.len];
            let ciphertext = &datagram[TRANSPORT_HEADER_LEN..];
            out.set_len(ciphertext.len() - TAG_LEN);
            outcomes.push(Ok(()));
            jobs.push(Open {
                key,
                counter: candidate.counter,
                ciphertext,
                out: out.bytes_mut(),
                authentic: false,
            });
        }
        self.aead.open(&mut jobs);
        let tried = outcomes.iter_mut().filter(|outcome| outcome.is_ok());
        for (outcome, job) in tried.zip(&jobs) {
            if !job.authentic {
                *outcome = Err(Drop::BadTag);
            }
        }
        outcomes
    }

    /// The key of a candidate, where its session keeps and wipes it: a copy of it would have to be wiped too.
    #[inline]
    fn receive_key(&self, candidate: &Candidate) -> Option<&Key> {
        let peer = self.peers[candidate.place as usize].as_ref()?;
        Some(peer.keypairs.find(candidate.index)?.receive_key())
    }

    /// An authentic message: what it means to its session, then what is inside.
    fn opened(&mut self, candidate: &Candidate, out: Frame, now: Now) {
        let place = candidate.place;
        let Some(peer) = &mut self.peers[place as usize] else {
            self.counters.drop(Drop::PeerRemoved);
            return self.give_back(out);
        };
        let fresh = peer
            .keypairs
            .by_local(candidate.index)
            .is_some_and(|(_, k)| k.replay.accept(candidate.counter));
        if !fresh {
            self.counters.drop(Drop::Replayed);
            return self.give_back(out);
        }
        self.counters.opened += 1;
        peer.rx_bytes += candidate.len as u64;
        peer.last_received = Some(now.at);
        peer.timers.any_authenticated_received(now.at);
        peer.timers.any_authenticated_traversal(now.at);
        let (sender, data) = ((peer.id(), peer.access), !out.is_empty());
        let due = data && peer.timers.data_received(now.at);
        let confirms = peer.keypairs.is_next(candidate.index);
        let old = peer
            .keypairs
            .current()
            .is_some_and(|k| k.needs_rekey_on_receive(now.at));
        let away = peer.life.is_away();
        let meta = self.held[candidate.frame].meta();
        let outer_class = meta.traffic_class;
        if peer.path != meta.path
            && let Some(path) = meta.path
        {
            self.roam(place, path);
        }
        if confirms {
            // First, for the session that it confirms may be the renewal of one that is nearly over.
            self.confirm(place, candidate.index, now);
        }
        if away && !confirms {
            self.live(place, now, |life, standing| life.heard(now, standing));
        }
        if confirms || old {
            self.renew_on_receive(place, now);
        }
        if confirms || due {
            self.schedule(place);
        }
        if data {
            self.deliver(sender, out, outer_class, now)
        } else {
            self.give_back(out)
        }
    }

    /// Begins a handshake if the session that we began is nearly over: its last chance (whitepaper section 6.2).
    fn renew_on_receive(&mut self, place: Place, now: Now) {
        let Some(peer) = &mut self.peers[place as usize] else {
            return;
        };
        let current = peer.keypairs.current();
        if current.is_some_and(|k| k.needs_rekey_on_receive(now.at)) && peer.timers.last_minute_handshake() {
            self.request_handshake(place, now);
        }
    }

    /// Checks what a peer sent through the tunnel and passes it to the host.
    fn deliver(&mut self, sender: Sender, mut out: Frame, outer_class: u8, now: Now) {
        if let Err(reason) = self.admit_inner(sender, &mut out, outer_class, now) {
            self.counters.drop(reason);
            return self.give_back(out);
        }
        self.send_packet(out);
    }

    fn admit_inner(
        &mut self,
        (id, access): Sender,
        out: &mut Frame,
        outer_class: u8,
        now: Now,
    ) -> Result<(), Drop> {
        let Ok(packet) = ip::Packet::parse(out.bytes()) else {
            return Err(Drop::InnerMalformed);
        };
        match self.lately.lookup(&self.tables.routes, packet.source) {
            Some((owner, _)) if owner == id => {}
            Some(_) | None => return Err(Drop::SourceNotAllowed),
        }
        if let Some(class) = access {
            self.judge(id, class, &packet, out.bytes(), now)?;
        }
        out.set_len(packet.total_length);
        let outer = Ecn::from_tos(outer_class);
        // A path that says nothing changes nothing (RFC 6040, figure 4).
        if outer != Ecn::NotEct {
            let inner = Ecn::from_tos(packet.traffic_class);
            let ecn = ecn::decapsulate(outer, inner).map_err(|_| Drop::EcnInvalid)?;
            if ecn != inner {
                ip::set_ecn(out.bytes_mut(), ecn);
            }
        }
        tcp::clamp_mss_of(&packet, out.bytes_mut(), self.tables.mtu);
        Ok(())
    }

    /// Takes note of where the shard that handed a frame over knew the peer at home.
    pub(super) fn learn(&mut self, handed: Handed) {
        if self.settling
            && let Some(home) = handed.home
        {
            self.note_move(home);
        }
    }

    /// Where an index leads, of which whoever handed the datagram over may know more than this shard.
    #[inline]
    fn lead(&self, index: Index, handed: Handed) -> Lead {
        match self.indices.get(index) {
            Some(Entry::Peer(place)) => Lead::Here(place),
            entry => self.lead_away(index, entry, handed),
        }
    }

    fn lead_away(&self, index: Index, entry: Option<Entry>, handed: Handed) -> Lead {
        let peer = handed.home.map(|home| home.peer);
        match (entry, peer) {
            (Some(Entry::Peer(place)), _) => Lead::Here(place),
            (Some(Entry::Elsewhere(id)), _) | (None, Some(id)) => self.lead_home(id),
            // The answer that this index is for has left, and its peer is on the way here.
            (Some(Entry::Reserved), _) if handed.hops < HOPS_MAX => Lead::There(self.number, None),
            (Some(Entry::Reserved | Entry::Retired), _) => Lead::Nowhere,
            (None, None) => self.lead_to(Slot::of(index), None),
        }
    }

    /// Where a peer is at home, for its sessions; a peer that is to be at home here and is not has none.
    fn lead_home(&self, id: PeerId) -> Lead {
        match self.by_id.get(&id) {
            Some(&place) => Lead::Here(place),
            None => {
                let home = self.home_of(id);
                self.lead_to(home.slot, Some(home))
            }
        }
    }

    fn lead_to(&self, slot: Slot, home: Option<PeerHome>) -> Lead {
        match self.answers_for(slot) {
            Some(to) => Lead::There(to, home),
            None => Lead::Nowhere,
        }
    }

    /// The other shard that answers for a slot; `None` when it is this one.
    pub(super) fn answers_for(&self, slot: Slot) -> Option<Number> {
        let slots = &self.tables.slots;
        let owner = slots.owner(slot);
        if owner != self.number {
            return Some(owner);
        }
        // A slot just gained: its peers are with the shard that had it until that says they are on their way.
        let previous = slots.previous(slot);
        let pending = previous != self.number && self.slots_done[usize::from(previous)] < slots.generation;
        pending.then_some(previous)
    }

    /// Hands datagrams to another shard; they end here if they went round too often or there is no room.
    fn hand_over_datagram(&mut self, to: Number, home: Option<PeerHome>, frame: Frame, hops: u8) {
        let hops = hops + 1;
        self.hand_over(to, Message::Datagram(frame, Handed { hops, home }), hops);
    }

    /// Hands a packet of the host to another shard, as [`Shard::hand_over_datagram`].
    pub(super) fn hand_over_packet(&mut self, to: Number, home: PeerHome, frame: Frame, hops: u8) {
        let handed = Handed {
            hops: hops + 1,
            home: Some(home),
        };
        self.hand_over(to, Message::Packet(frame, handed), handed.hops);
    }

    fn hand_over(&mut self, to: Number, message: Message, hops: u8) {
        let (refused, reason) = if hops > HOPS_MAX {
            (message, Drop::HandoffLoop)
        } else {
            match self.links.send(to, message) {
                Ok(()) => {
                    self.counters.handed_over += u64::from(to != self.number);
                    return;
                }
                Err(message) => (message, Drop::HandoffFull),
            }
        };
        self.counters.drop(reason);
        match refused {
            Message::Datagram(frame, _) | Message::Packet(frame, _) => self.give_back(frame),
            Message::Adopt(_)
            | Message::Moved(..)
            | Message::Index(..)
            | Message::Release(_)
            | Message::SlotsDone(_)
            | Message::Outcome(..) => unreachable!("only frames are handed over and handed back"),
        }
    }

    /// Hands over one datagram of a frame whose others are for somebody else.
    fn hand_over_copy(&mut self, to: Number, handed: Handed, frame: usize, start: usize, end: usize) {
        let Some(mut copy) = self.fresh_wan(end - start) else {
            return self.counters.drop(Drop::NoFrame);
        };
        let written = copy.write(&self.held[frame].bytes()[start..end]);
        debug_assert!(written, "the frame was asked for with this length");
        *copy.meta_mut() = Meta {
            segmentation: Segmentation::None,
            ..*self.held[frame].meta()
        };
        self.hand_over_datagram(to, handed.home, copy, handed.hops);
    }
}

/// Bytes of each datagram of a frame but the last, which may be shorter.
fn datagram_len(frame: &Frame) -> usize {
    match frame.meta().segmentation {
        Segmentation::Datagrams { size } if size > 0 => usize::from(size),
        Segmentation::Datagrams { .. } | Segmentation::None | Segmentation::Super { .. } => {
            frame.len().max(1)
        }
    }
}

/// How many datagrams a received frame holds.
pub(super) fn datagrams_in(frame: &Frame) -> usize {
    match frame.meta().segmentation {
        Segmentation::None => 1,
        Segmentation::Datagrams { .. } | Segmentation::Super { .. } => {
            frame.len().div_ceil(datagram_len(frame))
        }
    }
}

/// The receiver index of a datagram that has one, by its type and length alone.
fn receiver(datagram: &[u8]) -> Option<Index> {
    match wireguard::classify(datagram) {
        wireguard::Message::Transport { receiver, .. } => Some(Index(receiver)),
        wireguard::Message::Response(response) => Some(Index(response.receiver.get())),
        wireguard::Message::CookieReply(reply) => Some(Index(reply.receiver.get())),
        wireguard::Message::Initiation(_) | wireguard::Message::Unknown(_) => None,
    }
}
