//! The one owner of desired state: takes changes one after the other, writes what waits together in one commit, tells the
//! data plane, publishes what is, and answers.
//!
//! It is one thread. The store's commit comes first; only what is stored is told to the data plane, and what the data
//! plane has not confirmed stands in the outbox, in the store too, so that nothing is lost by a kill at any point.

mod ask;
mod group;
mod meet;
mod push;
mod timers;

pub use ask::{Ask, Asking, ChangeAsk, Done, Expect, Reply, RestoreAsk, Wanted, channel};

use crate::clock;
use crate::link::wire::Connection;
use crate::world::{Published, World};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use weir_abi::desired::Revision;
use weir_abi::endpoint::Endpoint;
use weir_abi::key::PublicKey;
use weir_api::backend::StorageFault;
use weir_model::record::{CommitNumber, DataPlaneSeen, NewAuditEntry, OutboxKey, State};
use weir_model::{GatewayFacts, Snapshot};
use weir_store::{Batch, Committed, Store, StoreError};

/// Asks that are answered by one commit at most: what came while the one before was written.
const GROUP_MAX: usize = 512;

/// Between two looks at the clock, for what has its time: an expiry, a change that reverts.
const TICK: Duration = Duration::from_millis(500);

/// Without a change for so long, what the data plane confirmed is written by a commit of its own.
const PAUSE: Duration = Duration::from_millis(20);

/// After a data plane that refused or went away, before it is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// The owner.
pub struct Owner {
    store: Store,
    world: Arc<World>,
    asks: Receiver<Ask>,
    dataplane: PathBuf,
    endpoint: Option<Endpoint>,
    state: Snapshot,
    /// What the data plane has not confirmed, by the commit that touched it last.
    outbox: BTreeMap<OutboxKey, CommitNumber>,
    /// What it confirmed and the store does not know yet.
    confirmed: Vec<(OutboxKey, CommitNumber)>,
    seen: Option<DataPlaneSeen>,
    /// Whether `seen` is as the store has it.
    seen_stored: bool,
    /// Whether the store came from a copy, and no data plane was met since.
    recovered: bool,
    facts: Arc<GatewayFacts>,
    conflicts: Arc<BTreeMap<PublicKey, String>>,
    /// What the data plane refused, and why; tried again when they change, or it does.
    refused: BTreeMap<PublicKey, String>,
    rules_refused: Option<String>,
    fault: Option<(StorageFault, String)>,
    connection: Option<Connection>,
    /// When the data plane is to be met again, because something went wrong.
    retry_at: Option<Instant>,
    /// When the next peer expires.
    next_expiry: Option<Timestamp>,
    /// Up to when peers that expired were told of.
    expired_until: Timestamp,
}

impl Owner {
    /// The owner of what the store holds.
    pub fn new(
        store: Store,
        held: State,
        world: Arc<World>,
        asks: Receiver<Ask>,
        dataplane: PathBuf,
        endpoint: Option<Endpoint>,
    ) -> Self {
        let outbox = held.outbox.clone();
        let seen = held.data_plane;
        let owner = Self {
            store,
            asks,
            dataplane,
            endpoint,
            state: Snapshot::from(held),
            outbox,
            confirmed: Vec::new(),
            seen,
            seen_stored: true,
            recovered: world.recovered.is_some(),
            facts: Arc::default(),
            conflicts: Arc::default(),
            refused: BTreeMap::new(),
            rules_refused: None,
            fault: None,
            connection: None,
            retry_at: None,
            next_expiry: None,
            expired_until: clock::now(),
            world,
        };
        owner.publish();
        owner
    }

