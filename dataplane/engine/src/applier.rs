//! The one place where desired facts become tables: checked as a whole, applied all or not at all, published at once.

use crate::access::Access;
use crate::limits::{PEERS_MAX, PREFIXES_MAX};
use crate::tables::{PeerFacts, PeerId, Remembered, Tables};
use arc_swap::ArcSwap;
use core::net::SocketAddr;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, OnceLock};
use weir_abi::change::{AllowedIpChange, Change, ChangeSet, PeerChange, Refusal};
use weir_abi::desired::{Desired, Origin, Peer, Revision};
use weir_abi::endpoint::Endpoint;
use weir_abi::key::{PresharedKey, PrivateKey, PublicKey};
use weir_abi::prefix::Prefix;
use weir_abi::rule::Rule;
use weir_noise::Identity;

/// Owns the desired state and publishes its tables. One for a gateway; it is not on the packet path.
pub struct Applier {
    published: Arc<ArcSwap<Tables>>,
    interface: Interface,
    next_peer: u32,
    remembered: HashMap<PublicKey, Remembered>,
}

#[derive(Clone, Default)]
struct Interface {
    private_key: Option<PrivateKey>,
    listen_port: u16,
    fwmark: u32,
}

/// The next state while it is being put together; dropped when anything in it is refused.
struct Draft<'a> {
    tables: Tables,
    interface: Interface,
    next_peer: u32,
    changed: Vec<PeerId>,
    /// The access rules asked for, where they are others.
    rules: Option<Arc<[Rule]>>,
    origin: Origin,
    remembered: &'a HashMap<PublicKey, Remembered>,
}

impl Applier {
    /// An applier without peers, for `shards` shards.
    pub fn new(shards: usize, mtu: u16) -> Self {
        Self {
            published: Arc::new(ArcSwap::from_pointee(Tables::new(shards, mtu))),
            interface: Interface::default(),
            next_peer: 0,
            remembered: HashMap::new(),
        }
    }

    /// What is known of peers from before a restart; used when they are declared.
    pub fn remember(&mut self, remembered: HashMap<PublicKey, Remembered>) {
        self.remembered = remembered;
    }

    /// Where the tables are published.
    pub fn published(&self) -> &Arc<ArcSwap<Tables>> {
        &self.published
    }

    /// The revision in force.
    pub fn revision(&self) -> Revision {
        self.published.load().revision
    }

    /// The UDP port asked for; 0 leaves it to the kernel.
    pub fn listen_port(&self) -> u16 {
        self.interface.listen_port
    }

    /// The mark asked for.
    pub fn fwmark(&self) -> u32 {
        self.interface.fwmark
    }

    /// The desired state in force, secrets included, peers in the order in which they were declared.
    pub fn desired(&self) -> Desired {
        let tables = self.published.load();
        let mut facts: Vec<_> = tables.peers.iter().map(|(_, facts)| facts).collect();
        facts.sort_unstable_by_key(|facts| facts.id);
        Desired {
            private_key: self.interface.private_key.clone(),
            listen_port: self.interface.listen_port,
            fwmark: self.interface.fwmark,
            peers: facts.into_iter().map(|facts| declared(facts)).collect(),
            rules: tables.access.declared().to_vec(),
        }
    }

    /// Says whether [`Applier::apply`] would apply the set; changes nothing.
    pub fn check(&self, set: &ChangeSet) -> Result<(), Refusal> {
        self.draft(set).map(drop)
    }

    /// Applies a set of changes, or nothing of it.
    pub fn apply(&mut self, set: &ChangeSet) -> Result<Revision, Refusal> {
        let Draft {
            mut tables,
            interface,
            next_peer,
            changed,
            ..
        } = self.draft(set)?;
        tables.revision = Revision(tables.revision.0 + 1);
        tables.advance(changed);
        let revision = tables.revision;
        self.interface = interface;
        self.next_peer = next_peer;
        self.published.store(Arc::new(tables));
        Ok(revision)
    }

