//! One shard's share of a UDP port.

use super::receive::Receiver;
use super::send::Sender;
use super::socket::SocketPair;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use weir_frame::{Frame, FramePool, Home, Port, PortCounters, PortMode, PortRole};

/// A shard's IPv4 and IPv6 socket. Made by a [`UdpGroup`](super::UdpGroup).
///
/// A super-datagram is received whole, in a frame with [`weir_frame::Segmentation::Datagrams`]; while the large frames
/// are all abroad, datagrams that the kernel joined cost one counted drop (`rx_too_long`) each time.
pub struct UdpPort {
    sockets: Arc<SocketPair>,
    pool: FramePool,
    receiver: Receiver,
    sender: Sender,
    offload: bool,
    received: PortCounters,
}

impl UdpPort {
    pub(crate) fn new(sockets: Arc<SocketPair>, offload: bool, pool: FramePool) -> Self {
        Self {
            sockets,
            pool,
            receiver: Receiver::new(),
            sender: Sender::new(offload),
            offload,
            received: PortCounters::default(),
        }
    }
}

impl Port for UdpPort {
    fn receive(&mut self, out: &mut Vec<Frame>, limit: usize) -> usize {
        let (pool, counters) = (&mut self.pool, &mut self.received);
        self.receiver
            .receive(&self.sockets, self.offload, pool, counters, out, limit)
    }

    fn transmit(&mut self, frames: &mut Vec<Frame>) {
        self.sender.transmit(&self.sockets, frames);
        frames.drain(..).for_each(|frame| self.pool.give_back(frame));
    }

    fn fresh(&mut self, len: usize) -> Option<Frame> {
        self.pool.take(len)
    }

    fn give_back(&mut self, frame: Frame) {
        self.pool.give_back(frame);
    }

    fn home(&self) -> Home {
        self.pool.home()
    }

    fn frames(&self) -> usize {
        self.pool.size().frames()
    }

    fn abroad(&self) -> usize {
        self.pool.abroad() - self.receiver.posted()
    }

    fn into_pool(mut self: Box<Self>) -> FramePool {
        self.receiver.give_back(&mut self.pool);
        self.pool
    }

    fn role(&self) -> PortRole {
        PortRole::Wan
    }

    fn mode(&self) -> PortMode {
        if self.sender.joins() {
            PortMode::Offload
        } else {
            PortMode::Plain
        }
    }

    fn counters(&self) -> PortCounters {
        let sent = self.sender.counters();
        PortCounters {
            rx_frames: self.received.rx_frames,
            rx_bytes: self.received.rx_bytes,
            rx_too_long: self.received.rx_too_long,
            rx_malformed: self.received.rx_malformed,
            rx_errors: self.received.rx_errors,
            ..*sent
        }
    }

    /// IPv4's and IPv6's. The numbers stay the same as long as the port lives; what is behind them changes with
    /// [`UdpGroup::rebind`](super::UdpGroup::rebind), after which whoever waits on them must be woken.
    fn descriptors(&self, out: &mut Vec<RawFd>) {
        out.push(self.sockets.v4().as_raw_fd());
        out.extend(self.sockets.v6().map(|socket| socket.as_raw_fd()));
    }

    fn forgotten_source(&mut self) -> Option<SocketAddr> {
        self.sender.forgotten_source()
    }
}
