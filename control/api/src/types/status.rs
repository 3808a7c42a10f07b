//! How the gateway is: status, ports, throughput, topology, alerts.

use super::peer::PeerState;
use super::text::Key;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// How the gateway is.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Status {
    /// The control process.
    pub control: ControlStatus,
    /// The data plane; null while it is away.
    pub dataplane: Option<DataPlaneStatus>,
    /// Peers by state.
    pub peers: PeerCounts,
    /// Alerts that are raised now.
    pub alerts: u64,
}

/// The control process.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ControlStatus {
    /// The program's version.
    pub version: String,
    /// When it started.
    pub started_at: Timestamp,
    /// The state of its store.
    pub store: StoreState,
    /// What is wrong with the store, in one line.
    pub store_trouble: Option<String>,
    /// Changes not yet confirmed by the data plane.
    pub pending: u64,
}

/// The state of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StoreState {
    /// It is read and written.
    Ok,
    /// It was damaged; the last good copy is in use.
    LastGoodCopy,
    /// It cannot be written: read-only.
    ReadOnly,
    /// It cannot be written: no space left.
    Full,
}

/// The data plane.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct DataPlaneStatus {
    /// The interface's name.
    pub interface: String,
    /// The program's version.
    pub version: String,
    /// The process's number.
    pub pid: u32,
    /// When it started.
    pub started_at: Timestamp,
    /// The revision in force.
    pub revision: u64,
    /// The interface's public key, while it has a private one.
    pub public_key: Option<Key>,
    /// The UDP port in force.
    pub listen_port: u16,
    /// The mark on outgoing datagrams; 0 is none.
    pub fwmark: u32,
    /// The tunnel's MTU in bytes.
    pub mtu: u32,
    /// The interface's addresses with their lengths.
    pub addresses: Vec<String>,
    /// The endpoint that clients' configurations name.
    pub client_endpoint: Option<String>,
    /// The DNS servers that clients' configurations name.
    pub dns: Vec<String>,
    /// The AEAD back end in force.
    pub aead: String,
    /// The best back end for this CPU.
    pub aead_best: String,
    /// How datagrams find their shard, and why not a better way.
    pub steering: String,
    /// Whether the kernel forwards packets.
    pub forwarding: bool,
    /// What an operator should know.
    pub warnings: Vec<String>,
    /// Handshake messages waiting for the worker.
    pub handshake_queue: u64,
    /// The shards.
    pub shards: Vec<Shard>,
    /// Handshakes refused lately, the newest first.
    pub refused: Vec<RefusedHandshake>,
}

/// One shard.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Shard {
    /// Its number.
    pub shard: u16,
    /// Peers at home here.
    pub active_peers: u64,
    /// Whether cookies are demanded now.
    pub under_load: bool,
    /// Packets opened.
    pub opened: u64,
    /// Packets sealed.
    pub sealed: u64,
    /// Frames handed to other shards.
    pub handed_over: u64,
    /// Handshakes completed.
    pub handshakes: u64,
    /// Cookie replies sent.
    pub cookie_replies: u64,
    /// Drops by reason.
    pub drops: BTreeMap<String, u64>,
    /// Its ports.
    pub ports: Vec<Port>,
}

/// The ports of all shards.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct PortList {
    /// The ports.
    pub items: Vec<Port>,
    /// Devices of AF_XDP.
    pub devices: Vec<Device>,
}

/// One port of a shard.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Port {
    /// The shard that drives it.
    pub shard: u16,
    /// What it is: `wan`, `lan` or `host`.
    pub role: String,
    /// The device and queue that it works on, such as `eth1 queue 0`.
    pub queue: Option<String>,
    /// The mode in force.
    pub mode: String,
    /// Frames received.
    pub rx_frames: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Errors and drops of the port itself.
    pub errors: BTreeMap<String, u64>,
}

/// One device of AF_XDP.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Device {
    /// Its name.
    pub device: String,
    /// What arrives there: `wan` or `lan`.
    pub role: String,
    /// Where the XDP program runs: `driver` or `generic`; `no` while the device is gone.
    pub attached: String,
}

/// A handshake that was refused.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct RefusedHandshake {
    /// When it was refused last.
    pub at: Timestamp,
    /// Where it came from, as address and port.
    pub source: String,
    /// Why: `wrong_mac1`, `unknown_peer`, `old_timestamp`, `undecryptable`, `wrong_preshared_key`, `too_many`.
    pub why: String,
    /// Whose it was, where that could be decrypted.
    pub peer: Option<Key>,
    /// How often.
    pub count: u64,
}

/// Peers by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct PeerCounts {
    /// All of them.
    pub total: u64,
    /// With a session.
    pub connected: u64,
    /// Making one.
    pub handshaking: u64,
    /// Without one.
    pub disconnected: u64,
    /// Kept out of the data plane.
    pub absent: u64,
    /// In trouble.
    pub degraded: u64,
}

/// What passed lately.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Throughput {
    /// Seconds from one point to the next.
    pub step_s: u32,
    /// `[unix_s, rx_bps, tx_bps, rx_pps, tx_pps, handshakes, drops]` of each step, bits and packets a second.
    #[schema(value_type = Vec<Vec<u64>>)]
    pub points: Vec<[u64; 7]>,
}

/// Who is connected with whom.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Topology {
    /// The gateway, its peers, and the networks behind them.
    pub nodes: Vec<TopologyNode>,
    /// What connects them.
    pub links: Vec<TopologyLink>,
    /// Peers left out because there are too many to draw.
    pub left_out: u64,
}

/// One node of the drawing.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct TopologyNode {
    /// What links name it by.
    pub id: String,
    /// What it is.
    pub kind: NodeKind,
    /// What to write beside it.
    pub label: String,
    /// Its key, for gateways and peers.
    pub public_key: Option<Key>,
    /// Where it stands, for peers.
    pub state: Option<PeerState>,
    /// The groups it is of, for peers.
    pub groups: Vec<String>,
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// This gateway.
    Gateway,
    /// A peer.
    Peer,
    /// A network behind a peer.
    Network,
}

/// What connects two nodes.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct TopologyLink {
    /// A node's id.
    pub from: String,
    /// The other's.
    pub to: String,
    /// Where a peer is reached now.
    pub endpoint: Option<String>,
    /// Bits a second received.
    pub rx_bps: u64,
    /// Bits a second sent.
    pub tx_bps: u64,
    /// Round trip.
    pub latency_ms: Option<f64>,
}

/// What is wrong now.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Alerts {
    /// The gravest first.
    pub items: Vec<Alert>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Alert {
    /// Stays the same while it is raised.
    pub id: String,
    /// How grave.
    pub severity: Severity,
    /// A word for programs, such as `handshake_failures`.
    pub kind: String,
    /// Since when.
    pub since: Timestamp,
    /// One line.
    pub summary: String,
    /// What was observed.
    pub detail: String,
    /// What to do.
    pub remedy: String,
    /// The peer it is about.
    pub public_key: Option<Key>,
}

/// How grave an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Traffic suffers.
    Critical,
    /// Something needs a look.
    Warning,
    /// Something is worth knowing.
    Info,
}

/// Whether requests can be served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Readiness {
    /// Whether they can.
    pub ready: bool,
    /// What is missing, one line each.
    pub missing: Vec<String>,
}
