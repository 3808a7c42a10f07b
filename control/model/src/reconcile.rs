//! What store and data plane have to tell each other when they meet: after a start, a lost connection, or a change by `wg`.
//!
//! What the store committed and the data plane has not confirmed stands in the outbox, and goes down. Whatever else
//! differs in a data plane that has run on since it was last in step was changed there by `wg`, and comes up. A data plane
//! that started anew knows the file alone: everything goes down, and what `wg` declared since comes up.

use crate::change::Change;
use crate::gateway::GatewayFacts;
use crate::push::declared as as_declared;
use crate::record::{DataPlaneSeen, OutboxKey, Peer};
use crate::snapshot::Snapshot;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use weir_abi::desired::{self, Origin};
use weir_abi::ipc::Declared;
use weir_abi::key::PublicKey;
use weir_abi::prefix::Prefix;

/// What is to be done.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Reconciled {
    /// What `wg` changed: to be taken into the store.
    pub taken: Vec<Change>,
    /// Peers that the data plane is to be told of, as they are in the store.
    pub pushed: BTreeSet<PublicKey>,
    /// Whether it is to be told of the rules.
    pub rules: bool,
    /// Whether it is to be told of everything: it started anew, or a difference can be told by that alone.
    pub everything: bool,
    /// Peers of the store that cannot be in force, and why.
    pub conflicts: BTreeMap<PublicKey, String>,
}

/// What the store knows.
#[derive(Clone, Copy, Debug)]
pub struct Held<'a> {
    /// Its records.
    pub state: &'a Snapshot,
    /// What the data plane has not confirmed.
    pub outbox: &'a BTreeSet<OutboxKey>,
    /// The data plane that was last in step.
    pub seen: Option<&'a DataPlaneSeen>,
    /// Whether it was recovered from a copy that lacks the latest changes: what control told a data plane that has run on
    /// since is then newer.
    pub recovered: bool,
}

/// Compares what the store holds with what the data plane declares.
pub fn reconcile(held: &Held<'_>, facts: &GatewayFacts, found: &Declared, now: Timestamp) -> Reconciled {
    let Held {
        state,
        outbox,
        seen,
        recovered,
    } = *held;
    let mut result = Reconciled {
        conflicts: conflicts(state, facts),
        everything: seen.is_none_or(|seen| seen.boot_id != found.boot_id),
        ..Reconciled::default()
    };
    result.rules =
        result.everything || outbox.contains(&OutboxKey::Rules) || state.rules.items != found.rules;
    let there: HashMap<PublicKey, &desired::Peer> =
        found.peers.iter().map(|peer| (peer.public_key, peer)).collect();
    let mut owners: HashMap<Prefix, PublicKey> = HashMap::new();
    for peer in &found.peers {
        owners.extend(peer.allowed_ips.iter().map(|prefix| (*prefix, peer.public_key)));
    }
    for peer in &found.peers {
        let key = peer.public_key;
        if state.peers.contains_key(&key) || facts.file.peers.contains_key(&key) {
            continue;
        }
        let ours = peer.origin != Origin::Uapi && !recovered;
        if outbox.contains(&OutboxKey::Peer(key)) || ours {
            // Removed here, or left by a control whose store is gone.
            result.pushed.insert(key);
        } else {
            result.taken.push(taken(None, peer, now));
        }
    }
    for (key, peer) in state.peers.iter() {
        if result.conflicts.contains_key(key) {
            continue;
        }
        let known = there.get(key).copied();
        if outbox.contains(&OutboxKey::Peer(*key)) {
            result.pushed.insert(*key);
            result.everything |= loses_endpoint(peer, known);
        } else if !result.everything {
            compare(peer, known, (&owners, recovered), now, &mut result);
        }
    }
    result
}

/// The peers of the store that cannot be in force beside the file's, and why.
pub fn conflicts(state: &Snapshot, facts: &GatewayFacts) -> BTreeMap<PublicKey, String> {
    let found = state
        .peers
        .iter()
        .filter_map(|(key, peer)| Some((*key, facts.conflict(peer)?)));
    found.collect()
}

/// Whether the data plane has an endpoint configured that the store has not, which only a whole declaration takes away.
pub fn loses_endpoint(peer: &Peer, known: Option<&desired::Peer>) -> bool {
    peer.endpoint.is_none() && known.is_some_and(|known| known.endpoint.is_some())
}

/// One peer of the store of which nothing is outstanding.
fn compare(
    peer: &Peer,
    known: Option<&desired::Peer>,
    (owners, recovered): (&HashMap<Prefix, PublicKey>, bool),
    now: Timestamp,
    result: &mut Reconciled,
) {
    let key = peer.public_key;
    let active = peer.is_active(now);
    match known {
        None if active => result.taken.push(Change::LosePeer(key)),
        None => {}
        // Its time has come while nobody was there to say so.
        Some(known) if same(peer, known) && !active => drop(result.pushed.insert(key)),
        Some(known) if same(peer, known) => {}
        Some(known) if known.origin == Origin::Uapi || (recovered && active) => {
            result.taken.push(taken(Some(peer), known, now));
        }
        Some(known) => {
            // Its networks went to a peer that `wg` gave them to; it is control's still.
            let lost = |prefix: &&Prefix| owners.get(prefix).is_some_and(|owner| *owner != key);
            let kept: Vec<Prefix> = peer.allowed_ips.iter().filter(|p| !lost(p)).copied().collect();
            let rest = Peer {
                allowed_ips: kept,
                ..peer.clone()
            };
            if active && rest.allowed_ips.len() < peer.allowed_ips.len() && same(&rest, known) {
                result.taken.push(taken(Some(peer), known, now));
            } else {
                result.pushed.insert(key);
            }
        }
    }
}

/// Whether the data plane has the peer as the store does, in all that `wg` can change.
fn same(peer: &Peer, known: &desired::Peer) -> bool {
    let sorted = |prefixes: &[Prefix]| prefixes.iter().copied().collect::<BTreeSet<_>>();
    let ours = as_declared(peer);
    ours.preshared_key == known.preshared_key
        && ours.endpoint == known.endpoint
        && ours.persistent_keepalive == known.persistent_keepalive
        && sorted(&ours.allowed_ips) == sorted(&known.allowed_ips)
}

/// A peer as the data plane has it. Whoever declares a peer by `wg` wants it in force: it is neither disabled nor expired.
fn taken(peer: Option<&Peer>, known: &desired::Peer, now: Timestamp) -> Change {
    let mut record = peer.cloned().unwrap_or_else(|| Peer::new(known.public_key, now));
    record.preshared_key = known.preshared_key.clone().filter(|key| !key.is_zero());
    record.endpoint = known.endpoint.clone();
    record.allowed_ips = known.allowed_ips.clone();
    record.persistent_keepalive = known.persistent_keepalive;
    record.disabled = false;
    record.expires_at = record.expires_at.filter(|at| now < *at);
    if record.name.is_none() {
        record.name = known.name.clone();
    }
    if peer.is_none() {
        record.groups = known.groups.clone();
    }
    Change::TakePeer(Box::new(record))
}

#[cfg(test)]
mod tests;
