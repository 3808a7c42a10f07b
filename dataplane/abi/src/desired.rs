//! Desired facts: what the data plane is to be, as a whole.

use crate::endpoint::Endpoint;
use crate::key::{PresharedKey, PrivateKey, PublicKey};
use crate::prefix::Prefix;
use crate::rule::Rule;
use serde::{Deserialize, Serialize};

/// Characters of a peer's name, and of a group's, at most.
pub const NAME_MAX: usize = 64;

/// Groups of one peer at most.
pub const GROUPS_MAX: usize = 64;

/// Numbers every change that was applied; a change may name the number it is based on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Revision(pub u64);

/// Who declared a peer or a rule, and so who may change it: what the file declares only the file changes; the other two
/// may change and remove each other's, and who changed a peer last has it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Origin {
    /// Written in `weir.toml`.
    File,
    /// Came over the UAPI socket: made by `wg`.
    Uapi,
    /// Came from the control process, which keeps it in its store.
    Control,
}

impl Origin {
    /// The word for it, as status, metrics and logs use it.
    pub fn name(self) -> &'static str {
        match self {
            Origin::File => "file",
            Origin::Uapi => "uapi",
            Origin::Control => "control",
        }
    }

    /// Where such a declaration is made, as sentences for people have it: "declared in weir.toml".
    pub fn place(self) -> &'static str {
        match self {
            Origin::File => "in weir.toml",
            Origin::Uapi => "over the UAPI socket",
            Origin::Control => "by the control process",
        }
    }
}

/// One WireGuard interface: its identity, its port and its peers.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Desired {
    /// The interface's private key; without one no handshake is answered or begun.
    pub private_key: Option<PrivateKey>,
    /// The UDP port; 0 lets the kernel choose one.
    pub listen_port: u16,
    /// The mark on outgoing datagrams; 0 is none.
    pub fwmark: u32,
    /// The peers, each public key once.
    pub peers: Vec<Peer>,
    /// What peers may open, in the order in which it is judged, the file's rules first; what no rule matches may be.
    pub rules: Vec<Rule>,
}

/// One peer's configuration.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Peer {
    /// The peer's static public key: what it is known by.
    pub public_key: PublicKey,
    /// Mixed into the handshake where set.
    pub preshared_key: Option<PresharedKey>,
    /// Where to send the first initiation; peers that call in need none.
    pub endpoint: Option<Endpoint>,
    /// Cryptokey routing: the sources it may use and the destinations it is sent.
    pub allowed_ips: Vec<Prefix>,
    /// Seconds between keepalives sent whether or not there is traffic; `None` is off.
    pub persistent_keepalive: Option<u16>,
    /// A name for people.
    pub name: Option<String>,
    /// The groups it is of, by which access rules name it.
    pub groups: Vec<String>,
    /// Who declared it.
    pub origin: Origin,
}

impl Peer {
    /// A peer known by its key alone.
    pub fn new(public_key: PublicKey, origin: Origin) -> Self {
        Self {
            public_key,
            preshared_key: None,
            endpoint: None,
            allowed_ips: Vec::new(),
            persistent_keepalive: None,
            name: None,
            groups: Vec::new(),
            origin,
        }
    }
}
