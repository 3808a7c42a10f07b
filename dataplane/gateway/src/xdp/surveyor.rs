//! Keeps what the ports of AF_XDP know of the host up to date: addresses, routes into the tunnel, next hops.
//!
//! Next hops are the kernel's own answer (`RTM_GETROUTE` with the mark, then the neighbour), asked for one address at a
//! time when a packet for it was sent by the kernel for want of it. Neighbours in use are kept resolved, and what nobody
//! uses is forgotten.

use super::card::Card;
use super::facts::Facts;
use crate::netlink::{Error, Event, Monitor, Netlink};
use core::net::IpAddr;
use core::ops::ControlFlow;
use crossbeam_channel::{Receiver, Sender, at, bounded, never, select};
use hashbrown::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use weir_config::PortRole;
use weir_engine::limits::{COOKIE_REPLIES_PER_S, UNDER_LOAD_HOLD};
use weir_xsk::Hop;

/// Addresses that wait to be looked up, of one device.
const MISSING: usize = 1024;

/// Ways that are known at most, of one device; beyond, the kernel sends.
const WAYS_MAX: usize = 1 << 16;

/// Ways that are looked up again at once when routes change; where there are more, they are forgotten instead.
const RENEWED: usize = 4096;

/// Between two looks at which ways are used. The kernel takes a neighbour for stale after 30 s without a sign of it.
const ROUND: Duration = Duration::from_secs(20);

/// How long changes are gathered, at least and at most: a daemon that changes its routes changes many.
const GATHER: Duration = Duration::from_millis(20);
const GATHER_MOST: Duration = Duration::from_secs(1);

/// Initiations without mac2 that an XDP program lets through on each core in a second: what a shard can tell apart in
/// about a tenth of its time (a mac1 takes some 400 ns), so that a flood of them leaves packets their share.
const CEILING: u32 = 250_000;

/// The same while shards demand cookies: they answer no more than [`COOKIE_REPLIES_PER_S`], and may find known endpoints
/// among as many again.
const CEILING_UNDER_LOAD: u32 = 2 * COOKIE_REPLIES_PER_S;

/// How long the load lasts after it was last told.
const LOAD_HOLD: Duration = UNDER_LOAD_HOLD.saturating_mul(2);

/// What the surveyor is to know.
#[derive(Debug)]
pub enum Order {
    /// The UDP port and the mark are these.
    Socket {
        /// The port.
        port: u16,
        /// The mark; 0 is none.
        mark: u32,
    },
    /// The tunnel's MTU in bytes.
    TunnelMtu(u16),
    /// The shards demand cookies.
    UnderLoad,
}

/// What the first survey begins with.
#[derive(Clone, Copy, Debug)]
pub struct Begin {
    /// The number of the tunnel's device.
    pub tunnel: u32,
    /// The UDP port.
    pub port: u16,
    /// The mark.
    pub mark: u32,
    /// The tunnel's MTU in bytes.
    pub tunnel_mtu: u16,
}

/// The thread. It ends when this is dropped.
pub struct Surveyor {
    orders: Option<Sender<Order>>,
    missing: Vec<Sender<IpAddr>>,
    thread: Option<JoinHandle<()>>,
}

impl Surveyor {
    /// Makes the first survey, and starts the thread that keeps it up to date.
    ///
    /// # Errors
    /// What the kernel refused, in words.
    pub fn start(cards: Vec<Arc<Card>>, begin: Begin) -> Result<Self, String> {
        let words = |error: Error| error.to_string();
        let monitor = Monitor::start().map_err(words)?;
        let netlink = Netlink::open().map_err(words)?;
        let (orders, received) = bounded(16);
        let (senders, missing) = cards.iter().map(|_| bounded(MISSING)).unzip();
        let cards = cards
            .into_iter()
            .map(|card| Surveyed {
                card,
                vias: HashMap::new(),
            })
            .collect();
        let mut survey = Survey {
            netlink,
            cards,
            missing,
            orders: received,
            known: begin,
            loaded_until: None,
            took: Duration::ZERO,
            failed: false,
        };
        survey.set_ceiling(CEILING);
        survey.all(&[])?;
        let thread = std::thread::Builder::new()
            .name("weir-surveyor".into())
            .spawn(move || survey.run(&monitor))
            .map_err(|error: io::Error| format!("starting a thread: {error}"))?;
        Ok(Self {
            orders: Some(orders),
            missing: senders,
            thread: Some(thread),
        })
    }

