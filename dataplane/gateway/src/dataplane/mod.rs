//! The data plane at work: the applier, the shards' threads, the UDP port and the TUN device, as one.

mod error;
mod options;
mod shards;

use crate::netlink::Netlink;
use crate::shard_thread::ShardThread;
use crate::watchers::Watchers;
use crate::workers::Workers;
use crate::xdp::{Begin, Card, Order, Surveyor};
use core::net::SocketAddr;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::HashMap;
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use weir_abi::change::{Change, ChangeSet};
use weir_abi::desired::{Desired, Origin, Revision};
use weir_abi::events::{EventKind, NAMED_MAX};
use weir_abi::key::PublicKey;
use weir_engine::limits::{EVENTS, SHARDS_MAX};
use weir_engine::{
    Alarm, Applied, Applier, Command, Event, Links, PeerId, Remembered, Snapshot, Stamps, Wanted, mesh,
};
use weir_frame::{FramePool, Home};
use weir_sockets::tun::{TunDevice, TunOptions, TunPort};
use weir_sockets::{SlotTable, UdpGroup, UdpOptions};

pub use error::DataPlaneError;
pub use options::Options;

/// How long a shard may take to describe itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// What one shard's thread and its sockets are.
struct Running {
    thread: ShardThread,
}

/// Everything that changes when the number of shards or the port does.
struct Inner {
    applier: Applier,
    udp: UdpGroup,
    tun: TunDevice,
    running: Vec<Running>,
    /// The ends of the rings of shards that do not run, last first.
    dormant: Vec<Links>,
    surveyor: Option<Surveyor>,
    /// Frames of shards that have ended, by their home: some may be abroad, and come back to whoever has that home next.
    stock: HashMap<Home, FramePool>,
}

/// The data plane. Its methods may be called from any thread; none is called by a shard.
pub struct DataPlane {
    inner: Mutex<Inner>,
    alarms: Vec<Arc<Alarm>>,
    workers: Workers,
    options: Options,
    /// Devices of AF_XDP, which outlive the shards' ports on them.
    cards: Vec<Arc<Card>>,
    secret: [u8; 32],
    events: (Sender<Event>, Receiver<Event>),
    watchers: Watchers,
}

impl DataPlane {
    /// Opens the device and the port and starts the threads; `desired` is in force from the first packet on.
    ///
    /// # Errors
    /// [`DataPlaneError`]; nothing stays open.
    pub fn start(
        mut options: Options,
        desired: &ChangeSet,
        remembered: HashMap<PublicKey, Remembered>,
        stamps: Stamps,
    ) -> Result<Self, DataPlaneError> {
        let inherited = options.tun.is_some();
        let most = if inherited { 1 } else { shards_most() };
        if !(1..=most).contains(&options.shards) {
            return Err(DataPlaneError::Shards {
                asked: options.shards,
                most,
            });
        }
        let mut applier = Applier::new(options.shards, options.mtu);
        applier.remember(remembered);
        applier.apply(desired)?;
        let mut links = mesh(most);
        let alarms: Vec<Arc<Alarm>> = links.iter().map(|links| Arc::clone(links.alarm())).collect();
        let (tun, tun_ports) = open_tun(&mut options)?;
        let udp_options = UdpOptions {
            port: applier.listen_port(),
            offload: options.offload,
            steering: options.steering,
            fwmark: applier.fwmark(),
            receive_buffer: options.buffer,
            send_buffer: options.buffer,
        };
        let pools = (0..options.shards)
            .map(|shard| options.pool(shard, WAN))
            .collect();
        let table = slot_table(&applier);
        let (udp, udp_ports) = UdpGroup::bind(&udp_options, pools, &table)?;
        let cards = options
            .devices
            .iter()
            .map(|device| Card::open(device).map(Arc::new));
        let cards = cards.collect::<Result<Vec<_>, _>>()?;
        let surveyor = survey(&cards, &tun, udp.port(), &applier)?;
        let tables = applier.published();
        let workers = Workers::start(
            workers_count(),
            options.rates.waiting,
            tables,
            stamps,
            &alarms,
            || random("a worker's seed"),
        )
        .map_err(|source| DataPlaneError::System {
            what: "starting the handshake workers",
            source,
        })?;
        let dormant = links.split_off(options.shards).into_iter().rev().collect();
        let plane = Self {
            alarms,
            workers,
            secret: random("the cookie secret"),
            events: bounded(EVENTS),
            watchers: Watchers::default(),
            inner: Mutex::new(Inner {
                applier,
                udp,
                tun,
                running: Vec::new(),
                dormant,
                surveyor,
                stock: HashMap::new(),
            }),
            cards,
            options,
        };
        {
            let mut inner = plane.lock();
            let inner = &mut *inner;
            for ((links, udp), tun) in links.into_iter().zip(udp_ports).zip(tun_ports) {
                let ports = plane.ports(inner, links.shard(), udp, tun)?;
                plane.start_shard(inner, links, ports)?;
            }
        }
        Ok(plane)
    }

