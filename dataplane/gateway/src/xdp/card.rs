//! One device: the XDP program on it, and the queues that shards work on.

use super::facts::Facts;
use crate::netlink::{self, Netlink};
use arc_swap::ArcSwap;
use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use weir_abi::prefix::Prefix;
use weir_config::{Port, PortMode, PortRole};
use weir_frame::{Home, PoolSize};
use weir_nic::Nic;
use weir_xdp_prog::{
    ArrivalProgram, ArrivalSettings, AttachError, AttachMode, Attachment, LoadError, MapError, VERDICTS,
};
use weir_xsk::{CHUNK, CHUNK_OF_WHOLE_KIB, Copying, MemoryError, OpenError, Queue, SocketOptions, Store};

/// Frames of one queue: half of them may lie with the kernel to be filled, the rest is for what is sent.
const FRAMES: usize = 3072;

/// Entries of each ring.
const RING: u32 = 1024;

/// Why a device is no port.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// The device itself.
    #[error("port {device}: {source}")]
    Link {
        /// The device's name.
        device: String,
        /// The kernel's answer.
        source: netlink::Error,
    },
    /// It has no MAC address.
    #[error("port {0}: it has no MAC address; expected an Ethernet device")]
    NotEthernet(String),
    /// The program was not loaded.
    #[error("port {device}: {source}")]
    Load {
        /// The device's name.
        device: String,
        /// The kernel's answer.
        source: LoadError,
    },
    /// The program was not attached.
    #[error("port {device}: {source}")]
    Attach {
        /// The device's name.
        device: String,
        /// The kernel's answer.
        source: AttachError,
    },
    /// The program was not told what to do.
    #[error("port {device}: {source}")]
    Map {
        /// The device's name.
        device: String,
        /// The kernel's answer.
        source: MapError,
    },
    /// There is no memory to share with the kernel.
    #[error("port {device}: {source}")]
    Memory {
        /// The device's name.
        device: String,
        /// The kernel's answer.
        source: MemoryError,
    },
    /// No queue can be had.
    #[error("port {device}: {source}")]
    Queue {
        /// The device's name.
        device: String,
        /// The kernel's answer.
        source: OpenError,
    },
}

/// A device at work. What it has attached ends with it, or with the process.
pub struct Card {
    device: String,
    interface: u32,
    role: PortRole,
    mode: PortMode,
    attached: AttachMode,
    /// Bytes of a frame.
    chunk: usize,
    program: ArrivalProgram,
    _attachment: Attachment,
    facts: Arc<ArcSwap<Facts>>,
    settings: Mutex<ArrivalSettings>,
    notes: Mutex<Vec<String>>,
}

impl Card {
    /// Attaches the XDP program to a device of the thread's network namespace. It leaves every frame to the kernel until
    /// it is told of addresses, ports or routes and a queue has a socket.
    ///
    /// # Errors
    /// [`CardError`]; nothing stays behind.
    pub fn open(port: &Port) -> Result<Self, CardError> {
        let device = port.device.clone();
        let link = Netlink::open()
            .and_then(|mut netlink| netlink.link(&device))
            .map_err(|source| CardError::Link {
                device: device.clone(),
                source,
            })?;
        let mac = link.mac.ok_or_else(|| CardError::NotEthernet(device.clone()))?;
        let program = ArrivalProgram::load().map_err(|source| CardError::Load {
            device: device.clone(),
            source,
        })?;
        let (attachment, attached) =
            attach(&program, link.index, port.mode).map_err(|source| CardError::Attach {
                device: device.clone(),
                source,
            })?;
        let chunk = chunk(&device);
        let wan = port.role == PortRole::Wan;
        let facts = Facts {
            mac,
            wan,
            ..Facts::default()
        };
        let card = Self {
            device,
            interface: link.index,
            role: port.role,
            mode: port.mode,
            attached,
            chunk,
            program,
            _attachment: attachment,
            facts: Arc::new(ArcSwap::from_pointee(facts)),
            settings: Mutex::new(ArrivalSettings {
                mac,
                wan,
                lan: !wan,
                ceiling_per_s: None,
            }),
            notes: Mutex::default(),
        };
        card.change_settings(|_| {})?;
        Ok(card)
    }

    /// The device's name.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// The device's number.
    pub fn interface(&self) -> u32 {
        self.interface
    }

    /// What arrives there.
    pub fn role(&self) -> PortRole {
        self.role
    }

    /// How the program is attached.
    pub fn attached(&self) -> AttachMode {
        self.attached
    }

    /// What is known of the device and its host.
    pub fn facts(&self) -> &Arc<ArcSwap<Facts>> {
        &self.facts
    }

    /// What an operator should know.
    pub fn notes(&self) -> Vec<String> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Frames by the program's verdict, of all cores together.
    pub fn counters(&self) -> Option<[u64; VERDICTS]> {
        self.program.counters().ok()
    }