    fn draft(&self, set: &ChangeSet) -> Result<Draft<'_>, Refusal> {
        let current = self.published.load_full();
        if let Some(base) = set.base
            && base != current.revision
        {
            return Err(Refusal::Stale {
                base: base.0,
                current: current.revision.0,
            });
        }
        let mut draft = Draft {
            tables: Tables::clone(&current),
            interface: self.interface.clone(),
            next_peer: self.next_peer,
            changed: Vec::new(),
            rules: None,
            origin: set.origin,
            remembered: &self.remembered,
        };
        for change in &set.changes {
            draft.change(change)?;
        }
        draft.check_bounds()?;
        draft.compile_access()?;
        Ok(draft)
    }

    /// A peer's name was resolved to this address: it is looked for there from now on. That counts although the name
    /// led there before, for the peer may have moved and come back; not if the peer has a name no longer.
    pub fn resolved(&mut self, id: PeerId, address: SocketAddr) {
        self.publish(|tables| {
            let facts = tables.peer(id)?;
            let Some(Endpoint::Name { .. }) = facts.configured_endpoint else {
                return None;
            };
            let next = PeerFacts {
                endpoint: Some(address),
                endpoint_serial: facts.endpoint_serial + 1,
                ..copy(facts)
            };
            tables.peers.insert(id, Arc::new(next));
            Some(vec![id])
        });
    }

    /// Spreads the slots over another number of shards.
    ///
    /// # Panics
    /// If `shards` is 0 or above [`crate::limits::SHARDS_MAX`].
    pub fn set_shards(&mut self, shards: usize) {
        self.publish(|tables| {
            tables.slots = Arc::new(tables.slots.respread(shards));
            Some(Vec::new())
        });
    }

    /// Sets the tunnel's MTU in bytes.
    pub fn set_mtu(&mut self, mtu: u16) {
        self.publish(|tables| {
            tables.mtu = mtu;
            Some(Vec::new())
        });
    }

    fn publish(&mut self, change: impl FnOnce(&mut Tables) -> Option<Vec<PeerId>>) {
        let mut tables = Tables::clone(&self.published.load());
        if let Some(changed) = change(&mut tables) {
            tables.advance(changed);
            self.published.store(Arc::new(tables));
        }
    }
}

