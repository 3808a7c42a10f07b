//! The program that decides what becomes of the frames on one device, its maps, and its attachment.

use crate::reuseport::{LoadError, MapError, load_error, map_error};
use crate::sys;
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{MapCore, MapFlags, MapHandle};
use std::collections::BTreeMap;
use std::io;
use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

// libbpf-cargo writes it, by its own rules.
#[allow(unsafe_code, missing_docs, dead_code, non_snake_case, non_camel_case_types)]
#[allow(
    clippy::all,
    clippy::unwrap_used,
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block
)]
mod skeleton {
    include!(concat!(env!("OUT_DIR"), "/arrival.skel.rs"));
}

/// Queues of a device that can have a socket.
pub const QUEUES_MAX: u32 = 256;

/// What the program counts by, in the order of `weir_wire::arrival::Verdict`.
pub const VERDICTS: usize = 12;

/// What a device is for.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ArrivalSettings {
    /// The device's own MAC address.
    pub mac: [u8; 6],
    /// Whether tunnels' datagrams arrive here.
    pub wan: bool,
    /// Whether packets for peers arrive here.
    pub lan: bool,
    /// Initiations without mac2 that each core lets through in a second; `None` is no ceiling.
    pub ceiling_per_s: Option<u32>,
}

/// How the kernel runs the program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AttachMode {
    /// In the driver, before the kernel makes a packet of its own of the frame.
    Driver,
    /// After that, on any device.
    Generic,
}

