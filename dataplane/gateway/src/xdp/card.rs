//! One device: the XDP program on it, and the seats of the shards' ports, each with a queue while the device has one.
//!
//! Devices go and come back (unplugged, moved between network namespaces, created anew), are set down, and get other
//! numbers of queues. Whoever hears of it calls [`Card::follow`]. A port whose queue is away works by sockets.

use super::error::CardError;
use super::facts::Facts;
use super::place::Place;
use crate::netlink::{self, Link, Netlink};
use crate::shard_thread::Waking;
use arc_swap::ArcSwap;
use core::sync::atomic::{AtomicBool, Ordering};
use std::collections::BTreeMap;
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use weir_abi::prefix::Prefix;
use weir_config::{Port, PortMode, PortRole};
use weir_frame::{Home, PoolSize};
use weir_nic::Nic;
use weir_xdp_prog::{
    ArrivalProgram, ArrivalSettings, AttachError, AttachMode, Attachment, MapError, VERDICTS,
};
use weir_xsk::{CHUNK, CHUNK_OF_WHOLE_KIB, Copying, Seat, SocketOptions, Store};

/// Frames of one queue: half of them may lie with the kernel to be filled, the rest is for what is sent.
const FRAMES: usize = 3072;

/// Entries of each ring.
const RING: u32 = 1024;

/// A device at work. What it has attached ends with it, or with the process.
pub struct Card {
    device: String,
    role: PortRole,
    mode: PortMode,
    busy_poll: bool,
    /// Bytes of a frame.
    chunk: usize,
    program: ArrivalProgram,
    facts: Arc<ArcSwap<Facts>>,
    /// Whether the program knows what of the facts it is to know.
    in_step: AtomicBool,
    settings: Mutex<ArrivalSettings>,
    work: Mutex<Work>,
}

/// What comes and goes with the device and with shards.
struct Work {
    attached: Option<Attached>,
    /// Why nothing is attached.
    trouble: Option<String>,
    places: BTreeMap<u16, Place>,
    /// Places of shards that have ended, for their frames.
    left: BTreeMap<u16, Place>,
}

