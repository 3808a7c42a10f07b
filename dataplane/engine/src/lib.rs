//! The shard loop and the tables it looks things up in: a whole gateway without I/O.
//!
//! A [`Shard`] is one core's share. It is polled by a thread of the gateway (or a test on virtual time) and moves
//! frames between its ports, through the WireGuard sessions of the peers at home with it. What it looks up is
//! published by the [`Applier`] as immutable generations of [`Tables`]; handshakes are computed by a [`Worker`]. The
//! engine opens no socket, reads no clock, starts no thread, and knows neither files nor host names.
#![forbid(unsafe_code)]

mod access;
mod applier;
mod counters;
mod indices;
mod lately;
mod life;
mod limiter;
pub mod limits;
mod map;
mod mesh;
mod peer;
mod refusals;
mod routes;
mod shard;
mod slots;
mod tables;
mod wheel;
mod worker;

pub use access::{Access, ClassId, RuleList};
pub use applier::{Applied, Applier, Prepared};
pub use counters::Counters;
pub use life::LifeSnapshot;
pub use limiter::Rates;
pub use mesh::{Alarm, Links, mesh};
pub use routes::Routes;
pub use shard::{
    Command, DeniedFlow, Event, Now, PeerSnapshot, PortSnapshot, QueueSnapshot, Shard, ShardParts, Snapshot,
    Wanted,
};
pub use slots::{Slot, SlotTable};
pub use tables::{PeerFacts, PeerId, Remembered, Tables};
pub use worker::{CEILING_STEP_NS, Job, Outcome, RaiseCeiling, Stamps, Worker};
