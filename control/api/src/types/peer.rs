//! Peers: what they are, what a request says of them, and how they are now.

use super::secret::PresharedKeyInput;
use super::text::{Cidr, Endpoint, Key, Name, Notes};
use super::{object, patch};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A peer: its configuration, and how it is now.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Peer {
    /// What it is known by.
    pub public_key: Key,
    /// Its name for people; null for a peer that came by `wg` without one.
    pub name: Option<String>,
    /// The groups it is of, by which access rules name it.
    pub groups: Vec<String>,
    /// Cryptokey routing: the sources it may use and the destinations it is sent.
    pub allowed_ips: Vec<Cidr>,
    /// Where to send the first initiation; null for one that calls in.
    pub endpoint: Option<Endpoint>,
    /// Seconds between keepalives sent whether or not there is traffic; null is off.
    pub persistent_keepalive: Option<u16>,
    /// Whether a preshared key is set. The key itself is never answered.
    pub has_preshared_key: bool,
    /// Whether it is kept out of the data plane.
    pub disabled: bool,
    /// When it is kept out of the data plane by itself.
    pub expires_at: Option<Timestamp>,
    /// Free text.
    pub notes: String,
    /// Who owns it.
    pub owner: Owner,
    /// When it was declared; null where `weir.toml` does.
    pub created_at: Option<Timestamp>,
    /// When its configuration changed last; null where `weir.toml` declares it.
    pub updated_at: Option<Timestamp>,
    /// What keeps it from being in force, naming both sides; null where nothing does.
    pub conflict: Option<String>,
    /// How it is now.
    pub live: Live,
}

/// Who owns a declaration, and so where it is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// `weir.toml`, read-only here.
    File,
    /// The store of control, changed here and by `wg`.
    Control,
}

/// How a peer is now. Durations in milliseconds, volumes in bytes.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Live {
    /// Where it stands.
    pub state: PeerState,
    /// Since when.
    pub state_since: Option<Timestamp>,
    /// Why, in one line.
    pub state_reason: String,
    /// At a glance.
    pub health: Health,
    /// What is wrong, in one line.
    pub trouble: Option<String>,
    /// Where it is reached now.
    pub endpoint: Option<String>,
    /// When the last handshake completed.
    pub last_handshake_at: Option<Timestamp>,
    /// Bytes received since the data plane started, as `wg` counts them.
    pub rx_bytes: u64,
    /// Bytes sent since the data plane started, as `wg` counts them.
    pub tx_bytes: u64,
    /// Bytes received since the peer was declared.
    pub rx_bytes_total: u64,
    /// Bytes sent since the peer was declared.
    pub tx_bytes_total: u64,
    /// Round trip of the last handshake or probe.
    pub latency_ms: Option<f64>,
    /// Duration of the last handshake that this gateway began.
    pub handshake_ms: Option<f64>,
    /// The shard that is its home, while it is active.
    pub shard: Option<u16>,
}

/// Where a peer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PeerState {
    /// Nothing was tried yet.
    Init,
    /// A handshake is under way.
    Handshaking,
    /// It has a session.
    Connected,
    /// It has a session, and the next is being made.
    Rekeying,
    /// It has no session any more, or none came to be.
    Disconnected,
    /// It is not in the data plane: disabled, expired, in conflict, or the data plane is away.
    Absent,
}

/// How a peer is, at a glance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Authenticated packets arrived within the last 180 s.
    Healthy,
    /// No session is wanted.
    Idle,
    /// Something is wrong; `trouble` says what.
    Degraded,
    /// It is not in the data plane.
    Absent,
}

/// What a peer is to be.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PeerInput {
    /// Its name for people.
    pub name: Name,
    /// What it is known by. When a peer is created without one, its keys are made and its configuration is answered
    /// once; in the body of a PUT it may be left out, else it is the path's.
    #[serde(default)]
    #[schema(value_type = Option<Key>)]
    pub public_key: Option<Key>,
    /// `"generate"`, a key, or null for none. Absent, an existing peer keeps its own and a new one has none.
    #[serde(default, deserialize_with = "patch::member")]
    #[schema(value_type = Option<PresharedKeyInput>)]
    pub preshared_key: Option<Option<PresharedKeyInput>>,
    /// The groups it is of; absent is none.
    #[serde(default)]
    #[schema(max_items = 64)]
    pub groups: Vec<Name>,
    /// Its networks. Absent, an existing peer keeps its own and a new one is given free addresses of the interface's
    /// networks.
    #[serde(default)]
    #[schema(max_items = 256)]
    pub allowed_ips: Option<Vec<Cidr>>,
    /// Where it is reached; absent for one that calls in.
    #[serde(default)]
    #[schema(value_type = Option<Endpoint>)]
    pub endpoint: Option<Endpoint>,
    /// Seconds between keepalives; absent or 0 is off.
    #[serde(default)]
    #[schema(maximum = 65535)]
    pub persistent_keepalive: Option<u16>,
    /// Whether it is kept out of the data plane.
    #[serde(default)]
    pub disabled: bool,
    /// When it is kept out of the data plane by itself.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// Free text.
    #[serde(default)]
    #[schema(value_type = Notes)]
    pub notes: Notes,
    /// Whether the client's configuration sends all of its traffic here.
    #[serde(default)]
    pub full_tunnel: bool,
}

