//! The next state while it is being put together, change by change; dropped when anything in it is refused.

use super::facts::{copy, declared};
use super::{Applied, Applier, Interface, Prepared};
use crate::access::{Access, RuleList};
use crate::limits::{PEERS_MAX, PREFIXES_MAX};
use crate::tables::{PeerFacts, PeerId, Remembered, Tables};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};
use weir_abi::change::{AllowedIpChange, Change, PeerChange, Refusal};
use weir_abi::desired::{Origin, Peer, Revision};
use weir_abi::key::{PrivateKey, PublicKey};
use weir_abi::prefix::Prefix;
use weir_noise::Identity;

pub(super) struct Draft<'a> {
    pub current: &'a Tables,
    pub tables: Tables,
    pub interface: Interface,
    pub next_peer: u32,
    pub changed: Vec<PeerId>,
    /// The access rules asked for, where they are.
    rules: Option<RuleList>,
    pub origin: Origin,
    pub remembered: &'a HashMap<PublicKey, Remembered>,
}

impl<'a> Draft<'a> {
    /// What is in force, to be changed by `origin`.
    pub fn new(applier: &'a Applier, current: &'a Tables, origin: Origin) -> Self {
        Self {
            current,
            tables: Tables::clone(current),
            interface: applier.interface.clone(),
            next_peer: applier.next_peer,
            changed: Vec::new(),
            rules: None,
            origin,
            remembered: &applier.remembered,
        }
    }

    /// Makes the changes, in their order, and checks what came of them.
    pub fn finish(mut self, changes: &[Change]) -> Result<Prepared, Refusal> {
        for change in changes {
            self.change(change)?;
        }
        self.check_bounds()?;
        let rules = self.compile_access()?;
        let applied = Applied {
            revision: Revision(self.current.revision.0 + 1),
            peers: self.concerned(),
            rules,
        };
        self.tables.revision = applied.revision;
        self.tables.advance(self.changed);
        Ok(Prepared {
            after: self.current.generation,
            tables: self.tables,
            interface: self.interface,
            next_peer: self.next_peer,
            applied,
        })
    }

    fn change(&mut self, change: &Change) -> Result<(), Refusal> {
        match change {
            Change::PrivateKey(key) => self.set_private_key(key.clone()),
            Change::ListenPort(port) => self.interface.listen_port = *port,
            Change::Fwmark(mark) => self.interface.fwmark = *mark,
            Change::RemoveAllPeers => self.remove_all(),
            Change::RemovePeer(key) => self.remove_by_key(key)?,
            Change::Peer(change) => self.change_peer(change)?,
            Change::ReplacePeers(peers) => self.replace_peers(peers)?,
            Change::ReplaceRules(rules) => {
                let before = self.rules.as_ref().unwrap_or(self.tables.access.declared());
                self.rules = Some(before.replaced(self.origin, rules));
            }
        }
        Ok(())
    }

    fn set_private_key(&mut self, key: Option<PrivateKey>) {
        let key = key.filter(|key| !key.is_zero());
        if self.interface.private_key == key {
            return;
        }
        self.tables.identity = key.as_ref().map(|key| Arc::new(Identity::new(key)));
        self.tables.identity_serial += 1;
        self.interface.private_key = key;
        if let Some(identity) = &self.tables.identity
            && let Some(&own) = self.tables.by_key.get(identity.public())
        {
            self.remove(own);
        }
        // What was computed with the old key is void.
        let facts: Vec<_> = self
            .tables
            .peers
            .iter()
            .map(|(_, facts)| Arc::clone(facts))
            .collect();
        for facts in facts {
            let next = PeerFacts {
                remote: OnceLock::new(),
                ..copy(&facts)
            };
            self.changed.push(facts.id);
            self.tables.peers.insert(facts.id, Arc::new(next));
        }
    }

    /// Whether the asker may do nothing to what `owner` declared.
    pub fn is_barred_from(&self, owner: Origin) -> bool {
        owner == Origin::File && self.origin != Origin::File
    }

    fn remove_all(&mut self) {
        let file = self.origin == Origin::File;
        let all = self.tables.peers.iter();
        let removable = all.filter(|(_, facts)| (facts.origin == Origin::File) == file);
        let ids: Vec<PeerId> = removable.map(|(&id, _)| id).collect();
        ids.into_iter().for_each(|id| self.remove(id));
    }

    fn remove_by_key(&mut self, key: &PublicKey) -> Result<(), Refusal> {
        let Some(facts) = self.tables.peer_by_key(key) else {
            return Ok(());
        };
        if self.is_barred_from(facts.origin) {
            return Err(Refusal::DeclaredInFile(*key));
        }
        let id = facts.id;
        self.remove(id);
        Ok(())
    }

