//! Meets the data plane: learns its facts, takes what `wg` changed, tells it the rest.

use super::push::{Message, Told};
use super::{Owner, RETRY};
use crate::alerts::Observed;
use crate::clock;
use crate::link::PATIENCE;
use crate::link::wire::{Connection, WireError};
use std::sync::Arc;
use std::time::Instant;
use weir_abi::ipc::{Declared, Reply, Request};
use weir_abi::status::{PeerStatus, Status};
use weir_api::types::Severity;
use weir_model::reconcile::{Held, conflicts, reconcile};
use weir_model::record::{Actor, CommitNumber, DataPlaneSeen, OutboxKey, Source};
use weir_model::{FilePeers, GatewayFacts, Shared};
use weir_store::Batch;

/// Times that somebody else may come between in one meeting.
const ROUNDS_MAX: usize = 8;

impl Owner {
    /// Meets the data plane; what fails is tried again later.
    pub(super) fn meet(&mut self) {
        self.retry_at = None;
        match self.try_meet() {
            Ok(()) => {}
            Err(error) => {
                tracing::debug!("the data plane was not met: {error}");
                self.connection = None;
                self.retry_at = Some(Instant::now() + RETRY);
                let trouble = error.to_string();
                self.world.learn(|learnt| {
                    learnt.connected = false;
                    learnt.trouble = Some(trouble.clone());
                });
            }
        }
        self.publish();
    }

    fn try_meet(&mut self) -> Result<(), WireError> {
        if self.connection.is_none() {
            self.connection = Some(Connection::open(&self.dataplane, PATIENCE)?);
        }
        let status = match self.ask_again(&Request::Status { peers: true })? {
            Reply::Status(status) => *status,
            _ => return Err(WireError::Unexpected("status")),
        };
        self.learn(status);
        self.refused.clear();
        self.rules_refused = None;
        for _ in 0..ROUNDS_MAX {
            let found = match self.ask_again(&Request::Declared)? {
                Reply::Declared(found) => *found,
                Reply::Failed(why) => {
                    tracing::error!("the data plane tells nothing: {why}");
                    return Err(WireError::Unexpected("declared"));
                }
                _ => return Err(WireError::Unexpected("declared")),
            };
            match self.compare(&found) {
                Told::Agreed => return Ok(()),
                Told::Stale => {}
                Told::Failed => return Ok(()),
            }
        }
        // Somebody changes it all the time; there is a next time.
        self.retry_at = Some(Instant::now() + RETRY);
        Ok(())
    }

    /// Asks, and where the connection has ended since the last time, asks once more on a new one.
    fn ask_again(&mut self, request: &Request) -> Result<Reply, WireError> {
        match self.ask(request) {
            Err(WireError::Io(_)) => {
                self.connection = Some(Connection::open(&self.dataplane, PATIENCE)?);
                self.ask(request)
            }
            answered => answered,
        }
    }

    /// Takes over the facts of a status with peers.
    fn learn(&mut self, mut status: Status) {
        let peers = std::mem::take(&mut status.peers);
        let file = Arc::new(FilePeers::new(&peers));
        self.facts = Arc::new(GatewayFacts::new(&status, file, self.endpoint.as_ref()));
        self.find_conflicts();
        let peers: Shared<_, Arc<PeerStatus>> = peers
            .into_iter()
            .map(|peer| (peer.public_key, Arc::new(peer)))
            .collect();
        let status = Arc::new(status);
        if !self.world.learnt.load().connected {
            tracing::info!(
                "the data plane of {} answers, revision {}",
                status.interface,
                status.revision.0
            );
        }
        self.world.learn(|learnt| {
            learnt.connected = true;
            learnt.trouble = None;
            learnt.status = Some(Arc::clone(&status));
            learnt.status_at = Some(Instant::now());
            learnt.peers = peers.clone();
            learnt.peers_at = Some(Instant::now());
        });
    }

    fn compare(&mut self, found: &Declared) -> Told {
        let outbox = self.outbox_keys();
        let held = Held {
            state: &self.state,
            outbox: &outbox,
            seen: self.seen.as_ref(),
            recovered: self.recovered,
        };
        let mut result = reconcile(&held, &self.facts, found, clock::now());
        if !result.taken.is_empty() {
            let count = result.taken.len();
            let taken = std::mem::take(&mut result.taken);
            if self.by_itself(taken, (Actor::Wg, Source::Uapi), false) {
                tracing::info!("{count} changes by wg were taken over");
            } else {
                // They stay in force, and are taken when the store can be written.
                self.retry_at = Some(Instant::now() + RETRY);
            }
        }
        let same_boot = self.seen.is_some_and(|seen| seen.boot_id == found.boot_id);
        if !same_boot {
            self.seen_stored = false;
        }
        self.seen = Some(DataPlaneSeen {
            boot_id: found.boot_id,
            revision: found.revision,
        });
        let message = Message {
            peers: result.pushed,
            rules: result.rules,
            everything: result.everything,
        };
        let told = self.tell(&message);
        match told {
            Told::Agreed => self.recovered = false,
            // It is in step only when it was told everything.
            Told::Failed if !same_boot => self.seen = None,
            Told::Failed | Told::Stale => {}
        }
        self.keep_outstanding();
        told
    }

    /// Has the store remember that what cannot be in force was not told: when it can be, nobody may take its absence for
    /// a removal by `wg`.
    fn keep_outstanding(&mut self) {
        let out = self.conflicts.keys().chain(self.refused.keys());
        let keys = out
            .copied()
            .map(OutboxKey::Peer)
            .filter(|key| !self.outbox.contains_key(key));
        let keys: Vec<OutboxKey> = keys.collect();
        if keys.is_empty() {
            return;
        }
        let batch = Batch {
            outbox: keys.clone(),
            ..Batch::default()
        };
        let number = self
            .commit(batch)
            .ok()
            .flatten()
            .map_or(CommitNumber(0), |committed| committed.number);
        self.outbox.extend(keys.into_iter().map(|key| (key, number)));
    }

    /// Finds the peers of the store that the file or the interface keeps out, and says so.
    pub(super) fn find_conflicts(&mut self) {
        self.conflicts = Arc::new(conflicts(&self.state, &self.facts));
        let observed = self.conflicts.iter().map(|(key, why)| Observed {
            id: format!("conflict/{key}"),
            severity: Severity::Warning,
            kind: "conflict",
            summary: "A peer of the store is not in force".to_owned(),
            detail: format!("peer {key}: {why}"),
            remedy: "Change or remove it here, or in weir.toml.",
            peer: Some(*key),
        });
        let observed: Vec<Observed> = observed.collect();
        self.world
            .alerts
            .observe("conflicts", observed, clock::now(), &self.world.hub);
    }
}
