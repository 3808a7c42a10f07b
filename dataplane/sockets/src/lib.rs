//! The portable ports: UDP sockets for outer datagrams and a TUN device's queues for inner packets, with the kernel's
//! offloads where it has them. They implement [`weir_frame::Port`] for the engine's shards; the gateway makes them,
//! waits on their descriptors, and changes them while they run.
//!
//! - [`udp`]: a [`UdpGroup`] owns the sockets of one UDP port, an IPv4 and an IPv6 one for each shard, and steers
//!   datagrams between them; each shard works on its own with a [`UdpPort`].
//! - [`tun`]: a [`TunDevice`] has one queue for each shard, a [`TunPort`].
//! - [`steer`]: how the kernel is told which shard a receiver index belongs to, by eBPF, classic BPF, or not at all.
//!
//! What this crate refuses to do: to look into datagrams beyond what steering needs, to set addresses, routes or the
//! state of a link (the gateway does, by netlink), to wait for packets, to allocate per packet, to run a program.
//!
//! Invariants: no datagram and no packet, of whatever length or content, stops a port: each costs at most one counted
//! drop. A frame is in one place: the pool, the caller's hands, or lent to the kernel for the length of one call.

mod posted;
pub mod steer;
mod sys;
pub mod tun;
pub mod udp;

pub use steer::{SlotTable, Steering, SteeringChoice, SteeringReport};
pub use tun::{TunDevice, TunError, TunOffloads, TunOptions, TunPort};
pub use udp::{BindError, OffloadChoice, UdpGroup, UdpOptions, UdpPort};
