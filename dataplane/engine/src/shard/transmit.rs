//! The way out: frames to their ports, frames home.

use super::{PortSlot, Shard};
use crate::limits::BATCH;
use weir_abi::drops::Drop;
use weir_frame::{Frame, Path};

impl Shard {
    /// A fresh frame of the port for outer datagrams, with room for `len` bytes.
    pub(super) fn fresh_wan(&mut self, len: usize) -> Option<Frame> {
        self.ports[self.wan?].fresh(len)
    }

    /// A fresh frame of the port to this host, with room for `len` bytes.
    pub(super) fn fresh_host(&mut self, len: usize) -> Option<Frame> {
        self.ports[self.host?].fresh(len)
    }

    /// Queues an outer datagram, whose path stands in its meta.
    pub(super) fn send_datagram(&mut self, frame: Frame) {
        let Some(wan) = self.wan else {
            return self.give_back(frame);
        };
        self.ports[wan].send(frame);
    }

    /// Queues a packet for this host.
    pub(super) fn send_packet(&mut self, frame: Frame) {
        let Some(host) = self.host else {
            return self.give_back(frame);
        };
        self.ports[host].send(frame);
    }

    /// Sends a message made here, a handshake's or a cookie reply; false when no frame was to be had.
    pub(super) fn send_message(&mut self, message: &[u8], path: Path) -> bool {
        let Some(mut frame) = self.fresh_wan(message.len()) else {
            self.counters.drop(Drop::NoFrame);
            return false;
        };
        let written = frame.write(message);
        debug_assert!(written, "the frame was asked for with this length");
        frame.meta_mut().path = Some(path);
        self.send_datagram(frame);
        true
    }

    /// Sends a frame to its home, wherever that is.
    pub(super) fn give_back(&mut self, frame: Frame) {
        let home = frame.home();
        if home.shard == self.number {
            self.ports[usize::from(home.port)].port.give_back(frame);
        } else {
            self.links.send_home(frame);
        }
    }

    /// Sends home what was received, once what is to be sealed was read.
    pub(super) fn give_back_held(&mut self) {
        self.seal_waiting();
        while let Some(frame) = self.held.pop() {
            self.give_back(frame);
        }
    }

    /// Hands everything queued to the ports, and wakes the shards that got something.
    pub(super) fn flush(&mut self) {
        self.ports.iter_mut().for_each(PortSlot::transmit);
        self.links.flush();
    }
}

impl PortSlot {
    /// A fresh frame with room for `len` bytes; where all are abroad, one of those about to leave.
    #[inline]
    pub(super) fn fresh(&mut self, len: usize) -> Option<Frame> {
        if let Some(frame) = self.port.fresh(len) {
            return Some(frame);
        }
        self.transmit();
        self.port.fresh(len)
    }

    #[inline]
    fn send(&mut self, frame: Frame) {
        self.tx.push(frame);
        if self.tx.len() >= 4 * BATCH {
            self.transmit();
        }
    }

    fn transmit(&mut self) {
        if !self.tx.is_empty() {
            self.port.transmit(&mut self.tx);
        }
    }
}
