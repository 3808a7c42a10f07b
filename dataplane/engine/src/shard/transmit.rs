//! The way out: frames to their ports, frames home.

use super::Shard;
use crate::limits::BATCH;
use weir_abi::drops::Drop;
use weir_frame::{Frame, Path};

impl Shard {
    /// A fresh frame of the port for outer datagrams, with room for `len` bytes.
    pub(super) fn fresh_wan(&mut self, len: usize) -> Option<Frame> {
        let wan = self.wan?;
        if let Some(frame) = self.ports[wan].port.fresh(len) {
            return Some(frame);
        }
        self.transmit(wan);
        self.ports[wan].port.fresh(len)
    }

    /// A fresh frame of the port to this host, with room for `len` bytes.
    pub(super) fn fresh_host(&mut self, len: usize) -> Option<Frame> {
        let host = self.host?;
        if let Some(frame) = self.ports[host].port.fresh(len) {
            return Some(frame);
        }
        self.transmit(host);
        self.ports[host].port.fresh(len)
    }

    /// Queues an outer datagram, whose path stands in its meta.
    pub(super) fn send_datagram(&mut self, frame: Frame) {
        let Some(wan) = self.wan else {
            return self.give_back(frame);
        };
        self.ports[wan].tx.push(frame);
        if self.ports[wan].tx.len() >= 4 * BATCH {
            self.transmit(wan);
        }
    }

    /// Queues a packet for this host.
    pub(super) fn send_packet(&mut self, frame: Frame) {
        let Some(host) = self.host else {
            return self.give_back(frame);
        };
        self.ports[host].tx.push(frame);
        if self.ports[host].tx.len() >= 4 * BATCH {
            self.transmit(host);
        }
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

    pub(super) fn give_back_held(&mut self) {
        while let Some(frame) = self.held.pop() {
            self.give_back(frame);
        }
    }

    /// Hands everything queued to the ports, and wakes the shards that got something.
    pub(super) fn flush(&mut self) {
        for port in 0..self.ports.len() {
            self.transmit(port);
        }
        self.links.flush();
    }

    fn transmit(&mut self, port: usize) {
        let slot = &mut self.ports[port];
        if !slot.tx.is_empty() {
            slot.port.transmit(&mut slot.tx);
        }
    }
}
