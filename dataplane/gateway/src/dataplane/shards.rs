//! Shards that come and go while traffic flows, and what each is made of.

use super::{DataPlane, DataPlaneError, HOST, Inner, Running, WAN, random, slot_table};
use crate::shard_thread::ShardThread;
use crate::xdp::View;
use crossbeam_channel::bounded;
use std::sync::Arc;
use std::time::Duration;
use weir_config::PortRole;
use weir_engine::{Links, ShardParts};
use weir_frame::{Home, Port};
use weir_noise::CookieSecret;
use weir_sockets::UdpPort;
use weir_sockets::tun::TunPort;
use weir_xsk::{LanParts, LanPort, WanParts, WanPort};

/// Commands that wait for one shard.
const COMMANDS: usize = 64;

/// How long datagrams that are under way to a shard which ends are given.
const DRAIN: Duration = Duration::from_millis(300);

/// A shard's ports.
pub(super) type Ports = Vec<Box<dyn Port>>;

impl DataPlane {
    /// Changes the number of shards while traffic flows.
    pub fn set_shards(&self, shards: usize) -> Result<(), DataPlaneError> {
        let most = self.alarms.len();
        if !(1..=most).contains(&shards) {
            return Err(DataPlaneError::Shards { asked: shards, most });
        }
        let mut inner = self.lock();
        let inner = &mut *inner;
        while inner.running.len() < shards {
            self.add_shard(inner)?;
        }
        inner.applier.set_shards(shards);
        let table = slot_table(&inner.applier);
        self.wake_all();
        inner.udp.set_slots(&table)?;
        if inner.running.len() == shards {
            return Ok(());
        }
        // First no new packets, then time for those under way, then the end.
        for shard in shards..inner.running.len() {
            inner.tun.remove(shard as u16)?;
            self.cards.iter().for_each(|card| card.take_back(shard as u16));
        }
        std::thread::sleep(DRAIN);
        while inner.running.len() > shards {
            let shard = inner.running.len() - 1;
            inner.udp.remove(shard as u16)?;
            let Running { thread } = inner.running.pop().expect("the loop's condition");
            let (links, ports) = thread.stop();
            inner.keep(ports);
            inner.dormant.push(links);
        }
        Ok(())
    }

    /// One shard more; nothing of it stays where a part cannot be had.
    fn add_shard(&self, inner: &mut Inner) -> Result<(), DataPlaneError> {
        let links = inner
            .dormant
            .pop()
            .expect("there are links for every shard up to the most");
        let shard = links.shard();
        let added = match self.add_ports(inner, shard) {
            Ok(ports) => self.start_shard(inner, links, ports),
            Err(error) => {
                inner.dormant.push(links);
                Err(error)
            }
        };
        if added.is_err() {
            self.cards.iter().for_each(|card| card.take_back(shard));
            // What was not come to is not there, and what led here is what is told.
            let _ = (inner.tun.remove(shard), inner.udp.remove(shard));
        }
        added
    }

    fn add_ports(&self, inner: &mut Inner, shard: u16) -> Result<Ports, DataPlaneError> {
        let mut pool = |port| {
            let left = inner.stock.remove(&Home { shard, port });
            left.unwrap_or_else(|| self.options.pool(shard.into(), port))
        };
        let (outer, inside) = (pool(WAN), pool(HOST));
        let udp = inner.udp.add(outer)?;
        let tun = inner.tun.add(inside)?;
        self.ports(inner, shard, udp, tun)
    }

    /// A shard's ports: each its socket, or a queue and the socket.
    pub(super) fn ports(
        &self,
        inner: &Inner,
        shard: u16,
        udp: UdpPort,
        tun: TunPort,
    ) -> Result<Ports, DataPlaneError> {
        let (mut wan, mut host): (Box<dyn Port>, Box<dyn Port>) = (Box::new(udp), Box::new(tun));
        for (place, card) in self.cards.iter().enumerate() {
            let port = match card.role() {
                PortRole::Wan => WAN,
                PortRole::Lan => HOST,
            };
            let queue = card.seat(shard, Home { shard, port })?;
            let surveyor = inner.surveyor.as_ref().expect("cards are surveyed");
            let site = View::new(Arc::clone(card.facts()), surveyor.missing(place));
            match card.role() {
                PortRole::Wan => {
                    let socket = wan;
                    wan = Box::new(WanPort::new(WanParts { queue, socket, site }));
                }
                PortRole::Lan => {
                    let tun = host;
                    host = Box::new(LanPort::new(LanParts { queue, tun, site }));
                }
            }
        }
        Ok(vec![wan, host])
    }

    /// Starts a shard's thread. Where that cannot be, its links are dormant again, and its frames kept.
    pub(super) fn start_shard(
        &self,
        inner: &mut Inner,
        links: Links,
        ports: Ports,
    ) -> Result<(), DataPlaneError> {
        let (commands, inbox) = bounded(COMMANDS);
        let shard = links.shard();
        let parts = ShardParts {
            tables: Arc::clone(inner.applier.published()),
            aead: self.options.aead.aead(),
            ports,
            stranger_jobs: self.workers.strangers.clone(),
            own_jobs: self.workers.own.clone(),
            outcomes: self.workers.outcomes(shard),
            commands: inbox,
            events: self.events.0.clone(),
            cookie_secret: CookieSecret::new(self.secret),
            seed: random("a shard's seed"),
            burst: self.options.burst,
            queue: self.options.queue,
            rates: self.options.rates,
            links,
        };
        let thread = match ShardThread::start(parts, commands) {
            Ok(thread) => thread,
            Err(unstarted) => {
                inner.dormant.push(unstarted.links);
                inner.keep(unstarted.ports);
                return Err(DataPlaneError::System {
                    what: "starting a shard's thread",
                    source: unstarted.error,
                });
            }
        };
        for card in &self.cards {
            card.attend(shard, thread.waking());
        }
        inner.running.push(Running { thread });
        Ok(())
    }
}

impl Inner {
    /// Keeps the frames of ports that have ended.
    fn keep(&mut self, ports: Ports) {
        for port in ports {
            self.stock.insert(port.home(), port.into_pool());
        }
    }
}
