//! Records as the data plane is told them.

use crate::record::Peer;
use weir_abi::change::{AllowedIpChange, Change, PeerChange};
use weir_abi::desired::{self, Origin};
use weir_abi::key::{PresharedKey, PublicKey};

/// A record as a declaration.
pub fn declared(peer: &Peer) -> desired::Peer {
    desired::Peer {
        public_key: peer.public_key,
        preshared_key: peer.preshared_key.clone(),
        endpoint: peer.endpoint.clone(),
        allowed_ips: peer.allowed_ips.clone(),
        persistent_keepalive: peer.persistent_keepalive,
        name: peer.name.clone(),
        groups: peer.groups.clone(),
        origin: Origin::Control,
    }
}

/// The change that makes the data plane's peer this one, or takes it away; whatever it was before, but that an endpoint
/// which is no longer configured stays: only [`Change::ReplacePeers`] takes one away.
pub fn pushed(key: PublicKey, peer: Option<&Peer>) -> Change {
    let Some(peer) = peer else {
        return Change::RemovePeer(key);
    };
    Change::Peer(PeerChange {
        update_only: false,
        preshared_key: Some(peer.preshared_key.clone().unwrap_or(PresharedKey::ZERO)),
        endpoint: peer.endpoint.clone(),
        persistent_keepalive: Some(peer.persistent_keepalive.unwrap_or(0)),
        replace_allowed_ips: true,
        allowed_ips: peer
            .allowed_ips
            .iter()
            .copied()
            .map(AllowedIpChange::Add)
            .collect(),
        name: Some(peer.name.clone().unwrap_or_default()),
        groups: Some(peer.groups.clone()),
        ..PeerChange::new(key)
    })
}
