//! Tells the data plane what the store holds, until it agrees or says why not.

use super::{Owner, RETRY};
use crate::clock;
use crate::link::wire::WireError;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;
use weir_abi::change::{Change, ChangeSet, Refusal};
use weir_abi::desired::{Origin, Revision};
use weir_abi::ipc::{Reply, Request};
use weir_abi::key::PublicKey;
use weir_model::record::{DataPlaneSeen, OutboxKey, Peer};
use weir_model::{declared, pushed};

/// Peers that may be refused one by one in one attempt, before the rest waits for the next.
const REFUSALS_MAX: usize = 64;

/// What came of telling the data plane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Told {
    /// It agrees.
    Agreed,
    /// Somebody else changed it meanwhile.
    Stale,
    /// It is away or refuses; it will be tried again.
    Failed,
}

/// What is to be told.
#[derive(Clone, Debug, Default)]
pub(super) struct Message {
    pub peers: BTreeSet<PublicKey>,
    pub rules: bool,
    /// All of control's peers, in place of those above.
    pub everything: bool,
}

impl Owner {
    /// Tells what was just changed; where the data plane is away, the outbox remembers.
    pub(super) fn tell_data_plane(&mut self, peers: &BTreeSet<PublicKey>, rules: bool) {
        if self.connection.is_none() || (peers.is_empty() && !rules) {
            return;
        }
        // An endpoint that goes can be told by a whole declaration alone; the last status says what is configured there.
        let learnt = self.world.learnt.load();
        let configured = |key: &PublicKey| {
            learnt
                .peers
                .get(key)
                .is_some_and(|peer| peer.configured_endpoint.is_some())
        };
        let loses = |key: &PublicKey| {
            self.state.peer(key).is_some_and(|peer| peer.endpoint.is_none()) && configured(key)
        };
        let everything = peers.iter().any(loses);
        let message = Message {
            peers: peers.clone(),
            rules,
            everything,
        };
        match self.tell(&message) {
            Told::Agreed => self.publish(),
            Told::Stale => self.meet(),
            Told::Failed => {}
        }
    }

    /// Tells a message; what the data plane refuses of it is left out, and said.
    pub(super) fn tell(&mut self, message: &Message) -> Told {
        for _ in 0..REFUSALS_MAX {
            let set = self.change_set(message);
            let empty = set.changes.is_empty();
            let reply = if empty {
                Ok(Reply::Done(self.revision()))
            } else {
                self.ask(&Request::Apply(set))
            };
            match reply {
                Ok(Reply::Done(revision)) => {
                    self.agreed(message, revision);
                    return Told::Agreed;
                }
                Ok(Reply::Refused(Refusal::Stale { .. })) => return Told::Stale,
                Ok(Reply::Refused(refusal)) => {
                    if !self.leave_out(&refusal) {
                        return self.failed(refusal.to_string());
                    }
                }
                Ok(Reply::Failed(why)) => return self.failed(why),
                Ok(_) => return self.failed(WireError::Unexpected("apply").to_string()),
                Err(error) => {
                    self.connection = None;
                    return self.failed(error.to_string());
                }
            }
        }
        self.failed(format!("more than {REFUSALS_MAX} peers are refused"))
    }

    pub(super) fn ask(&mut self, request: &Request) -> Result<Reply, WireError> {
        let connection = self.connection.as_mut().ok_or(WireError::Unexpected("nothing"))?;
        connection.ask(request)
    }

    fn failed(&mut self, why: String) -> Told {
        tracing::warn!("the data plane was not told: {why}");
        self.retry_at = Some(Instant::now() + RETRY);
        Told::Failed
    }

    /// The record that is to be in force, if one is.
    fn in_force(&self, key: &PublicKey) -> Option<&Arc<Peer>> {
        let now = clock::now();
        let known = self.state.peer(key)?;
        (known.is_active(now) && !self.conflicts.contains_key(key) && !self.refused.contains_key(key))
            .then_some(known)
    }

    fn change_set(&self, message: &Message) -> ChangeSet {
        let mut changes = Vec::new();
        if message.everything {
            let all = self.state.peers.keys().filter_map(|key| self.in_force(key));
            changes.push(Change::ReplacePeers(all.map(|peer| declared(peer)).collect()));
            // Those that `wg` declared last are no part of a whole declaration, and go by name.
            let gone = message.peers.iter().filter(|key| self.is_to_go(key));
            changes.extend(gone.map(|key| Change::RemovePeer(*key)));
        } else {
            let told = message
                .peers
                .iter()
                .filter(|key| self.in_force(key).is_some() || self.is_to_go(key));
            changes.extend(told.map(|key| pushed(*key, self.in_force(key).map(|peer| &**peer))));
        }
        if message.rules && self.rules_refused.is_none() {
            changes.push(Change::ReplaceRules(self.state.rules.items.clone()));
        }
        ChangeSet {
            base: Some(self.revision()),
            origin: Origin::Control,
            changes,
        }
    }

    /// Whether the data plane is to lose a peer that is not the file's.
    fn is_to_go(&self, key: &PublicKey) -> bool {
        self.in_force(key).is_none()
            && !self.facts.file.peers.contains_key(key)
            && self.facts.public_key != Some(*key)
    }

    fn agreed(&mut self, message: &Message, revision: Revision) {
        if let Some(seen) = &mut self.seen {
            *seen = DataPlaneSeen { revision, ..*seen };
        }
        let all = message.everything;
        let told: Vec<OutboxKey> = self
            .outbox
            .keys()
            .filter(|key| match key {
                // What cannot be in force stays outstanding: when it can, nobody may take its absence for `wg`'s doing.
                OutboxKey::Peer(key) => {
                    (all || message.peers.contains(key))
                        && !self.conflicts.contains_key(key)
                        && !self.refused.contains_key(key)
                }
                OutboxKey::Rules => message.rules && self.rules_refused.is_none(),
            })
            .copied()
            .collect();
        for key in told {
            if let Some(number) = self.outbox.remove(&key) {
                self.confirmed.push((key, number));
            }
        }
    }

    /// Leaves out what a refusal names; `false` where it names nothing of ours.
    fn leave_out(&mut self, refusal: &Refusal) -> bool {
        let ours = |key: &PublicKey| self.in_force(key).is_some().then_some(*key);
        let peer = match refusal {
            Refusal::DeclaredInFile(key)
            | Refusal::PeerTwice(key)
            | Refusal::OwnKey(key)
            | Refusal::WeakKey(key)
            | Refusal::DeclaredTwice { peer: key, .. }
            | Refusal::Text { peer: key, .. } => ours(key),
            Refusal::PrefixTwice { first, second, .. } => ours(second).or_else(|| ours(first)),
            Refusal::RuleOfUnknownPeer { .. }
            | Refusal::RuleOfUnknownGroup { .. }
            | Refusal::RulePorts(_) => {
                let first = self.rules_refused.is_none();
                tracing::error!("the access rules are not in force: {refusal}");
                self.rules_refused = Some(refusal.to_string());
                return first;
            }
            Refusal::Stale { .. } | Refusal::TooMany { .. } => None,
        };
        let Some(key) = peer else {
            return false;
        };
        tracing::error!("peer {key} is not in force: {refusal}");
        self.refused.insert(key, refusal.to_string());
        true
    }
}
