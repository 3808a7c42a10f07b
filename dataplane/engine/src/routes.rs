//! Cryptokey routing: the longest prefix that holds an address, and the peer it belongs to.
//!
//! One hash table a family, keyed by length and masked address, probed for each length that is in use, longest first.
//! Gateways use very few lengths (most often /32, /24, /128 and /64), so a look-up is one to three probes whatever the
//! number of peers; at worst it is one a length.

use crate::map::SharedMap;
use crate::tables::PeerId;
use core::net::IpAddr;
use weir_abi::prefix::Prefix;

/// All prefixes of all peers. Copies share what did not change.
#[derive(Clone)]
pub struct Routes {
    v4: Family<u32>,
    v6: Family<u128>,
}

#[derive(Clone)]
struct Family<A> {
    /// Prefixes of each length.
    counts: Vec<u32>,
    /// The lengths in use, longest first.
    lengths: Vec<u8>,
    owners: SharedMap<(A, u8), PeerId>,
}

impl Default for Routes {
    fn default() -> Self {
        Self {
            v4: Family::new(32),
            v6: Family::new(128),
        }
    }
}

impl Routes {
    /// The peer whose longest prefix holds `address`.
    pub fn lookup(&self, address: IpAddr) -> Option<PeerId> {
        match address {
            IpAddr::V4(a) => self.v4.lookup(a.to_bits(), |bits, length| bits & mask4(length)),
            IpAddr::V6(a) => self.v6.lookup(a.to_bits(), |bits, length| bits & mask6(length)),
        }
    }

    /// The peer that has exactly this prefix.
    pub fn owner(&self, prefix: Prefix) -> Option<PeerId> {
        match prefix.address() {
            IpAddr::V4(a) => self.v4.owners.get(&(a.to_bits(), prefix.length())).copied(),
            IpAddr::V6(a) => self.v6.owners.get(&(a.to_bits(), prefix.length())).copied(),
        }
    }

    /// Gives the prefix to `peer` and says who had it.
    pub fn insert(&mut self, prefix: Prefix, peer: PeerId) -> Option<PeerId> {
        match prefix.address() {
            IpAddr::V4(a) => self.v4.insert(a.to_bits(), prefix.length(), peer),
            IpAddr::V6(a) => self.v6.insert(a.to_bits(), prefix.length(), peer),
        }
    }

    /// Takes the prefix away from whoever has it.
    pub fn remove(&mut self, prefix: Prefix) -> Option<PeerId> {
        match prefix.address() {
            IpAddr::V4(a) => self.v4.remove(a.to_bits(), prefix.length()),
            IpAddr::V6(a) => self.v6.remove(a.to_bits(), prefix.length()),
        }
    }

    /// All prefixes.
    pub fn len(&self) -> usize {
        self.v4.owners.len() + self.v6.owners.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<A: Copy + Eq + core::hash::Hash> Family<A> {
    fn new(longest: usize) -> Self {
        Self {
            counts: vec![0; longest + 1],
            lengths: Vec::new(),
            owners: SharedMap::default(),
        }
    }

    fn lookup(&self, bits: A, masked: impl Fn(A, u8) -> A) -> Option<PeerId> {
        self.lengths
            .iter()
            .find_map(|&length| self.owners.get(&(masked(bits, length), length)).copied())
    }

    fn insert(&mut self, bits: A, length: u8, peer: PeerId) -> Option<PeerId> {
        let before = self.owners.insert((bits, length), peer);
        if before.is_none() {
            self.counts[usize::from(length)] += 1;
            self.relist();
        }
        before
    }

    fn remove(&mut self, bits: A, length: u8) -> Option<PeerId> {
        let before = self.owners.remove(&(bits, length));
        if before.is_some() {
            self.counts[usize::from(length)] -= 1;
            self.relist();
        }
        before
    }

    fn relist(&mut self) {
        self.lengths.clear();
        let used = (0..self.counts.len())
            .rev()
            .filter(|&length| self.counts[length] > 0);
        self.lengths.extend(used.map(|length| length as u8));
    }
}

fn mask4(length: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0)
}

fn mask6(length: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{Ipv4Addr, Ipv6Addr};

    // Catches a shorter prefix that wins, a removed one that lingers, and masks off by one: against a linear search
    // over seeded prefixes crowded into few bits, so that most of them nest.
    #[test]
    fn longest_prefix_wins_as_in_a_linear_search() {
        let mut x = 7u64;
        let mut random = move || {
            x = x
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (x >> 32) as u32
        };
        let mut routes = Routes::default();
        let mut list: Vec<(Prefix, PeerId)> = Vec::new();
        for step in 0..3000 {
            let address = address(random());
            let length = (random() % if address.is_ipv4() { 33 } else { 129 }) as u8;
            let prefix = Prefix::new(address, length).expect("a length of the family");
            let known = list.iter().position(|(p, _)| *p == prefix);
            if random() % 4 == 0 {
                assert_eq!(routes.remove(prefix), known.map(|at| list.remove(at).1));
            } else {
                let peer = PeerId(step);
                assert_eq!(routes.insert(prefix, peer), known.map(|at| list.remove(at).1));
                list.push((prefix, peer));
            }
            let address = self::address(random());
            let expected = list
                .iter()
                .filter(|(p, _)| p.contains(address))
                .max_by_key(|(p, _)| p.length());
            assert_eq!(
                routes.lookup(address),
                expected.map(|(_, peer)| *peer),
                "{address} at step {step}"
            );
            assert_eq!(routes.len(), list.len());
        }
    }

    fn address(random: u32) -> IpAddr {
        let low = random & 0x8000_0103;
        if random & 4 == 0 {
            Ipv4Addr::from_bits(low).into()
        } else {
            Ipv6Addr::from_bits(u128::from(low) << 90 | u128::from(low)).into()
        }
    }
}
