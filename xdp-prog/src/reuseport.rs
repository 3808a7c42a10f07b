//! The program that picks a socket of a reuseport group, and its three maps.

use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{ErrorKind, MapCore, MapFlags, MapHandle};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

// libbpf-cargo writes it, by its own rules.
#[allow(unsafe_code, missing_docs, dead_code, non_snake_case)]
#[allow(
    clippy::all,
    clippy::unwrap_used,
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block
)]
mod skeleton {
    include!(concat!(env!("OUT_DIR"), "/reuseport.skel.rs"));
}

/// Slots in the table: the high 10 bits of a receiver index.
pub const SLOTS: usize = 1024;

/// Shards that the socket arrays hold.
pub const SHARDS_MAX: usize = 256;

/// Why the program could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The kernel lets only processes with `CAP_BPF` and `CAP_NET_ADMIN` load it.
    #[error("loading the BPF program needs CAP_BPF and CAP_NET_ADMIN")]
    NotPermitted,
    /// Any other refusal: a kernel without BPF or without one of the program's map types, a verifier's objection.
    #[error("the kernel refuses the BPF program: {0}")]
    Refused(String),
}

/// A map that refused an entry.
#[derive(Debug, thiserror::Error)]
#[error("the BPF map {map} refuses the entry: {reason}")]
pub struct MapError {
    /// The map's name.
    pub map: &'static str,
    /// What the kernel says.
    pub reason: String,
}

/// Which of a port's two reuseport groups.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// The IPv4 sockets.
    V4,
    /// The IPv6 sockets.
    V6,
}

/// The loaded program. It steers nothing until its descriptor is attached to a group with
/// `SO_ATTACH_REUSEPORT_EBPF`; the kernel keeps it while it is attached, the maps can be written while this lives.
pub struct ReuseportProgram {
    program: OwnedFd,
    slots: MapHandle,
    sockets_v4: MapHandle,
    sockets_v6: MapHandle,
}

impl ReuseportProgram {
    /// Loads the program with every slot on shard 0 and no socket. What libbpf would print goes nowhere from then on,
    /// in the whole process: the error says what a person can act on.
    ///
    /// # Errors
    /// [`LoadError`]; nothing stays behind.
    pub fn load() -> Result<Self, LoadError> {
        libbpf_rs::set_print(None);
        let mut place = MaybeUninit::uninit();
        let skeleton = skeleton::ReuseportSkelBuilder::default()
            .open(&mut place)
            .and_then(OpenSkel::load)
            .map_err(load_error)?;
        Ok(Self {
            program: skeleton
                .progs
                .weir_steer
                .as_fd()
                .try_clone_to_owned()
                .map_err(|error| LoadError::Refused(error.to_string()))?,
            slots: MapHandle::try_from(&skeleton.maps.slots).map_err(load_error)?,
            sockets_v4: MapHandle::try_from(&skeleton.maps.sockets_v4).map_err(load_error)?,
            sockets_v6: MapHandle::try_from(&skeleton.maps.sockets_v6).map_err(load_error)?,
        })
    }

    /// Writes the whole table: for each slot the shard that its receiver indices belong to. Datagrams that arrive
    /// meanwhile see the old or the new shard of their slot.
    ///
    /// # Errors
    /// [`MapError`], with the old table left in place.
    pub fn write_slots(&self, shards: &[u16; SLOTS]) -> Result<(), MapError> {
        let mut value = Vec::with_capacity(2 * SLOTS);
        for shard in shards {
            value.extend_from_slice(&shard.to_ne_bytes());
        }
        self.slots
            .update(&0u32.to_ne_bytes(), &value, MapFlags::ANY)
            .map_err(|error| map_error("slots", error))
    }

    /// Makes `socket` the one of `shard`. It must be bound with `SO_REUSEPORT`; closing it takes it out again.
    ///
    /// # Errors
    /// [`MapError`] where the shard is beyond [`SHARDS_MAX`], or the socket is in no reuseport group or in a map already.
    pub fn insert_socket(&self, family: Family, shard: u16, socket: BorrowedFd<'_>) -> Result<(), MapError> {
        let (name, map) = self.sockets(family);
        let descriptor = u64::try_from(socket.as_raw_fd()).expect("a borrowed descriptor is not negative");
        map.update(
            &u32::from(shard).to_ne_bytes(),
            &descriptor.to_ne_bytes(),
            MapFlags::ANY,
        )
        .map_err(|error| map_error(name, error))
    }

    /// Takes the socket of `shard` out: what belongs to the shard goes by the kernel's hash from then on.
    ///
    /// # Errors
    /// [`MapError`] where there was none.
    pub fn remove_socket(&self, family: Family, shard: u16) -> Result<(), MapError> {
        let (name, map) = self.sockets(family);
        map.delete(&u32::from(shard).to_ne_bytes())
            .map_err(|error| map_error(name, error))
    }

    fn sockets(&self, family: Family) -> (&'static str, &MapHandle) {
        match family {
            Family::V4 => ("sockets_v4", &self.sockets_v4),
            Family::V6 => ("sockets_v6", &self.sockets_v6),
        }
    }
}

impl AsFd for ReuseportProgram {
    /// The program's descriptor, for `SO_ATTACH_REUSEPORT_EBPF`.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.program.as_fd()
    }
}

pub(crate) fn load_error(error: libbpf_rs::Error) -> LoadError {
    if error.kind() == ErrorKind::PermissionDenied {
        LoadError::NotPermitted
    } else {
        LoadError::Refused(error.to_string())
    }
}

pub(crate) fn map_error(map: &'static str, error: libbpf_rs::Error) -> MapError {
    MapError {
        map,
        reason: error.to_string(),
    }
}
