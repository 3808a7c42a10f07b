//! A set of addresses of both families, made of prefixes.

use core::net::IpAddr;
use weir_abi::prefix::Prefix;

/// Ranges in ascending order that neither overlap nor touch, so that a look-up is one binary search whatever the
/// prefixes were.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(super) struct Networks {
    v4: Box<[(u32, u32)]>,
    v6: Box<[(u128, u128)]>,
}

impl Networks {
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => within(&self.v4, v4.to_bits()),
            IpAddr::V6(v6) => within(&self.v6, v6.to_bits()),
        }
    }
}

impl FromIterator<Prefix> for Networks {
    fn from_iter<I: IntoIterator<Item = Prefix>>(prefixes: I) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for prefix in prefixes {
            let length = u32::from(prefix.length());
            match prefix.address() {
                IpAddr::V4(address) => {
                    let first = address.to_bits();
                    v4.push((first, first | u32::MAX.checked_shr(length).unwrap_or(0)));
                }
                IpAddr::V6(address) => {
                    let first = address.to_bits();
                    v6.push((first, first | u128::MAX.checked_shr(length).unwrap_or(0)));
                }
            }
        }
        Self {
            v4: joined(v4, |last| last.checked_add(1)),
            v6: joined(v6, |last| last.checked_add(1)),
        }
    }
}

fn within<A: Ord + Copy>(ranges: &[(A, A)], address: A) -> bool {
    let behind = ranges.partition_point(|&(first, _)| first <= address);
    behind > 0 && address <= ranges[behind - 1].1
}

fn joined<A: Ord + Copy>(mut ranges: Vec<(A, A)>, next: impl Fn(A) -> Option<A>) -> Box<[(A, A)]> {
    ranges.sort_unstable();
    let mut all: Vec<(A, A)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match all.last_mut() {
            // Nothing follows the last address, so whatever begins later lies within.
            Some((_, end)) if next(*end).is_none_or(|next| first <= next) => *end = (*end).max(last),
            Some(_) | None => all.push((first, last)),
        }
    }
    all.into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(prefixes: &[&str]) -> Networks {
        let prefixes = prefixes.iter().map(|text| text.parse::<Prefix>().unwrap());
        prefixes.collect()
    }

    // Catches neighbours and nested prefixes that are joined wrongly, and the ends of both families.
    #[test]
    fn prefixes_are_joined_into_ranges() {
        assert_eq!(
            set(&["10.0.1.0/24", "10.0.0.0/24", "10.0.0.7/32", "10.0.3.0/24"])
                .v4
                .len(),
            2
        );
        assert_eq!(
            set(&["128.0.0.0/1", "0.0.0.0/1", "255.255.255.255/32"]).v4.len(),
            1
        );
        let all = set(&["0.0.0.0/0"]);
        for (text, inside) in [("0.0.0.0", true), ("255.255.255.255", true), ("::1", false)] {
            assert_eq!(all.contains(text.parse().unwrap()), inside, "{text}");
        }
        let some = set(&["fd00::/64", "ffff::/16", "10.0.0.0/31"]);
        for (text, inside) in [
            ("fd00::", true),
            ("fd00::ffff:ffff:ffff:ffff", true),
            ("fd00:0:0:1::", false),
            ("fcff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true),
            ("10.0.0.1", true),
            ("10.0.0.2", false),
            ("9.255.255.255", false),
        ] {
            assert_eq!(some.contains(text.parse().unwrap()), inside, "{text}");
        }
    }
}
