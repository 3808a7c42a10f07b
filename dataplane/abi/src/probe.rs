//! What came of probing a peer: a handshake, and echo requests through the tunnel.

use crate::key::PublicKey;
use core::net::{IpAddr, SocketAddr};
use serde::{Deserialize, Serialize};

/// What came of [`crate::ipc::Request::Probe`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProbeResult {
    /// Who was probed.
    pub peer: PublicKey,
    /// Where it was looked for, if that is known.
    pub endpoint: Option<SocketAddr>,
    /// Whether there is a session now, and how it came to be.
    pub handshake: ProbedHandshake,
    /// Where the echo requests went: the peer's first allowed IP that is a single host; without one none was sent.
    pub target: Option<IpAddr>,
    /// The echo request of 64 bytes; `None` where none was sent.
    pub small: Option<ProbedEcho>,
    /// The echo request as large as the tunnel's MTU, not to be fragmented; `None` where none was sent.
    pub large: Option<ProbedEcho>,
}

/// What came of the handshake.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ProbedHandshake {
    /// There was a session already, and no initiation could be sent as one had been sent less than 5 s before.
    Standing,
    /// One completed, after so many µs.
    Completed {
        /// From the initiation to the response.
        us: u64,
    },
    /// The initiations found no answer.
    NoAnswer,
    /// A response came that our preshared key does not open.
    WrongPresharedKey,
    /// It is not known where to send one.
    NoEndpoint,
    /// The interface has no private key.
    NoIdentity,
}

/// What came of an echo request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProbedEcho {
    /// The inner packet's length in bytes.
    pub bytes: u16,
    /// The reply came after so many µs; `None` for no reply.
    pub answered_us: Option<u64>,
}
