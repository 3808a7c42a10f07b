//! A queue as a port's engine room: whole Ethernet frames in and out, and every frame accounted for.

use crate::exchange::Exchange;
use crate::socket::{Copying, Kernel, OpenError, Socket, SocketOptions};
use crate::store::Store;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use weir_frame::{Frame, FramePool};

/// What a queue counted, in frames.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct QueueCounters {
    /// Received.
    pub received: u64,
    /// Given to the kernel to be sent.
    pub sent: u64,
    /// Entries of the kernel's that named no frame it had.
    pub invalid: u64,
    /// Times the kernel was asked to send.
    pub kicks: u64,
    /// Times that the kernel refused to send, for other reasons than being busy.
    pub errors: u64,
}

impl core::ops::Add for QueueCounters {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            received: self.received + other.received,
            sent: self.sent + other.sent,
            invalid: self.invalid + other.invalid,
            kicks: self.kicks + other.kicks,
            errors: self.errors + other.errors,
        }
    }
}

/// One queue of a network card.
pub struct Queue {
    pub(crate) exchange: Exchange,
    pub(crate) store: Store,
}

/// Why there is no queue, and what it would have been made of.
#[derive(thiserror::Error)]
#[error("{error}")]
pub struct Refused {
    /// Why.
    pub error: OpenError,
    /// For another try.
    pub store: Box<Store>,
}

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.error)
    }
}

impl Queue {
    /// Opens a socket on a queue over a store's memory. At most half of its small frames are left with the kernel to be
    /// filled.
    ///
    /// # Errors
    /// [`Refused`], with the store; nothing stays open.
    pub fn open(options: SocketOptions, mut store: Store) -> Result<Self, Refused> {
        match Socket::open(options, &store.memory) {
            Ok(socket) => Ok(Self {
                exchange: Exchange::begin(socket, &mut store),
                store,
            }),
            Err(error) => Err(Refused {
                error,
                store: Box::new(store),
            }),
        }
    }

    /// Closes the socket and keeps the frames, for the next queue of the same home: frames still abroad come back to
    /// that, and those in the kernel's hands are its own until that is open.
    pub fn close(self) -> Store {
        self.store
    }

    /// How the kernel says that it moves frames.
    pub fn copying(&self) -> Copying {
        self.exchange.socket.copying()
    }

    /// What the queue counted.
    pub fn counters(&self) -> QueueCounters {
        self.exchange.counters
    }

    /// What the kernel counted.
    ///
    /// # Errors
    /// The kernel's, which has none while the socket is bound.
    pub fn kernel(&self) -> io::Result<Kernel> {
        self.exchange.socket.statistics()
    }

    /// The pool of the queue's frames.
    pub fn pool(&mut self) -> &mut FramePool {
        &mut self.store.pool
    }

    /// Whether a frame lies in the queue's memory, so that the kernel can send it.
    pub fn owns(&self, frame: &Frame) -> bool {
        self.store.owns(frame)
    }

    /// All frames of the queue, at home, abroad and in the kernel's hands.
    pub fn frames(&self) -> usize {
        self.store.frames()
    }

    /// Frames in the kernel's hands: to be filled, to be sent.
    pub fn held(&self) -> (u32, u32) {
        (self.exchange.filling, self.exchange.sending)
    }

    /// Frames that are neither in the pool nor in the kernel's hands. Looks at every chunk of the memory.
    pub fn abroad(&self) -> usize {
        self.store.abroad()
    }

    /// Appends frames that have arrived to `out`, at most `limit`, each beginning with its Ethernet header, and gives
    /// the kernel others to fill. Says how many.
    pub fn receive(&mut self, out: &mut Vec<Frame>, limit: usize) -> usize {
        self.exchange.receive(&mut self.store, out, limit)
    }

    /// Sends frames of this queue that begin with their Ethernet headers, in order. Those for which there is no room
    /// stay in `frames`: the kernel does not keep up.
    ///
    /// # Panics
    /// If a frame lies in other memory than the queue's ([`Queue::owns`]): the kernel could not read it.
    pub fn transmit(&mut self, frames: &mut Vec<Frame>) {
        self.exchange.transmit(&mut self.store, frames);
    }

    /// Takes home what the kernel has sent.
    pub fn complete(&mut self) {
        self.exchange.complete(&mut self.store);
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.exchange.socket.as_fd()
    }
}
