//! AF_XDP: one socket for each queue of a network card, over memory that the kernel and Weir share.
//!
//! [`Queue`] receives and sends whole Ethernet frames as [`weir_frame::Frame`]s, each of which is at any moment either
//! Weir's or the kernel's and never both. The kernel's interface is used directly (libc's structures of
//! `linux/if_xdp.h`): xsk-rs allocates its memory itself, cannot set where in a frame a packet begins, and registers
//! memory without flags, while a frame here must be able to begin anywhere and belong to a pool that other ports of the
//! same home share.
//!
//! [`WanPort`] is a [`weir_frame::Port`] over a queue and an ordinary UDP socket on the same port;
//! [`LanPort`] is one over a queue and a TUN device's port, and a router between its device and the tunnel. Their queue
//! is at a [`Seat`], for its socket may come and go while they work.
//!
//! The crate attaches no XDP program: `weir-xdp-prog` does, and is given a queue's descriptor.
#![deny(unsafe_op_in_unsafe_fn)]

mod exchange;
mod lan;
mod limit;
mod memory;
mod queue;
mod ring;
mod seat;
mod site;
mod socket;
mod store;
mod sys;
mod wan;
mod ways;

pub use lan::{LanParts, LanPort};
pub use memory::{CHUNK, CHUNK_OF_WHOLE_KIB, MemoryError};
pub use queue::{Queue, QueueCounters, Refused};
pub use seat::{BoundSocket, Seat, SeatHandle};
pub use site::{Hop, Site};
pub use socket::{Copying, Kernel, OpenError, SocketOptions};
pub use store::Store;
pub use wan::{WanParts, WanPort};
