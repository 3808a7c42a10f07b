//! What the data plane tells of itself.

use crate::desired::{Origin, Revision};
use crate::endpoint::Endpoint;
use crate::histogram::Histogram;
use crate::key::PublicKey;
use crate::peer_state::{PeerState, StateReason};
use crate::prefix::Prefix;
use crate::refused::RefusedHandshake;
use crate::rule::Rule;
use core::net::SocketAddr;
use serde::{Deserialize, Serialize};

/// The whole data plane at one moment.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The interface's name.
    pub interface: String,
    /// The program's version.
    pub version: String,
    /// The process's number.
    pub pid: u32,
    /// Random for each start: tells one run from the next.
    pub boot_id: [u8; 16],
    /// Seconds since the start.
    pub uptime_s: u64,
    /// The configuration file; `None` of a drop-in.
    pub config_path: Option<String>,
    /// The revision in force.
    pub revision: Revision,
    /// The interface's public key, while it has a private one.
    pub public_key: Option<PublicKey>,
    /// The UDP port in force.
    pub listen_port: u16,
    /// The mark on outgoing datagrams; 0 is none.
    pub fwmark: u32,
    /// The tunnel's MTU in bytes.
    pub mtu: u32,
    /// The interface's own addresses as configured, each with the length of its network, such as `10.77.0.1/24`.
    pub addresses: Vec<String>,
    /// Where clients are told to reach the gateway.
    pub client_endpoint: Option<Endpoint>,
    /// Name servers and search domains for clients.
    pub dns: Vec<String>,
    /// Seconds between keepalives in the configurations of clients; 0 is off.
    pub keepalive_s: u16,
    /// Whether IP forwarding is switched on while the data plane runs.
    pub forwarding: bool,
    /// Whether what leaves the host from the tunnel is masqueraded.
    pub nat: bool,
    /// The AEAD back end in force.
    pub aead: String,
    /// The best back end for this CPU. Another one in force was asked for, or this one failed its self-test, which is
    /// among the warnings.
    pub aead_best: String,
    /// How datagrams find their shard: `ebpf`, `classic-bpf`, `user-space` or `single`, and why not a better way.
    pub steering: String,
    /// What an operator should know: modes below the best, forwarding that is off, missing capabilities.
    pub warnings: Vec<String>,
    /// Devices of AF_XDP.
    pub devices: Vec<DeviceStatus>,
    /// The shards.
    pub shards: Vec<ShardStatus>,
    /// Handshake messages waiting for the worker.
    pub handshake_queue: usize,
    /// The peers, in the order of their declaration.
    pub peers: Vec<PeerStatus>,
    /// The access rules, in the order in which they are judged.
    pub rules: Vec<RuleStatus>,
    /// Handshakes refused lately, the latest last: at most [`REFUSED_MAX`](crate::refused::REFUSED_MAX).
    pub refused: Vec<RefusedHandshake>,
}

/// One access rule.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RuleStatus {
    /// The rule.
    pub rule: Rule,
    /// Who declared it.
    pub origin: Origin,
    /// Packets that it decided since the rules are in force, those of all owners together. Only those are judged that could open a flow, of peers that some
    /// rule could deny something.
    pub packets: u64,
}

/// One shard.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct ShardStatus {
    /// The shard's number.
    pub shard: u16,
    /// Its ports.
    pub ports: Vec<PortStatus>,
    /// Peers at home here.
    pub active_peers: usize,
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
    /// Drops by reason: name and count, reasons without any left out.
    pub drops: Vec<(String, u64)>,
    /// Bursts by size: 1, 2, 3–4, 5–8, 9–16, 17–32, 33 and more packets.
    pub burst_sizes: [u64; 7],
    /// How long packets took from their receipt until they were sent.
    pub packet_latency: Histogram,
    /// How long the handshakes took that this shard began: from the initiation to the response.
    pub handshake_latency: Histogram,
    /// How long authentic initiations of others took from their arrival until their response left: waiting for the
    /// handshake worker, and its work.
    pub response_latency: Histogram,
    /// What waits.
    pub queues: Vec<QueueStatus>,
}

