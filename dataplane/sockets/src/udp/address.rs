//! Socket addresses as the kernel lays them out (`struct sockaddr_in`, `struct sockaddr_in6`: ip(7), ipv6(7)).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Bytes of the longest address.
pub(crate) const NAME_LEN: usize = 28;
const V4_LEN: usize = 16;

/// Room for one address.
#[derive(Clone, Copy, Default)]
#[repr(C, align(8))]
pub(crate) struct Name {
    bytes: [u8; NAME_LEN],
}

impl Name {
    /// Writes `address` and says how many bytes it takes. An IPv4 address in its IPv6-mapped form is written as the
    /// IPv4 address that it is.
    pub fn write(&mut self, address: SocketAddr) -> usize {
        self.bytes = [0; NAME_LEN];
        self.bytes[2..4].copy_from_slice(&address.port().to_be_bytes());
        match address {
            SocketAddr::V4(v4) => {
                self.write_family(libc::AF_INET);
                self.bytes[4..8].copy_from_slice(&v4.ip().octets());
                V4_LEN
            }
            SocketAddr::V6(v6) => {
                self.write_family(libc::AF_INET6);
                self.bytes[4..8].copy_from_slice(&v6.flowinfo().to_ne_bytes());
                self.bytes[8..24].copy_from_slice(&v6.ip().octets());
                self.bytes[24..28].copy_from_slice(&v6.scope_id().to_ne_bytes());
                NAME_LEN
            }
        }
    }

    /// The address in the first `len` bytes; `None` where that is none, or of another family.
    pub fn read(&self, len: usize) -> Option<SocketAddr> {
        let b = &self.bytes;
        let port = u16::from_be_bytes([b[2], b[3]]);
        let family = i32::from(u16::from_ne_bytes([b[0], b[1]]));
        if family == libc::AF_INET && len >= V4_LEN {
            let ip = Ipv4Addr::new(b[4], b[5], b[6], b[7]);
            return Some(SocketAddr::V4(SocketAddrV4::new(ip, port)));
        }
        if family == libc::AF_INET6 && len >= NAME_LEN {
            let octets: [u8; 16] = b[8..24].try_into().expect("sixteen bytes");
            let scope = u32::from_ne_bytes(b[24..28].try_into().expect("four bytes"));
            // The flow label is of one packet and no part of who sent it.
            return Some(SocketAddr::V6(SocketAddrV6::new(octets.into(), port, 0, scope)));
        }
        None
    }

    /// The bytes, for system calls.
    pub fn bytes(&self) -> &[u8; NAME_LEN] {
        &self.bytes
    }

    /// The bytes, for the kernel to write.
    pub fn bytes_mut(&mut self) -> &mut [u8; NAME_LEN] {
        &mut self.bytes
    }

    fn write_family(&mut self, family: i32) {
        let family = libc::sa_family_t::try_from(family).expect("families are small numbers");
        self.bytes[..2].copy_from_slice(&family.to_ne_bytes());
    }
}

/// `address` with an IPv4 address never in its IPv6-mapped form.
pub(crate) fn unmapped(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(IpAddr::V4(ip), address.port()),
        IpAddr::V6(_) => address,
    }
}

/// Whether an IPv6 address is of use only together with its interface (fe80::/10).
pub(crate) fn is_link_local(ip: Ipv6Addr) -> bool {
    ip.segments()[0] & 0xffc0 == 0xfe80
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches ports and scopes in the wrong byte order and addresses at the wrong place.
    #[test]
    fn addresses_come_back_as_they_were_written() {
        for text in ["192.0.2.7:51820", "[2001:db8::1]:65535", "[fe80::1%7]:1"] {
            let address: SocketAddr = text.parse().expect("an address");
            let mut name = Name::default();
            let len = name.write(address);
            assert_eq!(name.read(len), Some(address));
            assert_eq!(name.read(len - 1), None, "a length too short for {text}");
        }
        assert_eq!(Name::default().read(NAME_LEN), None);
    }

    // Catches a peer known twice, once by its mapped address.
    #[test]
    fn mapped_addresses_are_unmapped() {
        let address = "[::ffff:192.0.2.7]:9".parse().expect("an address");
        assert_eq!(unmapped(address), "192.0.2.7:9".parse().expect("an address"));
        assert!(is_link_local("fe80::1".parse().expect("an address")));
        assert!(!is_link_local("fec0::1".parse().expect("an address")));
    }
}
