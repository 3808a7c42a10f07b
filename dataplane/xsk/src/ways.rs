//! The two ways in and out of an AF_XDP port: a device's queue, and an ordinary port of the kernel's for what the queue
//! cannot carry.

use crate::seat::Seat;
use std::os::fd::{AsRawFd as _, RawFd};
use weir_frame::{Frame, FramePool, Home, Port, PortCounters, PortMode};

/// In one of so many batches the ordinary port comes before the queue, which else could fill them all. One that had nothing
/// is left alone until then, for every look is a system call.
const ORDINARY_TURN: u32 = 8;

/// A queue and an ordinary port of one home, whose frames are the one port's.
///
/// Each frame to send is put on one of the two ways, and goes with [`Ways::send`]. Frames that go by the queue begin with
/// their Ethernet headers. While the queue has no socket, everything goes by the ordinary port.
pub(crate) struct Ways {
    queue: Seat,
    ordinary: Box<dyn Port>,
    fast: Vec<Frame>,
    /// Bytes that each of `fast` carries, without headers and padding.
    carried: Vec<usize>,
    slow: Vec<Frame>,
    batches: u32,
    /// Whether the ordinary port had nothing when it was last looked at.
    quiet: bool,
    /// What went by the queue or was dropped; the ordinary port counts its own.
    pub counted: PortCounters,
}

impl Ways {
    /// Both ways.
    ///
    /// # Panics
    /// If they are of two homes.
    pub fn new(mut queue: Seat, ordinary: Box<dyn Port>) -> Self {
        assert_eq!(
            queue.pool().home(),
            ordinary.home(),
            "the queue and the ordinary port are one port"
        );
        Self {
            queue,
            ordinary,
            fast: Vec::with_capacity(256),
            carried: Vec::with_capacity(256),
            slow: Vec::with_capacity(256),
            batches: 0,
            quiet: false,
            counted: PortCounters::default(),
        }
    }

    pub fn queue(&self) -> &Seat {
        &self.queue
    }

    /// Takes or closes the queue's socket where that was asked for. Ports call it once a batch.
    pub fn refresh(&mut self) {
        self.queue.refresh();
    }

    /// Whether anything can go by the queue.
    pub fn has_queue(&self) -> bool {
        self.queue.is_taken()
    }

    /// Appends frames that the queue received, at most `limit`.
    pub fn receive(&mut self, arrived: &mut Vec<Frame>, limit: usize) {
        self.queue.receive(arrived, limit);
    }

    /// Appends frames that the ordinary port received, at most `limit`, unless it is quiet. Says how many.
    pub fn receive_ordinary(&mut self, out: &mut Vec<Frame>, limit: usize) -> usize {
        if limit == 0 || self.quiet {
            return 0;
        }
        self.look(out, limit)
    }

    /// Appends frames that the ordinary port received at the beginning of a batch: none, but for one batch in
    /// [`ORDINARY_TURN`], of which the port may have half.
    pub fn receive_ordinary_in_turn(&mut self, out: &mut Vec<Frame>, limit: usize) -> usize {
        self.batches = (self.batches + 1) % ORDINARY_TURN;
        if self.batches == 0 {
            self.look(out, limit.div_ceil(2))
        } else {
            0
        }
    }

    /// What is readable when something arrives on either.
    pub fn descriptors(&self, out: &mut Vec<RawFd>) {
        out.extend(self.queue.descriptor().map(|queue| queue.as_raw_fd()));
        self.ordinary.descriptors(out);
    }

    /// The shard slept: what woke it may be the ordinary port's.
    pub fn woke(&mut self) {
        self.quiet = false;
    }

    fn look(&mut self, out: &mut Vec<Frame>, limit: usize) -> usize {
        let count = self.ordinary.receive(out, limit);
        self.quiet = count == 0;
        count
    }

    /// Whether a frame lies where the queue can send it from.
    pub fn owns(&self, frame: &Frame) -> bool {
        self.queue.owns(frame)
    }

    /// A fresh frame that the queue can send; where all are abroad, of those that it has sent by now.
    pub fn fresh_fast(&mut self, len: usize) -> Option<Frame> {
        if let Some(frame) = self.queue.pool().take(len) {
            return Some(frame);
        }
        self.queue.complete();
        self.queue.pool().take(len)
    }

