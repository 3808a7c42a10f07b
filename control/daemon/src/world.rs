//! What the parts of this process share: the published state, what was learnt, and where events go. Readers never wait.

use crate::alerts::Alerts;
use crate::clock;
use crate::learnt::Learnt;
use crate::throughput::Throughput;
use arc_swap::ArcSwap;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use weir_abi::key::PublicKey;
use weir_api::backend::StorageFault;
use weir_api::events::Hub;
use weir_model::{GatewayFacts, Snapshot};

/// What the owner publishes.
#[derive(Clone, Debug, Default)]
pub struct Published {
    /// The state that the store holds.
    pub state: Snapshot,
    /// The gateway's facts that changes are checked against.
    pub facts: Arc<GatewayFacts>,
    /// Peers of the store that are not in force, and why.
    pub conflicts: Arc<BTreeMap<PublicKey, String>>,
    /// Things that the data plane has not confirmed.
    pub outstanding: usize,
    /// Why the store cannot be written, where the last attempt failed.
    pub fault: Option<(StorageFault, String)>,
}

/// What the parts share.
#[derive(Debug)]
pub struct World {
    /// What the owner published last.
    pub published: ArcSwap<Published>,
    /// What was learnt last.
    pub learnt: ArcSwap<Learnt>,
    /// Where events are published.
    pub hub: Hub,
    /// What is wrong now.
    pub alerts: Alerts,
    /// When this process started.
    pub started_at: Timestamp,
    /// What is said of a store that was recovered from a copy.
    pub recovered: Option<String>,
    throughput: Mutex<Throughput>,
}

impl World {
    /// A world in which nothing is known yet.
    pub fn new(recovered: Option<String>) -> Self {
        let epoch: String = clock::random::<6>()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self {
            published: ArcSwap::default(),
            learnt: ArcSwap::default(),
            hub: Hub::new(epoch),
            alerts: Alerts::default(),
            started_at: clock::now(),
            recovered,
            throughput: Mutex::default(),
        }
    }

    /// What passed lately.
    pub fn throughput(&self) -> MutexGuard<'_, Throughput> {
        self.throughput
            .lock()
            .expect("nothing that holds the throughput panics")
    }

    /// Changes what was learnt.
    pub fn learn(&self, change: impl Fn(&mut Learnt)) {
        self.learnt.rcu(|learnt| {
            let mut next = Learnt::clone(learnt);
            change(&mut next);
            next
        });
    }
}
