//! What `/v1/events` tells, each as one server-sent event whose name is the variant's.

use super::peer::{Live, Owner, PeerState};
use super::status::{Alert, PeerCounts, RefusedHandshake};
use super::text::Key;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// One event. Its JSON is the variant's alone; the name is the event's.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Event {
    /// `status`: every second while somebody listens.
    Status(StatusTick),
    /// `peer_state`: a peer stands elsewhere.
    PeerState(PeerStateChanged),
    /// `refused`: a handshake was refused.
    Refused(RefusedHandshake),
    /// `change`: the configuration changed.
    Change(Changed),
    /// `alert`: an alert was raised or is over.
    Alert(AlertChanged),
    /// `denied`: an access rule that logs denied a flow.
    Denied(DeniedFlow),
    /// `peer`: counters of the peer that was asked for, every second.
    Peer(PeerTick),
    /// `lost`: events were lost; what is shown is to be read again.
    Lost(LostEvents),
}

impl Event {
    /// The event's name.
    pub fn name(&self) -> &'static str {
        match self {
            Event::Status(_) => "status",
            Event::PeerState(_) => "peer_state",
            Event::Refused(_) => "refused",
            Event::Change(_) => "change",
            Event::Alert(_) => "alert",
            Event::Denied(_) => "denied",
            Event::Peer(_) => "peer",
            Event::Lost(_) => "lost",
        }
    }

    /// Whether it is of the moment alone: neither kept for those who come back nor numbered.
    pub fn is_transient(&self) -> bool {
        matches!(self, Event::Status(_) | Event::Peer(_) | Event::Lost(_))
    }
}

/// The gateway in one second.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct StatusTick {
    /// The second.
    pub unix_s: u64,
    /// Whether the data plane is there.
    pub dataplane: bool,
    /// Bits a second received.
    pub rx_bps: u64,
    /// Bits a second sent.
    pub tx_bps: u64,
    /// Packets a second received.
    pub rx_pps: u64,
    /// Packets a second sent.
    pub tx_pps: u64,
    /// Handshakes completed.
    pub handshakes: u64,
    /// Packets dropped.
    pub drops: u64,
    /// Peers by state.
    pub peers: PeerCounts,
    /// Alerts that are raised now.
    pub alerts: u64,
}

/// A peer stands elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct PeerStateChanged {
    /// When.
    pub at: Timestamp,
    /// Which peer.
    pub public_key: Key,
    /// Its name.
    pub name: Option<String>,
    /// Where it stands now.
    pub state: PeerState,
    /// Why, in one line.
    pub reason: String,
}

/// The configuration changed.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Changed {
    /// When.
    pub at: Timestamp,
    /// By whom, as the audit log names them.
    pub actor: String,
    /// Where what changed is declared.
    pub owner: Owner,
    /// Which peers; null where they are many.
    pub peers: Option<Vec<Key>>,
    /// Whether access rules changed.
    pub rules: bool,
    /// Whether users, tokens or settings changed.
    pub administration: bool,
}

/// An alert was raised or is over.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct AlertChanged {
    /// Whether it is raised.
    pub raised: bool,
    /// The alert.
    pub alert: Alert,
}

/// A flow that an access rule denied.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct DeniedFlow {
    /// When.
    pub at: Timestamp,
    /// Whose it was.
    pub public_key: Option<Key>,
    /// The rule's name.
    pub rule: Option<String>,
    /// The inner source.
    pub source: String,
    /// The inner destination.
    pub destination: String,
    /// The protocol, as rules name it.
    pub protocol: String,
    /// The destination port, where the protocol has one.
    pub port: Option<u16>,
}

/// A peer in one second.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct PeerTick {
    /// The second.
    pub unix_s: u64,
    /// Which peer.
    pub public_key: Key,
    /// How it is.
    pub live: Live,
}

/// Events were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct LostEvents {
    /// How many; null where that is not known.
    pub count: Option<u64>,
}