    /// The TUN device's name.
    pub fn interface(&self) -> String {
        self.lock().tun.name().to_owned()
    }

    /// Does something with the TUN device.
    pub fn with_tun<T>(&self, what: impl FnOnce(&TunDevice) -> T) -> T {
        what(&self.lock().tun)
    }

    /// Does something with the UDP port.
    pub fn with_udp<T>(&self, what: impl FnOnce(&UdpGroup) -> T) -> T {
        what(&self.lock().udp)
    }

    /// The desired state in force, secrets included.
    pub fn desired(&self) -> Desired {
        self.lock().applier.desired()
    }

    /// The tables in force.
    pub fn tables(&self) -> Arc<weir_engine::Tables> {
        self.lock().applier.published().load_full()
    }

    /// The revision in force.
    pub fn revision(&self) -> Revision {
        self.lock().applier.revision()
    }

    /// The UDP port in force, and the mark.
    pub fn port_and_mark(&self) -> (u16, u32) {
        let inner = self.lock();
        (inner.udp.port(), inner.applier.fwmark())
    }

    /// Handshake jobs that wait.
    pub fn handshake_queue(&self) -> usize {
        self.workers.waiting()
    }

    /// What the shards tell.
    pub fn events(&self) -> &Receiver<Event> {
        &self.events.1
    }

    /// Who watches what happens.
    pub fn watchers(&self) -> &Watchers {
        &self.watchers
    }

    /// The AEAD back end that shards use.
    pub fn aead(&self) -> &weir_crypto::Choice {
        &self.options.aead
    }

    /// The devices of AF_XDP.
    pub fn cards(&self) -> &[Arc<Card>] {
        &self.cards
    }

    /// How many shards run.
    pub fn shards(&self) -> usize {
        self.lock().running.len()
    }

    /// Applies changes, or nothing of them.
    pub fn apply(&self, set: &ChangeSet) -> Result<Revision, DataPlaneError> {
        let mut inner = self.lock();
        let prepared = inner.applier.prepare(set)?;
        let (mut port, mut mark) = (None, None);
        for change in &set.changes {
            match change {
                Change::ListenPort(new) => port = Some(*new),
                Change::Fwmark(new) => mark = Some(*new),
                Change::PrivateKey(_)
                | Change::RemoveAllPeers
                | Change::RemovePeer(_)
                | Change::Peer(_)
                | Change::ReplacePeers(_)
                | Change::ReplaceRules(_) => {}
            }
        }
        // What the kernel may refuse comes first; the applier has agreed already.
        let before = inner.applier.fwmark();
        if let Some(mark) = mark.filter(|&mark| mark != before) {
            inner.udp.set_fwmark(mark)?;
        }
        if let Some(port) = port.filter(|&port| port != inner.applier.listen_port())
            && let Err(error) = self.rebind(&mut inner, port)
        {
            inner.udp.set_fwmark(before)?;
            return Err(error);
        }
        let applied = inner.applier.commit(prepared);
        if let (Some(surveyor), true) = (&inner.surveyor, port.is_some() || mark.is_some()) {
            let (port, mark) = (inner.udp.port(), inner.applier.fwmark());
            surveyor.tell(Order::Socket { port, mark });
        }
        self.wake_all();
        // Whoever keeps names and state looks again; if it lags, it will anyway.
        let _ = self.events.0.try_send(Event::Changed);
        // While the lock is held, so that changes are told in their order.
        let revision = applied.revision;
        if self.watchers.any() {
            self.watchers.tell(changed(set.origin, applied));
        }
        Ok(revision)
    }

    /// A peer's name was resolved.
    pub fn resolved(&self, id: PeerId, address: SocketAddr) {
        self.lock().applier.resolved(id, address);
        self.wake_all();
    }

    /// The tunnel's MTU is another.
    pub fn set_mtu(&self, mtu: u16) {
        let mut inner = self.lock();
        inner.applier.set_mtu(mtu);
        if let Some(surveyor) = &inner.surveyor {
            surveyor.tell(Order::TunnelMtu(mtu));
        }
        self.wake_all();
    }

    /// The shards demand cookies: XDP programs are to let fewer initiations through for a while.
    pub fn under_load(&self) {
        if let Some(surveyor) = &self.lock().surveyor {
            surveyor.tell(Order::UnderLoad);
        }
    }

