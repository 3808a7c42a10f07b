//! IP prefixes, as allowed IPs and interface addresses are written.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;
use serde::{Deserialize, Serialize};

/// A network: an address whose bits behind the length are zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

/// Why a text is no prefix.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PrefixError {
    /// The part before the slash is no IP address.
    #[error("\"{0}\" is not an IP address; expected one such as 10.0.0.0/24 or fd00::/64")]
    Address(String),
    /// The part behind the slash is no length for that family.
    #[error("\"{length}\" is not a prefix length for {address}; expected 0 to {most}")]
    Length {
        /// What was written.
        length: String,
        /// The address before it.
        address: IpAddr,
        /// The family's longest prefix.
        most: u8,
    },
}

impl Prefix {
    /// The network of `length` bits that holds `address`, or `None` where the family has no such length.
    pub fn new(address: IpAddr, length: u8) -> Option<Self> {
        let address = match address {
            IpAddr::V4(v4) if length <= 32 => {
                let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
            }
            IpAddr::V6(v6) if length <= 128 => {
                let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
            }
            _ => return None,
        };
        Some(Self { address, length })
    }

    /// The network that holds just `address`.
    pub fn host(address: IpAddr) -> Self {
        Self {
            address,
            length: if address.is_ipv4() { 32 } else { 128 },
        }
    }

    /// The first address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The number of leading bits that count.
    pub fn length(&self) -> u8 {
        self.length
    }

    /// Whether `address` lies in the network.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && Prefix::new(address, self.length) == Some(*self)
    }

    /// Whether any address lies in both.
    pub fn overlaps(&self, other: &Prefix) -> bool {
        if self.length <= other.length {
            self.contains(other.address)
        } else {
            other.contains(self.address)
        }
    }
}

/// Splits `10.0.0.1/24` into its address, kept whole, and its length; a bare address has its family's full length.
pub fn address_and_length(text: &str) -> Result<(IpAddr, u8), PrefixError> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address: IpAddr = address
        .parse()
        .map_err(|_| PrefixError::Address(address.to_owned()))?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let Some(written) = length else {
        return Ok((address, most));
    };
    let refused = || PrefixError::Length {
        length: written.to_owned(),
        address,
        most,
    };
    // `u8::from_str` takes a sign, which no tool writes.
    if !written.bytes().all(|b| b.is_ascii_digit()) {
        return Err(refused());
    }
    let length = written.parse().map_err(|_| refused())?;
    if length > most {
        Err(refused())
    } else {
        Ok((address, length))
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let (address, length) = address_and_length(text)?;
        Ok(Prefix::new(address, length).expect("the length was checked against the family"))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches a mask off by one at either end of the lengths.
    #[test]
    fn bits_behind_the_length_are_cleared() {
        for (text, masked) in [
            ("10.1.2.3/24", "10.1.2.0/24"),
            ("10.1.2.3", "10.1.2.3/32"),
            ("255.255.255.255/0", "0.0.0.0/0"),
            ("fd00::1:2/64", "fd00::/64"),
            ("ffff::/0", "::/0"),
            ("::1/128", "::1/128"),
        ] {
            assert_eq!(
                text.parse::<Prefix>().map(|p| p.to_string()),
                Ok(masked.to_owned())
            );
        }
    }

    // Catches a refusal that does not say what was wrong, and a family mixed up with the other.
    #[test]
    fn refusals_name_the_value() {
        for (text, part) in [
            ("10.0.0.0/33", "\"33\""),
            ("fd00::/129", "\"129\""),
            ("x/8", "\"x\""),
            ("10.0.0.0/+8", "+8"),
            ("1.2.3.4/", "\"\""),
        ] {
            let error = text.parse::<Prefix>().expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn overlap_is_mutual_and_keeps_families_apart() {
        let p = |s: &str| s.parse::<Prefix>().expect("a prefix");
        assert!(p("10.0.0.0/8").overlaps(&p("10.2.0.0/16")) && p("10.2.0.0/16").overlaps(&p("10.0.0.0/8")));
        assert!(!p("10.0.0.0/16").overlaps(&p("10.1.0.0/16")));
        assert!(!p("0.0.0.0/0").overlaps(&p("::/0")));
    }
}
