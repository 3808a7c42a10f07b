//! `weir.toml` and wg-quick's `.conf`: text in, facts out, and back.
//!
//! [`Config::parse`] reads a whole file, names every problem it finds by file, line, field, value and what was
//! expected, and hands out either a configuration that is consistent in itself or nothing. [`edit`] adds and removes
//! peers in the text, keeping comments and order; [`conf`] reads and writes wg-quick's format; [`allocate`] finds
//! addresses for new clients.
//!
//! It does no I/O: key files are read through a function that the caller passes. Errors and `Debug` output never show a
//! secret. The gateway calls it at start and at every reload, the binary `weir` for everything else.
#![forbid(unsafe_code)]

pub mod allocate;
mod check;
pub mod conf;
mod config;
mod dataplane;
pub mod edit;
mod gateway;
mod interface;
pub mod key;
mod limits;
mod peer;
mod port;
pub mod problem;
mod reader;
mod rule;
pub mod starter;

pub use config::Config;
pub use dataplane::{Dataplane, Offload, Profile, Shards, Steering};
pub use gateway::Gateway;
pub use interface::{
    DEFAULT_PORT, Dns, Interface, InterfaceAddress, MTU_MAX, MTU_MIN, endpoint_with_default_port,
    is_interface_name,
};
pub use limits::Limits;
pub use peer::is_peer_name;
pub use port::{Port, PortMode, PortRole};
