//! WireGuard without I/O: handshakes, cookies, sessions, replay windows,
//! timers and limits, after the whitepaper ("WireGuard: Next Generation Kernel
//! Network Tunnel", <https://www.wireguard.com/papers/wireguard.pdf>) and,
//! where that is silent, after Linux.
//!
//! It owns no socket, clock, thread or source of randomness: time, random
//! bytes and messages are arguments, so whole gateways run in one test on
//! virtual time. It does not encrypt transport data either; it hands out keys
//! and counters, and `weir-crypto` seals and opens in batches. It takes mac1
//! and mac2 from there too, one by one or as jobs for the shard's batch.
//!
//! The engine's shards call cookies, sessions and timers; its handshake
//! worker calls [`initiate`], [`OpenedInitiation`] and [`Initiator`]. No
//! function here panics on any bytes from the network.

#![forbid(unsafe_code)]

mod aead;
mod cookie;
mod dh;
mod gate;
mod handshake;
mod hash;
mod identity;
mod index;
mod initiator;
pub mod limits;
pub mod message;
mod replay;
mod responder;
mod session;
mod tai64n;
mod time;
mod timers;

pub use cookie::{Cookie, CookieJar, CookieSecret, add_mac2, mac1_check, mac1_valid};
pub use gate::{InitiationGate, InitiationRefused};
pub use handshake::{HandshakeError, SessionKeys};
pub use identity::{Identity, Remote, public_key};
pub use index::Index;
pub use initiator::{Initiator, initiate};
pub use replay::ReplayWindow;
pub use responder::{AuthenticInitiation, OpenedInitiation};
pub use session::{Keypair, Keypairs, Retired, SendRefused, Slot};
pub use tai64n::{CeilingReached, Tai64n, TimestampSource};
pub use time::Instant;
pub use timers::{Due, Timers};
