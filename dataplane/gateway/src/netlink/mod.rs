//! Links, addresses and routes of this host, over rtnetlink (rtnetlink(7)): blocking questions and orders on a
//! [`Netlink`], and word of changes from a [`Monitor`].
//!
//! The tunnel's device may be moved to another network namespace and renamed while it runs; [`Netlink::of_device`]
//! finds it where it is.

mod address;
mod link;
mod monitor;
mod namespace;
mod neighbour;
mod path;
mod route;
mod rule;
mod socket;
mod table;

pub use link::Link;
pub use monitor::{Event, Monitor};
pub use namespace::{beside_device, cookie as namespace_cookie};
pub use path::Path;
pub use route::{DeviceRoutes, PROTOCOL, Routed};
pub use socket::Netlink;

use nix::errno::Errno;
use std::io;

/// Why the kernel's answer was none, or no.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The order was refused.
    #[error("{what}: {}", errno.desc())]
    Refused {
        /// What was asked for, with its values.
        what: String,
        /// The kernel's reason.
        errno: Errno,
    },
    /// There is no such interface in this network namespace.
    #[error("there is no interface {0} in this network namespace")]
    NoSuchLink(String),
    /// The socket failed.
    #[error("netlink: {0}")]
    Socket(#[from] io::Error),
    /// The kernel said something that is no answer.
    #[error("netlink: an answer that cannot be read, to: {0}")]
    Unreadable(String),
}

impl Error {
    /// The kernel's reason, where it gave one.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Error::Refused { errno, .. } => Some(*errno),
            Error::NoSuchLink(_) => Some(Errno::ENODEV),
            Error::Socket(error) => error.raw_os_error().map(Errno::from_raw),
            Error::Unreadable(_) => None,
        }
    }
}
