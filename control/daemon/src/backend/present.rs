//! What is known, as the API's types say it.

use crate::clock;
use crate::learnt::Learnt;
use crate::world::{Published, World};
use std::sync::Arc;
use weir_abi::desired::Origin;
use weir_abi::key::PublicKey;
use weir_abi::peer_state::PeerState as State;
use weir_abi::refused::RefusedHandshake;
use weir_abi::status::{Health as AbiHealth, PeerStatus};
use weir_api::types::{
    self, Cidr, DiffEntry, DiffOp, Endpoint, Health, Key, Live, Owner, Peer, PeerCounts, PeerState,
};
use weir_model::record;
use weir_model::{Difference, DifferenceKind};

/// A peer's record, and where it is declared.
#[derive(Clone, Debug)]
pub enum Known {
    /// In the store.
    Store(Arc<record::Peer>),
    /// In `weir.toml`: what the data plane says of it.
    File(Arc<PeerStatus>),
}

impl Known {
    /// Its key.
    pub fn key(&self) -> PublicKey {
        match self {
            Known::Store(peer) => peer.public_key,
            Known::File(peer) => peer.public_key,
        }
    }

    /// Its name.
    pub fn name(&self) -> Option<&str> {
        match self {
            Known::Store(peer) => peer.name.as_deref(),
            Known::File(peer) => peer.name.as_deref(),
        }
    }

    /// Its groups.
    pub fn groups(&self) -> &[String] {
        match self {
            Known::Store(peer) => &peer.groups,
            Known::File(peer) => &peer.groups,
        }
    }

    /// Its networks.
    pub fn allowed_ips(&self) -> &[weir_abi::prefix::Prefix] {
        match self {
            Known::Store(peer) => &peer.allowed_ips,
            Known::File(peer) => &peer.allowed_ips,
        }
    }

    /// Its configured endpoint.
    pub fn endpoint(&self) -> Option<&weir_abi::endpoint::Endpoint> {
        match self {
            Known::Store(peer) => peer.endpoint.as_ref(),
            Known::File(peer) => peer.configured_endpoint.as_ref(),
        }
    }

    /// Who owns it.
    pub fn owner(&self) -> Owner {
        match self {
            Known::Store(_) => Owner::Control,
            Known::File(_) => Owner::File,
        }
    }
}

/// The peer with this key, wherever it is declared. A peer in both is shown as the store's, with its conflict.
pub fn find(published: &Published, learnt: &Learnt, key: &PublicKey) -> Option<Known> {
    if let Some(peer) = published.state.peer(key) {
        return Some(Known::Store(Arc::clone(peer)));
    }
    let status = learnt.peers.get(key).filter(|peer| peer.origin == Origin::File)?;
    Some(Known::File(Arc::clone(status)))
}

/// Every peer.
pub fn all(published: &Published, learnt: &Learnt) -> Vec<Known> {
    let own = published
        .state
        .peers
        .values()
        .map(|peer| Known::Store(Arc::clone(peer)));
    let file = learnt.peers.values().filter(|peer| peer.origin == Origin::File);
    let file = file.filter(|peer| !published.state.peers.contains_key(&peer.public_key));
    own.chain(file.map(|peer| Known::File(Arc::clone(peer))))
        .collect()
}

/// A peer as the API tells it. `totals` are its bytes for life.
pub fn peer(known: &Known, published: &Published, learnt: &Learnt, totals: (u64, u64)) -> Peer {
    let key = known.key();
    let conflict = published.conflicts.get(&key).cloned();
    let status = learnt.peer(&key).filter(|_| conflict.is_none());
    let record = match known {
        Known::Store(peer) => Some(peer),
        Known::File(_) => None,
    };
    let has_preshared_key = match known {
        Known::Store(peer) => peer.preshared_key.is_some(),
        Known::File(peer) => peer.has_preshared_key,
    };
    let keepalive = match known {
        Known::Store(peer) => peer.persistent_keepalive,
        Known::File(peer) => peer.persistent_keepalive,
    };
    Peer {
        public_key: Key(key),
        name: known.name().map(str::to_owned),
        groups: known.groups().to_vec(),
        allowed_ips: known.allowed_ips().iter().copied().map(Cidr).collect(),
        endpoint: known.endpoint().cloned().map(Endpoint),
        persistent_keepalive: keepalive,
        has_preshared_key,
        disabled: record.is_some_and(|peer| peer.disabled),
        expires_at: record.and_then(|peer| peer.expires_at),
        notes: record.map(|peer| peer.notes.clone()).unwrap_or_default(),
        owner: known.owner(),
        created_at: record.map(|peer| peer.created_at),
        updated_at: record.map(|peer| peer.updated_at),
        conflict,
        live: live(status.map(|status| &**status), totals, || {
            absent(record.map(|p| &**p), published, learnt)
        }),
    }
}

