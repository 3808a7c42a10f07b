//! Metrics in Prometheus' text format: the names that WireGuard dashboards know, and Weir's own per shard and per peer.
//!
//! The names of Grafana's dashboard 12177 are those of mdlayher's wireguard_exporter; the option is MindFlavor's
//! prometheus_wireguard_exporter. Label values are escaped by the library.

mod family;
mod gateway;
mod peers;

use crate::clock;
use crate::sampler::Totals;
use crate::world::World;
use family::Family;
use prometheus::{Encoder as _, TextEncoder};

/// Peers with series of their own at most; the others are summed up, and said.
pub const PEERS_MAX: usize = 10_000;

/// Makes the metrics.
#[derive(Debug, Default)]
pub struct Metrics;

impl Metrics {
    /// All metrics as they are now.
    pub fn text(&self, world: &World, totals: &Totals) -> Result<String, String> {
        let (published, learnt) = (world.published.load_full(), world.learnt.load_full());
        let mut families = vec![
            Family::gauge("weir_up", "Whether the data plane answers.")
                .with(&[], f64::from(u8::from(learnt.connected))),
            Family::gauge("weir_alerts", "Alerts that are raised now.").with(&[], world.alerts.len() as f64),
            Family::gauge(
                "weir_changes_outstanding",
                "Changes that the data plane has not confirmed.",
            )
            .with(&[], published.outstanding as f64),
            Family::gauge(
                "weir_store_writable",
                "Whether the last write to the store succeeded.",
            )
            .with(&[], f64::from(u8::from(published.fault.is_none()))),
            Family::gauge(
                "weir_control_start_time_seconds",
                "When the control process started, since 1970.",
            )
            .with(&[], world.started_at.as_second() as f64),
        ];
        if let Some(status) = learnt.live_status() {
            gateway::families(status, &mut families);
            peers::families(&published, &learnt, status, totals, &mut families);
        }
        let families: Vec<_> = families.into_iter().filter_map(Family::finish).collect();
        let mut text = Vec::new();
        TextEncoder::new()
            .encode(&families, &mut text)
            .map_err(|error| error.to_string())?;
        String::from_utf8(text).map_err(|error| error.to_string())
    }
}

/// Seconds since 1970 of what the data plane tells in nanoseconds.
fn seconds(unix_ns: u64) -> f64 {
    clock::from_unix_ns(unix_ns).map_or(0.0, |at| at.as_second() as f64)
}
