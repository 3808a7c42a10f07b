//! Addresses for new clients: the next free one in each of the interface's networks.

use crate::config::Config;
use crate::interface::InterfaceAddress;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use weir_abi::prefix::Prefix;

/// Why no address can be given.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AllocateError {
    /// Every address is taken.
    #[error("{0} has no free address left; expected a larger network in addresses, or --allowed-ips")]
    Full(Prefix),
    /// No network to take one from.
    #[error(
        "the interface has no network to give addresses from; expected addresses such as \"10.77.0.1/24\", or --allowed-ips"
    )]
    NoNetwork,
}

/// One host prefix from each of the interface's networks, as [`allocate_from`] gives them.
pub fn allocate(config: &Config) -> Result<Vec<Prefix>, AllocateError> {
    let taken = config.peers.iter().flat_map(|p| p.allowed_ips.iter().copied());
    allocate_from(&config.interface.addresses, taken)
}

/// One host prefix from each of the networks of the interface's `addresses`, in their order: the lowest address that is
/// not the interface's own, in no prefix that is `taken` (the peers' allowed IPs), and not reserved by the network (its
/// first address, and for IPv4 the broadcast address). Prefixes as wide as the network or wider reserve nothing:
/// narrower ones may lie in them.
pub fn allocate_from(
    addresses: &[InterfaceAddress],
    taken: impl IntoIterator<Item = Prefix>,
) -> Result<Vec<Prefix>, AllocateError> {
    Allocator::new(addresses, taken)?.next_addresses()
}

/// Gives addresses one after the other, as [`allocate_from`] gives the first.
#[derive(Clone, Debug)]
pub struct Allocator {
    networks: Vec<Free>,
}

impl Allocator {
    /// Looks at all that is taken once.
    pub fn new(
        addresses: &[InterfaceAddress],
        taken: impl IntoIterator<Item = Prefix>,
    ) -> Result<Self, AllocateError> {
        let own = addresses.iter().map(|a| Prefix::host(a.address));
        let taken: Vec<Prefix> = own.chain(taken).collect();
        let mut networks: Vec<Prefix> = Vec::new();
        for network in addresses.iter().map(|a| a.network()) {
            // An address without a network around it is the interface's alone.
            if network != Prefix::host(network.address()) && !networks.contains(&network) {
                networks.push(network);
            }
        }
        if networks.is_empty() {
            return Err(AllocateError::NoNetwork);
        }
        let networks = networks
            .iter()
            .map(|network| Free::new(network, &taken))
            .collect();
        Ok(Self { networks })
    }

    /// The next free address of each network; none is given where one network has none left.
    pub fn next_addresses(&mut self) -> Result<Vec<Prefix>, AllocateError> {
        let given: Result<_, _> = self.networks.iter_mut().map(Free::next).collect();
        given
    }
}

/// What is left of a network.
#[derive(Clone, Debug)]
struct Free {
    network: Prefix,
    /// The first and last address of each taken range, the first one last.
    taken: Vec<(u128, u128)>,
    candidate: u128,
    last: u128,
}

impl Free {
    fn new(network: &Prefix, taken: &[Prefix]) -> Self {
        let mut taken: Vec<(u128, u128)> = taken
            .iter()
            .filter(|p| p.length() > network.length() && network.overlaps(p))
            .map(range)
            .collect();
        taken.sort_unstable_by(|a, b| b.cmp(a));
        let (candidate, last) = usable(network);
        Self {
            network: *network,
            taken,
            candidate,
            last,
        }
    }

    fn next(&mut self) -> Result<Prefix, AllocateError> {
        while let Some((_, last_taken)) = self.taken.pop_if(|(first, _)| *first <= self.candidate) {
            self.pass(last_taken);
        }
        if self.candidate > self.last {
            return Err(AllocateError::Full(self.network));
        }
        let given = self.candidate;
        self.pass(given);
        Ok(Prefix::host(address(given, self.network.address().is_ipv4())))
    }

    /// Goes on behind this address; the last one of IPv6 has none after it.
    fn pass(&mut self, taken: u128) {
        match taken.checked_add(1) {
            Some(next) => self.candidate = self.candidate.max(next),
            None => self.last = 0,
        }
    }
}

