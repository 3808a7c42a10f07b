//! Weir's laboratory: topologies of network namespaces on this machine, real WireGuard implementations in them, and
//! the traffic that proves and measures a tunnel. Integration tests of the gateway, the binary `lab` and the
//! benchmarks are written on top of it.
//!
//! Everything it makes (namespaces, processes, sockets, files) carries the process id in its name, is removed when the
//! [`Topology`] is dropped, also by a panic, and else by the next topology made on this machine. Nothing outside these
//! namespaces is touched: the machine's own interfaces, routes and firewall stay as they are.
//!
//! It needs root, and Debian's iproute2, wireguard-tools, iputils-ping, traceroute and iperf3. It is for tests: it
//! calls these programs directly, never a shell, and no crate of the product depends on it.
#![deny(unsafe_code)] // not forbidden: the time-stamp counter is read by an instruction

pub mod api;
pub mod bench;
pub mod churn;
pub mod client_conf;
pub mod configured;
pub mod configured_lab;
pub mod control;
pub mod control_lab;
pub mod counted;
pub mod device_config;
mod error;
pub mod gateway_lab;
pub mod gateway_topology;
pub mod ipc;
pub mod iperf;
pub mod kernel_bytes;
mod namespace;
pub mod nat;
pub mod peer;
mod ping;
mod private_file;
mod process;
pub mod programs;
pub mod run_lab;
pub mod small_disk;
mod topology;
mod traceroute;
pub mod transfer;
pub mod tunnel;
pub mod vm;
pub mod wait;
pub mod xdp_lab;

pub use error::LabError;
pub use namespace::{End, Namespace};
pub use peer::{Implementation, Peer};
pub use ping::{Ping, PingReport};
pub use process::Process;
pub use topology::Topology;
pub use traceroute::traceroute;

/// The outcome of everything that the laboratory does.
pub type Result<T> = core::result::Result<T, LabError>;
