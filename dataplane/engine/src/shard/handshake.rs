//! Handshake messages: admitted, handed to the worker, and what the worker makes of them.

use super::{Event, Now, Shard, states};
use crate::indices::Place;
use crate::limiter::Admission;
use crate::limits::{OUTCOME_HOPS_MAX, RESPONSES_CHECKED};
use crate::mesh::{Handed, Message};
use crate::peer::Handshake;
use crate::slots::Slot;
use crate::tables::PeerId;
use crate::worker::{Job, Outcome};
use core::time::Duration;
use rand_core::Rng;
use std::sync::Arc;
use weir_abi::drops::Drop;
use weir_abi::refused::RefusedWhy;
use weir_frame::Path;
use weir_noise::limits::{REKEY_ATTEMPT_TIME, REKEY_TIMEOUT_JITTER_MAX};
use weir_noise::message::{COOKIE_REPLY_LEN, INITIATION_LEN, RESPONSE_LEN};
use weir_noise::{Index, InitiationRefused, Initiator, Instant, Keypair, SessionKeys, Tai64n};

impl Shard {
    /// An initiation with a valid mac1 arrived.
    pub(super) fn initiation(&mut self, message: Box<[u8; INITIATION_LEN]>, path: Path, now: Now) {
        let Some(identity) = self.tables.identity.clone() else {
            return self.counters.drop(Drop::NoIdentity);
        };
        let remote = path.remote;
        let proved = self.cookie_secret.mac2_valid(now.at, remote, &message[..]);
        let admission = if proved {
            self.limiter.proved(now.at, remote.ip())
        } else {
            let known = self.endpoints.contains_key(&remote);
            self.limiter.unproved(now.at, known, self.stranger_jobs.len())
        };
        if self.limiter.tells_load(now.at) {
            self.tell(Event::UnderLoad(self.number));
        }
        match admission {
            Admission::Admit => self.ask_worker_to_respond(message, path, proved, now),
            Admission::DemandCookie => {
                let mut nonce = [0; 24];
                self.random.fill_bytes(&mut nonce);
                if let Some(reply) = self
                    .cookie_secret
                    .reply(now.at, &identity, remote, &message[..], nonce)
                {
                    self.counters.cookie_replies += 1;
                    self.send_message(&reply, path);
                }
                self.counters.drop(Drop::CookieDemanded);
            }
            Admission::OverCeiling => self.too_many(Drop::UnderLoad, remote, now),
            Admission::SourceLimited => self.too_many(Drop::SourceLimited, remote, now),
            Admission::Quarantined => self.too_many(Drop::Quarantined, remote, now),
        }
    }

    fn ask_worker_to_respond(
        &mut self,
        message: Box<[u8; INITIATION_LEN]>,
        path: Path,
        proved: bool,
        now: Now,
    ) {
        let random = self.random.next_u32();
        let Some(slot) = self.tables.slots.some_slot(self.number, random) else {
            // A shard that lost all its slots is about to end; the initiator tries again.
            return self.counters.drop(Drop::WorkerFull);
        };
        let index = self.reserve(slot);
        let job = Job::Respond {
            shard: self.number,
            index,
            message,
            path,
            arrived: now.at,
            proved,
        };
        if self.stranger_jobs.try_send(job).is_err() {
            self.indices.release(index);
            self.counters.drop(Drop::WorkerFull);
        }
    }

    /// A response with a valid mac1 arrived for an index of the peer at `place`.
    pub(super) fn response(
        &mut self,
        place: Place,
        index: Index,
        message: Box<[u8; RESPONSE_LEN]>,
        path: Path,
        now: Now,
    ) {
        let number = self.number;
        let Some(peer) = &mut self.peers[place as usize] else {
            return self.counters.drop(Drop::UnknownIndex);
        };
        let Handshake::Waiting { initiator, checking } = &mut peer.handshake else {
            return self.counters.drop(Drop::UnknownIndex);
        };
        if initiator.local() != index {
            return self.counters.drop(Drop::UnknownIndex);
        }
        let job = Job::Finish {
            shard: number,
            peer: Arc::clone(&peer.facts),
            initiator: Arc::clone(initiator),
            message,
            path,
            arrived: now.at,
        };
        if *checking < RESPONSES_CHECKED && self.own_jobs.try_send(job).is_ok() {
            *checking += 1;
        } else {
            self.counters.drop(Drop::WorkerFull);
        }
    }

    /// A cookie reply arrived for an index of the peer at `place`.
    pub(super) fn cookie_reply(&mut self, place: Place, message: &[u8; COOKIE_REPLY_LEN], now: Now) {
        let Some(peer) = &mut self.peers[place as usize] else {
            return self.counters.drop(Drop::UnknownIndex);
        };
        let taken = match peer.facts.known_remote() {
            Some(remote) => peer.cookies.consume(remote, message, now.at),
            None => false,
        };
        if taken {
            peer.life.cookie();
        } else {
            self.counters.drop(Drop::BadCookie);
        }
    }

