//! wg-quick's `.conf` and the format of `wg setconf`: read, written, taken over into `weir.toml`, made for clients.

mod client;
mod import;
mod parse;
mod write;

pub use client::{Client, Server, client};
pub use import::import;

use crate::interface::{Dns, InterfaceAddress};
use weir_abi::desired::Peer;
use weir_abi::key::PrivateKey;

/// The facts of a `.conf`.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Conf {
    /// The section `[Interface]`.
    pub interface: ConfInterface,
    /// The sections `[Peer]`, in their order.
    pub peers: Vec<Peer>,
    /// What the file says and these facts leave out.
    pub notes: Vec<Note>,
}

/// The section `[Interface]`.
#[derive(Clone, PartialEq, Debug)]
pub struct ConfInterface {
    /// `PrivateKey`.
    pub private_key: Option<PrivateKey>,
    /// `ListenPort`.
    pub listen_port: Option<u16>,
    /// `FwMark`; 0 is none.
    pub fwmark: u32,
    /// `Address`.
    pub addresses: Vec<InterfaceAddress>,
    /// `DNS`.
    pub dns: Vec<Dns>,
    /// `MTU` in bytes.
    pub mtu: Option<u16>,
    /// Whether routes are set: `Table` is not `off`.
    pub routes: bool,
}

impl Default for ConfInterface {
    fn default() -> Self {
        Self {
            private_key: None,
            listen_port: None,
            fwmark: 0,
            addresses: Vec::new(),
            dns: Vec::new(),
            mtu: None,
            routes: true,
        }
    }
}

/// A line that is not taken over, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// The line, from 1.
    pub line: usize,
    /// Its key.
    pub key: String,
    /// Why, and what to do instead.
    pub why: &'static str,
}