/// Why the program is not attached.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// Somebody else's program is there.
    #[error("interface number {0} has an XDP program already, which stays: see it with `ip link`")]
    Occupied(u32),
    /// The device's driver cannot run it.
    #[error("interface number {interface}: {source}; expected a driver with XDP")]
    NoDriver {
        /// The interface's number.
        interface: u32,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Anything else.
    #[error("attaching an XDP program to interface number {interface}: {source}")]
    System {
        /// The interface's number.
        interface: u32,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// A program at work on a device. It ends with this value, or with the process.
#[derive(Debug)]
pub struct Attachment {
    _link: OwnedFd,
}

/// The loaded program of one device. It sees no frame until it is attached.
pub struct ArrivalProgram {
    program: OwnedFd,
    settings: MapHandle,
    sockets: MapHandle,
    ports: MapHandle,
    own_v4: MapHandle,
    own_v6: MapHandle,
    routes_v4: MapHandle,
    routes_v6: MapHandle,
    counters: MapHandle,
}

impl AsFd for ArrivalProgram {
    /// The program's descriptor.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.program.as_fd()
    }
}

impl ArrivalProgram {
    /// Loads the program, which leaves every frame to the kernel until it is told more. What libbpf would print goes
    /// nowhere from then on, in the whole process.
    ///
    /// # Errors
    /// [`LoadError`]; nothing stays behind.
    pub fn load() -> Result<Self, LoadError> {
        libbpf_rs::set_print(None);
        let mut place = MaybeUninit::uninit();
        let skeleton = skeleton::ArrivalSkelBuilder::default()
            .open(&mut place)
            .and_then(OpenSkel::load)
            .map_err(load_error)?;
        let maps = &skeleton.maps;
        let program = skeleton.progs.weir_arrival.as_fd().try_clone_to_owned();
        Ok(Self {
            program: program.map_err(|error| LoadError::Refused(error.to_string()))?,
            settings: MapHandle::try_from(&maps.settings).map_err(load_error)?,
            sockets: MapHandle::try_from(&maps.sockets).map_err(load_error)?,
            ports: MapHandle::try_from(&maps.ports).map_err(load_error)?,
            own_v4: MapHandle::try_from(&maps.own_v4).map_err(load_error)?,
            own_v6: MapHandle::try_from(&maps.own_v6).map_err(load_error)?,
            routes_v4: MapHandle::try_from(&maps.routes_v4).map_err(load_error)?,
            routes_v6: MapHandle::try_from(&maps.routes_v6).map_err(load_error)?,
            counters: MapHandle::try_from(&maps.counters).map_err(load_error)?,
        })
    }

    /// Says what the device is for, from the next frame on.
    ///
    /// # Errors
    /// [`MapError`], with the old settings in place.
    pub fn set(&self, settings: &ArrivalSettings) -> Result<(), MapError> {
        const SECOND_NS: u64 = 1_000_000_000;

        let cost_ns = settings
            .ceiling_per_s
            .map_or(0, |most| SECOND_NS / u64::from(most.max(1)));
        let roles = u8::from(settings.wan) | u8::from(settings.lan) << 1;
        let mut value = Vec::with_capacity(24);
        value.extend(cost_ns.to_ne_bytes());
        value.extend(SECOND_NS.to_ne_bytes());
        value.extend(settings.mac);
        value.extend([roles, 0]);
        self.settings
            .update(&0u32.to_ne_bytes(), &value, MapFlags::ANY)
            .map_err(|error| map_error("settings", error))
    }

    /// Makes the UDP ports exactly these.
    ///
    /// # Errors
    /// [`MapError`]: some are changed and some are not; the next call changes the rest.
    pub fn set_ports(&self, ports: &[u16]) -> Result<(), MapError> {
        let keys = ports.iter().map(|port| (port.to_be_bytes().to_vec(), THERE));
        replace("ports", &self.ports, keys.collect())
    }

    /// Makes this host's addresses exactly these.
    ///
    /// # Errors
    /// As [`ArrivalProgram::set_ports`].
    pub fn set_addresses(&self, addresses: &[IpAddr]) -> Result<(), MapError> {
        let (v4, v6) = by_family(addresses.iter().map(|address| (*address, Vec::new(), THERE)));
        replace("own_v4", &self.own_v4, v4)?;
        replace("own_v6", &self.own_v6, v6)
    }

    /// Makes the routes that decide what goes into the tunnel exactly these: an address in the network, the length of
    /// its prefix, and whether what it holds goes there. The longest prefix decides, and what none holds does not go.
    ///
    /// # Errors
    /// As [`ArrivalProgram::set_ports`], also for a length beyond the address's.
    pub fn set_routes(&self, routes: impl IntoIterator<Item = (IpAddr, u8, bool)>) -> Result<(), MapError> {
        let keys = routes.into_iter().map(|(address, length, into_tunnel)| {
            let key = u32::from(length).to_ne_bytes().to_vec();
            (network(address, length), key, u8::from(into_tunnel))
        });
        let (v4, v6) = by_family(keys);
        replace("routes_v4", &self.routes_v4, v4)?;
        replace("routes_v6", &self.routes_v6, v6)
    }

    /// Gives what is taken on a queue to a socket, which is bound to that queue of the device.
    ///
    /// # Errors
    /// [`MapError`] where the queue is beyond [`QUEUES_MAX`] or the socket is not one of AF_XDP.
    pub fn insert_socket(&self, queue: u32, socket: BorrowedFd<'_>) -> Result<(), MapError> {
        let descriptor = u32::try_from(socket.as_raw_fd()).expect("a borrowed descriptor is not negative");
        self.sockets
            .update(&queue.to_ne_bytes(), &descriptor.to_ne_bytes(), MapFlags::ANY)
            .map_err(|error| map_error("sockets", error))
    }

    /// Leaves a queue to the kernel again.
    ///
    /// # Errors
    /// [`MapError`] where it had no socket.
    pub fn remove_socket(&self, queue: u32) -> Result<(), MapError> {
        self.sockets
            .delete(&queue.to_ne_bytes())
            .map_err(|error| map_error("sockets", error))
    }

    /// Attaches the program to a device of the thread's network namespace.
    ///
    /// # Errors
    /// [`AttachError`]; what is there stays there.
    pub fn attach(&self, interface: u32, mode: AttachMode) -> Result<Attachment, AttachError> {
        // XDP_FLAGS_SKB_MODE and XDP_FLAGS_DRV_MODE of linux/if_link.h.
        let flags = match mode {
            AttachMode::Generic => 1 << 1,
            AttachMode::Driver => 1 << 2,
        };
        let number = i32::try_from(interface).expect("Linux numbers interfaces by positive integers");
        match sys::link_xdp(self.program.as_fd(), number, flags) {
            Ok(link) => Ok(Attachment { _link: link }),
            // EBUSY: another link; EEXIST: a program attached without one, or in the other mode.
            Err(error) if matches!(error.raw_os_error(), Some(16 | 17)) => {
                Err(AttachError::Occupied(interface))
            }
            // EOPNOTSUPP.
            Err(source) if source.raw_os_error() == Some(95) => {
                Err(AttachError::NoDriver { interface, source })
            }
            Err(source) => Err(AttachError::System { interface, source }),
        }
    }

    /// Frames by verdict, of all cores together.
    ///
    /// # Errors
    /// [`MapError`].
    pub fn counters(&self) -> Result<[u64; VERDICTS], MapError> {
        let mut counters = [0; VERDICTS];
        for (verdict, counter) in (0u32..).zip(&mut counters) {
            let cores = self
                .counters
                .lookup_percpu(&verdict.to_ne_bytes(), MapFlags::ANY)
                .map_err(|error| map_error("counters", error))?;
            *counter = cores
                .iter()
                .flatten()
                .filter_map(|value| value.first_chunk())
                .map(|value| u64::from_ne_bytes(*value))
                .sum();
        }
        Ok(counters)
    }

    /// Runs the program on one frame without a device, and says what it returned: `XDP_DROP` (1), `XDP_PASS` (2) or
    /// `XDP_REDIRECT` (4), and what the frame is then. The frame arrives on queue 0.
    ///
    /// # Errors
    /// The kernel's: it takes no frame shorter than an Ethernet header.
    pub fn run(&self, frame: &[u8]) -> io::Result<(u32, Vec<u8>)> {
        sys::run(self.program.as_fd(), frame)
    }
}

/// What a map has for a key that has only to be there.
const THERE: u8 = 1;

/// A map's content.
type Content = BTreeMap<Vec<u8>, u8>;

/// Keys by address family, what comes before the address and then its bytes, with their values.
fn by_family(keys: impl Iterator<Item = (IpAddr, Vec<u8>, u8)>) -> (Content, Content) {
    let (mut v4, mut v6) = (Content::new(), Content::new());
    for (address, mut key, value) in keys {
        match address {
            IpAddr::V4(address) => {
                key.extend(address.octets());
                v4.insert(key, value);
            }
            IpAddr::V6(address) => {
                key.extend(address.octets());
                v6.insert(key, value);
            }
        }
    }
    (v4, v6)
}

/// An address without its host bits. The kernel takes keys that differ in them for one and the same, `replace` would not.
fn network(address: IpAddr, length: u8) -> IpAddr {
    let length = u32::from(length);
    match address {
        IpAddr::V4(address) => {
            let host = u32::MAX.checked_shr(length).unwrap_or(0);
            IpAddr::V4((address.to_bits() & !host).into())
        }
        IpAddr::V6(address) => {
            let host = u128::MAX.checked_shr(length).unwrap_or(0);
            IpAddr::V6((address.to_bits() & !host).into())
        }
    }
}

/// Makes a map's content exactly this. What is wanted comes before what is not goes, so that nothing wanted is ever away;
/// where the map has no room for both, the rest comes afterwards.
fn replace(name: &'static str, map: &MapHandle, wanted: Content) -> Result<(), MapError> {
    let there: Content = map
        .keys()
        .map(|key| {
            // A key that went meanwhile has no value; it is written again if it is wanted.
            let value = map.lookup(&key, MapFlags::ANY).ok().flatten();
            let value = value.and_then(|value| value.first().copied());
            (key, value.unwrap_or(u8::MAX))
        })
        .collect();
    let add = || {
        wanted
            .iter()
            .filter(|(key, value)| there.get(*key) != Some(value))
            .try_for_each(|(key, value)| map.update(key, &[*value], MapFlags::ANY))
    };
    let added = add();
    for key in there.keys().filter(|key| !wanted.contains_key(*key)) {
        map.delete(key).map_err(|error| map_error(name, error))?;
    }
    added.or_else(|_| add()).map_err(|error| map_error(name, error))
}
