//! The cross-platform UAPI (<https://www.wireguard.com/xplatform/>): how the `wg` tool reads and changes an interface
//! that lives in user space.
//!
//! [`parse_set`] and [`serialize`] turn its text into [`Change`]s and an [`InterfaceView`] into its text, without
//! I/O; [`Server`] speaks it on a Unix socket and asks a [`Backend`], which the gateway provides.

mod parse;
mod request;
mod serialize;
mod server;

pub use parse::{UapiError, parse_set};
pub use request::{Incoming, Request};
pub use serialize::serialize;
pub use server::{DIRECTORY, Server};

use core::net::SocketAddr;
use nix::errno::Errno;
use weir_abi::change::Change;
use weir_abi::key::{PresharedKey, PrivateKey, PublicKey};
use weir_abi::prefix::Prefix;

/// What the UAPI socket asks of the gateway; called from the threads of its connections, several at a time.
pub trait Backend: Send + Sync {
    /// The interface as it is now, keys included.
    fn view(&self) -> Result<InterfaceView, Errno>;

    /// Applies changes all or not at all; on an error nothing has changed.
    fn apply(&self, changes: Vec<Change>) -> Result<(), Errno>;
}

/// The interface as a `get` tells it. Its keys overwrite themselves when dropped.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct InterfaceView {
    /// The private key, where one is set.
    pub private_key: Option<PrivateKey>,
    /// The UDP port in force; 0 is not told.
    pub listen_port: u16,
    /// The mark on outgoing datagrams; 0 is not told.
    pub fwmark: u32,
    /// The peers.
    pub peers: Vec<PeerView>,
}

/// One peer as a `get` tells it.
#[derive(Clone, PartialEq, Debug)]
pub struct PeerView {
    /// Its key.
    pub public_key: PublicKey,
    /// Its preshared key, where one is set.
    pub preshared_key: Option<PresharedKey>,
    /// Where it is reached now.
    pub endpoint: Option<SocketAddr>,
    /// When the last handshake completed: nanoseconds since 1970, 0 for never.
    pub last_handshake_unix_ns: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Seconds between persistent keepalives.
    pub persistent_keepalive: Option<u16>,
    /// Cryptokey routing.
    pub allowed_ips: Vec<Prefix>,
}

impl PeerView {
    /// A peer of which nothing is known but its key.
    pub fn new(public_key: PublicKey) -> Self {
        Self {
            public_key,
            preshared_key: None,
            endpoint: None,
            last_handshake_unix_ns: 0,
            rx_bytes: 0,
            tx_bytes: 0,
            persistent_keepalive: None,
            allowed_ips: Vec::new(),
        }
    }
}

/// The interface's number for a scope's name (`eth0` in `[fe80::1%eth0]:51820`), if there is such an interface.
pub type ScopeIndex<'a> = &'a dyn Fn(&str) -> Option<u32>;
