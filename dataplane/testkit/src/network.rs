//! The network between the gateways of a simulation: it delays, loses, doubles, reorders and damages datagrams, swallows
//! those to some addresses and translates others.

use rand_core::Rng;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// What happens to datagrams on their way. Chances are in thousandths.
#[derive(Clone, Copy, Debug)]
pub struct Conditions {
    /// The least time under way.
    pub latency: Duration,
    /// A random addition of up to this, which reorders.
    pub jitter: Duration,
    /// Chance to be lost.
    pub loss: u32,
    /// Chance to arrive twice.
    pub duplicate: u32,
    /// Chance that one bit is flipped.
    pub corrupt: u32,
}

impl Default for Conditions {
    /// 10 ms, and nothing else happens.
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(10),
            jitter: Duration::ZERO,
            loss: 0,
            duplicate: 0,
            corrupt: 0,
        }
    }
}

impl Conditions {
    /// Everything that a bad network does, at once.
    pub fn hostile() -> Self {
        Self {
            latency: Duration::from_millis(5),
            jitter: Duration::from_millis(40),
            loss: 100,
            duplicate: 100,
            corrupt: 50,
        }
    }
}

/// A datagram as it was put on the network or arrived.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Datagram {
    /// Where it comes from, as the receiver sees it.
    pub from: SocketAddr,
    /// Where it goes.
    pub to: SocketAddr,
    /// The payload.
    pub bytes: Vec<u8>,
    /// DSCP and ECN.
    pub class: u8,
}

/// The network.
#[derive(Default)]
pub struct Network {
    /// What happens to datagrams.
    pub conditions: Conditions,
    /// Whether every datagram sent is kept in [`Network::captured`].
    pub capture: bool,
    /// Datagrams sent while `capture` was set and when, in ns, before anything happened to them.
    pub captured: Vec<(u64, Datagram)>,
    blackholes: HashSet<SocketAddr>,
    inside_to_outside: HashMap<SocketAddr, SocketAddr>,
    outside_to_inside: HashMap<SocketAddr, SocketAddr>,
    mailboxes: HashMap<SocketAddr, VecDeque<Datagram>>,
    flights: BinaryHeap<Reverse<(u64, u64, Datagram)>>,
    sequence: u64,
}

impl Network {
    /// Swallows whatever goes to or comes from `address`, or lets it through again.
    pub fn set_blackhole(&mut self, address: SocketAddr, on: bool) {
        if on {
            self.blackholes.insert(address);
        } else {
            self.blackholes.remove(&address);
        }
    }

    /// Translates `inside` to `outside` from now on; what still goes to its last translation is lost.
    pub fn translate(&mut self, inside: SocketAddr, outside: SocketAddr) {
        if let Some(before) = self.inside_to_outside.insert(inside, outside) {
            self.outside_to_inside.remove(&before);
            self.set_blackhole(before, true);
        }
        self.set_blackhole(outside, false);
        self.outside_to_inside.insert(outside, inside);
    }

    /// Keeps what arrives at `address` for [`Network::receive`].
    pub fn bind(&mut self, address: SocketAddr) {
        self.mailboxes.entry(address).or_default();
    }

    /// The next datagram that arrived at a bound address.
    pub fn receive(&mut self, address: SocketAddr) -> Option<Datagram> {
        self.mailboxes.get_mut(&address)?.pop_front()
    }

    /// Puts a datagram on its way at time `now_ns`.
    pub fn send(&mut self, now_ns: u64, datagram: Datagram, random: &mut impl Rng) {
        let Datagram {
            from,
            to,
            mut bytes,
            class,
        } = datagram;
        let from = self.inside_to_outside.get(&from).copied().unwrap_or(from);
        if self.capture {
            let bytes = bytes.clone();
            let datagram = Datagram {
                from,
                to,
                bytes,
                class,
            };
            self.captured.push((now_ns, datagram));
        }
        let mut chance = |per_mille: u32| per_mille > 0 && random.next_u32() % 1000 < per_mille;
        let Conditions {
            latency,
            jitter,
            loss,
            duplicate,
            corrupt,
        } = self.conditions;
        if chance(loss) || self.blackholes.contains(&from) {
            return;
        }
        let copies = if chance(duplicate) { 2 } else { 1 };
        if chance(corrupt) && !bytes.is_empty() {
            let bit = random.next_u32() as usize % (8 * bytes.len());
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        for _ in 0..copies {
            let extra = random.next_u64() % (jitter.as_nanos() as u64 + 1);
            let at = now_ns + latency.as_nanos() as u64 + extra;
            self.sequence += 1;
            let bytes = bytes.clone();
            let datagram = Datagram {
                from,
                to,
                bytes,
                class,
            };
            self.flights.push(Reverse((at, self.sequence, datagram)));
        }
    }

    /// When the next datagram arrives.
    pub fn next_arrival_ns(&self) -> Option<u64> {
        self.flights.peek().map(|Reverse((at, _, _))| *at)
    }

    /// The next datagram that has arrived by `now_ns` for somebody who is not bound here.
    pub fn arrival(&mut self, now_ns: u64) -> Option<Datagram> {
        while self.next_arrival_ns().is_some_and(|at| at <= now_ns) {
            let Reverse((_, _, mut datagram)) = self.flights.pop()?;
            if self.blackholes.contains(&datagram.to) {
                continue;
            }
            if let Some(&inside) = self.outside_to_inside.get(&datagram.to) {
                datagram.to = inside;
            }
            match self.mailboxes.get_mut(&datagram.to) {
                Some(mailbox) => mailbox.push_back(datagram),
                None => return Some(datagram),
            }
        }
        None
    }
}
