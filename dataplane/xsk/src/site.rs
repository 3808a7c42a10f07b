//! What a port knows of the place where it stands: its device, its host, and the ways out by the device.

use std::net::IpAddr;
use weir_wire::arrival::Device;

/// The next hop of a packet by a port's device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hop {
    /// The next hop's and the device's own MAC address.
    pub macs: ([u8; 6], [u8; 6]),
    /// The address that the host sends from where nothing else is asked for.
    pub source: IpAddr,
    /// Bytes of the longest IP packet.
    pub mtu: usize,
}

/// What the XDP program was told of a device, and what is known of the ways out by it. Others change it while the port
/// works; what is read is what it was at the last [`Site::refresh`].
pub trait Site: Device + Send {
    /// Looks at what is new. Ports call it once a batch.
    fn refresh(&mut self);

    /// The next hop to an address, where that is known and lies on the device; the kernel finds all others. There is none
    /// to this host's own addresses, nor to a network's broadcast address.
    fn hop(&self, destination: IpAddr) -> Option<Hop>;

    /// The device's number.
    fn interface(&self) -> u32;

    /// The UDP port that tunnels' datagrams leave from.
    fn port(&self) -> u16;

    /// Bytes of the longest packet that goes into the tunnel, headers included.
    fn tunnel_mtu(&self) -> usize;
}
