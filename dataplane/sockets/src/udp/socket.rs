//! The two sockets of one shard, and how they are made.

use super::address::Name;
use super::options::UdpOptions;
use crate::sys;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Which of the two sockets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Family {
    V4,
    V6,
}

/// An IPv4 socket, and an IPv6 one where the machine has IPv6, bound to the same port.
///
/// The port of a shard and the group share the pair. The group replaces the files behind the descriptors when the UDP
/// port changes or the shard is removed; the numbers stay, so the shard needs to be told nothing.
pub(crate) struct SocketPair {
    v4: OwnedFd,
    v6: Option<OwnedFd>,
}

impl SocketPair {
    pub fn new(v4: OwnedFd, v6: Option<OwnedFd>) -> Self {
        Self { v4, v6 }
    }

    pub fn v4(&self) -> BorrowedFd<'_> {
        self.v4.as_fd()
    }

    pub fn v6(&self) -> Option<BorrowedFd<'_>> {
        self.v6.as_ref().map(AsFd::as_fd)
    }
}

/// A socket of `family` with everything set but its port and mark, and whether the kernel joins datagrams for it.
pub(crate) fn prepare(family: Family, options: &UdpOptions) -> io::Result<(OwnedFd, bool)> {
    let socket = sys::udp_socket(match family {
        Family::V4 => libc::AF_INET,
        Family::V6 => libc::AF_INET6,
    })?;
    let fd = socket.as_fd();
    let on = 1i32;
    match family {
        Family::V4 => {
            sys::set_option(fd, libc::IPPROTO_IP, libc::IP_PKTINFO, on)?;
            sys::set_option(fd, libc::IPPROTO_IP, libc::IP_RECVTOS, on)?;
            // Kernel WireGuard leaves DF unset outside, and so does this: where the path's MTU is smaller than the
            // tunnel assumes, packets are cut on the way instead of vanishing.
            sys::set_option(
                fd,
                libc::IPPROTO_IP,
                libc::IP_MTU_DISCOVER,
                libc::IP_PMTUDISC_DONT,
            )?;
        }
        Family::V6 => {
            sys::set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, on)?;
            sys::set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, on)?;
            sys::set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS, on)?;
            // Routers cut no IPv6; this host does, to the path MTU that it knows.
            let never = libc::IPV6_PMTUDISC_DONT;
            sys::set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, never)?;
        }
    }
    size_buffer(fd, libc::SO_RCVBUFFORCE, libc::SO_RCVBUF, options.receive_buffer)?;
    size_buffer(fd, libc::SO_SNDBUFFORCE, libc::SO_SNDBUF, options.send_buffer)?;
    let joins = sys::set_option(fd, libc::SOL_UDP, libc::UDP_GRO, on).is_ok();
    Ok((socket, joins))
}

/// Undoes joining, for ports that are to be plain.
pub(crate) fn unjoin(socket: BorrowedFd<'_>) -> io::Result<()> {
    sys::set_option(socket, libc::SOL_UDP, libc::UDP_GRO, 0i32)
}

/// Lets sockets of this user share the socket's port.
pub(crate) fn share(socket: BorrowedFd<'_>) -> io::Result<()> {
    sys::set_option(socket, libc::SOL_SOCKET, libc::SO_REUSEPORT, 1i32)
}

/// Marks outgoing datagrams for policy routing; 0 marks none.
pub(crate) fn set_fwmark(socket: BorrowedFd<'_>, mark: u32) -> io::Result<()> {
    sys::set_option(socket, libc::SOL_SOCKET, libc::SO_MARK, mark)
}

/// Binds to all addresses of the family, and says to which port.
pub(crate) fn bind(socket: BorrowedFd<'_>, family: Family, port: u16) -> io::Result<u16> {
    let any = match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let mut name = Name::default();
    let len = name.write(SocketAddr::new(any, port));
    sys::bind(socket, &name.bytes()[..len])?;
    let len = sys::bound_address(socket, name.bytes_mut())?;
    name.read(len)
        .map(|address| address.port())
        .ok_or_else(|| io::Error::from_raw_os_error(libc::EAFNOSUPPORT))
}

/// Sets a buffer's size beyond the system's limit where the process may, up to it where not.
fn size_buffer(socket: BorrowedFd<'_>, force: i32, option: i32, bytes: u32) -> io::Result<()> {
    let bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
    sys::set_option(socket, libc::SOL_SOCKET, force, bytes)
        .or_else(|_| sys::set_option(socket, libc::SOL_SOCKET, option, bytes))
}
