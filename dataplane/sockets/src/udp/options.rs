//! What a UDP port is asked to be, and why it could not be had.

use crate::steer::{SteeringChoice, SteeringError};
use std::io;

/// Whether datagrams are to be joined and cut by the kernel (UDP_SEGMENT, UDP_GRO).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum OffloadChoice {
    /// Where the kernel does it.
    #[default]
    Auto,
    /// Yes, or an error.
    Offload,
    /// No.
    Plain,
}

/// How the sockets of a UDP port are made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UdpOptions {
    /// The UDP port; 0 lets the kernel choose one that is free for IPv4 and IPv6.
    pub port: u16,
    /// Joining and cutting by the kernel.
    pub offload: OffloadChoice,
    /// How datagrams find their shard.
    pub steering: SteeringChoice,
    /// The mark on outgoing datagrams (SO_MARK); 0 for none. Others need CAP_NET_ADMIN.
    pub fwmark: u32,
    /// Bytes that may wait in each socket to be received, as SO_RCVBUF counts. Without CAP_NET_ADMIN the system's
    /// limit applies.
    pub receive_buffer: u32,
    /// Bytes that may wait in each socket to be sent, as SO_SNDBUF counts.
    pub send_buffer: u32,
}

impl Default for UdpOptions {
    /// A port of the kernel's choice, the best offloads and steering, and 2 MiB of buffer each way: some milliseconds
    /// at 10 Gb/s, for the shard's thread to wake up in.
    fn default() -> Self {
        Self {
            port: 0,
            offload: OffloadChoice::Auto,
            steering: SteeringChoice::Auto,
            fwmark: 0,
            receive_buffer: 2 << 20,
            send_buffer: 2 << 20,
        }
    }
}

/// Why a UDP port could not be had, or changed.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process has the port.
    #[error("UDP port {port} is in use by another process ({family})")]
    InUse {
        /// The port.
        port: u16,
        /// "IPv4" or "IPv6".
        family: &'static str,
    },
    /// The kernel lets only privileged processes have the port.
    #[error("UDP port {port} needs CAP_NET_BIND_SERVICE")]
    NotPermitted {
        /// The port.
        port: u16,
    },
    /// A mark was asked for that the process may not set.
    #[error("fwmark {mark:#x} needs CAP_NET_ADMIN: {source}")]
    Fwmark {
        /// The mark.
        mark: u32,
        /// The kernel's error.
        source: io::Error,
    },
    /// Offloads were asked for by name.
    #[error("UDP port {port} was to use offloads, and this kernel has no UDP GRO (Linux 5.0 or newer has)")]
    NoOffload {
        /// The port.
        port: u16,
    },
    /// A way of steering was asked for by name.
    #[error("UDP port {port}: {source}")]
    Steering {
        /// The port.
        port: u16,
        /// Why not.
        source: SteeringError,
    },
    /// The number of shards.
    #[error("UDP port {port} was to have {shards} shards, expected 1 to {max}")]
    Shards {
        /// The port.
        port: u16,
        /// How many were asked for.
        shards: usize,
        /// How many there can be.
        max: usize,
    },
    /// A shard was named that the group does not have, or has already.
    #[error("UDP port {port}: shard {shard} {problem}")]
    Shard {
        /// The port.
        port: u16,
        /// The shard.
        shard: u16,
        /// "is there already" or "is not there".
        problem: &'static str,
    },
    /// Anything else that the kernel refused.
    #[error("UDP port {port}: {source}")]
    Socket {
        /// The port.
        port: u16,
        /// The kernel's error.
        source: io::Error,
    },
}
