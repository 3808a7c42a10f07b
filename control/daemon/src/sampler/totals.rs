//! What peers carried: for life, over time, and just now.

use crate::backend::reading;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use weir_abi::key::PublicKey;
use weir_abi::status::PeerStatus;
use weir_api::backend::Answer;
use weir_api::types::{History, HistoryRange};
use weir_store::{Observation, Resolution, Store};

/// What a peer's counters were when they were sampled last, and what they grew by a second since the time before.
#[derive(Clone, Copy, Default)]
struct Sampled {
    rx_bytes: u64,
    tx_bytes: u64,
    rx_bps: u64,
    tx_bps: u64,
}

/// What passed between a peer and the gateway in a period.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sums {
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Handshakes completed.
    pub handshakes: u64,
    /// When it was heard first in the period, to the step of its history.
    pub first_seen: Option<Timestamp>,
    /// When it was heard last.
    pub last_seen: Option<Timestamp>,
}

/// The sampled counters, beside the store's history.
pub struct Totals {
    store: Store,
    sampled: Mutex<Samples>,
}

#[derive(Default)]
struct Samples {
    at: Option<Timestamp>,
    boot_id: [u8; 16],
    peers: HashMap<PublicKey, Sampled>,
}

impl Totals {
    /// Totals that go on from what the store has.
    pub fn new(store: Store) -> Self {
        Self {
            store,
            sampled: Mutex::default(),
        }
    }

    fn samples(&self) -> MutexGuard<'_, Samples> {
        self.sampled
            .lock()
            .expect("nothing that holds the samples panics")
    }

    /// Takes the counters of all peers.
    pub(super) fn sample<'a>(
        &self,
        boot_id: [u8; 16],
        peers: impl Iterator<Item = &'a Arc<PeerStatus>>,
        now: Timestamp,
    ) {
        let mut samples = self.samples();
        let anew = samples.boot_id != boot_id;
        let since = samples
            .at
            .map(|at| now.duration_since(at).as_secs_f64())
            .filter(|s| !anew && *s > 0.0);
        let before = std::mem::take(&mut samples.peers);
        let mut observations = Vec::with_capacity(before.len());
        for peer in peers {
            let known = before.get(&peer.public_key).copied();
            let rate =
                |now: u64, then: u64| since.map_or(0, |s| (8.0 * now.saturating_sub(then) as f64 / s) as u64);
            let sampled = Sampled {
                rx_bytes: peer.rx_bytes,
                tx_bytes: peer.tx_bytes,
                rx_bps: known.map_or(0, |known| rate(peer.rx_bytes, known.rx_bytes)),
                tx_bps: known.map_or(0, |known| rate(peer.tx_bytes, known.tx_bytes)),
            };
            samples.peers.insert(peer.public_key, sampled);
            observations.push(Observation {
                public_key: peer.public_key,
                rx_bytes: peer.rx_bytes,
                tx_bytes: peer.tx_bytes,
                last_handshake_unix_ns: peer.last_handshake_unix_ns,
            });
        }
        (samples.at, samples.boot_id) = (Some(now), boot_id);
        drop(samples);
        self.store.history().observe(boot_id, &observations, now);
        self.flush(now);
    }

    /// Writes what was sampled. A store that cannot be written has it in memory until it can.
    pub(super) fn flush(&self, now: Timestamp) {
        match self.store.history().flush(now) {
            Ok(None) => {}
            Ok(Some(lost)) => tracing::error!("{lost}"),
            Err(error) => tracing::debug!("the history is not written: {error}"),
        }
    }

    /// Bytes received from and sent to a peer since it is known, its counters now among them.
    pub fn of(&self, key: &PublicKey, status: Option<&Arc<PeerStatus>>) -> (u64, u64) {
        let totals = self.store.history().totals(key);
        let Some(peer) = status else {
            return (totals.rx_bytes, totals.tx_bytes);
        };
        let sampled = self.samples().peers.get(key).copied().unwrap_or_default();
        let since = |now: u64, then: u64| if now >= then { now - then } else { now };
        (
            totals.rx_bytes + since(peer.rx_bytes, sampled.rx_bytes),
            totals.tx_bytes + since(peer.tx_bytes, sampled.tx_bytes),
        )
    }

    /// Bits a second received and sent between the last two samples.
    pub fn rates(&self, key: &PublicKey) -> (u64, u64) {
        let samples = self.samples();
        samples
            .peers
            .get(key)
            .map_or((0, 0), |sampled| (sampled.rx_bps, sampled.tx_bps))
    }

    /// A peer's history.
    pub async fn history(&self, key: PublicKey, range: HistoryRange) -> Answer<History> {
        let (resolution, hours) = match range {
            HistoryRange::Hour => (Resolution::FiveMinutes, 1),
            HistoryRange::Day => (Resolution::FiveMinutes, 24),
            HistoryRange::Week => (Resolution::Hour, 24 * 7),
            HistoryRange::Month => (Resolution::Hour, 24 * 30),
        };
        let to = crate::clock::now();
        let from = to
            .checked_sub(SignedDuration::from_hours(hours))
            .unwrap_or(Timestamp::UNIX_EPOCH);
        let points = reading(&self.store, move |store| {
            store.history().series(&key, resolution, from, to)
        })
        .await?;
        let point = |point: weir_store::Point| {
            let at = u64::try_from(point.unix_s).unwrap_or(0);
            [
                at,
                point.sums.rx_bytes,
                point.sums.tx_bytes,
                point.sums.handshakes.into(),
            ]
        };
        Ok(History {
            step_s: resolution.step_s(),
            points: points.into_iter().map(point).collect(),
        })
    }

    /// What each of these peers came to in a period, those of whom nothing was heard among them.
    pub async fn report(
        &self,
        keys: Vec<PublicKey>,
        from: Timestamp,
        to: Timestamp,
    ) -> Answer<BTreeMap<PublicKey, Sums>> {
        reading(&self.store, move |store| {
            let mut report = BTreeMap::new();
            for key in keys {
                let points = store.history().series(&key, Resolution::Hour, from, to)?;
                let mut sums = Sums::default();
                for point in points {
                    let at = Timestamp::from_second(point.unix_s).ok();
                    sums.rx_bytes += point.sums.rx_bytes;
                    sums.tx_bytes += point.sums.tx_bytes;
                    sums.handshakes += u64::from(point.sums.handshakes);
                    sums.first_seen = sums.first_seen.or(at);
                    sums.last_seen = at.or(sums.last_seen);
                }
                report.insert(key, sums);
            }
            Ok(report)
        })
        .await
    }
}
