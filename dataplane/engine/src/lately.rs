//! The peers of the addresses that a shard saw lately. Packets come in trains, and a look-up here is a comparison where one
//! in the routing table is a hash and a probe for each length of prefix.

use crate::indices::Place;
use crate::routes::Routes;
use crate::tables::PeerId;
use core::net::IpAddr;

/// Addresses remembered: 7 KiB, of which those in use are touched.
const ENTRIES: usize = 256;

/// A place for each remainder of an address; whoever comes last has it. It holds what one generation of routes says and
/// is forgotten with that.
pub struct Lately(Vec<Option<Entry>>);

#[derive(Clone, Copy)]
struct Entry {
    address: IpAddr,
    peer: PeerId,
    place: Option<Place>,
}

impl Default for Lately {
    fn default() -> Self {
        Self(vec![None; ENTRIES])
    }
}

impl Lately {
    /// The peer whose longest prefix holds `address`, and where that was at home by the last [`Lately::settle`]: it may
    /// have left, and another may be there.
    #[inline]
    pub fn lookup(&mut self, routes: &Routes, address: IpAddr) -> Option<(PeerId, Option<Place>)> {
        let entry = &mut self.0[slot(address)];
        if let Some(known) = entry
            && known.address == address
        {
            return Some((known.peer, known.place));
        }
        let peer = routes.lookup(address)?;
        *entry = Some(Entry {
            address,
            peer,
            place: None,
        });
        Some((peer, None))
    }

    /// Takes note of where the peer of an address is at home.
    pub fn settle(&mut self, address: IpAddr, place: Place) {
        if let Some(entry) = &mut self.0[slot(address)]
            && entry.address == address
        {
            entry.place = Some(place);
        }
    }

    /// The routes are others now.
    pub fn forget(&mut self) {
        self.0.fill(None);
    }
}

#[inline]
fn slot(address: IpAddr) -> usize {
    let bits = match address {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            (bits >> 64) as u64 ^ (bits as u64).rotate_left(32)
        }
    };
    // The golden ratio's multiple spreads neighbours (Knuth, volume 3, section 6.4). Whoever makes addresses collide is as
    // slow as without this.
    (bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize % ENTRIES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn routes(prefixes: &[(&str, u32)]) -> Routes {
        let mut routes = Routes::default();
        for &(prefix, peer) in prefixes {
            routes.insert(prefix.parse().unwrap(), PeerId(peer));
        }
        routes
    }

    // Catches an address taken for another in the same place, an answer kept beyond its routes, and a place told of one
    // address and believed of another.
    #[test]
    fn it_says_what_the_routes_say() {
        let before = routes(&[("10.0.0.0/8", 1), ("10.1.0.0/16", 2), ("fd00::/8", 3)]);
        let after = routes(&[("10.0.0.0/8", 4), ("fd00::/9", 5)]);
        let mut lately = Lately::default();
        for routes in [before, after] {
            lately.forget();
            for round in 0..3 {
                for n in 0..4 * ENTRIES as u32 {
                    for address in [
                        IpAddr::V4((0x0a00_ff00 + n * 257).into()),
                        IpAddr::V6((0xfd7f_u128 << 112 | u128::from(n) << (20 * round)).into()),
                        IpAddr::V4((0x0b00_0000 + n).into()),
                    ] {
                        let found = lately.lookup(&routes, address);
                        let expected = routes.lookup(address);
                        assert_eq!(found.map(|(peer, _)| peer), expected, "{address}");
                    }
                }
            }
        }
    }

    // Catches a place that is lost, kept for an address that came after, or kept beyond the routes.
    #[test]
    fn a_place_is_of_its_address() {
        let routes = routes(&[("10.0.0.0/8", 1)]);
        let (one, other) = (address("10.0.0.1"), address("10.0.0.2"));
        let mut lately = Lately::default();
        lately.settle(one, 7);
        assert_eq!(lately.lookup(&routes, one), Some((PeerId(1), None)));
        lately.settle(one, 7);
        assert_eq!(lately.lookup(&routes, one), Some((PeerId(1), Some(7))));
        assert_eq!(lately.lookup(&routes, other), Some((PeerId(1), None)));
        lately.forget();
        assert_eq!(lately.lookup(&routes, one), Some((PeerId(1), None)));
    }
}
