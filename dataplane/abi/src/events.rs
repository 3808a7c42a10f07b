//! What a watcher is told as it happens, in answer to [`crate::ipc::Request::Watch`].

use crate::desired::{Origin, Revision};
use crate::key::PublicKey;
use crate::peer_state::{PeerState, StateReason};
use crate::refused::RefusedHandshake;
use core::net::{IpAddr, SocketAddr};
use serde::{Deserialize, Serialize};

/// Watchers at a time.
pub const WATCHERS_MAX: usize = 16;

/// Events that wait for one watcher; what is beyond is told as [`EventKind::Lost`].
pub const QUEUE_MAX: usize = 4096;

/// A watcher hears something at least this often, be it that there is nothing.
pub const HEARTBEAT_MS: u64 = 5000;

/// Peers that a change names at most.
pub const NAMED_MAX: usize = 1000;

/// Something that happened.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// When: milliseconds since 1970.
    pub unix_ms: u64,
    /// What.
    pub what: EventKind,
}

/// What happened.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum EventKind {
    /// A set of changes was applied, which may have changed nothing.
    Changed {
        /// The revision that is in force since.
        revision: Revision,
        /// Who asked.
        origin: Origin,
        /// The peers that the set concerns, those that lost allowed IPs to others among them; `None` where they are more
        /// than [`NAMED_MAX`].
        peers: Option<Vec<PublicKey>>,
        /// Whether access rules are others.
        rules: bool,
    },
    /// A peer's session is in another state, or is in it for another reason.
    PeerState {
        /// The peer.
        peer: PublicKey,
        /// Its state since.
        state: PeerState,
        /// What brought it there.
        reason: StateReason,
    },
    /// Handshake messages were refused.
    Refused(RefusedHandshake),
    /// A shard began or ceased to demand that sources prove themselves.
    UnderLoad {
        /// The shard.
        shard: u16,
        /// Whether it does so now.
        on: bool,
    },
    /// An access rule that asks for it denied a flow.
    Denied(DeniedFlow),
    /// Authentic packets of a peer came from another place than before; it is reached there from now on.
    Roamed {
        /// The peer.
        peer: PublicKey,
        /// Where it was, if that was known.
        from: Option<SocketAddr>,
        /// Where it is.
        to: SocketAddr,
    },
    /// Something that an operator should know.
    Warning(String),
    /// So many events were lost, as this watcher, or the data plane itself, was too slow to take them in. The status has
    /// what they told.
    Lost(u64),
}

/// A flow that an access rule denied.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DeniedFlow {
    /// Who wanted to open it; `None` where the peer is gone.
    pub peer: Option<PublicKey>,
    /// Whose rule it was, and which: rules of each owner count from 1. `None` where the rules are others by now.
    pub rule: Option<(Origin, u32)>,
    /// The rule's name for people.
    pub rule_name: Option<String>,
    /// From where.
    pub source: IpAddr,
    /// To where.
    pub destination: IpAddr,
    /// The transport, by IANA's number; `None` of a fragment that does not show it.
    pub protocol: Option<u8>,
    /// The source's port, of TCP and UDP.
    pub source_port: Option<u16>,
    /// The destination's port, of TCP and UDP.
    pub destination_port: Option<u16>,
    /// Packets denied before it that were to be told and were not, as there were too many.
    pub left_out: u32,
}
