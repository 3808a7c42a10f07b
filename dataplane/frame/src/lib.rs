//! Frames with one owner, the pools they live in, and the [`Port`] trait between the engine and whatever moves
//! packets in and out of the machine.
//!
//! A frame belongs to exactly one holder at a time and has one home: the pool of the port whose memory it lies in.
//! It ends in a transmit, back in its home's pool, or in a counted drop that sends it home. This crate does no I/O
//! and knows nothing of packets' contents; `sockets`, `xsk` and `testkit` implement [`Port`], the engine calls it.
#![forbid(unsafe_code)]

mod frame;
mod meta;
mod pool;
mod port;

pub use frame::{Frame, Home};
pub use meta::{LocalAddress, Meta, Path, Segmentation, Transport};
pub use pool::{FramePool, PoolSize};
pub use port::{Port, PortCounters, PortMode, PortRole};
