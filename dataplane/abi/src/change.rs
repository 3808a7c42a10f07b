//! Changes to desired facts: what `wg set`, a reload and later control ask the applier for.

use crate::desired::{Origin, Peer, Revision};
use crate::endpoint::Endpoint;
use crate::key::{PresharedKey, PrivateKey, PublicKey};
use crate::prefix::Prefix;
use crate::rule::Rule;
use serde::{Deserialize, Serialize};

/// Changes that are checked as a whole and applied all or not at all, in order.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ChangeSet {
    /// The revision this was made against; a set based on an older one is refused. `None` applies to whatever is.
    pub base: Option<Revision>,
    /// Who asks.
    pub origin: Origin,
    /// The changes.
    pub changes: Vec<Change>,
}

/// One change.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Change {
    /// Sets the private key, or with `None` takes it away. A peer with the resulting public key is removed.
    PrivateKey(Option<PrivateKey>),
    /// Sets the UDP port; 0 lets the kernel choose one.
    ListenPort(u16),
    /// Sets the mark on outgoing datagrams; 0 takes it away.
    Fwmark(u32),
    /// Removes every peer that the asking origin declared.
    RemoveAllPeers,
    /// Removes a peer; one that is not there is no error.
    RemovePeer(PublicKey),
    /// Creates or changes a peer.
    Peer(PeerChange),
    /// Makes the peers of the asking origin exactly these: what a reload asks for. Peers that stay as they are keep
    /// their sessions.
    ReplacePeers(Vec<Peer>),
    /// Makes the access rules exactly these. The peers and groups they name are looked up when the whole set is applied.
    ReplaceRules(Vec<Rule>),
}

/// What to change of one peer; what is `None` stays.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PeerChange {
    /// The peer.
    pub public_key: PublicKey,
    /// Changes the peer only where it is there already.
    pub update_only: bool,
    /// The new preshared key; the all-zero key takes it away.
    pub preshared_key: Option<PresharedKey>,
    /// The new endpoint.
    pub endpoint: Option<Endpoint>,
    /// Seconds between persistent keepalives; 0 is off.
    pub persistent_keepalive: Option<u16>,
    /// Takes away all allowed IPs before `allowed_ips` are applied.
    pub replace_allowed_ips: bool,
    /// Allowed IPs to add (taken from whichever peer has them) or to remove, in order.
    pub allowed_ips: Vec<AllowedIpChange>,
}

impl PeerChange {
    /// A change that creates the peer, or leaves it as it is.
    pub fn new(public_key: PublicKey) -> Self {
        Self {
            public_key,
            update_only: false,
            preshared_key: None,
            endpoint: None,
            persistent_keepalive: None,
            replace_allowed_ips: false,
            allowed_ips: Vec::new(),
        }
    }
}

/// One allowed IP to add or to remove.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum AllowedIpChange {
    /// Routes the prefix to this peer.
    Add(Prefix),
    /// Takes the prefix away from this peer, if it has it.
    Remove(Prefix),
}

/// Why a set of changes was refused; nothing of it was applied.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error, Serialize, Deserialize)]
pub enum Refusal {
    /// Made against an older state.
    #[error("the change is based on revision {base}, but {current} is in force; read it again and retry")]
    Stale {
        /// What it was based on.
        base: u64,
        /// What is in force.
        current: u64,
    },
    /// The peer belongs to the other owner.
    #[error("peer {0} is declared in weir.toml; change it there")]
    DeclaredInFile(PublicKey),
    /// A reload declares a peer that came over the UAPI socket.
    #[error("peer {0} is declared both in weir.toml and over the UAPI socket; remove one of them")]
    DeclaredTwice(PublicKey),
    /// Two peers of the file have the same prefix.
    #[error("allowed IP {prefix} is declared for peer {first} and for peer {second}; expected one owner")]
    PrefixTwice {
        /// The prefix.
        prefix: Prefix,
        /// The peer that has it.
        first: PublicKey,
        /// The peer that asks for it too.
        second: PublicKey,
    },
    /// The same public key twice in one declaration.
    #[error("peer {0} is declared twice")]
    PeerTwice(PublicKey),
    /// A peer with the interface's own key.
    #[error("peer {0} has the interface's own public key")]
    OwnKey(PublicKey),
    /// A public key with which no handshake can ever succeed.
    #[error("peer {0} has a public key of low order, which no key pair has")]
    WeakKey(PublicKey),
    /// An access rule names a peer that is not there. Rules count from 1.
    #[error(
        "access rule {rule} names peer {key}, which is not declared; expected a declared peer's public key"
    )]
    RuleOfUnknownPeer {
        /// The rule.
        rule: usize,
        /// The peer.
        key: PublicKey,
    },
    /// An access rule names a group without any peer.
    #[error("access rule {rule} names group \"{group}\", which no peer is of; expected the group of a peer")]
    RuleOfUnknownGroup {
        /// The rule.
        rule: usize,
        /// The group.
        group: String,
    },
    /// An access rule has ports and a protocol without any.
    #[error("access rule {0} has ports without the protocol tcp or udp; expected one of them, or no ports")]
    RulePorts(usize),
    /// A bound was reached.
    #[error("{what}: {count} asked for, at most {most} allowed")]
    TooMany {
        /// What there are too many of.
        what: String,
        /// How many were asked for.
        count: usize,
        /// The bound.
        most: usize,
    },
}