    /// Where ports of the card at that place of the list say which ways are missing.
    pub fn missing(&self, card: usize) -> Sender<IpAddr> {
        self.missing[card].clone()
    }

    /// Tells the surveyor something.
    pub fn tell(&self, order: Order) {
        if let Some(orders) = &self.orders {
            // Refused only when the thread ended, which it has said.
            let _ = orders.send(order);
        }
    }
}

impl Drop for Surveyor {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was told by the panic itself.
            let _ = thread.join();
        }
    }
}

/// Whether the kernel is to resolve a neighbour, or to make sure of it: then its event comes. What an event leads to does
/// not, or a neighbour that is off would be asked for without end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Prompt {
    Yes,
    No,
}

/// A card, and by which neighbour each of its known ways leads.
struct Surveyed {
    card: Arc<Card>,
    vias: HashMap<IpAddr, IpAddr>,
}

struct Survey {
    netlink: Netlink,
    cards: Vec<Surveyed>,
    missing: Vec<Receiver<IpAddr>>,
    orders: Receiver<Order>,
    known: Begin,
    loaded_until: Option<Instant>,
    /// How long the last survey took.
    took: Duration,
    /// Whether it failed.
    failed: bool,
}

impl Survey {
    fn run(mut self, monitor: &Monitor) {
        let (wan, lan) = (self.receiver(0), self.receiver(1));
        let mut round = None;
        loop {
            let using = self
                .cards
                .iter()
                .any(|card| !card.card.facts().load().ways.is_empty());
            round = next_round(round, using, Instant::now());
            let rounds = round.map_or_else(never, at);
            let relief = self.loaded_until.map_or_else(never, at);
            select! {
                recv(self.orders) -> order => match order {
                    Ok(order) => self.order(&order),
                    Err(_) => return,
                },
                recv(monitor.events()) -> event => match event {
                    Ok(event) => if self.events(event, monitor).is_break() { return },
                    Err(_) => return tracing::error!("AF_XDP ports: changes of the host are not heard of any more"),
                },
                recv(wan) -> address => if let Ok(address) = address { self.look_up(0, address) },
                recv(lan) -> address => if let Ok(address) = address { self.look_up(1, address) },
                recv(relief) -> _ => {
                    self.loaded_until = None;
                    self.set_ceiling(CEILING);
                }
                recv(rounds) -> _ => {
                    round = None;
                    self.round();
                }
            }
        }
    }

    fn receiver(&self, card: usize) -> Receiver<IpAddr> {
        self.missing.get(card).map_or_else(never, Receiver::clone)
    }

    fn order(&mut self, order: &Order) {
        match *order {
            Order::Socket { port, mark } => {
                let other_ways = self.known.mark != mark;
                (self.known.port, self.known.mark) = (port, mark);
                if other_ways {
                    self.renew();
                }
            }
            Order::TunnelMtu(mtu) => self.known.tunnel_mtu = mtu,
            Order::UnderLoad => {
                if self.loaded_until.is_none() {
                    self.set_ceiling(CEILING_UNDER_LOAD);
                }
                self.loaded_until = Some(Instant::now() + LOAD_HOLD);
                return;
            }
        }
        for card in 0..self.cards.len() {
            self.publish(card, |_| {});
        }
    }

    fn set_ceiling(&self, per_s: u32) {
        for Surveyed { card, .. } in &self.cards {
            // Only tunnels' datagrams are counted.
            if card.role() == PortRole::Wan
                && let Err(error) = card.set_ceiling(Some(per_s))
            {
                tracing::error!("{error}");
            }
        }
    }