    /// Has the shards begin handshakes with these peers.
    pub fn initiate(&self, peers: &[PeerId]) {
        for Running { thread } in &self.lock().running {
            // A shard that is not at home with a peer ignores it.
            if thread.commands.send(Command::Initiate(peers.to_vec())).is_ok() {
                thread.wake();
            }
        }
    }

    /// A round trip through the tunnel to this peer was measured.
    pub fn measured(&self, peer: PeerId, latency: Duration) {
        for Running { thread } in &self.lock().running {
            // A shard that is not at home with the peer ignores it.
            if thread.commands.send(Command::Measured(peer, latency)).is_ok() {
                thread.wake();
            }
        }
    }

    /// What every shard tells of itself, and of those of its peers that are wanted.
    pub fn snapshots(&self, peers: &Wanted) -> Vec<Snapshot> {
        let mut waiting = Vec::new();
        for Running { thread } in &self.lock().running {
            let (to, parts) = bounded(16);
            let peers = peers.clone();
            if thread.commands.send(Command::Snapshot { peers, to }).is_ok() {
                thread.wake();
                waiting.push(parts);
            }
        }
        waiting.into_iter().filter_map(|parts| gather(&parts)).collect()
    }

    /// Ends the threads and closes everything.
    pub fn stop(self) {
        let mut inner = self.inner.into_inner().unwrap_or_else(PoisonError::into_inner);
        for Running { thread } in inner.running.drain(..) {
            thread.stop();
        }
    }

    fn rebind(&self, inner: &mut Inner, port: u16) -> Result<(), DataPlaneError> {
        inner.udp.rebind(port)?;
        // They wait on the old port's sockets.
        inner.running.iter().for_each(|Running { thread }| thread.wake());
        Ok(())
    }

    fn wake_all(&self) {
        self.alarms.iter().for_each(|alarm| alarm.ring());
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What watchers hear of a set of changes.
fn changed(origin: Origin, applied: Applied) -> EventKind {
    EventKind::Changed {
        revision: applied.revision,
        origin,
        peers: Some(applied.peers).filter(|peers| peers.len() <= NAMED_MAX),
        rules: applied.rules,
    }
}

/// The parts of one shard's snapshot, put together.
fn gather(parts: &Receiver<Snapshot>) -> Option<Snapshot> {
    let mut whole = parts.recv_timeout(PATIENCE).ok()?;
    while !whole.last {
        let part = parts.recv_timeout(PATIENCE).ok()?;
        whole.peers.extend(part.peers);
        whole.last = part.last;
    }
    Some(whole)
}

/// The number of a shard's port for outer datagrams.
const WAN: u16 = 0;

/// The number of a shard's port to this host.
const HOST: u16 = 1;

fn open_tun(options: &mut Options) -> Result<(TunDevice, Vec<TunPort>), DataPlaneError> {
    let tun_options = TunOptions {
        offload: options.offload,
        existing: false,
    };
    match options.tun.take() {
        Some(descriptor) => {
            let (device, port) = TunDevice::adopt(descriptor, &tun_options, options.pool(0, HOST))?;
            Ok((device, vec![port]))
        }
        None => {
            let pools = (0..options.shards)
                .map(|shard| options.pool(shard, HOST))
                .collect();
            Ok(TunDevice::open(&options.interface, &tun_options, pools)?)
        }
    }
}

/// Surveys the host for the devices of AF_XDP, where there are any.
fn survey(
    cards: &[Arc<Card>],
    tun: &TunDevice,
    port: u16,
    applier: &Applier,
) -> Result<Option<Surveyor>, DataPlaneError> {
    if cards.is_empty() {
        return Ok(None);
    }
    let (_, link) =
        Netlink::of_device(tun.as_fd()).map_err(|error| DataPlaneError::Survey(error.to_string()))?;
    let begin = Begin {
        tunnel: link.index,
        port,
        mark: applier.fwmark(),
        tunnel_mtu: applier.published().load().mtu,
    };
    Surveyor::start(cards.to_vec(), begin)
        .map(Some)
        .map_err(DataPlaneError::Survey)
}

fn slot_table(applier: &Applier) -> SlotTable {
    let tables = applier.published().load();
    let owners = tables.slots.owners();
    SlotTable::from_fn(|slot| owners[usize::from(slot)])
}

/// As many shards as there may be, now or after a change.
fn shards_most() -> usize {
    cores().clamp(8, SHARDS_MAX)
}

/// Cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A handshake worker for every four cores.
fn workers_count() -> usize {
    cores().div_ceil(4)
}

fn random(what: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    let filled = getrandom::fill(&mut bytes);
    assert!(filled.is_ok(), "the kernel has no random bytes for {what}");
    bytes
}
