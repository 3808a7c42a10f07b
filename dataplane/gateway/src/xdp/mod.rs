//! Devices whose packets the shards take and send by AF_XDP, beside the kernel's network stack.
//!
//! A [`Card`] is one device: the XDP program on it, and a queue for each shard. What a shard's port must know of the
//! place where it stands ([`View`]: addresses, routes, next hops) is published by one thread, the [`Surveyor`], which
//! asks the kernel and hears of every change.
//!
//! Queue n is shard n's. Queues beyond the shards are left to the kernel, whose UDP sockets and TUN device carry their
//! packets as they do without AF_XDP; so does a shard without a queue, as long as it has none.

pub mod bypass;
mod card;
mod error;
mod facts;
mod place;
mod surveyor;

pub use card::Card;
pub use error::CardError;
pub use facts::{Facts, View};
pub use surveyor::{Begin, Order, Surveyor};