    /// Takes an event and those right behind it.
    fn events(&mut self, first: Event, monitor: &Monitor) -> ControlFlow<()> {
        let mut neighbours = Vec::new();
        let (mut all, mut gone) = (false, Vec::new());
        let mut take = |event| match event {
            Event::Neighbour(link, address) => neighbours.push((link, address)),
            Event::LinkGone(link) => {
                gone.push(link);
                all = true;
            }
            Event::Link(_) | Event::Addresses | Event::Routes | Event::Lost => all = true,
        };
        take(first);
        // A survey that takes long, for there are many routes, is followed by a rest, or a daemon that changes them all the
        // time would take a core.
        std::thread::sleep((self.took * 4).clamp(GATHER, GATHER_MOST));
        monitor.events().try_iter().for_each(take);
        if all {
            self.try_all(&gone);
            return ControlFlow::Continue(());
        }
        for card in 0..self.cards.len() {
            let interface = self.cards[card].card.facts().load().interface;
            let concerned: Vec<IpAddr> = self.cards[card]
                .vias
                .iter()
                .filter(|(_, via)| neighbours.contains(&(interface, **via)))
                .map(|(address, _)| *address)
                .collect();
            self.find(card, &concerned, Prompt::No);
        }
        ControlFlow::Continue(())
    }

    /// As [`Survey::all`]; what fails is tried again with the next round.
    fn try_all(&mut self, gone: &[u32]) {
        let begun = Instant::now();
        let outcome = self.all(gone);
        self.failed = outcome.is_err();
        if let Err(error) = outcome {
            tracing::error!("AF_XDP ports: {error}");
        }
        self.took = begun.elapsed();
    }

    /// Surveys the host anew. The links of these numbers have been away.
    fn all(&mut self, gone: &[u32]) -> Result<(), String> {
        let own = self.netlink.own_addresses().map_err(|error| error.to_string())?;
        let routes = if self.cards.iter().any(|card| card.card.role() == PortRole::Lan) {
            let routes = self.netlink.routes_by(self.known.tunnel);
            Some(routes.map_err(|error| error.to_string())?)
        } else {
            None
        };
        let mut outcome = Ok(());
        for card in 0..self.cards.len() {
            let before = self.cards[card].card.facts().load().interface;
            let link = self.cards[card]
                .card
                .follow(&mut self.netlink, gone.contains(&before))
                .map_err(|error| error.to_string())?;
            if link.as_ref().is_none_or(|link| link.index != before) {
                self.cards[card].vias.clear();
            }
            self.publish(card, |facts| {
                facts.own = own.iter().copied().collect();
                match link {
                    Some(link) if link.index == before => facts.mac = link.mac.unwrap_or(facts.mac),
                    Some(link) => {
                        (facts.interface, facts.mac) = (link.index, link.mac.unwrap_or(facts.mac));
                        facts.ways.clear();
                    }
                    None => facts.ways.clear(),
                }
            });
            if let (PortRole::Lan, Some(routes)) = (self.cards[card].card.role(), &routes) {
                let told = self.cards[card].card.set_routes(routes);
                outcome = told.map_err(|error| error.to_string());
            }
        }
        self.renew();
        outcome
    }

    /// Looks every way up again.
    fn renew(&mut self) {
        for card in 0..self.cards.len() {
            let ways = self.cards[card].card.facts().load_full();
            if ways.ways.len() > RENEWED {
                self.cards[card].vias.clear();
                self.publish(card, |facts| facts.ways.clear());
            } else {
                let addresses: Vec<IpAddr> = ways.ways.keys().copied().collect();
                self.find(card, &addresses, Prompt::Yes);
            }
        }
    }

    /// Looks an address up, and those that wait behind it.
    fn look_up(&mut self, card: usize, first: IpAddr) {
        let known = self.cards[card].card.facts().load_full();
        let room = WAYS_MAX.saturating_sub(known.ways.len());
        let mut addresses: Vec<IpAddr> = core::iter::once(first)
            .chain(self.missing[card].try_iter())
            .filter(|address| !known.ways.contains_key(address))
            .collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses.truncate(room);
        self.find(card, &addresses, Prompt::Yes);
    }

    /// Finds the ways to these addresses, and publishes them.
    fn find(&mut self, card: usize, addresses: &[IpAddr], prompt: Prompt) {
        if addresses.is_empty() {
            return;
        }
        let found: Vec<(IpAddr, Option<Hop>)> = addresses
            .iter()
            .map(|&address| (address, self.way(card, address, prompt)))
            .collect();
        self.publish(card, |facts| {
            for (address, hop) in found {
                facts.learn(address, hop);
            }
        });
    }