    /// Opens the queue of that number for the shard whose port this is the home of; `None` where the device has no such
    /// queue, which is noted. Until [`Card::give`], nothing arrives there.
    ///
    /// # Errors
    /// [`CardError`].
    pub fn queue(&self, queue: u32, home: Home) -> Result<Option<Queue>, CardError> {
        let size = PoolSize {
            small: FRAMES,
            small_bytes: self.chunk,
            large: 0,
            large_bytes: 0,
            ..PoolSize::default()
        };
        let store = Store::new(home, size).map_err(|source| CardError::Memory {
            device: self.device.clone(),
            source,
        })?;
        let copying = match (self.mode, self.attached) {
            (PortMode::ZeroCopy, _) => Some(Copying::None),
            (PortMode::Driver | PortMode::Generic, _) | (PortMode::Auto, AttachMode::Generic) => {
                Some(Copying::Each)
            }
            (PortMode::Auto, AttachMode::Driver) => None,
        };
        let options = SocketOptions {
            interface: self.interface,
            queue,
            copying,
            ring: RING,
        };
        match Queue::open(options, store) {
            Ok(queue) => Ok(Some(queue)),
            // A device has one queue at least.
            Err(refused) if queue > 0 && refused.error.is_no_such_queue() => {
                self.note(format!(
                    "port {}: it has no queue {queue}, so shard {queue} works by sockets; give it as many queues as there are shards, or fewer shards: ethtool -L {} combined N",
                    self.device, self.device
                ));
                Ok(None)
            }
            Err(refused) => Err(CardError::Queue {
                device: self.device.clone(),
                source: refused.error,
            }),
        }
    }

    /// Gives a queue's frames to its socket from now on.
    ///
    /// # Errors
    /// [`CardError`].
    pub fn give(&self, queue: u32, socket: &Queue) -> Result<(), CardError> {
        self.program
            .insert_socket(queue, socket.as_fd())
            .map_err(|source| self.map_error(source))
    }

    /// Leaves a queue to the kernel again, where it had a socket.
    pub fn take_back(&self, queue: u32) {
        // Fails only where there is none.
        let _ = self.program.remove_socket(queue);
    }

    /// Publishes facts, and tells the program of the addresses and the port among them.
    ///
    /// # Errors
    /// [`CardError`]: ports have the facts, and the program may have only some.
    pub fn publish(&self, facts: Facts) -> Result<(), CardError> {
        let before = self.facts.load_full();
        let facts = Arc::new(facts);
        self.facts.store(Arc::clone(&facts));
        if before.own != facts.own {
            let own: Vec<_> = facts.own.iter().copied().collect();
            self.program
                .set_addresses(&own)
                .map_err(|source| self.map_error(source))?;
        }
        if before.port != facts.port && facts.wan {
            self.program
                .set_ports(&[facts.port])
                .map_err(|source| self.map_error(source))?;
        }
        if before.mac != facts.mac {
            self.change_settings(|settings| settings.mac = facts.mac)?;
        }
        Ok(())
    }

    /// Tells the program what leads into the tunnel.
    ///
    /// # Errors
    /// [`CardError`]: it may know only a part.
    pub fn set_routes(&self, routes: &BTreeMap<Prefix, bool>) -> Result<(), CardError> {
        let routes = routes
            .iter()
            .map(|(prefix, into)| (prefix.address(), prefix.length(), *into));
        self.program
            .set_routes(routes)
            .map_err(|source| self.map_error(source))
    }

    /// Lets so many initiations without mac2 a second and core through to the sockets; `None` is no ceiling.
    ///
    /// # Errors
    /// [`CardError`]; the old ceiling stays.
    pub fn set_ceiling(&self, per_s: Option<u32>) -> Result<(), CardError> {
        self.change_settings(|settings| settings.ceiling_per_s = per_s)
    }

    fn change_settings(&self, change: impl FnOnce(&mut ArrivalSettings)) -> Result<(), CardError> {
        let mut settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = *settings;
        change(&mut next);
        self.program.set(&next).map_err(|source| self.map_error(source))?;
        *settings = next;
        Ok(())
    }

    fn note(&self, note: String) {
        tracing::warn!("{note}");
        self.notes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(note);
    }

    fn map_error(&self, source: MapError) -> CardError {
        CardError::Map {
            device: self.device.clone(),
            source,
        }
    }
}

/// Bytes of a frame that the device's driver can do with. Of a device that says nothing of itself, nearly every card's.
fn chunk(device: &str) -> usize {
    let nic = Nic::read(device).ok();
    match nic.as_ref().and_then(Nic::known_driver) {
        Some(driver) if driver.buffers_of_whole_kib => CHUNK_OF_WHOLE_KIB,
        Some(_) | None => CHUNK,
    }
}

/// Attaches in the driver where that can be, unless generic mode was asked for.
fn attach(
    program: &ArrivalProgram,
    interface: u32,
    mode: PortMode,
) -> Result<(Attachment, AttachMode), AttachError> {
    let wanted = match mode {
        PortMode::Generic => AttachMode::Generic,
        PortMode::Auto | PortMode::ZeroCopy | PortMode::Driver => AttachMode::Driver,
    };
    match program.attach(interface, wanted) {
        Err(AttachError::NoDriver { .. }) if mode == PortMode::Auto => program
            .attach(interface, AttachMode::Generic)
            .map(|attachment| (attachment, AttachMode::Generic)),
        attached => attached.map(|attachment| (attachment, wanted)),
    }
}
