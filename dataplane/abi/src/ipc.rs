//! Requests to a running data plane over its Unix socket, `/run/weir/IFNAME.sock`, and their answers.
//!
//! Each message is a little-endian `u32` length and that many bytes of postcard. The first message of each side is a
//! [`Hello`]; a side that reads another version says so and closes.

use crate::change::{ChangeSet, Refusal};
use crate::desired::Revision;
use crate::status::Status;
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
}

/// What the data plane answers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Reply {
    /// To [`Request::Status`].
    Status(Box<Status>),
    /// Done; this revision is in force.
    Done(Revision),
    /// Refused by the applier; nothing changed.
    Refused(Refusal),
    /// Refused for a reason of the host or the file, in words; nothing changed.
    Failed(String),
}