/// The program on the device.
struct Attached {
    interface: u32,
    mode: AttachMode,
    /// Queues that receive, which for some drivers are more once a program is attached.
    queues: usize,
    _attachment: Attachment,
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
        let program = ArrivalProgram::load().map_err(|source| CardError::Load {
            device: device.clone(),
            source,
        })?;
        let wan = port.role == PortRole::Wan;
        let settings = ArrivalSettings {
            mac: link.mac.unwrap_or_default(),
            wan,
            lan: !wan,
            ceiling_per_s: None,
        };
        let facts = Facts {
            mac: settings.mac,
            interface: link.index,
            wan,
            ..Facts::default()
        };
        let card = Self {
            role: port.role,
            mode: port.mode,
            busy_poll: port.busy_poll,
            chunk: chunk(&device),
            device,
            program,
            facts: Arc::new(ArcSwap::from_pointee(facts)),
            in_step: AtomicBool::new(false),
            settings: Mutex::new(settings),
            work: Mutex::new(Work {
                attached: None,
                trouble: None,
                places: BTreeMap::new(),
                left: BTreeMap::new(),
            }),
        };
        card.change_settings(|_| {})?;
        card.work().attached = Some(card.attach(&link)?);
        Ok(card)
    }

    /// The device's name.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// What arrives there.
    pub fn role(&self) -> PortRole {
        self.role
    }

    /// How the program is attached, while it is.
    pub fn attached(&self) -> Option<AttachMode> {
        self.work().attached.as_ref().map(|attached| attached.mode)
    }

    /// What is known of the device and its host.
    pub fn facts(&self) -> &Arc<ArcSwap<Facts>> {
        &self.facts
    }

    /// What an operator should know.
    pub fn notes(&self) -> Vec<String> {
        let work = self.work();
        let places = work.places.iter().filter_map(|(shard, place)| {
            let trouble = place.trouble()?;
            Some(format!(
                "port {}: shard {shard} works by sockets: {trouble}",
                self.device
            ))
        });
        if let Some(trouble) = &work.trouble {
            return vec![format!("port {}: {trouble}", self.device)];
        }
        let queues = work.attached.as_ref().map_or(0, |attached| attached.queues);
        let shards = work.places.len();
        let beyond = (queues > shards).then(|| {
            format!(
                "port {}: it receives on {queues} queues, of which {shards} have a shard; what arrives on the others goes by sockets; give it as many queues as there are shards, or more shards: ethtool -L {} combined {shards}",
                self.device, self.device
            )
        });
        places.chain(beyond).collect()
    }

    /// Frames by the program's verdict, of all cores together.
    pub fn counters(&self) -> Option<[u64; VERDICTS]> {
        self.program.counters().ok()
    }

    /// A seat for the port of a shard with that home, on the queue of the shard's number. It is empty where the device is
    /// away or has no such queue, which is noted. [`Card::attend`] is to follow.
    ///
    /// # Errors
    /// [`CardError`].
    pub fn seat(&self, shard: u16, home: Home) -> Result<Seat, CardError> {
        let size = PoolSize {
            small: FRAMES,
            small_bytes: self.chunk,
            large: 0,
            large_bytes: 0,
            ..PoolSize::default()
        };
        let mut work = self.work();
        let left = work.left.remove(&shard);
        let store = match left.and_then(|place| place.seat().take_store()) {
            Some(store) => store,
            None => Store::new(home, size).map_err(|source| CardError::Memory {
                device: self.device.clone(),
                source,
            })?,
        };
        let mut seat = Seat::empty(store);
        let mut place = Place::new(seat.handle());
        match self.give_queue(work.attached.as_ref(), shard, &mut place) {
            Ok(()) => {}
            Err(error) if error.may_pass() => self.note(shard, &mut place, &error),
            Err(error) => return Err(error),
        }
        seat.refresh();
        work.places.insert(shard, place);
        Ok(seat)
    }

    /// Has the shard's thread woken by every socket that its seat gets from now on.
    pub fn attend(&self, shard: u16, waking: Arc<Waking>) {
        let work = &mut *self.work();
        if let Some(place) = work.places.get_mut(&shard) {
            place.attend(waking);
            self.serve(work.attached.as_ref(), shard, place);
        }
    }

    /// Leaves a shard's queue to the kernel again. The frames of its seat, which the shard's port leaves there, are those of
    /// the next one.
    pub fn take_back(&self, shard: u16) {
        let work = &mut *self.work();
        if let Some(place) = work.places.remove(&shard) {
            work.left.insert(shard, place);
        }
        // Fails only where there is none.
        let _ = self.program.remove_socket(shard.into());
    }

    /// Looks where the device is now, and gives seats the queues that they can have. `gone` says that it has been away
    /// since the last time, although it may be back.
    ///
    /// # Errors
    /// The kernel's, which refused to describe it.
    pub fn follow(&self, netlink: &mut Netlink, gone: bool) -> Result<Option<Link>, netlink::Error> {
        let work = &mut *self.work();
        let mut link = match &work.attached {
            Some(attached) if !gone => if_any(netlink.link_of_index(attached.interface))?,
            Some(_) | None => None,
        };
        if link.is_none() {
            self.lose(work);
            link = if_any(netlink.link(&self.device))?;
        }
        let Some(link) = link else { return Ok(None) };
        if work.attached.is_none() {
            match self.attach(&link) {
                Ok(attached) => {
                    tracing::info!("port {}: the device is there", self.device);
                    (work.attached, work.trouble) = (Some(attached), None);
                }
                Err(error) => self.trouble(work, error.to_string()),
            }
        }
        for (shard, place) in &mut work.places {
            self.serve(work.attached.as_ref(), *shard, place);
        }
        Ok(work.attached.is_some().then_some(link))
    }

    /// Counts the device's queues again, of whose change nobody tells.
    pub fn count_queues(&self) {
        // Read without the lock, for a driver may take its time.
        let now = queues(&self.device);
        if let Some(attached) = &mut self.work().attached {
            attached.queues = now;
        }
    }

    /// Publishes facts, and tells the program of the addresses and the port among them.
    ///
    /// # Errors
    /// [`CardError`]: ports have the facts, and the program may have only some.
    pub fn publish(&self, facts: Facts) -> Result<(), CardError> {
        let before = self.facts.load_full();
        let facts = Arc::new(facts);
        self.facts.store(Arc::clone(&facts));
        // What failed last time is tried again.
        let in_step = self.in_step.swap(false, Ordering::Relaxed);
        if !in_step || before.own != facts.own {
            let own: Vec<_> = facts.own.iter().copied().collect();
            self.program
                .set_addresses(&own)
                .map_err(|source| self.map_error(source))?;
        }
        if facts.wan && (!in_step || before.port != facts.port) {
            self.program
                .set_ports(&[facts.port])
                .map_err(|source| self.map_error(source))?;
        }
        if !in_step || before.mac != facts.mac {
            self.change_settings(|settings| settings.mac = facts.mac)?;
        }
        self.in_step.store(true, Ordering::Relaxed);
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

    /// Attaches in the driver where that can be, unless generic mode was asked for.
    fn attach(&self, link: &Link) -> Result<Attached, CardError> {
        if link.mac.is_none() {
            return Err(CardError::NotEthernet(self.device.clone()));
        }
        let attach = |mode| {
            let attachment = self.program.attach(link.index, mode)?;
            Ok(Attached {
                interface: link.index,
                mode,
                queues: queues(&self.device),
                _attachment: attachment,
            })
        };
        // A device that cannot be read says by its driver's answer what it can do.
        let nic = Nic::read(&self.device).ok();
        let made_of_others = nic.as_ref().and_then(|nic| nic.link.made_of_others());
        let attached = match (self.mode, made_of_others) {
            (PortMode::Generic, _) | (PortMode::Auto, Some(_)) => attach(AttachMode::Generic),
            (PortMode::ZeroCopy | PortMode::Driver, Some(kind)) => {
                return Err(CardError::MadeOfOthers {
                    device: self.device.clone(),
                    kind: kind.to_owned(),
                });
            }
            (PortMode::ZeroCopy | PortMode::Driver, None) => attach(AttachMode::Driver),
            (PortMode::Auto, None) => match attach(AttachMode::Driver) {
                Err(AttachError::NoDriver { .. }) => attach(AttachMode::Generic),
                attached => attached,
            },
        };
        attached.map_err(|source| CardError::Attach {
            device: self.device.clone(),
            source,
        })
    }

    /// The device is gone, and with it the kernel's hold on the queues' frames.
    fn lose(&self, work: &mut Work) {
        if work.attached.take().is_none() {
            return;
        }
        let trouble = "the device is gone; its packets go by sockets until it is back";
        self.trouble(work, trouble.to_owned());
        for (shard, place) in &mut work.places {
            place.clear();
            // The socket's end would do it too.
            let _ = self.program.remove_socket((*shard).into());
        }
    }

    fn trouble(&self, work: &mut Work, trouble: String) {
        if work.trouble.as_ref() != Some(&trouble) {
            tracing::warn!("port {}: {trouble}", self.device);
            work.trouble = Some(trouble);
        }
    }

    /// Gives a seat that is empty its queue, if that can be had and somebody attends to it.
    fn serve(&self, attached: Option<&Attached>, shard: u16, place: &mut Place) {
        if place.is_taken() || !place.is_attended() {
            return;
        }
        match self.give_queue(attached, shard, place) {
            Ok(()) if attached.is_some() => {
                tracing::info!("port {}: shard {shard} has queue {shard}", self.device);
            }
            Ok(()) => {}
            Err(error) => self.note(shard, place, &error),
        }
    }

    /// Opens the queue of a shard's number for its seat, where the device is there.
    fn give_queue(
        &self,
        attached: Option<&Attached>,
        shard: u16,
        place: &mut Place,
    ) -> Result<(), CardError> {
        let Some(attached) = attached else { return Ok(()) };
        let copying = match (self.mode, attached.mode) {
            (PortMode::ZeroCopy, _) => Some(Copying::None),
            (PortMode::Driver | PortMode::Generic, _) | (PortMode::Auto, AttachMode::Generic) => {
                Some(Copying::Each)
            }
            (PortMode::Auto, AttachMode::Driver) => None,
        };
        let options = SocketOptions {
            interface: attached.interface,
            queue: shard.into(),
            copying,
            ring: RING,
            busy_poll: self.busy_poll,
        };
        let socket = place
            .seat()
            .open(options, attached.mode == AttachMode::Generic)
            .map_err(|source| CardError::Queue {
                device: self.device.clone(),
                queue: shard.into(),
                source,
            })?;
        self.program
            .insert_socket(shard.into(), socket.as_fd())
            .map_err(|source| self.map_error(source))?;
        place.take(socket);
        Ok(())
    }

    /// Notes why a shard has no queue, once.
    fn note(&self, shard: u16, place: &mut Place, error: &CardError) {
        let trouble = error.advice().unwrap_or_else(|| error.to_string());
        if place.trouble() != Some(&trouble) {
            tracing::warn!("port {}: shard {shard} works by sockets: {trouble}", self.device);
            place.set_trouble(trouble);
        }
    }

    fn change_settings(&self, change: impl FnOnce(&mut ArrivalSettings)) -> Result<(), CardError> {
        let mut settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = *settings;
        change(&mut next);
        self.program.set(&next).map_err(|source| self.map_error(source))?;
        *settings = next;
        Ok(())
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn map_error(&self, source: MapError) -> CardError {
        CardError::Map {
            device: self.device.clone(),
            source,
        }
    }
}

/// Queues on which a device receives; 0 where it does not say.
fn queues(device: &str) -> usize {
    Nic::read(device).map_or(0, |nic| nic.rx_queues as usize)
}

fn if_any(link: Result<Link, netlink::Error>) -> Result<Option<Link>, netlink::Error> {
    match link {
        Ok(link) => Ok(Some(link)),
        Err(netlink::Error::NoSuchLink(_)) => Ok(None),
        Err(error) => Err(error),
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
