//! The peers' timers, by way of the wheel.

use super::{Event, Now, Shard};
use crate::indices::Place;
use crate::limits::TIMERS_PER_POLL;
use crate::peer::Handshake;
use crate::wheel::Wheel;
use arrayvec::ArrayVec;
use weir_abi::drops::Drop;
use weir_noise::Index;

impl Shard {
    /// Sees to the peers whose time has come, a bounded number of them.
    pub(super) fn take_timers(&mut self, now: Now) -> bool {
        self.indices.expire(now.at);
        if self.due.is_empty() {
            self.wheel.advance(now.at, &mut self.due);
        }
        let count = self.due.len().min(TIMERS_PER_POLL);
        for _ in 0..count {
            let Some((id, tick)) = self.due.pop() else { break };
            let Some(&place) = self.by_id.get(&id) else {
                continue;
            };
            let Some(peer) = &mut self.peers[place as usize] else {
                continue;
            };
            if peer.on_wheel == tick {
                peer.on_wheel = u64::MAX;
                self.expire(place, now);
            }
        }
        self.seal_waiting();
        count > 0
    }

    fn expire(&mut self, place: Place, now: Now) {
        let jitter = self.jitter();
        let Some(peer) = &mut self.peers[place as usize] else {
            return;
        };
        let due = peer.timers.expire(now.at, jitter);
        if peer.life.deadline() <= now.at {
            self.live(place, now, |life, standing| life.expire(now, standing));
        }
        if due.gave_up {
            self.drop_queued(place, Drop::HandshakeFailed);
            self.note_unanswered(place, now);
            self.live(place, now, |life, standing| life.gave_up(now, standing));
            if let Some(id) = self.id_at(place) {
                self.tell(Event::GaveUp(id));
            }
        }
        if due.zero {
            self.zero(place, now);
        }
        if due.initiate {
            self.live(place, now, |life, _| life.unanswered_data(now));
            self.forget_local_address(place);
        }
        if due.retransmit {
            self.forget_local_address(place);
            self.initiate(place, now);
        } else if due.initiate {
            self.initiate(place, now);
        }
        if due.keepalive || due.persistent_keepalive {
            self.keepalive(place, now);
        }
        self.schedule(place);
    }

    /// Silence: the address we sent from may be what no longer works, so the kernel chooses one again.
    fn forget_local_address(&mut self, place: Place) {
        if let Some(peer) = &mut self.peers[place as usize]
            && let Some(path) = &mut peer.path
        {
            path.local = None;
        }
    }

    /// Erases all key material of a peer that has had no new session for long.
    fn zero(&mut self, place: Place, now: Now) {
        let Some(peer) = &mut self.peers[place as usize] else {
            return;
        };
        let retired: ArrayVec<Index, 4> = peer.indices().collect();
        peer.keypairs.clear().into_iter().for_each(drop);
        peer.handshake = Handshake::Idle;
        for index in retired {
            self.indices.retire(index, now.at);
        }
    }

    /// Sees that the wheel looks at the peer no later than its first deadline.
    pub(super) fn schedule(&mut self, place: Place) {
        let Some(peer) = &mut self.peers[place as usize] else {
            return;
        };
        let Some(deadline) = peer.deadline() else {
            return;
        };
        if Wheel::tick(deadline) < peer.on_wheel {
            peer.on_wheel = self.wheel.insert(peer.facts.id, deadline);
        }
    }
}