/// A queue of a shard.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct QueueStatus {
    /// What it is, such as `handoff` or `waiting_for_handshake`.
    pub name: String,
    /// How much is in it.
    pub depth: u64,
    /// How much fits.
    pub capacity: u64,
}

/// One device of AF_XDP.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DeviceStatus {
    /// Its name.
    pub device: String,
    /// What arrives there: `wan` or `lan`.
    pub role: String,
    /// Where the XDP program runs: `driver` or `generic`; `no` while the device is gone.
    pub attached: String,
    /// What the XDP program made of frames, kinds without any left out.
    pub arrivals: Vec<ArrivalStatus>,
}

/// Frames that the XDP program judged alike.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ArrivalStatus {
    /// What they were, such as `wan`, `fragment` or `ceiling`.
    pub kind: String,
    /// What became of them: `taken`, `dropped`, or left to the `kernel`.
    pub fate: String,
    /// How many.
    pub frames: u64,
}

/// One port of a shard.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PortStatus {
    /// What it is: `wan` or `host`.
    pub role: String,
    /// The device and queue of AF_XDP that it works on, such as `eth1 queue 0`.
    pub queue: Option<String>,
    /// The mode in force.
    pub mode: String,
    /// Frames received, and their bytes.
    pub rx_frames: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Packets sent, and their bytes.
    pub tx_packets: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Errors and drops of the port itself: name and count, those without any left out.
    pub errors: Vec<(String, u64)>,
    /// Frames the port owns.
    pub frames: usize,
    /// Those of them that are neither in its stock nor in the kernel's hands; none while nothing is under way.
    pub abroad: usize,
    /// Those of them that are in the kernel's hands, to be filled or to be sent.
    pub in_kernel: usize,
}

/// How a peer is, at a glance.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Health {
    /// It has a session in which authenticated packets arrived within the last 180 s.
    Healthy,
    /// No session is wanted: nothing to send and nothing received.
    Idle,
    /// Something is wrong; [`PeerStatus::trouble`] says what.
    Degraded,
}

impl Health {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Health::Healthy => "healthy",
            Health::Idle => "idle",
            Health::Degraded => "degraded",
        }
    }
}

/// One peer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Its key.
    pub public_key: PublicKey,
    /// Its name for people.
    pub name: Option<String>,
    /// The groups it is of.
    pub groups: Vec<String>,
    /// Who declared it.
    pub origin: Origin,
    /// Whether a preshared key is set.
    pub has_preshared_key: bool,
    /// The endpoint as configured.
    pub configured_endpoint: Option<Endpoint>,
    /// Where it is reached now.
    pub endpoint: Option<SocketAddr>,
    /// Cryptokey routing.
    pub allowed_ips: Vec<Prefix>,
    /// Seconds between persistent keepalives.
    pub persistent_keepalive: Option<u16>,
    /// When the last handshake completed: nanoseconds since 1970, 0 for never.
    pub last_handshake_unix_ns: u64,
    /// Bytes received in authenticated messages, as `wg` counts them.
    pub rx_bytes: u64,
    /// Bytes sent in messages, as `wg` counts them.
    pub tx_bytes: u64,
    /// How far its session is.
    pub state: PeerState,
    /// Since when: milliseconds since 1970; 0 where it is in that state since it was declared.
    pub state_since_unix_ms: u64,
    /// What brought it into that state.
    pub state_reason: StateReason,
    /// How long the last handshake took that we began and that completed, in µs.
    pub handshake_us: Option<u64>,
    /// The last round trip that was measured, by a handshake or a probe, in µs.
    pub latency_us: Option<u64>,
    /// Authentic initiations received.
    pub initiations_received: u64,
    /// Responses sent.
    pub responses_sent: u64,
    /// Responses sent since the last session of them was confirmed by a packet.
    pub unconfirmed_responses: u64,
    /// The last handshake message of it that was refused.
    pub last_refusal: Option<RefusedHandshake>,
    /// At a glance.
    pub health: Health,
    /// What is wrong, in one line.
    pub trouble: Option<String>,
    /// The shard that is its home, while it is active.
    pub shard: Option<u16>,
}
