//! Control messages of recvmsg and sendmsg, read and written as bytes (`struct cmsghdr`: cmsg(3)).

use super::address::is_link_local;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use weir_frame::LocalAddress;

/// Bytes of one message's control data: an IPv6 packet info (40), a traffic class (24) and an offload's size (24).
pub(crate) const CONTROL_LEN: usize = 128;
/// `struct cmsghdr`: a length of the machine's word, a level, a type.
const HEADER_LEN: usize = size_of::<usize>() + 8;

/// Room for one message's control data.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct Control {
    bytes: [u8; CONTROL_LEN],
}

impl Default for Control {
    fn default() -> Self {
        Self {
            bytes: [0; CONTROL_LEN],
        }
    }
}

/// What the kernel said beside a datagram.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Received {
    /// The address that the datagram was sent to.
    pub local: Option<LocalAddress>,
    /// TOS byte or traffic class.
    pub traffic_class: u8,
    /// Bytes of each datagram but the last, where the kernel joined several.
    pub segment_size: Option<i32>,
}

/// What the kernel is told beside a datagram.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Sent {
    /// The source address.
    pub local: Option<LocalAddress>,
    /// TOS byte or traffic class.
    pub traffic_class: u8,
    /// Bytes of each datagram but the last, where the kernel is to cut several out of one message.
    pub segment_size: Option<u16>,
}

impl Control {
    /// The bytes, for the kernel to read or write.
    pub fn bytes_mut(&mut self) -> &mut [u8; CONTROL_LEN] {
        &mut self.bytes
    }

    /// Reads the control data in the first `len` bytes; what it does not know it leaves out.
    pub fn read(&self, len: usize) -> Received {
        let mut received = Received::default();
        let mut rest = &self.bytes[..len.min(CONTROL_LEN)];
        while let Some((level, kind, data, next)) = split(rest) {
            match (level, kind) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => received.local = v4_local(data),
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => received.local = v6_local(data),
                // IP_TOS comes as one byte, IPV6_TCLASS as an integer.
                (libc::IPPROTO_IP, libc::IP_TOS) => {
                    received.traffic_class = data.first().copied().unwrap_or(0);
                }
                (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                    received.traffic_class = integer(data, 0).map_or(0, |class| (class & 0xff) as u8);
                }
                (libc::SOL_UDP, libc::UDP_GRO) => received.segment_size = integer(data, 0),
                _ => {}
            }
            rest = next;
        }
        received
    }

    /// Writes control data for a datagram to `remote` and says how many bytes it takes. A source address of the other
    /// family than `remote` is left out.
    pub fn write(&mut self, remote: SocketAddr, sent: &Sent) -> usize {
        let mut at = 0;
        let local = sent.local.map(|local| (local.ip, local.interface));
        match (remote, local) {
            (SocketAddr::V4(_), Some((IpAddr::V4(ip), interface))) => {
                let mut info = [0; 12];
                info[..4].copy_from_slice(&interface.to_ne_bytes());
                info[4..8].copy_from_slice(&ip.octets());
                at = self.append(at, libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
            }
            (SocketAddr::V6(_), Some((IpAddr::V6(ip), interface))) => {
                let mut info = [0; 20];
                info[..16].copy_from_slice(&ip.octets());
                info[16..].copy_from_slice(&interface.to_ne_bytes());
                at = self.append(at, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
            }
            (_, _) => {}
        }
        if sent.traffic_class != 0 {
            let class = i32::from(sent.traffic_class).to_ne_bytes();
            at = match remote {
                SocketAddr::V4(_) => self.append(at, libc::IPPROTO_IP, libc::IP_TOS, &class),
                SocketAddr::V6(_) => self.append(at, libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &class),
            };
        }
        if let Some(size) = sent.segment_size {
            at = self.append(at, libc::SOL_UDP, libc::UDP_SEGMENT, &size.to_ne_bytes());
        }
        at
    }

    fn append(&mut self, at: usize, level: i32, kind: i32, data: &[u8]) -> usize {
        let end = at + HEADER_LEN + data.len();
        let next = at + HEADER_LEN + aligned(data.len());
        let space = &mut self.bytes[at..next];
        space.fill(0);
        space[..size_of::<usize>()].copy_from_slice(&(end - at).to_ne_bytes());
        space[size_of::<usize>()..][..4].copy_from_slice(&level.to_ne_bytes());
        space[size_of::<usize>() + 4..][..4].copy_from_slice(&kind.to_ne_bytes());
        space[HEADER_LEN..][..data.len()].copy_from_slice(data);
        next
    }
}

/// Level, type and data of the first message in `bytes`, and what follows it.
fn split(bytes: &[u8]) -> Option<(i32, i32, &[u8], &[u8])> {
    let header = bytes.get(..HEADER_LEN)?;
    let len = usize::from_ne_bytes(header[..size_of::<usize>()].try_into().ok()?);
    let data = bytes.get(HEADER_LEN..len)?;
    let level = integer(header, size_of::<usize>())?;
    let kind = integer(header, size_of::<usize>() + 4)?;
    let next = bytes.get(HEADER_LEN + aligned(data.len())..).unwrap_or_default();
    Some((level, kind, data, next))
}

fn aligned(len: usize) -> usize {
    len.next_multiple_of(size_of::<usize>())
}

fn integer(data: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_ne_bytes(data.get(at..at + 4)?.try_into().ok()?))
}

