//! Requests to a running data plane over its Unix socket, `/run/weir/IFNAME.sock`, and their answers.
//!
//! Each message is a little-endian `u32` length and that many bytes of postcard. The first message of each side is a
//! [`Hello`]; a side that reads another version says so and closes.
//!
//! Root may ask for anything. Where the socket is also a group's, its members, the control process above all, may read
//! and watch, have the file read again, and change what [`crate::desired::Origin::Control`] may: no answer to them holds
//! the private key or a preshared key of the file's.

use crate::change::{ChangeSet, Refusal};
use crate::desired::{Peer, Revision};
use crate::events::Event;
use crate::key::PublicKey;
use crate::probe::ProbeResult;
use crate::rule::Rule;
use crate::status::{PeerStatus, Status};
use serde::{Deserialize, Serialize};

/// The directory of the sockets.
pub const DIRECTORY: &str = "/run/weir";

/// The longest message in bytes: a status of a million peers fits, a runaway does not.
pub const MESSAGE_MAX: usize = 512 * 1024 * 1024;

/// What each side says first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// [`crate::VERSION`].
    pub version: u16,
}

/// What a client asks for.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Request {
    /// The status; without peers where they are not wanted.
    Status {
        /// Whether peers are listed.
        peers: bool,
    },
    /// Read the configuration file again.
    Reload,
    /// Apply changes.
    Apply(ChangeSet),
    /// Change the number of shards, under traffic.
    Shards(u16),
    /// What is declared and is not the file's, preshared keys included.
    Declared,
    /// The status of these peers; those that are not there are left out.
    Peers(Vec<PublicKey>),
    /// From now on, tell what happens: the connection becomes a stream of [`Reply::Events`], the first of which comes at
    /// once, and ends when the client closes it. Whatever is applied after that first one is told.
    Watch,
    /// Try a handshake and echo requests with a peer; the answer comes within 5 s.
    Probe(PublicKey),
}

/// What the data plane answers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Reply {
    /// To [`Request::Status`].
    Status(Box<Status>),
    /// Done; this revision is in force.
    Done(Revision),
    /// To [`Request::Declared`].
    Declared(Box<Declared>),
    /// To [`Request::Peers`], in the order in which they were asked for.
    Peers(Vec<PeerStatus>),
    /// To [`Request::Watch`], again and again: what happened since the last time, in its order, or nothing.
    Events(Vec<Event>),
    /// To [`Request::Probe`].
    Probed(Box<ProbeResult>),
    /// Refused by the applier; nothing changed.
    Refused(Refusal),
    /// Refused for a reason of the host or the file, in words; nothing changed.
    Failed(String),
}

/// What is declared and is not the file's.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Declared {
    /// The revision in force.
    pub revision: Revision,
    /// Random for each start of the data plane: another one means that it began with the file alone.
    pub boot_id: [u8; 16],
    /// The peers of [`crate::desired::Origin::Uapi`] and [`crate::desired::Origin::Control`], preshared keys included, in
    /// the order of their declaration.
    pub peers: Vec<Peer>,
    /// Control's access rules.
    pub rules: Vec<Rule>,
}