/// Why a peer is not in the data plane.
fn absent(record: Option<&record::Peer>, published: &Published, learnt: &Learnt) -> String {
    let now = clock::now();
    let Some(peer) = record else {
        return "The data plane is away.".to_owned();
    };
    if let Some(why) = published.conflicts.get(&peer.public_key) {
        return why.clone();
    }
    if peer.disabled {
        return "It is disabled.".to_owned();
    }
    if peer.expires_at.is_some_and(|at| at <= now) {
        return "It has expired.".to_owned();
    }
    if !learnt.connected {
        return "The data plane is away.".to_owned();
    }
    "The data plane has not taken it over yet.".to_owned()
}

/// How a peer is now; `absent` says why it is not in the data plane where it is not.
pub fn live(status: Option<&PeerStatus>, (rx, tx): (u64, u64), absent: impl FnOnce() -> String) -> Live {
    let Some(peer) = status else {
        return Live {
            state: PeerState::Absent,
            state_since: None,
            state_reason: absent(),
            health: Health::Absent,
            trouble: None,
            endpoint: None,
            last_handshake_at: None,
            rx_bytes: 0,
            tx_bytes: 0,
            rx_bytes_total: rx,
            tx_bytes_total: tx,
            latency_ms: None,
            handshake_ms: None,
            shard: None,
        };
    };
    let ms = |us: u64| us as f64 / 1000.0;
    Live {
        state: peer_state(peer.state),
        state_since: clock::from_unix_ms(peer.state_since_unix_ms),
        state_reason: peer.state_reason.text().to_owned(),
        health: match peer.health {
            AbiHealth::Healthy => Health::Healthy,
            AbiHealth::Idle => Health::Idle,
            AbiHealth::Degraded => Health::Degraded,
        },
        trouble: peer.trouble.clone(),
        endpoint: peer.endpoint.map(|endpoint| endpoint.to_string()),
        last_handshake_at: clock::from_unix_ns(peer.last_handshake_unix_ns),
        rx_bytes: peer.rx_bytes,
        tx_bytes: peer.tx_bytes,
        rx_bytes_total: rx,
        tx_bytes_total: tx,
        latency_ms: peer.latency_us.map(ms),
        handshake_ms: peer.handshake_us.map(ms),
        shard: peer.shard,
    }
}

/// A state.
pub fn peer_state(state: State) -> PeerState {
    match state {
        State::Init => PeerState::Init,
        State::Handshaking => PeerState::Handshaking,
        State::Connected => PeerState::Connected,
        State::Rekeying => PeerState::Rekeying,
        State::Disconnected => PeerState::Disconnected,
    }
}

/// Peers by state.
pub fn counts(world: &World) -> PeerCounts {
    let (published, learnt) = (world.published.load(), world.learnt.load());
    let mut counts = PeerCounts::default();
    let mut count = |status: Option<&Arc<PeerStatus>>| {
        counts.total += 1;
        let Some(peer) = status else {
            counts.absent += 1;
            return;
        };
        counts.degraded += u64::from(peer.health == AbiHealth::Degraded);
        match peer.state {
            State::Connected | State::Rekeying => counts.connected += 1,
            State::Handshaking => counts.handshaking += 1,
            State::Init | State::Disconnected => counts.disconnected += 1,
        }
    };
    for key in published.state.peers.keys() {
        count(
            learnt
                .peer(key)
                .filter(|_| !published.conflicts.contains_key(key)),
        );
    }
    for peer in learnt.peers.values().filter(|peer| peer.origin == Origin::File) {
        if !published.state.peers.contains_key(&peer.public_key) {
            count(learnt.peer(&peer.public_key));
        }
    }
    counts
}

/// A refused handshake.
pub fn refused(refused: &RefusedHandshake) -> types::RefusedHandshake {
    types::RefusedHandshake {
        at: clock::from_unix_ms(refused.unix_ms).unwrap_or_else(clock::now),
        source: refused.source.to_string(),
        why: refused.why.name().to_owned(),
        peer: refused.peer.map(Key),
        count: refused.count,
    }
}

/// Differences.
pub fn diff(differences: Vec<Difference>) -> Vec<DiffEntry> {
    let entry = |difference: Difference| DiffEntry {
        op: match difference.kind {
            DifferenceKind::Add => DiffOp::Add,
            DifferenceKind::Remove => DiffOp::Remove,
            DifferenceKind::Replace => DiffOp::Replace,
        },
        path: difference.path,
        before: difference.before,
        after: difference.after,
    };
    differences.into_iter().map(entry).collect()
}
