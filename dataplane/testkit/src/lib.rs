//! Whole gateways in one process: ports over memory, a simulated network, virtual clocks, builders of packets, and a
//! peer that may misbehave.
//!
//! A [`Simulation`] owns the time and all randomness, both from one seed, so that a failing run replays from the seed
//! it prints. It knows the engine only by what the gateway's binary uses too. Tests and the benchmark call this crate;
//! no product code does.
#![deny(unsafe_code)]

pub mod allocator;
mod client;
mod gateway;
pub mod memory;

mod network;
pub mod packets;
mod port;
mod seed;
mod setup;
mod simulation;

pub use client::{Client, Received};
pub use gateway::Gateway;
pub use network::{Conditions, Datagram, Network};
pub use port::{MemoryPort, Parcel, PortHandle};
pub use seed::{Seed, seeds};
pub use setup::{HostSteering, PeerSpec, Setup, WanSteering};
pub use simulation::Simulation;
