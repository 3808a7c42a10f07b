//! One generation of everything that shards look up: immutable, published whole, sharing with the last generation
//! what did not change.

use crate::access::Access;
use crate::limits::CHANGE_LOG;
use crate::map::SharedMap;
use crate::routes::Routes;
use crate::slots::SlotTable;
use core::net::SocketAddr;
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use weir_abi::desired::{Origin, Revision};
use weir_abi::endpoint::Endpoint;
use weir_abi::key::{PresharedKey, PublicKey};
use weir_abi::prefix::Prefix;
use weir_noise::{Identity, Remote, Tai64n};

/// A registered peer's number, never used again for another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PeerId(pub u32);

/// What survived a restart of a peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Remembered {
    /// Its last endpoint.
    pub endpoint: Option<SocketAddr>,
    /// The greatest timestamp received in an initiation of it.
    pub timestamp: Option<Tai64n>,
}

/// What is to be of one peer, as shards and the handshake worker see it.
pub struct PeerFacts {
    /// Its number.
    pub id: PeerId,
    /// Its static key.
    pub public_key: PublicKey,
    /// All zero where none is set.
    pub preshared_key: PresharedKey,
    /// The endpoint as configured.
    pub configured_endpoint: Option<Endpoint>,
    /// The endpoint as an address: configured, resolved or remembered.
    pub endpoint: Option<SocketAddr>,
    /// Counts how often `endpoint` was set on purpose, which overrides what the peer's packets taught.
    pub endpoint_serial: u32,
    /// Its prefixes, in the order in which they came.
    pub allowed_ips: Vec<Prefix>,
    /// Seconds.
    pub persistent_keepalive: Option<u16>,
    /// For people.
    pub name: Option<Arc<str>>,
    /// The groups it is of.
    pub groups: Vec<String>,
    /// Who declared it.
    pub origin: Origin,
    /// The greatest timestamp known when the tables were made.
    pub timestamp: Option<Tai64n>,
    pub(crate) remote: OnceLock<Option<Remote>>,
}

impl PeerFacts {
    /// The handshake's precomputation: an X25519 on first use, so only the worker asks for it. `None` for a key of
    /// low order.
    pub fn remote(&self, identity: &Identity) -> Option<&Remote> {
        self.remote
            .get_or_init(|| Remote::new(identity, self.public_key))
            .as_ref()
    }

    /// The precomputation, if it was made.
    pub fn known_remote(&self) -> Option<&Remote> {
        self.remote.get().and_then(Option::as_ref)
    }
}

/// The tables.
#[derive(Clone)]
pub struct Tables {
    /// Counts publications.
    pub generation: u64,
    /// The desired state's revision that these tables stand for.
    pub revision: Revision,
    /// Our identity, while there is a private key.
    pub identity: Option<Arc<Identity>>,
    /// Counts changes of the identity.
    pub identity_serial: u64,
    /// Which shard answers for which slot.
    pub slots: Arc<SlotTable>,
    /// The tunnel's MTU in bytes.
    pub mtu: u16,
    /// Peers by static key.
    pub by_key: SharedMap<PublicKey, PeerId>,
    /// Peers by number.
    pub peers: SharedMap<PeerId, Arc<PeerFacts>>,
    /// Cryptokey routing.
    pub routes: Routes,
    /// What peers may open.
    pub access: Arc<Access>,
    /// What the last generations changed.
    changes: VecDeque<(u64, Arc<[PeerId]>)>,
}

impl Tables {
    /// The empty tables of a gateway with `shards` shards.
    pub fn new(shards: usize, mtu: u16) -> Self {
        Self {
            generation: 0,
            revision: Revision(0),
            identity: None,
            identity_serial: 0,
            slots: Arc::new(SlotTable::spread(shards)),
            mtu,
            by_key: SharedMap::default(),
            peers: SharedMap::default(),
            routes: Routes::default(),
            access: Arc::default(),
            changes: VecDeque::new(),
        }
    }

    /// The peer with this number, if it is still registered.
    pub fn peer(&self, id: PeerId) -> Option<&Arc<PeerFacts>> {
        self.peers.get(&id)
    }

    /// The peer with this key.
    pub fn peer_by_key(&self, key: &PublicKey) -> Option<&Arc<PeerFacts>> {
        self.by_key.get(key).and_then(|id| self.peers.get(id))
    }

    /// Makes this the next generation, in which these peers changed, came or went.
    pub(crate) fn advance(&mut self, changed: Vec<PeerId>) {
        self.generation += 1;
        self.changes.push_back((self.generation, changed.into()));
        while self.changes.len() > CHANGE_LOG {
            self.changes.pop_front();
        }
    }

    /// The peers that changed since `generation`, some perhaps twice; `None` when that is too long ago to tell.
    pub fn changed_since(&self, generation: u64) -> Option<impl Iterator<Item = PeerId> + '_> {
        let covered = self.generation == generation
            || self
                .changes
                .front()
                .is_some_and(|&(oldest, _)| oldest <= generation + 1);
        covered.then(|| {
            self.changes
                .iter()
                .filter(move |(made, _)| *made > generation)
                .flat_map(|(_, peers)| peers.iter().copied())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches a change that a shard which skipped generations never hears of.
    #[test]
    fn changes_are_told_back_to_the_log_s_end() {
        let mut tables = Tables::new(1, 1420);
        for n in 1..=CHANGE_LOG as u32 + 10 {
            tables.advance(vec![PeerId(n)]);
        }
        let now = tables.generation;
        let since = |g| tables.changed_since(g).map(|peers| peers.collect::<Vec<_>>());
        assert_eq!(since(now), Some(vec![]));
        assert_eq!(
            since(now - 2),
            Some(vec![PeerId(now as u32 - 1), PeerId(now as u32)])
        );
        assert_eq!(since(10).map(|p| p.len()), Some(CHANGE_LOG));
        assert_eq!(since(9), None);
    }
}
