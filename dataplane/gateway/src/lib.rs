//! The host's side of the data plane: what Weir asks of the kernel beside its packets, and the sockets by which it is
//! configured and watched.
//!
//! The binary `weir-dataplane` puts these together with the engine. Nothing here touches a packet, runs another
//! program, or keeps a secret longer than it takes to hand it over.
#![deny(unsafe_code)]

pub mod about;
pub mod allowed;
pub mod backend;
pub mod background;
pub mod boot;
pub mod clock;
pub mod control_group;
pub mod dataplane;
pub mod denied;
pub mod device_watch;
pub mod host;
pub mod ipc;
pub mod keeper;
pub mod load;
pub mod netlink;
pub mod nft;
pub mod probe;
pub mod refused;
pub mod resolve;
pub mod shard_thread;
pub mod state;
pub mod status;
pub mod uapi;
pub mod unix;
pub mod watchers;
pub mod workers;
pub mod xdp;

mod secret_bytes;