/// The addresses of a network that hosts may have (RFC 1122 section 3.2.1.3, RFC 3021, RFC 4291 section 2.6.1).
fn usable(network: &Prefix) -> (u128, u128) {
    let (first, last) = range(network);
    match (network.address().is_ipv4(), network.length()) {
        (true, 31) | (false, 127) => (first, last),
        (true, _) => (first + 1, last - 1),
        (false, _) => (first + 1, last),
    }
}

/// The first and last address as numbers.
fn range(prefix: &Prefix) -> (u128, u128) {
    let (first, bits) = match prefix.address() {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    };
    let hosts = u128::MAX
        .checked_shr(128 - (bits - u32::from(prefix.length())))
        .unwrap_or(0);
    (first, first | hosts)
}

fn address(number: u128, v4: bool) -> IpAddr {
    if v4 {
        IpAddr::V4(Ipv4Addr::from_bits(number as u32))
    } else {
        IpAddr::V6(Ipv6Addr::from_bits(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(network: &str, taken: &[&str]) -> Option<String> {
        let taken: Vec<Prefix> = taken.iter().map(|t| t.parse().unwrap()).collect();
        let mut free = Free::new(&network.parse().unwrap(), &taken);
        free.next().ok().map(|p| p.to_string())
    }

    // Catches an address given twice, one inside a peer's site network, and the network's or broadcast address.
    #[test]
    fn the_lowest_free_address_is_found() {
        for (network, taken, expected) in [
            ("10.0.0.0/24", &["10.0.0.1/32"][..], Some("10.0.0.2/32")),
            (
                "10.0.0.0/24",
                &["10.0.0.3/32", "10.0.0.1/32"],
                Some("10.0.0.2/32"),
            ),
            (
                "10.0.0.0/24",
                &["10.0.0.1/32", "10.0.0.2/31", "10.0.0.0/25"],
                Some("10.0.0.128/32"),
            ),
            (
                "10.0.0.0/24",
                &["0.0.0.0/0", "10.0.0.0/24", "10.0.0.1/32"],
                Some("10.0.0.2/32"),
            ),
            ("10.0.0.0/24", &["10.0.0.0/25", "10.0.0.128/25"], None),
            ("10.0.0.0/30", &["10.0.0.1/32", "10.0.0.2/32"], None),
            ("10.0.0.0/31", &["10.0.0.0/32"], Some("10.0.0.1/32")),
            (
                "255.255.255.0/24",
                &["255.255.255.0/25", "255.255.255.128/25"],
                None,
            ),
            ("0.0.0.0/0", &[], Some("0.0.0.1/32")),
            ("fd00::/64", &["fd00::1/128", "10.0.0.0/8"], Some("fd00::2/128")),
            ("fd00::/64", &["fd00::/65"], Some("fd00::8000:0:0:0/128")),
            ("ffff::/16", &["ffff::/17", "ffff:8000::/17"], None),
            ("::/0", &["::/1", "8000::/1"], None),
        ] {
            assert_eq!(free(network, taken).as_deref(), expected, "{network} {taken:?}");
        }
    }

    // Catches an address given twice, one that is taken, and an end that is not seen, when one is asked for after the other.
    #[test]
    fn each_address_is_given_once() {
        let addresses = ["10.0.0.1/29".parse().unwrap(), "fd00::1/125".parse().unwrap()];
        let taken = ["10.0.0.3/32", "10.0.0.4/31"].map(|t| t.parse().unwrap());
        let mut allocator = Allocator::new(&addresses, taken).unwrap();
        let mut given = Vec::new();
        while let Ok(next) = allocator.next_addresses() {
            given.push(next.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
        }
        assert_eq!(given, ["10.0.0.2/32 fd00::2/128", "10.0.0.6/32 fd00::3/128"]);
        let alone = ["10.0.0.1/32".parse().unwrap()];
        assert_eq!(Allocator::new(&alone, []).err(), Some(AllocateError::NoNetwork));
    }
}
