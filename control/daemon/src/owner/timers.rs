//! What has its time: peers that expire, changes that revert unless they are confirmed.

use super::Owner;
use crate::clock;
use jiff::Timestamp;
use std::collections::BTreeSet;
use weir_abi::key::PublicKey;
use weir_model::Change;
use weir_model::record::{Actor, Source};

impl Owner {
    /// Does what is due. A store that cannot be written holds it up, and it is tried again.
    pub(super) fn timers(&mut self) {
        let now = clock::now();
        self.reverts(now);
        self.expiries(now);
    }

    fn reverts(&mut self, now: Timestamp) {
        let due = self
            .state
            .pending
            .values()
            .filter(|change| change.reverts_at <= now);
        let due: Vec<_> = due.map(|change| change.id).collect();
        for id in due {
            tracing::info!("change {id} was not confirmed and reverts");
            self.by_itself(vec![Change::Revert(id)], (Actor::Weir, Source::Internal), true);
        }
    }

    fn expiries(&mut self, now: Timestamp) {
        if self.next_expiry.is_none_or(|at| now < at) {
            return;
        }
        let after = self.expired_until;
        let due = |at: Timestamp| after < at && at <= now;
        let peers = self.state.peers.values();
        let keys = peers.filter(|peer| peer.expires_at.is_some_and(due) && !peer.disabled);
        let changes: Vec<Change> = keys.map(|peer| Change::ExpirePeer(peer.public_key)).collect();
        if changes.is_empty() || self.by_itself(changes, (Actor::Weir, Source::Internal), true) {
            self.expired_until = now;
            self.next_expiry = self.first_expiry();
        }
    }

    /// When the next peer expires.
    pub(super) fn first_expiry(&self) -> Option<Timestamp> {
        let after = self.expired_until;
        self.state
            .peers
            .values()
            .filter_map(|peer| peer.expires_at)
            .filter(|at| after < *at)
            .min()
    }

    /// Takes into account what these peers say now; that one of them expires later than before is found when it is due.
    pub(super) fn note_expiries(&mut self, peers: &BTreeSet<PublicKey>) {
        let ends = peers.iter().filter_map(|key| self.state.peer(key)?.expires_at);
        let first = ends.filter(|at| self.expired_until < *at).min();
        self.next_expiry = self.next_expiry.into_iter().chain(first).min();
    }
}
