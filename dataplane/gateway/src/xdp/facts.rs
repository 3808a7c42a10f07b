//! What is known of a device and its host, as one shard's port sees it.

use arc_swap::ArcSwap;
use core::cell::Cell;
use core::net::IpAddr;
use core::sync::atomic::{AtomicBool, Ordering};
use crossbeam_channel::Sender;
use hashbrown::hash_map::Entry;
use hashbrown::{HashMap, HashSet};
use std::sync::Arc;
use weir_wire::arrival::Device;
use weir_xsk::{Hop, Site};

/// How many addresses of others a view has an answer for.
const FOREIGN: usize = 16;

/// Facts, published as a whole whenever one of them changes.
#[derive(Clone, Default, Debug)]
pub struct Facts {
    /// The device's own MAC address.
    pub mac: [u8; 6],
    /// The device's number; of one that is gone, the last.
    pub interface: u32,
    /// Whether tunnels' datagrams arrive here; else packets for peers do.
    pub wan: bool,
    /// The UDP port.
    pub port: u16,
    /// The tunnel's MTU in bytes.
    pub tunnel_mtu: u16,
    /// This host's addresses.
    pub own: HashSet<IpAddr>,
    /// The ways to addresses that were asked for.
    pub ways: HashMap<IpAddr, Way>,
}

/// The way to an address, and whether anybody used it lately.
#[derive(Default, Debug)]
pub struct Way {
    /// The next hop; `None` where it is not known or lies on another device, so that the kernel is to send.
    pub hop: Option<Hop>,
    used: AtomicBool,
}

impl Facts {
    /// Takes over what was found of the way to an address. One that was known before is as used as it was: that its
    /// neighbour changed says nothing of whether anybody uses it.
    pub fn learn(&mut self, address: IpAddr, hop: Option<Hop>) {
        match self.ways.entry(address) {
            Entry::Occupied(mut way) => way.get_mut().hop = hop,
            Entry::Vacant(place) => {
                place.insert(Way::new(hop));
            }
        }
    }
}

impl Way {
    /// A way that was just asked for.
    pub fn new(hop: Option<Hop>) -> Self {
        Self {
            hop,
            used: AtomicBool::new(true),
        }
    }

    /// Whether it was used since this was last asked.
    pub fn take_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }
}

impl Clone for Way {
    fn clone(&self) -> Self {
        Self {
            hop: self.hop,
            used: AtomicBool::new(self.used.load(Ordering::Relaxed)),
        }
    }
}

/// The facts as a port reads them: those of its last look.
///
/// Packets mostly come from and go to the addresses of those before them: what was said last of some is kept until the facts
/// change, and of the last one's way until the batch ends.
pub struct View {
    published: Arc<ArcSwap<Facts>>,
    facts: Arc<Facts>,
    missing: Sender<IpAddr>,
    own: Cell<Option<IpAddr>>,
    foreign: [Cell<Option<IpAddr>>; FOREIGN],
    hop: Cell<Option<(IpAddr, Hop)>>,
}

impl View {
    /// A view of published facts. Addresses whose way is missing are told to `missing`, while there is room.
    pub fn new(published: Arc<ArcSwap<Facts>>, missing: Sender<IpAddr>) -> Self {
        Self {
            facts: published.load_full(),
            published,
            missing,
            own: Cell::new(None),
            foreign: Default::default(),
            hop: Cell::new(None),
        }
    }

    fn look_up(&self, destination: IpAddr) -> Option<Hop> {
        match self.facts.ways.get(&destination) {
            Some(way) => {
                // Written once in a while, so that the shards do not take the line from each other at every packet.
                if !way.used.load(Ordering::Relaxed) {
                    way.used.store(true, Ordering::Relaxed);
                }
                way.hop
            }
            None => {
                // A full channel is emptied soon, and the next packet asks again.
                let _ = self.missing.try_send(destination);
                None
            }
        }
    }
}

/// The place of an address among the last ones: all of its bits tell, since a flow's two ends may differ in any
/// (Fibonacci hashing).
fn place(address: IpAddr) -> usize {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    let bits = match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            (bits >> 64) as u64 ^ bits as u64
        }
    };
    (bits.wrapping_mul(GOLDEN) >> (u64::BITS - FOREIGN.ilog2())) as usize
}

impl Device for View {
    fn mac(&self) -> [u8; 6] {
        self.facts.mac
    }

    fn is_wan(&self) -> bool {
        self.facts.wan
    }

    fn is_lan(&self) -> bool {
        !self.facts.wan
    }

    fn is_port(&self, port: u16) -> bool {
        self.facts.port == port
    }

    fn is_own(&self, address: IpAddr) -> bool {
        if self.own.get() == Some(address) {
            return true;
        }
        let foreign = &self.foreign[place(address)];
        if foreign.get() == Some(address) {
            return false;
        }
        let own = self.facts.own.contains(&address);
        let last = if own { &self.own } else { foreign };
        last.set(Some(address));
        own
    }

