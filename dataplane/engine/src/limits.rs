//! Every bound of the engine in one place.

use core::time::Duration;

/// Shards at most; the receiver index has room for more slots than this.
pub const SHARDS_MAX: usize = 64;

/// Slots that the high bits of a receiver index name.
pub const SLOTS: usize = 1024;

/// Bits of a receiver index behind its slot.
pub const SLOT_SHIFT: u32 = 22;

/// Peers registered at most.
pub const PEERS_MAX: usize = 1 << 20;

/// Allowed IPs of all peers together at most.
pub const PREFIXES_MAX: usize = 1 << 22;

/// Packets in one batch of the AEAD.
pub const BATCH: usize = 64;

/// Frames taken from a port at a time unless a profile says less.
pub const BURST: usize = 32;

/// Messages in the ring from one shard to another.
pub const HANDOFF_RING: usize = 1024;

/// Datagrams of a shard that came before their session and are looked at once more.
pub const EARLY_RING: usize = 64;

/// Frames that all ports of one shard own together at most: the size of the rings by which they come home.
pub const FRAMES_PER_SHARD: usize = 8192;

/// Handoff messages taken from one ring before the next has its turn.
pub const HANDOFF_BUDGET: usize = 64;

/// How often a frame is handed on before it is dropped. While slots change hands it may go from where it arrived to the
/// slot's owner, to the last owner, to the peer's new home, back to its last home and behind the peer to the new one.
pub const HOPS_MAX: u8 = 8;

/// The same for what the worker made: rare, small, and worth following a peer that several handshakes move at once.
pub const OUTCOME_HOPS_MAX: u8 = 32;

/// Initiations of strangers that wait for the handshake worker, all shards together.
pub const STRANGER_JOBS: usize = 1024;

/// Jobs for our own handshakes that wait for the worker, all shards together.
pub const OWN_JOBS: usize = 1 << 16;

/// Responses to one initiation that are checked at a time: enough that forged ones do not keep the true one out, and no
/// more than that they cannot fill the worker's queue.
pub const RESPONSES_CHECKED: u8 = 8;

/// How long a shard keeps demanding cookies after the last reason to.
pub const UNDER_LOAD_HOLD: Duration = Duration::from_secs(1);

/// Initiations a second that one shard admits from sources that proved nothing, before it demands cookies.
pub const STRANGERS_PER_S: u32 = 500;

/// Initiations a second kept free for sources that are the endpoints of peers at home on the shard.
pub const KNOWN_PER_S: u32 = 500;

/// Cookie replies a second of one shard: answering must not become a flood of its own.
pub const COOKIE_REPLIES_PER_S: u32 = 20_000;

/// Initiations a second of one proved source address.
pub const SOURCE_PER_S: u32 = 20;

/// How many times the rate of one proved source its /24 or /56 gets.
pub const NETWORK_SHARE: u32 = 5;

/// Token buckets of proved sources; a keyed hash chooses the place.
pub const SOURCE_BUCKETS: usize = 4096;

/// Failed handshakes of a proved source that put it into quarantine.
pub const QUARANTINE_FAILURES: u8 = 20;

/// How long the quarantine lasts.
pub const QUARANTINE: Duration = Duration::from_secs(60);

/// Packets of one peer that wait for a handshake.
pub const QUEUED_PER_PEER: usize = 128;

/// Bytes of waiting packets, all peers of a shard together.
pub const QUEUED_BYTES: usize = 16 << 20;

/// Peers whose timers are served before packets have their turn again.
pub const TIMERS_PER_POLL: usize = 256;

/// Generations of tables of which a shard can learn just what changed; older ones make it look at all its peers.
pub const CHANGE_LOG: usize = 64;

/// Events to the gateway that wait to be read.
pub const EVENTS: usize = 4096;

/// Peers described to the gateway before packets have their turn again.
pub const SNAPSHOT_SLICE: usize = 256;

/// Buckets of what a shard remembers of flows from the gateway's side to peers that access rules restrict: about 80,000
/// flows in 1 MiB.
pub const FLOW_BUCKETS: usize = 1 << 14;

/// How long answers to such a flow pass after its last packet; RFC 4787 (REQ-5) asks translators for two minutes at least.
pub const FLOW_LIFE: Duration = Duration::from_secs(180);

/// Verdicts on flows that a shard remembers where access rules are many: 64 KiB.
pub const VERDICTS: usize = 1 << 12;

/// Buckets of packets of which fragments are under way from peers that access rules restrict.
pub const FRAGMENT_BUCKETS: usize = 1 << 8;

/// How long later fragments pass after the first; as long as Linux waits to put them together.
pub const FRAGMENT_LIFE: Duration = Duration::from_secs(30);

/// Buckets of denied flows that were told.
pub const DENIED_BUCKETS: usize = 1 << 8;

/// How long a denied flow that was told is not told again.
pub const DENIED_LIFE: Duration = Duration::from_secs(60);

/// Denied flows a second that one shard tells.
pub const DENIED_TOLD_PER_S: u32 = 10;

/// ICMP errors a second that one shard sends to its own host.
pub const ICMP_ERRORS_PER_S: u32 = 1000;

/// Refused handshake messages of one kind that a shard remembers.
pub const REFUSALS_EACH: usize = 16;

/// Refused handshake messages a second, of each kind that costs its sender nothing, at which a shard looks more closely.
pub const REFUSALS_LOOKED_AT_PER_S: u32 = 32;

/// Refused handshake messages a second that one shard tells.
pub const REFUSALS_TOLD_PER_S: u32 = 4;
