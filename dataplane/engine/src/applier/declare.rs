//! Peers declared, one or all of an owner's, and prefixes that change hands for it.

use super::draft::Draft;
use super::facts::{copy, declared, no_preshared_key};
use crate::tables::{PeerFacts, PeerId};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use weir_abi::change::Refusal;
use weir_abi::desired::{GROUPS_MAX, NAME_MAX, Origin, Peer};
use weir_abi::endpoint::Endpoint;
use weir_abi::key::PublicKey;
use weir_abi::prefix::Prefix;

impl Draft<'_> {
    /// Makes the peers of the asker exactly these.
    pub fn replace_peers(&mut self, peers: &[Peer]) -> Result<(), Refusal> {
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
        let peers = peers.iter().map(|peer| Peer {
            origin,
            ..peer.clone()
        });
        let changed: Vec<Peer> = peers.filter(|peer| !self.stands(peer)).collect();
        // Prefixes that change hands within the declaration must be free before they are taken.
        for peer in &changed {
            if let Some(facts) = self.tables.peer_by_key(&peer.public_key).cloned() {
                self.unroute(&facts);
            }
        }
        for peer in changed {
            let known = self.tables.peer_by_key(&peer.public_key);
            let set_endpoint = known.is_none_or(|facts| facts.configured_endpoint != peer.endpoint);
            self.declare(peer, set_endpoint)?;
        }
        Ok(())
    }

    /// Whether the peer is declared just so.
    fn stands(&self, peer: &Peer) -> bool {
        self.tables
            .peer_by_key(&peer.public_key)
            .is_some_and(|facts| declared(facts) == *peer)
    }

    fn check_declaration(&self, peers: &[Peer]) -> Result<(), Refusal> {
        let mut keys = HashSet::new();
        let mut prefixes: HashMap<Prefix, PublicKey> = HashMap::new();
        for peer in peers {
            let key = peer.public_key;
            if !keys.insert(key) {
                return Err(Refusal::PeerTwice(key));
            }
            if self.is_own(&key) {
                return Err(Refusal::OwnKey(key));
            }
            if key.is_zero() {
                return Err(Refusal::WeakKey(key));
            }
            if let Some(facts) = self.tables.peer_by_key(&key)
                && self.meets(facts.origin)
            {
                return Err(self.declared_twice(&declared(facts)));
            }
            for &prefix in &peer.allowed_ips {
                let other = prefixes.insert(prefix, key).or_else(|| {
                    let owner = self.tables.peer(self.tables.routes.owner(prefix)?)?;
                    self.meets(owner.origin).then_some(owner.public_key)
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

    /// Whether what the asker declares must not be `owner`'s already: the file's declarations and those of the others
    /// are kept apart, while the others take from each other.
    fn meets(&self, owner: Origin) -> bool {
        owner != self.origin && (owner == Origin::File || self.origin == Origin::File)
    }

    pub fn declared_twice(&self, peer: &Peer) -> Refusal {
        Refusal::DeclaredTwice {
            peer: peer.public_key,
            asker: self.origin,
            owner: peer.origin,
        }
    }

    /// Makes the peer what is declared, and takes its prefixes from whoever has them.
    pub fn declare(&mut self, peer: Peer, set_endpoint: bool) -> Result<(), Refusal> {
        check_texts(&peer)?;
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
            self.take_prefixes(loser, &prefixes, peer.public_key)?;
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

    /// Takes these prefixes, which `winner` has now, out of another peer's list. It remains its owner's, who did not ask
    /// for that.
    fn take_prefixes(
        &mut self,
        loser: PeerId,
        prefixes: &HashSet<Prefix>,
        winner: PublicKey,
    ) -> Result<(), Refusal> {
        let Some(facts) = self.tables.peer(loser).cloned() else {
            return Ok(());
        };
        if self.is_barred_from(facts.origin) {
            let first = facts.allowed_ips.iter().find(|p| prefixes.contains(p)).copied();
            return Err(match first {
                Some(prefix) if self.origin == Origin::Control => Refusal::PrefixTwice {
                    prefix,
                    first: facts.public_key,
                    second: winner,
                },
                Some(_) | None => Refusal::DeclaredInFile(facts.public_key),
            });
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
}

/// Name and groups end up in terminals, logs and metrics: they are short and show themselves as they are.
fn check_texts(peer: &Peer) -> Result<(), Refusal> {
    if peer.groups.len() > GROUPS_MAX {
        return Err(Refusal::TooMany {
            what: format!("groups of peer {}", peer.public_key),
            count: peer.groups.len(),
            most: GROUPS_MAX,
        });
    }
    let name = peer.name.iter().map(|name| ("name", name));
    for (what, text) in name.chain(peer.groups.iter().map(|group| ("group", group))) {
        let characters = text.chars().count();
        if characters == 0 || characters > NAME_MAX || text.chars().any(char::is_control) {
            return Err(Refusal::Text {
                peer: peer.public_key,
                what: what.to_owned(),
                value: text.clone(),
                expected: format!("1 to {NAME_MAX} characters, none of them a control character"),
            });
        }
    }
    Ok(())
}
