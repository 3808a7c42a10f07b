//! Ethernet frames on a device, past the kernel's stack: sent as they are, and seen as they arrive.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test program uses a part of it, and fails by panicking"
)]

use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt,
    socket, sockopt,
};
use weir_bench::Namespace;

/// Bytes of the buffer for what arrives.
const BUFFER_BYTES: usize = 4 << 20;

/// The EtherType of a VLAN tag (IEEE 802.1Q).
pub const VLAN: u16 = 0x8100;

/// One end of a cable. It sees every frame that the kernel gets there, even one that nobody wants.
pub struct Cable {
    socket: OwnedFd,
    mac: [u8; 6],
}

impl Cable {
    /// The end that a device is.
    pub fn at(namespace: &Namespace, device: &str) -> Self {
        namespace.enter(|| {
            let link = link(device);
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            let socket = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll).unwrap();
            setsockopt(&socket, sockopt::RcvBufForce, &BUFFER_BYTES).unwrap();
            bind(socket.as_raw_fd(), &link).unwrap();
            Self {
                socket,
                mac: link.addr().unwrap(),
            }
        })
    }

    /// The device's MAC address.
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// Sends an IP packet to a MAC address, in an Ethernet frame.
    pub fn send_packet(&self, to: [u8; 6], packet: &[u8]) {
        let ethertype: u16 = if packet[0] >> 4 == 6 { 0x86dd } else { 0x0800 };
        self.send(to, &[&ethertype.to_be_bytes(), packet].concat());
    }

    /// Sends a frame: what follows the MAC addresses is the caller's.
    pub fn send(&self, to: [u8; 6], rest: &[u8]) {
        let frame = [&to, &self.mac[..], rest].concat();
        let sent = send(self.socket.as_raw_fd(), &frame, MsgFlags::empty()).unwrap();
        assert_eq!(sent, frame.len());
    }

    /// What has arrived or was sent since the last look, from its Ethernet header on; a VLAN tag is stripped by the kernel.
    pub fn seen(&self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        loop {
            let mut frame = vec![0; 65_536];
            match recv(self.socket.as_raw_fd(), &mut frame, MsgFlags::empty()) {
                Ok(length) => frames.push(frame[..length].to_vec()),
                Err(Errno::EAGAIN) => return frames,
                Err(errno) => panic!("a packet socket: {errno}"),
            }
        }
    }
}

/// A device of the thread's network namespace, as sockets name it.
fn link(device: &str) -> LinkAddr {
    let mut addresses = getifaddrs()
        .unwrap()
        .filter(|address| address.interface_name == device);
    let link = addresses.find_map(|address| address.address?.as_link_addr().copied());
    link.unwrap_or_else(|| panic!("no device {device}"))
}
