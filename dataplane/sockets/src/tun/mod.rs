//! TUN devices: the inner side, towards this host.
//!
//! Each shard reads and writes a queue of its own. With the kernel's offloads a packet read may stand for several
//! (handed up whole, for the engine to cut), and neighbours of one flow are written as one; this is what makes TUN fast.
//! The device's queues follow each other: the kernel sends a flow's answers to the queue that the flow was written to.

mod device;
mod ioctl;
mod join;
mod options;
mod port;

pub use device::TunDevice;
pub use options::{TunError, TunOffloads, TunOptions};
pub use port::TunPort;
