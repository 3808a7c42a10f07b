//! Samples the peers for their history, their bytes for life, and what is to be alerted of.

mod observe;
mod totals;

pub use observe::certificate;
pub use totals::{Sums, Totals};

use crate::clock;
use crate::world::World;
use observe::Rates;
use std::sync::Arc;
use weir_abi::status::Status;
use weir_api::backend::StorageFault;

/// The sampler: the poller calls it when it has read something.
pub struct Sampler {
    totals: Arc<Totals>,
    rates: Rates,
}

impl Sampler {
    /// A sampler into these totals.
    pub fn new(totals: Arc<Totals>) -> Self {
        Self {
            totals,
            rates: Rates::default(),
        }
    }

    /// All peers were listed.
    pub fn sample(&mut self, world: &World) {
        let learnt = world.learnt.load_full();
        let published = world.published.load_full();
        let now = clock::now();
        let boot_id = learnt.status.as_ref().map_or([0; 16], |status| status.boot_id);
        self.totals.sample(boot_id, learnt.peers.values(), now);
        let thresholds = &published.state.settings.alerts;
        let gone = observe::peers(learnt.peers.values(), &published, thresholds, now);
        world.alerts.observe("peers", gone, now, &world.hub);
        let ending = observe::expiring(&published, thresholds, now);
        world.alerts.observe("expiries", ending, now, &world.hub);
    }

    /// An overview was read.
    pub fn overview(&mut self, world: &World, status: &Status) {
        let published = world.published.load_full();
        let now = clock::now();
        let observed = self.rates.observe(status, &published.state.settings.alerts, now);
        world.alerts.observe("rates", observed, now, &world.hub);
        world
            .alerts
            .observe("data plane", observe::warnings(status), now, &world.hub);
        self.store_alerts(world);
    }

    /// The data plane is away.
    pub fn away(&mut self, world: &World) {
        let learnt = world.learnt.load();
        let why = learnt.trouble.as_deref().unwrap_or("it was not met yet");
        world
            .alerts
            .observe("data plane", vec![observe::away(why)], clock::now(), &world.hub);
        self.store_alerts(world);
    }

    /// The process is to end.
    pub fn end(&mut self) {
        self.totals.flush(clock::now());
    }

    fn store_alerts(&self, world: &World) {
        let published = world.published.load();
        let mut observed = Vec::new();
        if let Some((fault, why)) = &published.fault {
            let kind = match fault {
                StorageFault::Full => "store_full",
                StorageFault::ReadOnly | StorageFault::Failed => "store_read_only",
            };
            observed.push(observe::store_fault(kind, why));
        }
        observed.extend(world.recovered.as_deref().map(observe::recovered));
        world.alerts.observe("store", observed, clock::now(), &world.hub);
    }
}
