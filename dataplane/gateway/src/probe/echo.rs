//! ICMP echo requests through the tunnel's device (RFC 792, RFC 4443 section 4), from a raw socket that is bound to it.
#![allow(
    unsafe_code,
    reason = "setsockopt(2) for whole packets has no safe form in nix"
)]

use crate::netlink;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, setsockopt, socket, sockopt::BindToDevice,
};
use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};
use weir_wire::checksum::Sum;

/// Bytes of the ICMP header of an echo.
const HEADER_LEN: usize = 8;

/// Bytes of the IP header before it; no options are sent.
const fn ip_header_len(v4: bool) -> usize {
    if v4 { 20 } else { 40 }
}

/// Echo requests of one sender to one address.
pub struct Echoes {
    socket: UdpSocket,
    v4: bool,
    identifier: u16,
    sent: Vec<Sent>,
}

struct Sent {
    at: Instant,
    answered: Option<Duration>,
}

impl Echoes {
    /// Opens a socket to `target` that sends by the TUN device alone, in whose network namespace it is.
    ///
    /// # Errors
    /// The kernel's: above all, that the process may open no raw socket (CAP_NET_RAW).
    pub fn open(tun: BorrowedFd<'_>, target: IpAddr, identifier: u16) -> io::Result<Self> {
        let socket = netlink::beside_device(tun, |device| raw_socket(device, target))?;
        Ok(Self {
            socket: UdpSocket::from(socket),
            v4: target.is_ipv4(),
            identifier,
            sent: Vec::new(),
        })
    }

    /// Sends one request in an IP packet of so many bytes, and hands back its number.
    pub fn send(&mut self, bytes: u16) -> io::Result<usize> {
        let number = self.sent.len();
        let payload = usize::from(bytes).saturating_sub(ip_header_len(self.v4) + HEADER_LEN);
        let request = request(self.v4, self.identifier, number as u16, payload);
        let at = Instant::now();
        self.socket.send(&request)?;
        self.sent.push(Sent { at, answered: None });
        Ok(number)
    }

    /// Waits until `until` for replies, or until all of these requests have theirs.
    pub fn wait(&mut self, until: Instant, requests: &[usize]) -> io::Result<()> {
        let mut packet = vec![0; 1 << 16];
        while requests.iter().any(|&number| self.answered(number).is_none()) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.socket.set_read_timeout(Some(left))?;
            match self.socket.recv(&mut packet) {
                Ok(length) => self.take(&packet[..length]),
                Err(error) if patience_ended(&error) => {}
                // What a router said of a request: it will find no answer, and others may.
                Err(error) if error.raw_os_error().is_some() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The round trip of a request.
    pub fn answered(&self, number: usize) -> Option<Duration> {
        self.sent.get(number)?.answered
    }

    fn take(&mut self, packet: &[u8]) {
        let number = reply(self.v4, self.identifier, packet);
        let request = number.and_then(|number| self.sent.get_mut(usize::from(number)));
        if let Some(request) = request {
            request.answered.get_or_insert(request.at.elapsed());
        }
    }
}

fn patience_ended(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}

fn raw_socket(device: &str, target: IpAddr) -> io::Result<OwnedFd> {
    let (family, protocol) = match target {
        IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp),
        IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6),
    };
    let socket = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
    setsockopt(&socket, BindToDevice, &OsString::from(device))?;
    send_whole(&socket, target)?;
    let socket = UdpSocket::from(socket);
    // A raw socket has no port. Connected, it hears of nobody else.
    socket.connect(SocketAddr::new(target, 0))?;
    Ok(socket.into())
}

/// Has packets sent whole, up to the device's MTU and whatever is known of the path (ip(7), IP_PMTUDISC_PROBE).
fn send_whole(socket: &OwnedFd, target: IpAddr) -> io::Result<()> {
    let (level, option, value) = match target {
        IpAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE),
        IpAddr::V6(_) => (
            libc::IPPROTO_IPV6,
            libc::IPV6_MTU_DISCOVER,
            libc::IPV6_PMTUDISC_PROBE,
        ),
    };
    let length = size_of_val(&value) as libc::socklen_t;
    // SAFETY: the kernel reads `length` bytes of `value`, which outlives the call.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            length,
        )
    };
    nix::errno::Errno::result(set)?;
    Ok(())
}

/// An echo request. The kernel completes the checksum of ICMPv6, which covers addresses that it chooses.
fn request(v4: bool, identifier: u16, sequence: u16, payload: usize) -> Vec<u8> {
    let kind = if v4 { 8 } else { 128 };
    let mut bytes = vec![0; HEADER_LEN + payload];
    bytes[0] = kind;
    bytes[4..6].copy_from_slice(&identifier.to_be_bytes());
    bytes[6..8].copy_from_slice(&sequence.to_be_bytes());
    if v4 {
        let checksum = Sum::of(&bytes).finish();
        bytes[2..4].copy_from_slice(&checksum.to_be_bytes());
    }
    bytes
}

/// The sequence number of the reply that a received packet is, if it is one of ours. Of IPv4 a raw socket receives the
/// whole packet, of IPv6 what follows the header.
fn reply(v4: bool, identifier: u16, packet: &[u8]) -> Option<u16> {
    let start = if v4 {
        usize::from(packet.first()? & 15) * 4
    } else {
        0
    };
    let header = packet.get(start..start + HEADER_LEN)?;
    let kind = if v4 { 0 } else { 129 };
    let ours = header[..2] == [kind, 0] && header[4..6] == identifier.to_be_bytes();
    ours.then(|| u16::from_be_bytes([header[6], header[7]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches a request that a receiver throws away, or one of another length.
    #[test]
    fn a_request_is_as_long_as_asked_and_checks() {
        let bytes = request(true, 0x1234, 5, 101);
        assert_eq!(bytes.len(), HEADER_LEN + 101);
        assert_eq!(Sum::of(&bytes).finish(), 0, "a sum over its own checksum");
        let v6 = request(false, 0x1234, 5, 8);
        assert_eq!((v6[0], &v6[2..4]), (128, &[0, 0][..]));
    }

    // Catches the replies to another program's requests taken for ours, and our own requests taken for replies.
    #[test]
    fn only_our_replies_count() {
        let mut answer = request(true, 7, 3, 8);
        answer[0] = 0;
        let packet = |options: usize, icmp: &[u8]| {
            let mut packet = vec![0; 20 + options];
            packet[0] = 0x45 + (options / 4) as u8;
            packet.extend_from_slice(icmp);
            packet
        };
        assert_eq!(reply(true, 7, &packet(0, &answer)), Some(3));
        assert_eq!(reply(true, 7, &packet(8, &answer)), Some(3));
        assert_eq!(reply(true, 8, &packet(0, &answer)), None);
        assert_eq!(reply(true, 7, &packet(0, &request(true, 7, 3, 8))), None);
        assert_eq!(reply(true, 7, &packet(0, &answer[..7])), None);
        let mut answer = request(false, 7, 3, 8);
        assert_eq!(reply(false, 7, &answer), None);
        answer[0] = 129;
        assert_eq!(reply(false, 7, &answer), Some(3));
        assert_eq!(reply(false, 7, &[]), None);
    }
}
