//! The audit log, and the report that is made of it.

use super::{Service, reading};
use crate::clock;
use jiff::Timestamp;
use std::collections::BTreeMap;
use weir_abi::key::PublicKey;
use weir_api::backend::{Answer, AuditEntries, AuditQuery, Page, PageKey, PageRequest};
use weir_api::types::{self, AuditVerification, Compliance, CompliancePeer, Key};
use weir_model::record::{Action, AuditEntry, Facts};

/// Entries read at a time for a report.
const REPORT_STEP: usize = 1000;

impl Service {
    pub(super) async fn audit_page(&self, query: &AuditQuery, page: &PageRequest) -> Answer<AuditEntries> {
        let below = page
            .after
            .as_ref()
            .and_then(|key| std::str::from_utf8(&key.id).ok()?.parse().ok());
        let (query, limit) = (query.clone(), page.limit);
        let found = reading(&self.store, move |store| {
            store.audit(below, limit, |entry| wanted(entry, &query))
        })
        .await?;
        let oldest = found.oldest;
        let oldest_hash = if found.newest == 0 {
            None
        } else {
            let first = reading(&self.store, move |store| {
                store.audit(Some(oldest + 1), 1, |_| true)
            })
            .await?;
            first.entries.first().map(|entry| entry.hash.to_string())
        };
        let key = |number: u64| {
            let id = number.to_string().into_bytes();
            PageKey { sort: Vec::new(), id }
        };
        Ok(AuditEntries {
            page: Page {
                items: found.entries.iter().map(shown).collect(),
                next: found.next.map(key),
                total: (found.newest + 1).saturating_sub(found.oldest),
            },
            oldest_hash,
            newest_hash: (found.newest > 0).then(|| found.head.to_string()),
        })
    }

    pub(super) async fn audit_verification(&self) -> Answer<AuditVerification> {
        let found = reading(&self.store, |store| store.verify_audit()).await?;
        let some = found.newest > 0;
        let oldest = found.oldest;
        let first = reading(&self.store, move |store| {
            store.audit(Some(oldest + 1), 1, |_| true)
        })
        .await;
        let oldest_hash = first
            .ok()
            .and_then(|page| Some(page.entries.first()?.hash.to_string()));
        Ok(AuditVerification {
            intact: found.fault.is_none(),
            entries: found.checked,
            oldest: some.then_some(found.oldest),
            newest: some.then_some(found.newest),
            oldest_hash,
            newest_hash: some.then(|| found.head.to_string()),
            trouble: found.fault.map(|fault| fault.to_string()),
        })
    }

    pub(super) async fn report(&self, from: Timestamp, to: Timestamp) -> Answer<Compliance> {
        let mut changes: BTreeMap<String, u64> = BTreeMap::new();
        let mut refused_logins: BTreeMap<String, u64> = BTreeMap::new();
        let mut below = None;
        loop {
            let within = move |entry: &AuditEntry| from <= entry.entry.at && entry.entry.at < to;
            let page = reading(&self.store, move |store| store.audit(below, REPORT_STEP, within)).await?;
            for entry in &page.entries {
                let entry = &entry.entry;
                match entry.action {
                    Action::LoginRefused => *refused_logins.entry(entry.source.to_string()).or_default() += 1,
                    Action::LoggedIn | Action::LoggedOut => {}
                    _ => *changes.entry(entry.actor.to_string()).or_default() += 1,
                }
            }
            below = page.next;
            if below.is_none() {
                break;
            }
        }
        let audit_intact = self.audit_verification().await?.intact;
        let published = self.published();
        let keys: Vec<PublicKey> = published
            .state
            .peers
            .keys()
            .chain(published.facts.file.peers.keys())
            .copied()
            .collect();
        let peers = self.totals.report(keys, from, to).await?;
        let name = |key: &PublicKey| {
            let own = published.state.peer(key).and_then(|peer| peer.name.clone());
            own.or_else(|| published.facts.file.peers.get(key)?.name.clone())
        };
        let peers = peers.into_iter().map(|(key, sums)| CompliancePeer {
            public_key: Key(key),
            name: name(&key),
            handshakes: sums.handshakes,
            rx_bytes: sums.rx_bytes,
            tx_bytes: sums.tx_bytes,
            first_seen: sums.first_seen,
            last_seen: sums.last_seen,
        });
        Ok(Compliance {
            from,
            to,
            made_at: clock::now(),
            audit_intact,
            peers: peers.collect(),
            changes,
            refused_logins,
            denied: self.denied(),
        })
    }

    /// Packets that deny rules decided, by rule, since those are in force.
    fn denied(&self) -> BTreeMap<String, u64> {
        let learnt = self.world.learnt.load();
        let rules = learnt.status.iter().flat_map(|status| &status.rules);
        let denying = rules.filter(|rule| rule.rule.action == weir_abi::rule::Action::Deny);
        let numbered = denying.enumerate().map(|(place, rule)| {
            let name = rule
                .rule
                .name
                .clone()
                .unwrap_or_else(|| format!("{} {}", rule.origin.name(), place + 1));
            (name, rule.packets)
        });
        let mut sums = BTreeMap::new();
        for (name, packets) in numbered {
            *sums.entry(name).or_default() += packets;
        }
        sums
    }
}

fn wanted(entry: &AuditEntry, query: &AuditQuery) -> bool {
    let entry = &entry.entry;
    let actor = entry.actor.to_string();
    query.actor.as_ref().is_none_or(|asked| {
        actor == *asked
            || actor
                .strip_prefix(asked.as_str())
                .is_some_and(|rest| rest.starts_with(':'))
    }) && query
        .target
        .as_ref()
        .is_none_or(|asked| entry.target.starts_with(asked.as_str()))
        && query.from.is_none_or(|from| from <= entry.at)
        && query.to.is_none_or(|to| entry.at < to)
}

fn shown(entry: &AuditEntry) -> types::AuditEntry {
    let facts = |facts: &Facts| {
        let present = Some(facts).filter(|facts| !facts.is_empty())?;
        serde_json::to_value(present).ok()
    };
    let what = &entry.entry;
    types::AuditEntry {
        number: entry.number,
        at: what.at,
        actor: what.actor.to_string(),
        source: what.source.to_string(),
        action: what.action.to_string(),
        target: what.target.clone(),
        before: facts(&what.before),
        after: facts(&what.after),
        hash: entry.hash.to_string(),
    }
}
