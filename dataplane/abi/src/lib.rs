//! The contract between the data plane and whatever configures and watches it: desired facts and their changes going
//! down, status and events coming up. Plain data, versioned, without behaviour beyond parsing and printing.
//!
//! The gateway's binary, the command line and the control process speak these types over a Unix socket
//! ([`ipc`]); `config` and the UAPI socket translate their texts into them. Nothing here does I/O.
#![forbid(unsafe_code)]

pub mod change;
pub mod desired;
pub mod drops;
pub mod endpoint;
pub mod events;
pub mod histogram;
pub mod ipc;
pub mod key;
pub mod peer_state;
pub mod prefix;
pub mod probe;
pub mod refused;
pub mod rule;
pub mod status;

/// The version of these types on the wire. Both sides refuse another one by name.
pub const VERSION: u16 = 5;