    /// The XDP program looked it up, and the shard will.
    fn is_behind_peer(&self, _address: IpAddr) -> bool {
        true
    }
}

impl Site for View {
    fn refresh(&mut self) {
        // So that each batch says that its way is used.
        self.hop.set(None);
        let published = self.published.load();
        if !Arc::ptr_eq(&published, &self.facts) {
            self.facts = Arc::clone(&published);
            self.own.set(None);
            self.foreign = Default::default();
        }
    }

    fn hop(&self, destination: IpAddr) -> Option<Hop> {
        if let Some((last, hop)) = self.hop.get()
            && last == destination
        {
            return Some(hop);
        }
        let hop = self.look_up(destination)?;
        self.hop.set(Some((destination, hop)));
        Some(hop)
    }

    fn interface(&self) -> u32 {
        self.facts.interface
    }

    fn port(&self) -> u16 {
        self.facts.port
    }

    fn tunnel_mtu(&self) -> usize {
        self.facts.tunnel_mtu.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::bounded;

    /// Catches an address taken for the one before it, and facts of a batch that outlive it.
    #[test]
    fn what_was_said_of_one_address_is_said_of_it_alone() {
        let published = Arc::new(ArcSwap::from_pointee(Facts::default()));
        let mut view = View::new(Arc::clone(&published), bounded(8).0);
        let address = |last: u8| IpAddr::from([192, 0, 2, last]);
        let hop = |last| Hop {
            macs: ([last; 6], [0; 6]),
            source: address(1),
            mtu: 1500,
        };
        for generation in 0..4 {
            // Even ones are our own in one generation, odd ones in the next.
            let is_own = |last: u8| last % 2 == generation % 2;
            let mut facts = Facts::default();
            for last in 0..20 {
                let way = if is_own(last) {
                    None
                } else {
                    Some(hop(last ^ generation))
                };
                facts.ways.insert(address(last), Way::new(way));
                facts.own.extend(is_own(last).then_some(address(last)));
            }
            published.store(Arc::new(facts));
            view.refresh();
            for last in [0, 0, 1, 1, 0, 1, 2, 18, 2, 3, 19, 3, 0, 7, 7] {
                assert_eq!(view.is_own(address(last)), is_own(last), "{last} of {generation}");
                let expected = (!is_own(last)).then(|| hop(last ^ generation));
                assert_eq!(view.hop(address(last)), expected, "{last} of {generation}");
            }
        }
    }

    /// Catches a missing way that nobody is told of, one that is asked for at every packet although it is known that
    /// there is none, and a view that changes in the middle of a batch.
    #[test]
    fn a_missing_way_is_told_and_a_known_one_is_used() {
        let published = Arc::new(ArcSwap::from_pointee(Facts::default()));
        let (sender, missing) = bounded(1);
        let mut view = View::new(Arc::clone(&published), sender);
        let (near, far) = (IpAddr::from([192, 0, 2, 7]), IpAddr::from([198, 51, 100, 7]));
        assert_eq!(view.hop(near), None);
        assert_eq!(view.hop(far), None, "a full channel stops nobody");
        assert_eq!(missing.try_iter().collect::<Vec<_>>(), [near]);
        let hop = Hop {
            macs: ([1; 6], [2; 6]),
            source: near,
            mtu: 1500,
        };
        let mut facts = Facts::default();
        facts.ways.insert(near, Way::new(Some(hop)));
        facts.ways.insert(far, Way::new(None));
        published.store(Arc::new(facts));
        assert_eq!(view.hop(near), None, "not before the next batch");
        missing.try_iter().for_each(drop);
        view.refresh();
        assert_eq!((view.hop(near), view.hop(far)), (Some(hop), None));
        assert_eq!(missing.try_iter().count(), 0);
        let way = &published.load().ways[&near];
        assert_eq!((way.take_used(), way.take_used()), (true, false));
        view.refresh();
        view.hop(near);
        assert!(way.take_used());
    }

    /// Catches a way that is never forgotten because its neighbour is looked at again and again: with one router for all,
    /// every address that was ever sent to would stay, until there is no room for others.
    #[test]
    fn what_is_found_anew_is_not_used_by_that() {
        let (mut facts, near) = (Facts::default(), IpAddr::from([192, 0, 2, 7]));
        facts.learn(near, None);
        assert!(facts.ways[&near].take_used(), "it was just asked for");
        let hop = Hop {
            macs: ([1; 6], [2; 6]),
            source: near,
            mtu: 1500,
        };
        facts.learn(near, Some(hop));
        assert_eq!(facts.ways[&near].hop, Some(hop));
        assert!(!facts.ways[&near].take_used());
    }
}