/// A merge patch (RFC 7396) of a peer: absent members stay, null clears.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PeerPatch {
    /// Its name for people.
    #[serde(default)]
    #[schema(value_type = Option<Name>)]
    pub name: Option<Name>,
    /// `"generate"`, a key, or null for none.
    #[serde(default, deserialize_with = "patch::member")]
    #[schema(value_type = Option<PresharedKeyInput>)]
    pub preshared_key: Option<Option<PresharedKeyInput>>,
    /// The groups it is of, all of them.
    #[serde(default, deserialize_with = "patch::member")]
    #[schema(value_type = Option<Vec<Name>>, max_items = 64)]
    pub groups: Option<Option<Vec<Name>>>,
    /// Its networks, all of them.
    #[serde(default)]
    #[schema(max_items = 256)]
    pub allowed_ips: Option<Vec<Cidr>>,
    /// Where it is reached.
    #[serde(default, deserialize_with = "patch::member")]
    #[schema(value_type = Option<Endpoint>)]
    pub endpoint: Option<Option<Endpoint>>,
    /// Seconds between keepalives; 0 and null are off.
    #[serde(default, deserialize_with = "patch::member")]
    #[schema(value_type = Option<u16>, maximum = 65535)]
    pub persistent_keepalive: Option<Option<u16>>,
    /// Whether it is kept out of the data plane.
    #[serde(default)]
    pub disabled: Option<bool>,
    /// When it is kept out of the data plane by itself.
    #[serde(default, deserialize_with = "patch::member")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Option<Timestamp>>,
    /// Free text.
    #[serde(default, deserialize_with = "patch::member")]
    #[schema(value_type = Option<Notes>)]
    pub notes: Option<Option<Notes>>,
}

/// A page of peers.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Peers {
    /// The peers.
    pub items: Vec<Peer>,
    /// Where the next page begins; null on the last.
    pub next_cursor: Option<String>,
    /// Peers that the query matches, on all pages.
    pub total: u64,
}

/// A peer that was created.
#[derive(Clone, PartialEq, Serialize, ToSchema)]
pub struct PeerCreated {
    /// The peer.
    pub peer: Peer,
    /// The client's configuration with its private key, where that was made here; it is answered this once.
    pub config: Option<String>,
}

/// The answer that shows a new preshared key.
#[derive(Clone, PartialEq, Serialize, ToSchema)]
pub struct PeerConfig {
    /// The client's configuration with the new preshared key and without its private key; answered this once.
    pub config: String,
}

/// Several changes of peers, all or nothing, in their order.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkInput {
    /// The changes.
    #[serde(deserialize_with = "object::list")]
    #[schema(value_type = Vec<BulkOperation>, min_items = 1, max_items = 1000)]
    pub operations: Vec<BulkEntry>,
}

/// One change of several as it is written. What `peer` is depends on `op`, so that it is read after both, and its
/// faults are named by their fields.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BulkEntry {
    /// What is to be done.
    pub op: BulkOp,
    /// To which peer.
    pub public_key: Key,
    /// What it is to be, or what changes.
    #[serde(default)]
    pub peer: Option<serde_json::Value>,
}

impl core::fmt::Debug for BulkEntry {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        // What is to be may hold a preshared key.
        f.debug_struct("BulkEntry")
            .field("op", &self.op)
            .field("public_key", &self.public_key)
            .finish_non_exhaustive()
    }
}

/// What is done with one of several peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BulkOp {
    /// Created or replaced.
    Put,
    /// Changed.
    Patch,
    /// Removed.
    Delete,
}

/// One change of several.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum BulkOperation {
    /// Creates or replaces a peer.
    Put {
        /// Which.
        public_key: Key,
        /// What it is to be.
        peer: PeerInput,
    },
    /// Changes a peer.
    Patch {
        /// Which.
        public_key: Key,
        /// What changes.
        peer: PeerPatch,
    },
    /// Removes a peer.
    Delete {
        /// Which.
        public_key: Key,
    },
}

/// What several changes did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct BulkDone {
    /// Peers created.
    pub created: u64,
    /// Peers changed.
    pub changed: u64,
    /// Peers removed.
    pub removed: u64,
}

/// The groups that peers are of.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Groups {
    /// By name.
    pub items: Vec<Group>,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Peers that are of it.
    pub peers: u64,
}
