//! How datagrams find their shard inside an SO_REUSEPORT group.
//!
//! Transport data, responses and cookie replies carry a receiver index, whose slot says which shard they belong to;
//! whatever else arrives goes by the kernel's hash over both addresses and ports, so that one source stays with one
//! shard. Three ways, the best first: an eBPF program whose table is written while it runs; a classic BPF program,
//! which needs no capability and is written anew for each table; none, where the engine hands over what came to the
//! wrong shard. Misdirected datagrams are legal in each: a table changes while they are on their way.

mod classic;
mod group;
mod table;

pub(crate) use group::{Member, Steerer};
pub use table::{SLOTS, SlotTable};

use std::fmt;

/// The way in force.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Steering {
    /// An eBPF program with a table of slots.
    Ebpf,
    /// A classic BPF program.
    ClassicBpf,
    /// None in the kernel: the engine hands over.
    UserSpace,
}

impl Steering {
    /// The way's name as status and metrics show it.
    pub fn name(self) -> &'static str {
        match self {
            Steering::Ebpf => "ebpf",
            Steering::ClassicBpf => "classic-bpf",
            Steering::UserSpace => "user-space",
        }
    }
}

impl fmt::Display for Steering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The way asked for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum SteeringChoice {
    /// The best that can be had; [`SteeringReport`] says which and why no better one.
    #[default]
    Auto,
    /// eBPF or an error.
    Ebpf,
    /// Classic BPF or an error.
    ClassicBpf,
    /// Nothing in the kernel.
    UserSpace,
}

/// What was chosen and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SteeringReport {
    /// The way in force.
    pub in_force: Steering,
    /// Better ways that were tried and could not be had.
    pub refused: Vec<SteeringError>,
}

/// Why a way could not be had.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("steering by {way} cannot be had: {reason}")]
pub struct SteeringError {
    /// The way.
    pub way: Steering,
    /// What the kernel said, and what would help.
    pub reason: String,
}