    /// A fresh frame: one of the queue's where there is one, since only those need no copy; large ones are the ordinary
    /// port's, and so are all while nothing can go by the queue.
    pub fn fresh(&mut self, len: usize) -> Option<Frame> {
        if self.has_queue() {
            self.fresh_fast(len).or_else(|| self.ordinary.fresh(len))
        } else {
            self.ordinary.fresh(len).or_else(|| self.fresh_fast(len))
        }
    }

    pub fn give_back(&mut self, frame: Frame) {
        if self.queue.owns(&frame) {
            self.queue.pool().give_back(frame);
        } else {
            self.ordinary.give_back(frame);
        }
    }

    /// Puts a frame of the queue's on the way by the queue; `carried` bytes of it are neither headers nor padding.
    pub fn by_queue(&mut self, frame: Frame, carried: usize) {
        self.fast.push(frame);
        self.carried.push(carried);
    }

    /// Puts a frame on the way by the ordinary port, in a copy where it lies in the queue's memory.
    pub fn by_ordinary(&mut self, frame: Frame) {
        if !self.queue.owns(&frame) {
            return self.slow.push(frame);
        }
        match self.fresh_slow(frame.len()) {
            Some(mut copy) => {
                *copy.meta_mut() = *frame.meta();
                let fits = copy.write(frame.bytes());
                assert!(fits, "a fresh frame has the room that was asked for");
                self.slow.push(copy);
            }
            None => self.counted.tx_full += 1,
        }
        self.queue.pool().give_back(frame);
    }

    /// A fresh frame of the ordinary port's, which may have to send others first.
    fn fresh_slow(&mut self, len: usize) -> Option<Frame> {
        if let Some(frame) = self.ordinary.fresh(len) {
            return Some(frame);
        }
        self.ordinary.transmit(&mut self.slow);
        self.ordinary.fresh(len)
    }

    /// The frame, or a copy of it, as one that the queue can send, with `headroom` bytes in front of it; the frame itself
    /// where the queue has none.
    pub fn in_queue_memory(&mut self, frame: Frame, headroom: usize) -> Result<Frame, Frame> {
        if self.queue.owns(&frame) {
            return if frame.headroom() < headroom {
                Err(frame)
            } else {
                Ok(frame)
            };
        }
        let Some(mut copy) = self.fresh_fast(frame.len()) else {
            return Err(frame);
        };
        *copy.meta_mut() = *frame.meta();
        if copy.headroom() < headroom || !copy.write(frame.bytes()) {
            self.queue.pool().give_back(copy);
            return Err(frame);
        }
        self.ordinary.give_back(frame);
        Ok(copy)
    }

    /// Sends what is on its way, and takes home what was sent before. What the queue has no room for is dropped: the kernel
    /// does not keep up.
    pub fn send(&mut self) {
        self.queue.transmit(&mut self.fast);
        let sent = self.carried.len() - self.fast.len();
        self.counted.tx_packets += sent as u64;
        self.counted.tx_bytes += self.carried[..sent].iter().sum::<usize>() as u64;
        self.counted.tx_full += self.fast.len() as u64;
        self.carried.clear();
        self.fast
            .drain(..)
            .for_each(|frame| self.queue.pool().give_back(frame));
        if !self.slow.is_empty() {
            self.ordinary.transmit(&mut self.slow);
        }
    }

    /// As [`Ways::send`], where anything is on its way by the queue.
    pub fn send_waiting(&mut self) {
        if !self.fast.is_empty() {
            self.send();
        }
    }

    pub fn home(&self) -> Home {
        self.ordinary.home()
    }

    pub fn frames(&self) -> usize {
        self.queue.frames() + self.ordinary.frames()
    }

    pub fn abroad(&self) -> usize {
        self.queue.abroad() + self.ordinary.abroad()
    }

    /// Closes the queue, leaves its frames at its seat, and keeps those of the ordinary port.
    pub fn into_pool(self) -> FramePool {
        self.queue.leave();
        self.ordinary.into_pool()
    }

    pub fn in_kernel(&self) -> usize {
        self.queue.in_kernel()
    }

    /// The mode of the queue; the ordinary port's while there is none.
    pub fn mode(&self) -> PortMode {
        self.queue.mode().unwrap_or_else(|| self.ordinary.mode())
    }

    pub fn counters(&self) -> PortCounters {
        let queue = self.queue.counters();
        let queue = PortCounters {
            rx_full: queue.full,
            rx_errors: queue.invalid,
            ..PortCounters::default()
        };
        self.counted + queue + self.ordinary.counters()
    }

    pub fn forgotten_source(&mut self) -> Option<std::net::SocketAddr> {
        self.ordinary.forgotten_source()
    }
}