    /// Works until it is told to stop, or nobody can ask any more.
    pub fn run(mut self) {
        self.next_expiry = self.first_expiry();
        let mut met = false;
        loop {
            let mut asks = Vec::new();
            let settled = self.confirmed.is_empty() && self.seen_stored;
            match self.asks.recv_timeout(if settled { TICK } else { PAUSE }) {
                Ok(ask) => asks.push(ask),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            while asks.len() < GROUP_MAX
                && let Ok(ask) = self.asks.try_recv()
            {
                asks.push(ask);
            }
            let idle = asks.is_empty();
            let (mut changes, mut meet, mut stop) = (Vec::new(), false, false);
            for ask in asks {
                match ask {
                    Ask::Change(change) => changes.push(*change),
                    Ask::Meet => meet = true,
                    Ask::Restore(restore) => {
                        let outcome = self.restore(&restore.state, restore.audit);
                        // Who asked may have gone.
                        let _ = restore.reply.send(outcome);
                    }
                    Ask::Stop => stop = true,
                }
            }
            self.group(changes);
            self.timers();
            let again = self.retry_at.is_some_and(|at| at <= Instant::now());
            if meet || (again && met) {
                met |= meet;
                self.meet();
            }
            if stop {
                break;
            }
            // Under load the next change's commit takes them along.
            if idle {
                self.write_confirmations();
            }
        }
        self.write_confirmations();
    }

    /// Publishes what is for those who read.
    fn publish(&self) {
        let mut conflicts = Arc::clone(&self.conflicts);
        if !self.refused.is_empty() {
            Arc::make_mut(&mut conflicts).extend(self.refused.clone());
        }
        self.world.published.store(Arc::new(Published {
            state: self.state.clone(),
            facts: Arc::clone(&self.facts),
            conflicts,
            outstanding: self.outbox.len(),
            fault: self.fault.clone(),
        }));
    }

    /// Writes a batch. Nothing of it is in force where this fails.
    fn commit(&mut self, mut batch: Batch) -> Result<Option<Committed>, StorageFault> {
        batch.confirmed.append(&mut self.confirmed);
        if batch.is_empty() {
            return Ok(None);
        }
        match self.store.commit(&batch) {
            Ok(committed) => {
                if self.fault.take().is_some() {
                    tracing::info!("the store is written again");
                }
                Ok(Some(committed))
            }
            Err(error) => {
                self.confirmed = batch.confirmed;
                let fault = storage_fault(&error);
                let why = error.to_string();
                // Said once, however often it is tried.
                if self.fault.as_ref().is_none_or(|(_, known)| *known != why) {
                    tracing::error!("nothing was changed: {why}");
                }
                self.fault = Some((fault, why));
                self.publish();
                Err(fault)
            }
        }
    }

    /// What is confirmed and not yet written goes to the store, where nothing else took it along.
    fn write_confirmations(&mut self) {
        if self.confirmed.is_empty() && self.seen_stored {
            return;
        }
        let mut batch = Batch::default();
        if let Some(seen) = self.seen.filter(|_| !self.seen_stored) {
            batch.writes.push(weir_model::record::Write::DataPlane(seen));
        }
        // Where this fails, the same is told to the data plane once more after a restart, which harms nothing.
        if self.commit(batch).is_ok() {
            self.seen_stored = true;
        }
    }

    /// Puts a restored state in the place of what is; all of it is told to the data plane.
    fn restore(&mut self, restored: &State, audit: NewAuditEntry) -> Result<(), StorageFault> {
        let current = State {
            outbox: self.outbox.clone(),
            data_plane: self.seen,
            ..self.state.records()
        };
        let (_, held) = self.store.restore(&current, restored, audit).map_err(|error| {
            tracing::error!("nothing was restored: {error}");
            storage_fault(&error)
        })?;
        self.outbox = held.outbox.clone();
        self.state = Snapshot::from(held);
        self.confirmed.clear();
        self.refused.clear();
        self.next_expiry = self.first_expiry();
        self.meet();
        Ok(())
    }

    fn outbox_keys(&self) -> BTreeSet<OutboxKey> {
        self.outbox.keys().copied().collect()
    }

    fn revision(&self) -> Revision {
        self.seen.map_or(Revision(0), |seen| seen.revision)
    }
}

/// What callers are told of an error of the store.
pub fn storage_fault(error: &StoreError) -> StorageFault {
    match error {
        StoreError::DiskFull(_) => StorageFault::Full,
        StoreError::ReadOnly(_) => StorageFault::ReadOnly,
        _ => StorageFault::Failed,
    }
}