/// `struct in_pktinfo`: the interface, the local address that answers come from, the destination in the header.
///
/// The interface is left out: it would bind answers to the device over which a datagram happened to come, past the
/// routing table, and make the kernel take any destination for a neighbour there.
fn v4_local(data: &[u8]) -> Option<LocalAddress> {
    let octets: [u8; 4] = data.get(4..8)?.try_into().ok()?;
    let ip = Ipv4Addr::from(octets);
    (!ip.is_unspecified()).then_some(LocalAddress {
        ip: ip.into(),
        interface: 0,
    })
}

/// `struct in6_pktinfo`: the destination address, the interface, which only link-local addresses need.
fn v6_local(data: &[u8]) -> Option<LocalAddress> {
    let octets: [u8; 16] = data.get(..16)?.try_into().ok()?;
    let ip = Ipv6Addr::from(octets);
    let interface = u32::from_ne_bytes(data.get(16..20)?.try_into().ok()?);
    let usable = !ip.is_unspecified() && !ip.is_multicast();
    usable.then_some(LocalAddress {
        ip: ip.into(),
        interface: if is_link_local(ip) { interface } else { 0 },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches a source address, class or size written where the kernel does not look for it: reading follows the same
    // layout, with the types that the kernel uses in both directions.
    #[test]
    fn a_source_and_a_class_come_back() {
        for (remote, local, interface) in [
            ("192.0.2.1:1", "192.0.2.2", 0),
            ("[2001:db8::1]:1", "2001:db8::2", 0),
            ("[fe80::1%3]:1", "fe80::2", 3),
        ] {
            let local = LocalAddress {
                ip: local.parse().expect("an address"),
                interface,
            };
            let mut control = Control::default();
            let sent = Sent {
                local: Some(local),
                traffic_class: 0xb9,
                segment_size: Some(1400),
            };
            let len = control.write(remote.parse().expect("an address"), &sent);
            let expected = if local.ip.is_ipv4() { 32 } else { 40 } + 24 + 24;
            assert_eq!(len, expected);
            let received = control.read(len);
            // The kernel writes in_pktinfo as it reads it: the second field is the local address both ways.
            assert_eq!((received.local, received.traffic_class), (Some(local), 0xb9));
        }
    }

    // Catches a source of the wrong family, which the kernel would refuse for the whole batch.
    #[test]
    fn a_source_of_the_other_family_is_left_out() {
        let local = LocalAddress {
            ip: "2001:db8::2".parse().expect("an address"),
            interface: 0,
        };
        let sent = Sent {
            local: Some(local),
            ..Sent::default()
        };
        let len = Control::default().write("192.0.2.1:1".parse().expect("an address"), &sent);
        assert_eq!(len, 0);
    }

    // Catches a reader that runs past its data or for ever on lengths that make no sense.
    #[test]
    fn nonsense_ends_the_reading() {
        for len in [0usize, 1, 15, 16, 17, 127, 128, 129, usize::MAX] {
            let mut control = Control::default();
            control.bytes_mut()[..size_of::<usize>()].copy_from_slice(&len.to_ne_bytes());
            assert_eq!(control.read(CONTROL_LEN), Received::default());
            assert_eq!(control.read(7), Received::default());
        }
    }
}
