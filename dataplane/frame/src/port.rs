//! The one way by which packets enter and leave the engine.

use crate::frame::{Frame, Home};
use crate::pool::FramePool;
use std::os::fd::RawFd;

/// What a port is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PortRole {
    /// Outer datagrams: frames are UDP payloads, `meta.path` names the other side.
    Wan,
    /// Inner packets of this host: frames are IP packets.
    Host,
}

/// How a port moves packets, as it really is and not as it was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PortMode {
    /// Kernel sockets or a TUN device with their offloads (GSO, GRO, vnet_hdr).
    Offload,
    /// Kernel sockets or a TUN device, a packet a system call's entry.
    Plain,
    /// AF_XDP, the card reading and writing frames itself.
    ZeroCopy,
    /// AF_XDP, the kernel copying each frame in the driver.
    Driver,
    /// AF_XDP, the kernel copying each frame after it made a packet of its own of it.
    Generic,
    /// Memory of this process: tests.
    Memory,
}

impl PortMode {
    /// The mode's name as status and metrics show it.
    pub fn name(self) -> &'static str {
        match self {
            PortMode::Offload => "offload",
            PortMode::Plain => "plain",
            PortMode::ZeroCopy => "zero-copy",
            PortMode::Driver => "driver",
            PortMode::Generic => "generic",
            PortMode::Memory => "memory",
        }
    }
}

/// What a port counted since it was made. Packets are datagrams or IP packets, super-packets counted by their parts
/// as sent and as one where received whole.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct PortCounters {
    /// Frames received.
    pub rx_frames: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Received and dropped: longer than the buffer.
    pub rx_too_long: u64,
    /// Received and dropped: the kernel's description of the packet made no sense.
    pub rx_malformed: u64,
    /// Received and dropped: from one of this host's own addresses, which no other host may send from (RFC 1812,
    /// section 5.3.8).
    pub rx_martian: u64,
    /// Received and dropped: longer than the tunnel's MTU. The sender is told, as often as errors may be sent.
    pub rx_too_big: u64,
    /// Received and dropped by the kernel: the port was too slow to take frames from its ring and to give others to fill.
    pub rx_full: u64,
    /// Receives that failed for another reason than having nothing.
    pub rx_errors: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets dropped because the kernel's queue stayed full.
    pub tx_full: u64,
    /// Packets dropped because they exceed the path's MTU as the kernel knows it.
    pub tx_too_long: u64,
    /// Packets dropped for any other error of the kernel: no route, no address, device down.
    pub tx_errors: u64,
    /// Packets sent after the remembered local address was refused and forgotten.
    pub tx_source_forgotten: u64,
}

impl core::ops::Add for PortCounters {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            rx_frames: self.rx_frames + other.rx_frames,
            rx_bytes: self.rx_bytes + other.rx_bytes,
            rx_too_long: self.rx_too_long + other.rx_too_long,
            rx_malformed: self.rx_malformed + other.rx_malformed,
            rx_martian: self.rx_martian + other.rx_martian,
            rx_too_big: self.rx_too_big + other.rx_too_big,
            rx_full: self.rx_full + other.rx_full,
            rx_errors: self.rx_errors + other.rx_errors,
            tx_packets: self.tx_packets + other.tx_packets,
            tx_bytes: self.tx_bytes + other.tx_bytes,
            tx_full: self.tx_full + other.tx_full,
            tx_too_long: self.tx_too_long + other.tx_too_long,
            tx_errors: self.tx_errors + other.tx_errors,
            tx_source_forgotten: self.tx_source_forgotten + other.tx_source_forgotten,
        }
    }
}

/// A port: a batch of frames in, a batch out. It belongs to one shard and is called by that shard's thread alone;
/// no call blocks beyond the moment a full kernel queue needs to drain.
pub trait Port: Send {
    /// Appends frames that have arrived to `out`, at most `limit` of them; `out` has the capacity. Says how many.
    /// A burst is what has arrived: nothing is waited for.
    fn receive(&mut self, out: &mut Vec<Frame>, limit: usize) -> usize;

    /// Sends every frame, in order within a path, and empties `frames`. Frames must be of this port's home; each
    /// ends in the pool, sent or counted as dropped. IP packets of host ports are whole and with valid checksums;
    /// the port may merge neighbours for the kernel's offloads.
    fn transmit(&mut self, frames: &mut Vec<Frame>);

    /// A fresh frame of this port with room for `len` bytes, or `None` while all are abroad.
    fn fresh(&mut self, len: usize) -> Option<Frame>;

    /// Takes home a frame that was received here, or fresh and not sent.
    fn give_back(&mut self, frame: Frame);

    /// The home of this port's frames.
    fn home(&self) -> Home;

    /// All frames this port owns, at home and abroad.
    fn frames(&self) -> usize;

    /// Frames of this port that are neither in its stock nor in the kernel's hands: with the engine, with another shard, or
    /// lost. None is while nothing is under way.
    fn abroad(&self) -> usize;

    /// Frames of this port that are in the kernel's hands, to be filled or to be sent. None are where the kernel copies what
    /// it is given.
    fn in_kernel(&self) -> usize {
        0
    }

    /// Ends the port and keeps its frames, for the next port of the same home: frames still abroad come back to that.
    fn into_pool(self: Box<Self>) -> FramePool;

    /// What the port is for.
    fn role(&self) -> PortRole;

    /// The mode in force.
    fn mode(&self) -> PortMode;

    /// What the port counted.
    fn counters(&self) -> PortCounters;

    /// Appends the descriptors that are readable when something arrives; what has none is not waited for. Asked before each
    /// sleep: sockets come and go.
    fn descriptors(&self, _out: &mut Vec<RawFd>) {}

    /// The shard slept until something woke it, which may have been this port. One that looks less often where it lately
    /// found nothing looks everywhere at its next receive.
    fn woke(&mut self) {}

    /// Whether a path whose local address the kernel refused was sent without it since the last call: the engine
    /// then forgets the address of that peer. Taken one at a time; `None` when there is no more.
    fn forgotten_source(&mut self) -> Option<core::net::SocketAddr>;
}
