//! The BPF programs in C, compiled into this crate, and what Rust needs to load and feed them.
//!
//! [`ReuseportProgram`] steers the datagrams of an `SO_REUSEPORT` group by WireGuard's receiver index.
//! [`ArrivalProgram`] decides what becomes of each frame on a device that AF_XDP sockets share with the kernel. The crate
//! loads programs, writes their maps and attaches them where it is told; it opens no socket and decides nothing. The C
//! sources are GPL-2.0, as the file `LICENSE` explains.
#![deny(unsafe_code)] // not forbidden: the generated skeletons and two calls of libbpf use it

mod arrival;
mod reuseport;
mod sys;

pub use arrival::{
    ArrivalProgram, ArrivalSettings, AttachError, AttachMode, Attachment, QUEUES_MAX, VERDICTS,
};
pub use reuseport::{Family, LoadError, MapError, ReuseportProgram, SHARDS_MAX, SLOTS};
