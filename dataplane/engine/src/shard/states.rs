//! What a shard observes of handshakes: each peer's state, and the messages that were refused.

use super::{Event, Now, Shard};
use crate::indices::Place;
use crate::life::{Life, SILENCE, Standing};
use core::net::SocketAddr;
use weir_abi::drops::Drop;
use weir_abi::key::PublicKey;
use weir_abi::peer_state::{PeerState, StateReason};
use weir_abi::refused::{RefusedHandshake, RefusedWhy};

impl Shard {
    /// Has a peer's life take note of something, and tells if that brought the peer into another state.
    pub(super) fn live(&mut self, place: Place, now: Now, what: impl FnOnce(&mut Life, Standing)) {
        let Some(peer) = &mut self.peers[place as usize] else {
            return;
        };
        let session = peer.keypairs.current();
        let standing = Standing {
            session: session.is_some_and(|keypair| !keypair.expired(now.at)),
            heard: peer.last_received.is_some_and(|at| now.at.since(at) < SILENCE),
        };
        let before = peer.life.state();
        what(&mut peer.life, standing);
        let after = peer.life.state();
        if after != before {
            let (peer, (state, reason)) = (peer.facts.public_key, after);
            self.tell(Event::PeerState { peer, state, reason });
        }
    }

    /// A peer that was active is declared no more.
    pub(super) fn tell_removed(&mut self, peer: PublicKey) {
        self.tell(Event::PeerState {
            peer,
            state: PeerState::Disconnected,
            reason: StateReason::Removed,
        });
    }

    /// Our last initiation to the peer found no answer until now: the next has left, or none will.
    pub(super) fn note_unanswered(&mut self, place: Place, now: Now) {
        let peer = self.peers[place as usize].as_ref();
        // One that could not be sent, or of which the answer is being looked at, is not unanswered.
        if peer.is_some_and(|peer| peer.unanswered > 0 && !peer.handshake.is_checked()) {
            self.live(place, now, |life, standing| life.unanswered(now, standing));
        }
    }

    /// A handshake message in `held[frame]` that cost its sender nothing is refused: a few of them are looked at.
    #[inline]
    pub(super) fn sample_refused(&mut self, why: RefusedWhy, frame: usize, now: Now) {
        if self.refusals.may_look(now.at, why)
            && let Some(path) = self.held[frame].meta().path
        {
            self.note_refused(path.remote, why, None, now);
        }
    }

    /// An initiation is refused unread, as there are too many: a few of them are looked at.
    pub(super) fn too_many(&mut self, reason: Drop, source: SocketAddr, now: Now) {
        self.counters.drop(reason);
        if self.refusals.may_look(now.at, RefusedWhy::TooMany) {
            self.note_refused(source, RefusedWhy::TooMany, None, now);
        }
    }

    /// A handshake message is refused.
    pub(super) fn note_refused(
        &mut self,
        source: SocketAddr,
        why: RefusedWhy,
        peer: Option<PublicKey>,
        now: Now,
    ) {
        if let Some(refused) = self.refusals.note(now, source, why, peer) {
            self.tell(Event::Refused(refused));
        }
    }

    /// A handshake message of the peer at `place` is refused.
    pub(super) fn note_refused_of(&mut self, place: Place, source: SocketAddr, why: RefusedWhy, now: Now) {
        let Some(peer) = &mut self.peers[place as usize] else {
            return;
        };
        let key = Some(peer.facts.public_key);
        peer.life.refused(RefusedHandshake {
            unix_ms: now.unix_ns / 1_000_000,
            source,
            why,
            peer: key,
            count: 1,
        });
        self.note_refused(source, why, key, now);
    }
}

/// What a worker's refusal is called; none where it says nothing about the sender.
pub(super) fn why(reason: Drop) -> Option<RefusedWhy> {
    if reason == Drop::UnknownPeer {
        Some(RefusedWhy::UnknownPeer)
    } else if reason == Drop::BadHandshake {
        Some(RefusedWhy::Undecryptable)
    } else {
        None
    }
}
