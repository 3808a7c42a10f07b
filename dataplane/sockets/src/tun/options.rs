//! What a TUN device is asked to be, and why it could not be had.

use crate::udp::OffloadChoice;
use std::io;

/// How a TUN device is opened.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct TunOptions {
    /// Whether packets may stand for several.
    pub offload: OffloadChoice,
    /// Whether to take over a device that exists, made persistent by someone else with several queues
    /// (`ip tuntap add mode tun multi_queue`). Otherwise one that exists is an error: another process may have it, and
    /// would share it without a word.
    pub existing: bool,
}

/// What the kernel agreed to.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct TunOffloads {
    /// Unfinished checksums, and packets that stand for several TCP segments.
    pub tcp: bool,
    /// Packets that stand for several UDP datagrams (Linux 6.2 and newer).
    pub udp: bool,
}

/// Why a TUN device could not be had, or changed.
#[derive(Debug, thiserror::Error)]
pub enum TunError {
    /// The name cannot be that of a device.
    #[error("{name:?} is no name for a device: expected 1 to 15 bytes without '/' and white space")]
    Name {
        /// The name.
        name: String,
    },
    /// The kernel has no TUN.
    #[error("/dev/net/tun cannot be opened: {source} (is the module tun loaded?)")]
    NoTun {
        /// The kernel's error.
        source: io::Error,
    },
    /// The process may not.
    #[error("making the device {name} needs CAP_NET_ADMIN")]
    NotPermitted {
        /// The device's name.
        name: String,
    },
    /// A device of the name exists.
    #[error(
        "a device named {name} exists already, expected none: another process has it, or it was made by hand"
    )]
    Exists {
        /// The device's name.
        name: String,
    },
    /// A device of the name exists and cannot be joined.
    #[error(
        "a device named {name} exists, expected a TUN device without packet information, with multi_queue"
    )]
    OtherKind {
        /// The device's name.
        name: String,
    },
    /// The inherited descriptor is no TUN device as this needs it.
    #[error("the inherited descriptor {problem}")]
    Inherited {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Offloads were asked for by name.
    #[error("the device {name} was to use offloads, and the kernel refuses them")]
    NoOffload {
        /// The device's name.
        name: String,
    },
    /// The number of queues.
    #[error("the device {name} was to have {queues} queues, expected 1 to {max}")]
    Queues {
        /// The device's name.
        name: String,
        /// How many were asked for.
        queues: usize,
        /// How many there can be.
        max: usize,
    },
    /// A shard was named that the device does not have, or has already.
    #[error("the device {name}: a queue for shard {shard} {problem}")]
    Shard {
        /// The device's name.
        name: String,
        /// The shard.
        shard: u16,
        /// "is there already" or "is not there".
        problem: &'static str,
    },
    /// Anything else that the kernel refused.
    #[error("the device {name}: {what}: {source}")]
    Device {
        /// The device's name.
        name: String,
        /// What was tried.
        what: &'static str,
        /// The kernel's error.
        source: io::Error,
    },
}
