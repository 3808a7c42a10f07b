//! Between peers as they are declared and peers as the tables have them.

use crate::tables::{PeerFacts, Tables};
use weir_abi::desired::Peer;
use weir_abi::key::PresharedKey;

impl Tables {
    /// The peers as they would be declared, preshared keys included, in the order in which they were.
    pub fn declared(&self) -> Vec<Peer> {
        let mut facts: Vec<_> = self.peers.iter().map(|(_, facts)| facts).collect();
        facts.sort_unstable_by_key(|facts| facts.id);
        facts.into_iter().map(|facts| declared(facts)).collect()
    }
}

pub(super) fn no_preshared_key() -> PresharedKey {
    PresharedKey::from_bytes([0; 32])
}

/// The peer as it would be declared.
pub(super) fn declared(facts: &PeerFacts) -> Peer {
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

/// The same facts, to be changed.
pub(super) fn copy(facts: &PeerFacts) -> PeerFacts {
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