    /// Wants a session with the peer: begins a handshake unless one is under way or was a moment ago.
    pub(super) fn request_handshake(&mut self, place: Place, now: Now) {
        let Some(peer) = &mut self.peers[place as usize] else {
            return;
        };
        if peer.path.is_none() {
            return self.live(place, now, |life, _| life.lost(now));
        }
        if self.tables.identity.is_none() {
            return;
        }
        if peer.timers.request_handshake(now.at) {
            self.initiate(place, now);
        }
        self.schedule(place);
    }

    /// Has the worker make an initiation, in place of one that may be waiting for its response.
    pub(super) fn initiate(&mut self, place: Place, now: Now) {
        let Some(peer) = &mut self.peers[place as usize] else {
            return;
        };
        let working = match peer.handshake {
            Handshake::Idle => false,
            Handshake::Making(_) => true,
            Handshake::Waiting { checking, .. } => checking > 0,
        };
        // What the worker made may have gone to a shard that has ended since.
        let age = peer.timers.since_initiated(now.at);
        let lost = age.is_none_or(|age| age >= REKEY_ATTEMPT_TIME);
        if working && !lost || peer.path.is_none() {
            return;
        }
        let (id, slot) = (peer.id(), peer.slot);
        if let Some(index) = core::mem::replace(&mut peer.handshake, Handshake::Idle).index() {
            self.indices.retire(index, now.at);
        }
        let index = self.reserve(slot);
        let jitter = self.jitter();
        let number = self.number;
        let Some(peer) = &mut self.peers[place as usize] else {
            return;
        };
        let job = Job::Initiate {
            shard: number,
            peer: Arc::clone(&peer.facts),
            index,
        };
        if self.own_jobs.try_send(job).is_err() {
            self.indices.release(index);
            if !core::mem::replace(&mut peer.in_line, true) {
                self.initiations.push_back(id);
            }
            return;
        }
        peer.handshake = Handshake::Making(index);
        peer.timers.handshake_initiated(now.at, jitter);
        self.indices.assign(index, place);
        self.schedule(place);
    }

    /// Takes what the worker has done.
    pub(super) fn take_outcomes(&mut self, now: Now) -> bool {
        let mut worked = false;
        for _ in 0..crate::limits::BURST {
            let Ok(outcome) = self.outcomes.try_recv() else {
                break;
            };
            self.catch_up(now);
            self.outcome(outcome, Handed::default(), now);
            worked = true;
        }
        let retries = self.initiations.len();
        for _ in 0..retries {
            if self.own_jobs.is_full() {
                break;
            }
            let Some(id) = self.initiations.pop_front() else {
                break;
            };
            if let Some(&place) = self.by_id.get(&id) {
                if let Some(peer) = &mut self.peers[place as usize] {
                    peer.in_line = false;
                }
                self.initiate(place, now);
                worked = true;
            }
        }
        self.seal_waiting();
        worked
    }

    /// One thing the worker has done, here or for the shard that passed it on.
    pub(super) fn outcome(&mut self, outcome: Outcome, handed: Handed, now: Now) {
        self.learn(handed);
        let Some(id) = outcome.peer() else {
            return self.refused(outcome, now);
        };
        let place = match self.by_id.get(&id).copied() {
            Some(place) => place,
            None => match self.answers_for(self.home_of(id).slot) {
                Some(to) if handed.hops < OUTCOME_HOPS_MAX => {
                    let handed = Handed {
                        hops: handed.hops + 1,
                        home: Some(self.home_of(id)),
                    };
                    // A message of this kind waits for room and is never handed back.
                    let _ = self.links.send(to, Message::Outcome(Box::new(outcome), handed));
                    return;
                }
                Some(_) => return self.abandon(&outcome, Drop::HandoffLoop),
                None => match self.activate(id, now) {
                    Some(place) => place,
                    None => return self.abandon(&outcome, Drop::PeerRemoved),
                },
            },
        };
        match outcome {
            Outcome::Responded {
                path,
                arrived,
                timestamp,
                response,
                keys,
                proved,
                identity_serial,
                ..
            } => {
                if identity_serial != self.tables.identity_serial {
                    // The private key changed meanwhile, and nobody is to get a session under the last one.
                    self.release(keys.local);
                    return self.counters.drop(Drop::BadHandshake);
                }
                let took = now.at.since(arrived).as_micros() as u64;
                self.counters.response_latency.count(took, 1);
                self.responded(place, path, timestamp, &response, keys, proved, now);
            }
            Outcome::Initiated {
                initiator, message, ..
            } => self.initiated(place, initiator, *message, now),
            Outcome::NotInitiated { index, .. } => self.not_initiated(place, index, now),
            Outcome::Finished {
                path, keys, arrived, ..
            } => self.finished(place, path, keys, arrived, now),
            Outcome::NotFinished { index, path, why, .. } => {
                self.not_finished(place, index, path, why, now);
            }
            Outcome::Refused { .. } => unreachable!("a refusal names no peer"),
        }
    }

