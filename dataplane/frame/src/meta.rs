//! What travels with a frame beside its bytes.

use core::net::{IpAddr, SocketAddr};

/// The local end of an outer path, so that answers leave from the address that was spoken to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LocalAddress {
    /// The local address, never unspecified.
    pub ip: IpAddr,
    /// The interface's index; 0 leaves the choice to the routing table.
    pub interface: u32,
}

/// An outer path: where a datagram came from or goes to, and over which local address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Path {
    /// The other side's address and UDP port. IPv4 is never in its IPv6-mapped form.
    pub remote: SocketAddr,
    /// The local address, where it is known; `None` lets the kernel choose.
    pub local: Option<LocalAddress>,
}

impl Path {
    /// A path to `remote` whose local address the kernel chooses.
    pub fn to(remote: SocketAddr) -> Self {
        Self { remote, local: None }
    }
}

/// The transport that an offload works on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// TCP over IPv4.
    TcpV4,
    /// TCP over IPv6.
    TcpV6,
    /// UDP over either.
    Udp,
}

/// How many packets a frame holds, and how they lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Segmentation {
    /// One packet.
    #[default]
    None,
    /// Datagrams of `size` bytes back to back, the last one possibly shorter (UDP GRO). They may be of different
    /// types and for different receivers.
    Datagrams {
        /// Bytes of each datagram but the last.
        size: u16,
    },
    /// One IP packet larger than the MTU, to be cut into packets of `size` payload bytes behind a copy of its headers
    /// (TSO, USO, as a TUN device with `IFF_VNET_HDR` hands them over).
    Super {
        /// What to cut.
        transport: Transport,
        /// Payload bytes of each packet but the last.
        size: u16,
    },
}

/// What a port says of a received frame and what it is told of one to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Meta {
    /// The outer path: of every datagram a WAN port receives or sends; `None` on TUN and LAN ports.
    pub path: Option<Path>,
    /// The outer traffic class or TOS byte, DSCP and ECN.
    pub traffic_class: u8,
    /// How many packets the frame holds.
    pub segmentation: Segmentation,
    /// Where an unfinished transport checksum starts and how far behind it lies, as virtio's `NEEDS_CSUM` tells.
    pub partial_checksum: Option<(u16, u16)>,
}
