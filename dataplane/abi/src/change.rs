//! Changes to desired facts: what `wg set`, a reload and the control process ask the applier for.

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
    /// Removes every peer that the asker may remove: the file its own, the others all that are not the file's.
    RemoveAllPeers,
    /// Removes a peer; one that is not there is no error.
    RemovePeer(PublicKey),
    /// Creates or changes a peer. One that is changed is the asker's from then on, unless it is the file's, of which
    /// others may change the endpoint alone.
    Peer(PeerChange),
    /// Makes the peers of the asker exactly these: what a reload asks for, and control when it begins. Peers that stay
    /// as they are keep their sessions. The file's and the others' must not meet; control takes over those of
    /// [`Origin::Uapi`] that it declares and leaves the rest of them alone.
    ReplacePeers(Vec<Peer>),
    /// Makes the access rules of the asker exactly these. Rules are judged in the order file, control, UAPI. The peers
    /// and groups they name are looked up when the whole set is applied, and must be there, unless control asks: its
    /// rules may name peers that are disabled, and concern those that are there.
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
    /// The new name for people; an empty one takes it away.
    pub name: Option<String>,
    /// The new groups, all of them.
    pub groups: Option<Vec<String>>,
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
            name: None,
            groups: None,
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
    /// The peer is the file's, and somebody else wants to change or remove it.
    #[error("peer {0} is declared in weir.toml; change it there")]
    DeclaredInFile(PublicKey),
    /// A peer of the file and of another owner.
    #[error("peer {peer} is declared both {} and {}; remove one of them", asker.place(), owner.place())]
    DeclaredTwice {
        /// The peer.
        peer: PublicKey,
        /// Who declares it now.
        asker: Origin,
        /// Whose it is.
        owner: Origin,
    },
    /// Two peers of one declaration have the same prefix, or one of the file and one of another owner.
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
    /// An access rule names a peer that is not there. The rules of each owner count from 1.
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
    /// The name or a group of a peer that nothing could show or match.
    #[error("peer {peer}: {what} {value:?}; expected {expected}")]
    Text {
        /// The peer.
        peer: PublicKey,
        /// Which text: `name` or `group`.
        what: String,
        /// What it was.
        value: String,
        /// What was expected.
        expected: String,
    },
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