    fn refused(&mut self, outcome: Outcome, now: Now) {
        let Outcome::Refused {
            index,
            reason,
            claimed,
            path,
            proved,
        } = outcome
        else {
            return;
        };
        self.release(index);
        self.counters.drop(reason);
        if let Some(why) = states::why(reason) {
            self.note_refused(path.remote, why, claimed, now);
        }
        if proved {
            self.limiter.failed(now.at, path.remote.ip());
        }
    }

    /// An outcome that nobody wants.
    fn abandon(&mut self, outcome: &Outcome, reason: Drop) {
        if let Outcome::Responded { keys, .. } = outcome {
            self.release(keys.local);
        }
        self.counters.drop(reason);
    }

    /// Frees an index that was set aside, here or with the shard that owns its slot.
    fn release(&mut self, index: Index) {
        self.indices.release(index);
        let owner = self.tables.slots.owner(Slot::of(index));
        if owner != self.number {
            // A message of this kind waits for room and is never handed back.
            let _ = self.links.send(owner, Message::Release(index));
        }
    }

    /// The peer's home follows the index of its new session, so that datagrams arrive there.
    fn follow(&mut self, place: Place, index: Index, now: Now) {
        let slot = Slot::of(index);
        let owner = self.tables.slots.owner(slot);
        if owner != self.number {
            self.move_peer(place, owner, slot, now);
        }
    }

