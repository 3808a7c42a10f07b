//! The BPF programs in C, compiled into this crate, and what Rust needs to load and feed them.
//!
//! Today one program: [`ReuseportProgram`], which steers the datagrams of an `SO_REUSEPORT` group by WireGuard's
//! receiver index. The crate loads programs and writes their maps; it opens no socket, attaches nothing and decides
//! nothing: `weir-sockets` does. The C sources are GPL-2.0, as the file `LICENSE` explains.
#![deny(unsafe_code)] // not forbidden: the generated skeletons use it, and nothing else here

mod reuseport;

pub use reuseport::{Family, LoadError, MapError, ReuseportProgram, SHARDS_MAX, SLOTS};
