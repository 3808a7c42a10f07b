//! The one place where desired facts become tables: checked as a whole, applied all or not at all, published at once.

mod declare;
mod draft;
mod facts;

use crate::tables::{PeerFacts, PeerId, Remembered, Tables};
use arc_swap::ArcSwap;
use core::net::SocketAddr;
use draft::Draft;
use facts::copy;
use std::collections::HashMap;
use std::sync::Arc;
use weir_abi::change::{ChangeSet, Refusal};
use weir_abi::desired::{Desired, Revision};
use weir_abi::endpoint::Endpoint;
use weir_abi::key::{PrivateKey, PublicKey};

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

/// What a set of changes did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Applied {
    /// The revision that is in force since.
    pub revision: Revision,
    /// The peers that it concerns, each once.
    pub peers: Vec<PublicKey>,
    /// Whether access rules are others.
    pub rules: bool,
}

/// A set of changes that was checked and is ready to be in force.
pub struct Prepared {
    /// The generation that it follows.
    after: u64,
    tables: Tables,
    interface: Interface,
    next_peer: u32,
    applied: Applied,
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
        Desired {
            private_key: self.interface.private_key.clone(),
            listen_port: self.interface.listen_port,
            fwmark: self.interface.fwmark,
            peers: tables.declared(),
            rules: tables.access.declared().all().to_vec(),
        }
    }

    /// Checks a set of changes; nothing is changed until it is committed.
    pub fn prepare(&self, set: &ChangeSet) -> Result<Prepared, Refusal> {
        let current = self.published.load_full();
        if let Some(base) = set.base
            && base != current.revision
        {
            return Err(Refusal::Stale {
                base: base.0,
                current: current.revision.0,
            });
        }
        Draft::new(self, &current, set.origin).finish(&set.changes)
    }

    /// Puts a prepared set in force.
    ///
    /// # Panics
    /// If something else was put in force since it was prepared.
    pub fn commit(&mut self, prepared: Prepared) -> Applied {
        let now = self.published.load().generation;
        assert_eq!(
            now, prepared.after,
            "a set is committed on the state it was checked against"
        );
        self.interface = prepared.interface;
        self.next_peer = prepared.next_peer;
        self.published.store(Arc::new(prepared.tables));
        prepared.applied
    }

    /// Applies a set of changes, or nothing of it.
    pub fn apply(&mut self, set: &ChangeSet) -> Result<Applied, Refusal> {
        let prepared = self.prepare(set)?;
        Ok(self.commit(prepared))
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