    /// An authentic initiation: if it is newer than every one before, its keypair is installed and the answer leaves.
    #[allow(
        clippy::too_many_arguments,
        reason = "the fields of one outcome, taken apart by the caller"
    )]
    fn responded(
        &mut self,
        place: Place,
        path: Path,
        timestamp: Tai64n,
        response: &[u8; RESPONSE_LEN],
        keys: Box<SessionKeys>,
        proved: bool,
        now: Now,
    ) {
        let index = keys.local;
        let Some(peer) = &mut self.peers[place as usize] else {
            return;
        };
        if let Err(refused) = peer.gate.take(timestamp, now.at) {
            // No fault of its source: anybody who saw the message can send it again in that name.
            let (reason, why) = match refused {
                InitiationRefused::Replay => (Drop::OldTimestamp, RefusedWhy::OldTimestamp),
                InitiationRefused::Flood => (Drop::TooManyInitiations, RefusedWhy::TooMany),
            };
            self.counters.drop(reason);
            self.release(index);
            self.note_refused_of(place, path.remote, why, now);
            if why == RefusedWhy::OldTimestamp {
                self.live(place, now, |life, _| life.replayed(now));
            }
            return;
        }
        if proved {
            self.limiter.succeeded(now.at, path.remote.ip());
        }
        peer.rx_bytes += INITIATION_LEN as u64;
        let retired = peer.keypairs.install(keypair(&keys, now));
        peer.timers.session_derived(now.at);
        peer.timers.any_authenticated_received(now.at);
        peer.timers.any_authenticated_sent(now.at);
        peer.timers.any_authenticated_traversal(now.at);
        let mut message = *response;
        peer.cookies.stamp(&mut message, now.at);
        peer.tx_bytes += RESPONSE_LEN as u64;
        for index in retired {
            self.indices.retire(index, now.at);
        }
        self.indices.assign(index, place);
        self.roam(place, path);
        self.send_message(&message, path);
        self.live(place, now, |life, standing| life.responded(now, standing));
        self.tell(Event::Changed);
        self.schedule(place);
        self.follow(place, index, now);
    }

    fn initiated(
        &mut self,
        place: Place,
        initiator: Arc<Initiator>,
        mut message: [u8; INITIATION_LEN],
        now: Now,
    ) {
        let Some(peer) = &mut self.peers[place as usize] else {
            return;
        };
        let expected = matches!(peer.handshake, Handshake::Making(index) if index == initiator.local());
        let (Some(path), true) = (peer.path, expected) else {
            return;
        };
        peer.cookies.stamp(&mut message[..], now.at);
        peer.handshake = Handshake::Waiting {
            initiator,
            checking: 0,
        };
        peer.unanswered = peer.unanswered.saturating_add(1);
        let failing = peer.unanswered > 1;
        peer.tx_bytes += INITIATION_LEN as u64;
        peer.timers.any_authenticated_sent(now.at);
        peer.timers.any_authenticated_traversal(now.at);
        let id = peer.id();
        self.counters.initiations += 1;
        self.send_message(&message[..], path);
        if failing {
            self.note_unanswered(place, now);
        }
        self.live(place, now, |life, standing| life.initiated(now, standing));
        self.schedule(place);
        if failing {
            self.tell(Event::Unanswered(id));
        }
    }

    fn not_initiated(&mut self, place: Place, index: Index, now: Now) {
        let Some(peer) = &mut self.peers[place as usize] else {
            return;
        };
        if matches!(peer.handshake, Handshake::Making(making) if making == index) {
            peer.handshake = Handshake::Idle;
            self.indices.retire(index, now.at);
            self.counters.drop(Drop::BadHandshake);
        }
    }

    /// The handshake that we began is complete: the session may be used at once.
    fn finished(&mut self, place: Place, path: Path, keys: Box<SessionKeys>, arrived: Instant, now: Now) {
        let index = keys.local;
        let Some(peer) = &mut self.peers[place as usize] else {
            return;
        };
        if !peer.handshake.waits_for(index) {
            return;
        }
        peer.handshake = Handshake::Idle;
        peer.rx_bytes += RESPONSE_LEN as u64;
        let retired = peer.keypairs.install(keypair(&keys, now));
        peer.timers.any_authenticated_received(now.at);
        peer.timers.any_authenticated_traversal(now.at);
        peer.timers.session_derived(now.at);
        peer.last_received = Some(now.at);
        if let Some(took) = peer.life.answered(now, arrived) {
            self.counters.handshake_latency.count(took.as_micros() as u64, 1);
        }
        for index in retired {
            self.indices.retire(index, now.at);
        }
        self.indices.assign(index, place);
        self.roam(place, path);
        self.completed(place, now);
        self.send_queued(place, now);
        // The other side waits for a sign that we have the keys, even if nothing that waited was fit to be sent.
        let peer = self.peers[place as usize].as_ref();
        if peer
            .and_then(|peer| peer.keypairs.current())
            .is_some_and(|keypair| keypair.sent() == 0)
        {
            self.keepalive(place, now);
        }
        self.schedule(place);
        self.follow(place, index, now);
    }

    fn not_finished(&mut self, place: Place, index: Index, path: Path, why: RefusedWhy, now: Now) {
        self.counters.drop(Drop::BadHandshake);
        if let Some(peer) = &mut self.peers[place as usize]
            && let Handshake::Waiting { initiator, checking } = &mut peer.handshake
            && initiator.local() == index
        {
            *checking -= 1;
            self.note_refused_of(place, path.remote, why, now);
            if why == RefusedWhy::WrongPresharedKey {
                self.live(place, now, |life, _| life.unopened(now));
            }
        }
    }

    /// An authentic message came under `index`: if its keypair waited for confirmation, the handshake is complete.
    pub(super) fn confirm(&mut self, place: Place, index: Index, now: Now) {
        let Some(peer) = &mut self.peers[place as usize] else {
            return;
        };
        let Some(retired) = peer.keypairs.confirm(index) else {
            return;
        };
        for index in retired {
            self.indices.retire(index, now.at);
        }
        peer.life.confirmed(now);
        self.completed(place, now);
        self.send_queued(place, now);
    }

    fn completed(&mut self, place: Place, now: Now) {
        let Some(peer) = &mut self.peers[place as usize] else {
            return;
        };
        peer.timers.handshake_complete(now.at);
        peer.last_handshake_unix_ns = now.unix_ns;
        peer.unanswered = 0;
        let created = peer.keypairs.current().map_or(now.at, Keypair::created);
        self.counters.handshakes += 1;
        self.live(place, now, |life, _| life.completed(now, created));
        self.tell(Event::Changed);
    }

    fn reserve(&mut self, slot: Slot) -> Index {
        let random = &mut self.random;
        self.indices.reserve(slot, || random.next_u32())
    }

    /// A random addition to the handshake timer.
    pub(super) fn jitter(&mut self) -> Duration {
        let most = REKEY_TIMEOUT_JITTER_MAX.as_nanos() as u64;
        Duration::from_nanos((u64::from(self.random.next_u32()) * most) >> 32)
    }

    /// The number of a peer at home here.
    pub(super) fn id_at(&self, place: Place) -> Option<PeerId> {
        self.peers[place as usize].as_ref().map(|peer| peer.id())
    }
}

/// The keypair of a new session, whose keys are wiped where the worker left them.
fn keypair(keys: &SessionKeys, now: Now) -> Box<Keypair> {
    Box::new(Keypair::new(keys.clone(), now.at))
}
