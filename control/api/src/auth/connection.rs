//! What the serving layer tells of the connection that a request came on, as an extension of the request.

use crate::caller::Source;
use std::net::SocketAddr;

/// The connection that a request came on. A request without one is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// A TCP connection.
    Tcp {
        /// The other end.
        address: SocketAddr,
        /// Whether it is under TLS.
        tls: bool,
    },
    /// A Unix socket.
    Unix(UnixPeer),
}

/// The process at the other end of a Unix socket, as the kernel tells (SO_PEERCRED).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnixPeer {
    /// Its user's number.
    pub uid: u32,
}

impl Connection {
    /// From where.
    pub fn source(&self) -> Source {
        match self {
            // An IPv4 caller of a socket that serves both families is the same caller.
            Connection::Tcp { address, .. } => Source::Address(address.ip().to_canonical()),
            Connection::Unix(_) => Source::Unix,
        }
    }

    /// Whether it is under TLS.
    pub fn is_tls(&self) -> bool {
        matches!(self, Connection::Tcp { tls: true, .. })
    }
}
