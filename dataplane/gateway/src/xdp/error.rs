//! What can be wrong with a device.

use crate::netlink;
use weir_xdp_prog::{AttachError, LoadError, MapError};
use weir_xsk::{MemoryError, OpenError};

/// Why a device is no port.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// The device itself.
    #[error("port {device}: {source}")]
    Link {
        /// The device's name.
        device: String,
        /// The kernel's answer.
        source: netlink::Error,
    },
    /// It has no MAC address.
    #[error("port {0}: it has no MAC address; expected an Ethernet device")]
    NotEthernet(String),
    /// A mode that only cards have was asked for by name.
    #[error(
        "port {device}: it is a {kind}, and its sockets get no frame that the drivers below redirect; expected mode generic or auto, or one of the cards below"
    )]
    MadeOfOthers {
        /// The device's name.
        device: String,
        /// What it is, such as `bond`.
        kind: String,
    },
    /// The program was not loaded.
    #[error("port {device}: {source}")]
    Load {
        /// The device's name.
        device: String,
        /// The kernel's answer.
        source: LoadError,
    },
    /// The program was not attached.
    #[error("port {device}: {source}")]
    Attach {
        /// The device's name.
        device: String,
        /// The kernel's answer.
        source: AttachError,
    },
    /// The program was not told what to do.
    #[error("port {device}: {source}")]
    Map {
        /// The device's name.
        device: String,
        /// The kernel's answer.
        source: MapError,
    },
    /// There is no memory to share with the kernel.
    #[error("port {device}: {source}")]
    Memory {
        /// The device's name.
        device: String,
        /// The kernel's answer.
        source: MemoryError,
    },
    /// A queue cannot be had.
    #[error("port {device}: {source}")]
    Queue {
        /// The device's name.
        device: String,
        /// The queue's number.
        queue: u32,
        /// The kernel's answer.
        source: OpenError,
    },
}

impl CardError {
    /// Whether a gateway can do without what failed, until the device is other than it is: it has fewer queues. Every
    /// device has one.
    pub fn may_pass(&self) -> bool {
        match self {
            CardError::Queue { queue, source, .. } => *queue > 0 && source.is_no_such_queue(),
            CardError::Link { .. }
            | CardError::NotEthernet(_)
            | CardError::MadeOfOthers { .. }
            | CardError::Load { .. }
            | CardError::Attach { .. }
            | CardError::Map { .. }
            | CardError::Memory { .. } => false,
        }
    }

    /// What to do about an error that may pass.
    pub fn advice(&self) -> Option<String> {
        match self {
            CardError::Queue { device, queue, .. } if self.may_pass() => Some(format!(
                "the device has no queue {queue}; give it as many queues as there are shards, or fewer shards: ethtool -L {device} combined N"
            )),
            _ => None,
        }
    }
}
