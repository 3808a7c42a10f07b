//! What is wrong now: alerts are raised and withdrawn by what is observed, and each is told once.

use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Mutex;
use weir_abi::key::PublicKey;
use weir_api::events::Hub;
use weir_api::types::{Alert, AlertChanged, Event, Key, Severity};

/// Alerts at a time at most; what is beyond is counted in one of its own.
const ALERTS_MAX: usize = 1000;

/// What an observer has to say.
#[derive(Clone, PartialEq, Debug)]
pub struct Observed {
    /// Stays the same while it is raised.
    pub id: String,
    /// How grave.
    pub severity: Severity,
    /// A word for programs.
    pub kind: &'static str,
    /// One line.
    pub summary: String,
    /// What was observed.
    pub detail: String,
    /// What to do.
    pub remedy: &'static str,
    /// The peer it is about.
    pub peer: Option<PublicKey>,
}

/// The alerts that are raised, each group the business of one observer.
#[derive(Debug, Default)]
pub struct Alerts {
    raised: Mutex<BTreeMap<&'static str, BTreeMap<String, Alert>>>,
}

impl Alerts {
    /// Makes a group's alerts exactly those that are observed now; tells what is new and what is over.
    pub fn observe(&self, group: &'static str, observed: Vec<Observed>, now: Timestamp, hub: &Hub) {
        let mut all = self.raised.lock().expect("nothing that holds the alerts panics");
        let before = all.remove(group).unwrap_or_default();
        let mut after = BTreeMap::new();
        for one in observed.into_iter().take(ALERTS_MAX) {
            let known = before.get(&one.id);
            let alert = Alert {
                since: known.map_or(now, |alert| alert.since),
                id: one.id.clone(),
                severity: one.severity,
                kind: one.kind.to_owned(),
                summary: one.summary,
                detail: one.detail,
                remedy: one.remedy.to_owned(),
                public_key: one.peer.map(Key),
            };
            if known.is_none() {
                hub.publish(Event::Alert(AlertChanged {
                    raised: true,
                    alert: alert.clone(),
                }));
            }
            after.insert(one.id, alert);
        }
        for (_, alert) in before.into_iter().filter(|(id, _)| !after.contains_key(id)) {
            hub.publish(Event::Alert(AlertChanged { raised: false, alert }));
        }
        all.insert(group, after);
    }

    /// The alerts that are raised, the gravest first.
    pub fn list(&self) -> Vec<Alert> {
        let all = self.raised.lock().expect("nothing that holds the alerts panics");
        let mut alerts: Vec<Alert> = all.values().flat_map(|group| group.values().cloned()).collect();
        alerts.sort_by(|a, b| (a.severity, a.since, &a.id).cmp(&(b.severity, b.since, &b.id)));
        alerts
    }

    /// How many are raised.
    pub fn len(&self) -> usize {
        let all = self.raised.lock().expect("nothing that holds the alerts panics");
        all.values().map(BTreeMap::len).sum()
    }

    /// Whether none is raised.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
