//! Desired and learnt state of a gateway: records, checks, changes and what they come to. No I/O, clock or randomness.
//!
//! [`plan`] says what changes come to, checked as a whole against a [`Snapshot`] and the [`GatewayFacts`]; [`reconcile`]
//! what store and data plane must tell each other when they meet; [`diagnose`] why a peer does not connect. The control
//! process does what they say.
#![forbid(unsafe_code)]

mod change;
mod check;
mod client;
pub mod diagnose;
mod gateway;
pub mod limits;
mod plan;
mod problem;
mod push;
pub mod reconcile;
pub mod record;
mod shared;
mod shown;
mod snapshot;

pub use change::{Asker, Change, PeerEdit, Placed, UserEdit};
pub use client::{ClientSecrets, client_config};
pub use gateway::{FilePeer, FilePeers, GatewayFacts};
pub use plan::{Planned, plan};
pub use problem::{Problem, Refused};
pub use push::{declared, pushed};
pub use shared::Shared;
pub use shown::{Difference, DifferenceKind, rule_value, undone};
pub use snapshot::Snapshot;