    /// The next hop to an address by a card; `None` where it is not known or another device's.
    fn way(&mut self, card: usize, address: IpAddr, prompt: Prompt) -> Option<Hop> {
        self.cards[card].vias.remove(&address);
        let own = self.cards[card].card.facts().load_full();
        let interface = own.interface;
        if own.own.contains(&address) {
            return None;
        }
        let mark = match self.cards[card].card.role() {
            PortRole::Wan => self.known.mark,
            PortRole::Lan => 0,
        };
        let path = match address {
            // Ports ask for those of their own link only.
            IpAddr::V6(near) if near.is_unicast_link_local() => {
                self.netlink.path_by(address, mark, interface)
            }
            _ => self.netlink.path(address, mark),
        };
        let path = path.ok()?;
        if path.link != interface || path.is_broadcast {
            return None;
        }
        let via = path.gateway.unwrap_or(address);
        let mac = self.netlink.neighbour(interface, via).ok()?;
        self.cards[card].vias.insert(address, via);
        if prompt == Prompt::Yes
            && let Err(error) = self.netlink.use_neighbour(interface, via)
        {
            tracing::debug!("{error}");
        }
        Some(Hop {
            macs: (mac?, own.mac),
            source: path.source?,
            mtu: path.mtu as usize,
        })
    }

    /// Forgets what nobody used since the last round, and has the kernel make sure of the neighbours of the rest.
    fn round(&mut self) {
        if self.failed {
            self.try_all(&[]);
        }
        for card in 0..self.cards.len() {
            // A device that gets more queues tells nobody.
            self.cards[card].card.count_queues();
            if let Err(error) = self.cards[card].card.follow(&mut self.netlink, false) {
                tracing::error!("AF_XDP ports: {error}");
            }
            let facts = self.cards[card].card.facts().load_full();
            let (used, unused): (Vec<_>, Vec<_>) = facts.ways.iter().partition(|(_, way)| way.take_used());
            let used: Vec<IpAddr> = used.into_iter().map(|(address, _)| *address).collect();
            let unused: HashSet<IpAddr> = unused.into_iter().map(|(address, _)| *address).collect();
            if !unused.is_empty() {
                for address in &unused {
                    self.cards[card].vias.remove(address);
                }
                self.publish(card, |facts| {
                    facts.ways.retain(|address, _| !unused.contains(address));
                });
            }
            // A path's MTU may have been learnt meanwhile, of which nothing tells.
            self.renew_some(card, &used);
        }
    }

    fn renew_some(&mut self, card: usize, used: &[IpAddr]) {
        let found: Vec<(IpAddr, Option<Hop>)> = used
            .iter()
            .take(RENEWED)
            .map(|&address| (address, self.way(card, address, Prompt::Yes)))
            .collect();
        let facts = self.cards[card].card.facts().load_full();
        let changed = |(address, hop): &&(IpAddr, Option<Hop>)| {
            facts.ways.get(address).is_none_or(|way| way.hop != *hop)
        };
        let changed: Vec<_> = found.iter().filter(changed).copied().collect();
        if !changed.is_empty() {
            self.publish(card, |facts| {
                for (address, hop) in changed {
                    facts.learn(address, hop);
                }
            });
        }
    }

    fn publish(&self, card: usize, change: impl FnOnce(&mut Facts)) {
        let card = &self.cards[card].card;
        let mut facts = Facts::clone(&card.facts().load());
        facts.port = self.known.port;
        facts.tunnel_mtu = self.known.tunnel_mtu;
        change(&mut facts);
        if let Err(error) = card.publish(facts) {
            tracing::error!("{error}");
        }
    }
}

/// When the next round is due: a time that was set stays, however much happens until then, and nobody is woken while
/// nothing is in use.
fn next_round(set: Option<Instant>, using: bool, now: Instant) -> Option<Instant> {
    using.then(|| set.unwrap_or(now + ROUND))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches rounds that come only after a time in which nothing happens: on a host whose neighbours come and go, ways
    /// would stay for ever, up to the most that there may be, and path MTUs would never be learnt.
    #[test]
    fn rounds_come_however_much_happens() {
        let begun = Instant::now();
        let (mut round, mut rounds) = (None, 0);
        for second in 0..100 {
            let now = begun + Duration::from_secs(second);
            if round.is_some_and(|due| due <= now) {
                (round, rounds) = (None, rounds + 1);
            }
            round = next_round(round, true, now);
        }
        assert_eq!(rounds, 4, "in 100 s, at {ROUND:?} each");
        assert_eq!(next_round(round, false, begun), None);
    }
}