    pub fn remove(&mut self, id: PeerId) {
        let Some(facts) = self.tables.peers.remove(&id) else {
            return;
        };
        self.tables.by_key.remove(&facts.public_key);
        for &prefix in &facts.allowed_ips {
            self.tables.routes.remove(prefix);
        }
        self.changed.push(id);
    }

    fn change_peer(&mut self, change: &PeerChange) -> Result<(), Refusal> {
        let key = change.public_key;
        let known = self.tables.peer_by_key(&key).cloned();
        if known.is_none() && (change.update_only || self.is_own(&key)) {
            return Ok(());
        }
        if key.is_zero() {
            return Err(Refusal::WeakKey(key));
        }
        // Where control does more than to change what it finds, it declares the peer, and a peer has one declaration.
        let declares = self.origin == Origin::Control && !change.update_only;
        let before = known.as_ref().map(|facts| declared(facts));
        let mut peer = before.clone().unwrap_or_else(|| Peer::new(key, self.origin));
        merge(&mut peer, change);
        let set_endpoint = change.endpoint.is_some();
        if let Some(before) = &before {
            let differs = peer != *before;
            if self.is_barred_from(before.origin) {
                // An endpoint is where the peer is, not what it may do: its own packets change it too.
                if declares {
                    return Err(self.declared_twice(before));
                } else if differs {
                    return Err(Refusal::DeclaredInFile(key));
                }
            } else if declares || differs || set_endpoint {
                peer.origin = self.origin;
            }
            if peer == *before && !set_endpoint {
                return Ok(());
            }
        }
        if set_endpoint {
            peer.endpoint = change.endpoint.clone();
        }
        self.declare(peer, set_endpoint)
    }

    /// Compiles the access rules anew where they changed, or lets them follow the peers that did. Says whether they
    /// changed themselves.
    fn compile_access(&mut self) -> Result<bool, Refusal> {
        let current = &self.tables.access;
        let rules = self.rules.take().filter(|rules| rules != current.declared());
        let others = rules.is_some();
        if !others && (current.declared().all().is_empty() || self.changed.is_empty()) {
            return Ok(false);
        }
        let followed = match &rules {
            Some(_) => None,
            None => current.updated(self.current, &self.tables, &self.changed),
        };
        let access = match followed {
            Some(access) => access,
            None => {
                let rules = rules.unwrap_or_else(|| current.declared().clone());
                Access::compile(rules, current, &self.tables)?
            }
        };
        self.tables.access = Arc::new(access);
        Ok(others)
    }

    /// The keys of the peers that changed, came or went, in the order in which they did.
    fn concerned(&self) -> Vec<PublicKey> {
        let mut seen = HashSet::with_capacity(self.changed.len());
        let ids = self.changed.iter().filter(|&&id| seen.insert(id));
        let facts = ids.filter_map(|&id| self.tables.peer(id).or_else(|| self.current.peer(id)));
        facts.map(|facts| facts.public_key).collect()
    }

    pub fn is_own(&self, key: &PublicKey) -> bool {
        self.tables
            .identity
            .as_ref()
            .is_some_and(|identity| identity.public() == key)
    }

    fn check_bounds(&self) -> Result<(), Refusal> {
        for (what, count, most) in [
            ("peers", self.tables.peers.len(), PEERS_MAX),
            ("allowed IPs", self.tables.routes.len(), PREFIXES_MAX),
        ] {
            if count > most {
                return Err(Refusal::TooMany {
                    what: what.to_owned(),
                    count,
                    most,
                });
            }
        }
        Ok(())
    }
}

/// Makes of a peer what a change asks for, all but its endpoint.
fn merge(peer: &mut Peer, change: &PeerChange) {
    if let Some(key) = &change.preshared_key {
        peer.preshared_key = Some(key.clone()).filter(|key| !key.is_zero());
    }
    if let Some(seconds) = change.persistent_keepalive {
        peer.persistent_keepalive = Some(seconds).filter(|&seconds| seconds > 0);
    }
    if let Some(name) = &change.name {
        peer.name = Some(name.clone()).filter(|name| !name.is_empty());
    }
    if let Some(groups) = &change.groups {
        peer.groups.clone_from(groups);
    }
    if change.replace_allowed_ips {
        peer.allowed_ips.clear();
    }
    let mut held: HashSet<Prefix> = peer.allowed_ips.iter().copied().collect();
    for allowed in &change.allowed_ips {
        match allowed {
            AllowedIpChange::Add(prefix) if held.insert(*prefix) => peer.allowed_ips.push(*prefix),
            AllowedIpChange::Remove(prefix) if held.remove(prefix) => {
                peer.allowed_ips.retain(|p| p != prefix);
            }
            AllowedIpChange::Add(_) | AllowedIpChange::Remove(_) => {}
        }
    }
}
