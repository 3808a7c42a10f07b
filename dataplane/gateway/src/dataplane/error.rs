//! Why a data plane does not start or change.

use crate::xdp::CardError;
use nix::errno::Errno;
use std::io;
use weir_abi::change::Refusal;
use weir_sockets::BindError;
use weir_sockets::tun::TunError;

/// Why the data plane could not be started or changed.
#[derive(Debug, thiserror::Error)]
pub enum DataPlaneError {
    /// The TUN device.
    #[error(transparent)]
    Tun(#[from] TunError),
    /// The UDP port.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A device of AF_XDP.
    #[error(transparent)]
    Card(#[from] CardError),
    /// What AF_XDP ports must know of the host.
    #[error("AF_XDP ports: {0}")]
    Survey(String),
    /// The desired state.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The system.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Its answer.
        source: io::Error,
    },
    /// The number of shards.
    #[error("{asked} shards asked for, expected 1 to {most}")]
    Shards {
        /// How many were asked for.
        asked: usize,
        /// How many there can be.
        most: usize,
    },
}

impl DataPlaneError {
    /// The number that the UAPI answers.
    pub fn errno(&self) -> Errno {
        match self {
            DataPlaneError::Bind(BindError::InUse { .. }) => Errno::EADDRINUSE,
            DataPlaneError::Bind(BindError::NotPermitted { .. } | BindError::Fwmark { .. }) => Errno::EPERM,
            DataPlaneError::Refused(Refusal::DeclaredInFile(_)) => Errno::EPERM,
            DataPlaneError::Refused(_) | DataPlaneError::Shards { .. } => Errno::EINVAL,
            DataPlaneError::Bind(_)
            | DataPlaneError::Tun(_)
            | DataPlaneError::Card(_)
            | DataPlaneError::Survey(_)
            | DataPlaneError::System { .. } => Errno::EIO,
        }
    }
}
