//! What the kernel says of this host's network, read from /proc and /sys.

use nix::ifaddrs::getifaddrs;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use weir_abi::prefix::Prefix;

/// A route of the main table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// The interface.
    pub device: String,
    /// Where it leads.
    pub prefix: Prefix,
}

/// The routes of both families; what cannot be read is left out.
pub fn routes() -> Vec<Route> {
    let v4 = fs::read_to_string("/proc/net/route").unwrap_or_default();
    let v6 = fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default();
    v4.lines()
        .skip(1)
        .filter_map(route_v4)
        .chain(v6.lines().filter_map(route_v6))
        .collect()
}

/// The interface and address of an interface.
pub fn addresses() -> Vec<(String, IpAddr)> {
    let Ok(all) = getifaddrs() else {
        return Vec::new();
    };
    let address = |entry: nix::ifaddrs::InterfaceAddress| {
        let storage = entry.address?;
        let v4 = storage.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
        let v6 = || storage.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip()));
        Some((entry.interface_name, v4.or_else(v6)?))
    };
    all.filter_map(address).collect()
}

/// The address this host sends from towards the internet, IPv4 before IPv6. Nothing is sent: connecting a UDP socket
/// only has the kernel choose a route (the addresses are of the documentation's networks, RFC 5737 and RFC 3849).
pub fn outward_address() -> Option<IpAddr> {
    let from = |local: &str, to: &str| {
        let socket = UdpSocket::bind(local).ok()?;
        socket.connect(to).ok()?;
        Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_unspecified() && !ip.is_loopback())
    };
    from("0.0.0.0:0", "192.0.2.1:9").or_else(|| from("[::]:0", "[2001:db8::1]:9"))
}

/// Whether an address is probably reachable from the internet: none of the private, shared and link-local networks
/// (RFC 1918, RFC 6598, RFC 3927, RFC 4193, RFC 4291).
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            !(v4.is_private() || v4.is_link_local() || v4.is_loopback() || v4.is_unspecified() || shared)
        }
        IpAddr::V6(v6) => {
            !(v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_loopback() || v6.is_unspecified())
        }
    }
}

/// The interface of the default route.
pub fn default_device(v4: bool) -> Option<String> {
    let default =
        |r: &Route| r.prefix.length() == 0 && r.prefix.address().is_ipv4() == v4 && r.device != "lo";
    routes().into_iter().find(default).map(|r| r.device)
}

/// The host's name.
pub fn hostname() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|n| !n.is_empty() && n != "(none)")
}

/// Whether nobody has this UDP port, of neither family; otherwise what the system said.
pub fn port_free(port: u16) -> std::io::Result<()> {
    UdpSocket::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))?;
    match UdpSocket::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))) {
        // A host without IPv6 has no port there to be taken.
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Whether the process has a capability (`CAP_NET_ADMIN` is 12).
pub fn has_capability(number: u32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|l| l.strip_prefix("CapEff:"));
    effective
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .is_some_and(|set| set >> number & 1 == 1)
}

/// A line of /proc/net/route: device, destination, gateway, flags …, mask as the eighth, in the host's byte order.
fn route_v4(line: &str) -> Option<Route> {
    const UP: u16 = 1;
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let number = |at: usize| u32::from_str_radix(fields.get(at)?, 16).ok();
    let flags = u16::from_str_radix(fields.get(3)?, 16).ok()?;
    let destination = Ipv4Addr::from(number(1)?.to_ne_bytes());
    let mask = u32::from_be_bytes(number(7)?.to_ne_bytes());
    let prefix = Prefix::new(destination.into(), mask.leading_ones() as u8)?;
    (flags & UP != 0).then(|| Route {
        device: fields[0].to_owned(),
        prefix,
    })
}

/// A line of /proc/net/ipv6_route: destination, its length …, flags as the ninth, device as the tenth.
fn route_v6(line: &str) -> Option<Route> {
    const UP: u32 = 1;
    /// Unreachable, and local: the kernel's own entries.
    const REJECT_OR_LOCAL: u32 = 0x200 | 0x8000_0000;
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let destination = Ipv6Addr::from_bits(u128::from_str_radix(fields.first()?, 16).ok()?);
    let length = u8::from_str_radix(fields.get(1)?, 16).ok()?;
    let flags = u32::from_str_radix(fields.get(8)?, 16).ok()?;
    let prefix = Prefix::new(destination.into(), length)?;
    let counts = flags & UP != 0 && flags & REJECT_OR_LOCAL == 0;
    counts
        .then(|| Route {
            device: fields[9].to_owned(),
            prefix,
        })
        .filter(|r| r.device != "lo")
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches a byte order mixed up, and the kernel's own entries taken for routes.
    #[test]
    #[cfg(target_endian = "little")]
    fn the_kernel_s_tables_are_read() {
        let route = route_v4("eth0\t000AA8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0").unwrap();
        assert_eq!(
            (route.device.as_str(), route.prefix.to_string().as_str()),
            ("eth0", "192.168.10.0/24")
        );
        assert_eq!(
            route_v4("eth0\t000AA8C0\t00000000\t0000\t0\t0\t0\t00FFFFFF\t0\t0\t0"),
            None
        );
        assert_eq!(route_v4("nonsense"), None);
        let zero = "00000000000000000000000000000000";
        let line = |flags: &str, device: &str| {
            format!(
                "fd770000000000000000000000000000 40 {zero} 00 {zero} 00000100 00000001 00000000 {flags} {device}"
            )
        };
        assert_eq!(
            route_v6(&line("00000001", "eth0")).unwrap().prefix.to_string(),
            "fd77::/64"
        );
        assert_eq!(route_v6(&line("80200001", "eth0")), None);
        assert_eq!(route_v6(&line("00000001", "lo")), None);
    }
}