impl Draft<'_> {
    fn change(&mut self, change: &Change) -> Result<(), Refusal> {
        match change {
            Change::PrivateKey(key) => self.set_private_key(key.clone()),
            Change::ListenPort(port) => self.interface.listen_port = *port,
            Change::Fwmark(mark) => self.interface.fwmark = *mark,
            Change::RemoveAllPeers => self.remove_all(),
            Change::RemovePeer(key) => self.remove_by_key(key)?,
            Change::Peer(change) => self.change_peer(change)?,
            Change::ReplacePeers(peers) => self.replace_peers(peers)?,
            Change::ReplaceRules(rules) => self.rules = Some(rules.as_slice().into()),
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

    fn remove_all(&mut self) {
        let origin = self.origin;
        let of_origin = self
            .tables
            .peers
            .iter()
            .filter(|(_, facts)| facts.origin == origin);
        let ids: Vec<PeerId> = of_origin.map(|(&id, _)| id).collect();
        ids.into_iter().for_each(|id| self.remove(id));
    }

    fn remove_by_key(&mut self, key: &PublicKey) -> Result<(), Refusal> {
        let Some(facts) = self.tables.peer_by_key(key) else {
            return Ok(());
        };
        if facts.origin != self.origin && facts.origin == Origin::File {
            return Err(Refusal::DeclaredInFile(*key));
        }
        let id = facts.id;
        self.remove(id);
        Ok(())
    }

    fn remove(&mut self, id: PeerId) {
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
        let known = self.tables.peer_by_key(&change.public_key).cloned();
        if known.is_none() && (change.update_only || self.is_own(&change.public_key)) {
            return Ok(());
        }
        if change.public_key.is_zero() {
            return Err(Refusal::WeakKey(change.public_key));
        }
        let mut peer = match &known {
            Some(facts) => declared(facts),
            None => Peer::new(change.public_key, self.origin),
        };
        let before = peer.clone();
        if let Some(key) = &change.preshared_key {
            peer.preshared_key = Some(key.clone()).filter(|key| !key.is_zero());
        }
        if let Some(seconds) = change.persistent_keepalive {
            peer.persistent_keepalive = Some(seconds).filter(|&seconds| seconds > 0);
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
        if let Some(name) = &change.name {
            peer.name = Some(name.clone()).filter(|name| !name.is_empty());
        }
        if let Some(groups) = &change.groups {
            peer.groups.clone_from(groups);
        }
        // An endpoint is where the peer is, not what it may do: its own packets change it too.
        if before != peer && before.origin == Origin::File && self.origin != Origin::File {
            return Err(Refusal::DeclaredInFile(change.public_key));
        }
        let set_endpoint = change.endpoint.is_some();
        if set_endpoint {
            peer.endpoint = change.endpoint.clone();
        }
        self.declare(peer, set_endpoint)
    }

    fn replace_peers(&mut self, peers: &[Peer]) -> Result<(), Refusal> {
        self.check_declaration(peers)?;
        let declared_keys: HashSet<&PublicKey> = peers.iter().map(|peer| &peer.public_key).collect();
        let origin = self.origin;
        let gone = self
            .tables
            .peers
            .iter()
            .filter(|(_, facts)| facts.origin == origin && !declared_keys.contains(&facts.public_key));
        let gone: Vec<PeerId> = gone.map(|(&id, _)| id).collect();
        gone.into_iter().for_each(|id| self.remove(id));
        // Prefixes that change hands within the declaration must be free before they are taken.
        for peer in peers {
            if let Some(facts) = self.tables.peer_by_key(&peer.public_key).cloned() {
                self.unroute(&facts);
            }
        }
        for peer in peers {
            let known = self.tables.peer_by_key(&peer.public_key);
            let set_endpoint = known.is_none_or(|facts| facts.configured_endpoint != peer.endpoint);
            self.declare(
                Peer {
                    origin,
                    ..peer.clone()
                },
                set_endpoint,
            )?;
        }
        Ok(())
    }

    fn check_declaration(&self, peers: &[Peer]) -> Result<(), Refusal> {
        let mut keys = HashMap::new();
        let mut prefixes: HashMap<Prefix, PublicKey> = HashMap::new();
        for peer in peers {
            let key = peer.public_key;
            if keys.insert(key, ()).is_some() {
                return Err(Refusal::PeerTwice(key));
            }
            if self.is_own(&key) {
                return Err(Refusal::OwnKey(key));
            }
            if key.is_zero() {
                return Err(Refusal::WeakKey(key));
            }
            if let Some(facts) = self.tables.peer_by_key(&key)
                && facts.origin != self.origin
            {
                return Err(Refusal::DeclaredTwice {
                    peer: key,
                    asker: self.origin,
                    owner: facts.origin,
                });
            }
            for &prefix in &peer.allowed_ips {
                let other = prefixes.insert(prefix, key).or_else(|| {
                    let owner = self.tables.peer(self.tables.routes.owner(prefix)?)?;
                    (owner.origin != self.origin).then_some(owner.public_key)
                });
                if let Some(first) = other.filter(|first| *first != key) {
                    return Err(Refusal::PrefixTwice {
                        prefix,
                        first,
                        second: key,
                    });
                }
            }
        }
        Ok(())
    }

    /// Makes the peer what is declared, and takes its prefixes from whoever has them.
    fn declare(&mut self, peer: Peer, set_endpoint: bool) -> Result<(), Refusal> {
        let known = self.tables.peer_by_key(&peer.public_key).cloned();
        let id = match &known {
            Some(facts) => facts.id,
            None => {
                self.next_peer += 1;
                PeerId(self.next_peer)
            }
        };
        if let Some(facts) = &known {
            self.unroute(facts);
        }
        // Ordered, as the same changes are to be the same run.
        let mut taken: BTreeMap<PeerId, HashSet<Prefix>> = BTreeMap::new();
        for &prefix in &peer.allowed_ips {
            if let Some(loser) = self.tables.routes.insert(prefix, id).filter(|&loser| loser != id) {
                taken.entry(loser).or_default().insert(prefix);
            }
        }
        for (loser, prefixes) in taken {
            self.take_prefixes(loser, &prefixes)?;
        }
        let facts = Arc::new(self.facts(id, peer, known.as_deref(), set_endpoint));
        self.tables.by_key.insert(facts.public_key, id);
        self.tables.peers.insert(id, facts);
        self.changed.push(id);
        Ok(())
    }

    fn facts(&self, id: PeerId, peer: Peer, known: Option<&PeerFacts>, set_endpoint: bool) -> PeerFacts {
        let remembered = self.remembered.get(&peer.public_key).copied().unwrap_or_default();
        let configured = match &peer.endpoint {
            Some(Endpoint::Address(address)) => Some(*address),
            Some(Endpoint::Name { .. }) | None => None,
        };
        let (endpoint, serial) = match known {
            Some(facts) if !set_endpoint => (facts.endpoint, facts.endpoint_serial),
            Some(facts) => (
                configured.or(facts.endpoint),
                facts.endpoint_serial + u32::from(configured.is_some()),
            ),
            None => (configured.or(remembered.endpoint), 0),
        };
        PeerFacts {
            id,
            public_key: peer.public_key,
            preshared_key: peer.preshared_key.unwrap_or_else(no_preshared_key),
            configured_endpoint: peer.endpoint,
            endpoint,
            endpoint_serial: serial,
            allowed_ips: peer.allowed_ips,
            persistent_keepalive: peer.persistent_keepalive,
            name: peer.name.map(Into::into),
            groups: peer.groups,
            origin: peer.origin,
            timestamp: known.map_or(remembered.timestamp, |facts| facts.timestamp),
            remote: known.map(|facts| facts.remote.clone()).unwrap_or_default(),
        }
    }

    fn take_prefixes(&mut self, loser: PeerId, prefixes: &HashSet<Prefix>) -> Result<(), Refusal> {
        let Some(facts) = self.tables.peer(loser).cloned() else {
            return Ok(());
        };
        if facts.origin == Origin::File && self.origin != Origin::File {
            return Err(Refusal::DeclaredInFile(facts.public_key));
        }
        let mut next = copy(&facts);
        next.allowed_ips.retain(|p| !prefixes.contains(p));
        self.tables.peers.insert(loser, Arc::new(next));
        self.changed.push(loser);
        Ok(())
    }

    fn unroute(&mut self, facts: &PeerFacts) {
        for &prefix in &facts.allowed_ips {
            if self.tables.routes.owner(prefix) == Some(facts.id) {
                self.tables.routes.remove(prefix);
            }
        }
    }

    /// Compiles the access rules anew where they, or peers that they may concern by name or group, changed.
    fn compile_access(&mut self) -> Result<(), Refusal> {
        let current = &self.tables.access;
        let rules = self.rules.take().filter(|rules| rules != current.declared());
        let grouped = |id| self.tables.peer(id).is_some_and(|facts| !facts.groups.is_empty());
        let touched = |&id: &PeerId| current.knows(id) || grouped(id);
        if rules.is_none() && (current.declared().is_empty() || !self.changed.iter().any(touched)) {
            return Ok(());
        }
        let serial = current.serial() + u64::from(rules.is_some());
        let rules = rules.unwrap_or_else(|| Arc::clone(current.declared()));
        self.tables.access = Arc::new(Access::compile(rules, serial, &self.tables)?);
        Ok(())
    }

    fn is_own(&self, key: &PublicKey) -> bool {
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

fn no_preshared_key() -> PresharedKey {
    PresharedKey::from_bytes([0; 32])
}

fn declared(facts: &PeerFacts) -> Peer {
    Peer {
        public_key: facts.public_key,
        preshared_key: Some(facts.preshared_key.clone()).filter(|key| !key.is_zero()),
        endpoint: facts.configured_endpoint.clone(),
        allowed_ips: facts.allowed_ips.clone(),
        persistent_keepalive: facts.persistent_keepalive,
        name: facts.name.as_deref().map(str::to_owned),
        groups: facts.groups.clone(),
        origin: facts.origin,
    }
}

fn copy(facts: &PeerFacts) -> PeerFacts {
    PeerFacts {
        id: facts.id,
        public_key: facts.public_key,
        preshared_key: facts.preshared_key.clone(),
        configured_endpoint: facts.configured_endpoint.clone(),
        endpoint: facts.endpoint,
        endpoint_serial: facts.endpoint_serial,
        allowed_ips: facts.allowed_ips.clone(),
        persistent_keepalive: facts.persistent_keepalive,
        name: facts.name.clone(),
        groups: facts.groups.clone(),
        origin: facts.origin,
        timestamp: facts.timestamp,
        remote: facts.remote.clone(),
    }
}
