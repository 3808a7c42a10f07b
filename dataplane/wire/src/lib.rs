//! Views of packet headers: what the bytes of a datagram or of an inner packet mean, and the rewrites that
//! a gateway makes in place (checksums, ECN, MSS), by which offloads are split and joined again.
//!
//! Everything here takes bytes and gives numbers, or writes into the caller's buffer. The crate refuses to
//! do I/O, to allocate, to read a clock, to keep a secret, and to use `unsafe`; no function panics on
//! bytes from the network. The engine calls it for each inner packet, the socket ports for offloads, and the fuzz
//! targets call each parser directly.
//!
//! Invariants:
//! - Lengths that a packet states about itself are checked against the slice before anything uses them.
//! - Padding that WireGuard adds behind a packet is never read as part of it.
//! - A packet is merged with another only after the checksums of both were found right.
#![forbid(unsafe_code)]

pub mod arrival;
pub mod checksum;
pub mod classify;
pub mod coalesce;
pub mod ecn;
pub mod ethernet;
pub mod forward;
pub mod icmp;
pub mod ip;
pub mod ipv4;
pub mod ipv6;
pub mod outer;
pub mod segment;
pub mod tcp;
pub mod udp;
pub mod virtio;
pub mod wireguard;
