//! A shard's receiver indices: which peer a message is for, and which indices may not be used again yet.

use crate::slots::Slot;
use crate::tables::PeerId;
use core::time::Duration;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::collections::VecDeque;
use weir_noise::limits::{REJECT_AFTER_TIME, ZERO_AFTER_TIME};
use weir_noise::{Index, Instant};

/// The place of a peer in its shard's list.
pub type Place = u32;

/// What an index leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entry {
    /// A keypair or handshake of a peer at home here.
    Peer(Place),
    /// Set aside for an answer that the worker computes.
    Reserved,
    /// A session of this peer, whose home is another shard.
    Elsewhere(PeerId),
    /// No longer in use, and not to be used again yet.
    Retired,
}

/// The table.
#[derive(Default)]
pub struct Indices {
    entries: HashMap<u32, Entry, RandomState>,
    retired: VecDeque<(Instant, u32)>,
    elsewhere: VecDeque<(Instant, u32)>,
}

/// What one shard tells another of an index whose slot changes hands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IndexUse {
    /// It leads to a session of this peer, wherever that is at home.
    Session(PeerId),
    /// It is set aside for an answer under way.
    Reserved,
    /// It may not be used again yet.
    Retired,
}

impl Indices {
    /// What `index` leads to.
    pub fn get(&self, index: Index) -> Option<Entry> {
        self.entries.get(&index.0).copied()
    }

    /// A fresh index of `slot`, set aside. `random` yields the low bits.
    pub fn reserve(&mut self, slot: Slot, mut random: impl FnMut() -> u32) -> Index {
        loop {
            let index = slot.index(random());
            if !self.entries.contains_key(&index.0) {
                self.entries.insert(index.0, Entry::Reserved);
                return index;
            }
        }
    }

    /// Makes `index` lead to the peer at `place`.
    pub fn assign(&mut self, index: Index, place: Place) {
        self.entries.insert(index.0, Entry::Peer(place));
    }

    /// Takes `index` out of use; it is free again after REJECT_AFTER_TIME.
    pub fn retire(&mut self, index: Index, now: Instant) {
        self.entries.insert(index.0, Entry::Retired);
        self.retired.push_back((now + REJECT_AFTER_TIME, index.0));
    }

    /// Frees an index that was set aside and under which nothing was ever sent.
    pub fn release(&mut self, index: Index) {
        if self.get(index) == Some(Entry::Reserved) {
            self.entries.remove(&index.0);
        }
    }

    /// Makes `index` lead to its peer wherever that is at home, for as long as a keypair can live.
    pub fn forward(&mut self, index: Index, peer: PeerId, now: Instant) {
        self.entries.insert(index.0, Entry::Elsewhere(peer));
        self.elsewhere.push_back((now + ZERO_AFTER_TIME, index.0));
    }

    /// Takes over what the last owner of the index's slot knows of it; what leads to a peer at home here stays.
    pub fn inherit(&mut self, index: Index, usage: IndexUse, now: Instant) {
        if let Some(Entry::Peer(_)) = self.get(index) {
            return;
        }
        match usage {
            IndexUse::Session(peer) => self.forward(index, peer, now),
            IndexUse::Reserved => {
                self.entries.insert(index.0, Entry::Reserved);
            }
            IndexUse::Retired => self.retire(index, now),
        }
    }

    /// Every index in use.
    pub fn iter(&self) -> impl Iterator<Item = (Index, Entry)> + '_ {
        self.entries.iter().map(|(&index, &entry)| (Index(index), entry))
    }

    /// Frees indices whose time has come.
    pub fn expire(&mut self, now: Instant) {
        for (queue, gone) in [(&mut self.retired, false), (&mut self.elsewhere, true)] {
            while queue.front().is_some_and(|&(until, _)| until <= now) {
                let Some((_, index)) = queue.pop_front() else {
                    break;
                };
                // A peer may have come back under its old index meanwhile.
                let stale = match self.entries.get(&index) {
                    Some(Entry::Retired) => !gone,
                    Some(Entry::Elsewhere(_)) => gone,
                    Some(Entry::Peer(_) | Entry::Reserved) | None => false,
                };
                if stale {
                    self.entries.remove(&index);
                }
            }
        }
    }

    /// When [`Indices::expire`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        // Memory alone waits for this, so it may be late: nobody is woken more than once a minute for it.
        let first = [self.retired.front(), self.elsewhere.front()]
            .into_iter()
            .flatten()
            .map(|&(at, _)| at)
            .min();
        first.map(|at| at + Duration::from_secs(60))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(n: u64) -> Instant {
        Instant::from_nanos(n * 1_000_000_000)
    }

    // Catches an index given out again while a late message for its old session may still arrive.
    #[test]
    fn a_retired_index_rests_for_reject_after_time() {
        let mut indices = Indices::default();
        let index = indices.reserve(Slot(7), || 5);
        indices.assign(index, 1);
        indices.retire(index, s(100));
        let mut low = [5, 6].into_iter();
        assert_eq!(
            indices.reserve(Slot(7), || low.next().expect("two tries do")),
            Slot(7).index(6)
        );
        indices.expire(s(279));
        assert_eq!(indices.get(index), Some(Entry::Retired));
        indices.expire(s(280));
        assert_eq!(indices.get(index), None);
    }

    // Catches an expiry that takes away the index of a peer which left and came back.
    #[test]
    fn a_peer_that_came_back_keeps_its_index() {
        let mut indices = Indices::default();
        let index = indices.reserve(Slot(7), || 5);
        indices.assign(index, 1);
        indices.forward(index, PeerId(3), s(0));
        assert_eq!(indices.get(index), Some(Entry::Elsewhere(PeerId(3))));
        indices.assign(index, 2);
        indices.expire(s(10_000));
        assert_eq!(indices.get(index), Some(Entry::Peer(2)));
    }
}
