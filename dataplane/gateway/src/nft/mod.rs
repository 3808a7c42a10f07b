//! Forwarding between the tunnel and the rest of the host's networks: NAT and MSS clamping in an nftables table of
//! Weir's own, and the kernel's forwarding switched on for as long as it is needed.
//!
//! Nothing here can let traffic pass that other tables drop: in nftables a verdict of acceptance holds for its own
//! chain only. [`weir_nic::forward_drops`] names the chains that drop.

mod expression;
mod forwarding;
mod message;
mod table;

pub use forwarding::{Forwarding, ForwardingError};
pub use table::{Rules, Table};

use nix::errno::Errno;
use std::io;

/// Why nftables did not do as asked; nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum NftError {
    /// The kernel has no nftables, or not the part that is needed.
    #[error(
        "this kernel has no nftables support for {0}; load or build nf_tables with NAT, or switch NAT off"
    )]
    Unsupported(String),
    /// The process may not.
    #[error("nftables: {0}: not permitted; expected CAP_NET_ADMIN, and no other process that owns the table")]
    NotPermitted(String),
    /// The kernel refused for another reason.
    #[error("nftables: {what}: {}", errno.desc())]
    Refused {
        /// What was asked for.
        what: String,
        /// The kernel's reason.
        errno: Errno,
    },
    /// The socket failed.
    #[error("nftables: {0}")]
    Socket(#[from] io::Error),
}

impl NftError {
    fn refused(what: String, errno: Errno) -> Self {
        match errno {
            // Missing modules look as if a chain type or an expression did not exist.
            Errno::EOPNOTSUPP | Errno::EPROTONOSUPPORT | Errno::ENOENT => Self::Unsupported(what),
            Errno::EPERM | Errno::EACCES => Self::NotPermitted(what),
            errno => Self::Refused { what, errno },
        }
    }
}
