//! A queue of a port, whose socket comes and goes: a device is unplugged and plugged in again, moves between network
//! namespaces, or gets another number of queues.
//!
//! The frames stay. Whoever follows the device opens a socket over their memory, which may take long, and leaves it at the
//! seat; the port takes it with its next batch.

use crate::exchange::Exchange;
use crate::memory::Memory;
use crate::queue::{Queue, QueueCounters};
use crate::socket::{Copying, OpenError, Socket, SocketOptions};
use crate::store::Store;
use core::sync::atomic::{AtomicBool, Ordering};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use weir_frame::{Frame, FramePool, PortMode};

/// A queue's place in a port, with its frames, and with a socket or without.
pub struct Seat {
    store: Store,
    exchange: Option<Exchange>,
    generic: bool,
    /// What sockets counted that are gone.
    before: QueueCounters,
    handle: Arc<SeatHandle>,
}

/// A seat from outside, for any thread.
pub struct SeatHandle {
    memory: Memory,
    changed: AtomicBool,
    next: Mutex<Option<Next>>,
}

/// What becomes of a seat's socket.
enum Next {
    None,
    Socket(Box<BoundSocket>),
}

/// A socket that is bound to a device's queue, over the memory of a seat.
pub struct BoundSocket {
    socket: Socket,
    generic: bool,
}

impl AsFd for BoundSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Seat {
    /// An open queue at its place; `generic` says whether the XDP program is attached in generic mode.
    pub fn taken(queue: Queue, generic: bool) -> Self {
        Self::new(queue.store, Some(queue.exchange), generic)
    }

    /// The place of a queue that is not there yet.
    pub fn empty(store: Store) -> Self {
        Self::new(store, None, false)
    }

    fn new(store: Store, exchange: Option<Exchange>, generic: bool) -> Self {
        let handle = SeatHandle {
            memory: store.memory,
            changed: AtomicBool::new(false),
            next: Mutex::new(None),
        };
        Self {
            store,
            exchange,
            generic,
            before: QueueCounters::default(),
            handle: Arc::new(handle),
        }
    }

    /// The seat from outside.
    pub fn handle(&self) -> Arc<SeatHandle> {
        Arc::clone(&self.handle)
    }

    /// The socket's descriptor, where there is one.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.exchange.as_ref().map(|exchange| exchange.socket.as_fd())
    }

    /// How the kernel moves frames, where there is a socket.
    pub fn mode(&self) -> Option<PortMode> {
        let mode = match (self.exchange.as_ref()?.socket.copying(), self.generic) {
            (Copying::None, _) => PortMode::ZeroCopy,
            (Copying::Each, false) => PortMode::Driver,
            (Copying::Each, true) => PortMode::Generic,
        };
        Some(mode)
    }

    /// What was counted with all sockets that were here.
    pub fn counters(&self) -> QueueCounters {
        let now = self.exchange.as_ref().map(|exchange| exchange.counters);
        self.before + now.unwrap_or_default()
    }

    /// Frames in the kernel's hands: to be filled, to be sent.
    pub fn held(&self) -> (u32, u32) {
        let exchange = self.exchange.as_ref();
        exchange.map_or((0, 0), |exchange| (exchange.filling, exchange.sending))
    }

    /// Takes the socket that was left here, or lets go of the last one, if either was asked for. Ports do it once a batch.
    #[inline]
    pub fn refresh(&mut self) {
        if self.handle.changed.load(Ordering::Relaxed) {
            self.change();
        }
    }

    #[cold]
    fn change(&mut self) {
        let Some(next) = self.handle.take() else { return };
        self.before = self.counters();
        // Closed before another begins, which takes home what this one had.
        self.exchange = None;
        if let Next::Socket(bound) = next {
            self.generic = bound.generic;
            self.exchange = Some(Exchange::begin(bound.socket, &mut self.store));
        }
    }

    /// Whether there is a socket.
    pub(crate) fn is_taken(&self) -> bool {
        self.exchange.is_some()
    }

    /// As [`Queue::receive`]; nothing arrives without a socket.
    pub(crate) fn receive(&mut self, out: &mut Vec<Frame>, limit: usize) -> usize {
        match &mut self.exchange {
            Some(exchange) => exchange.receive(&mut self.store, out, limit),
            None => 0,
        }
    }

    /// As [`Queue::transmit`]; all frames stay where there is no socket.
    pub(crate) fn transmit(&mut self, frames: &mut Vec<Frame>) {
        if let Some(exchange) = &mut self.exchange {
            exchange.transmit(&mut self.store, frames);
        }
    }

    /// Takes home what the kernel has sent.
    pub(crate) fn complete(&mut self) {
        if let Some(exchange) = &mut self.exchange {
            exchange.complete(&mut self.store);
        }
    }

    pub(crate) fn pool(&mut self) -> &mut FramePool {
        &mut self.store.pool
    }

    pub(crate) fn owns(&self, frame: &Frame) -> bool {
        self.store.owns(frame)
    }

    pub(crate) fn frames(&self) -> usize {
        self.store.frames()
    }

    pub(crate) fn abroad(&self) -> usize {
        self.store.abroad()
    }
}

impl SeatHandle {
    /// Opens a socket over the seat's memory; a queue that was just closed is waited for. `generic` says whether the XDP
    /// program is attached in generic mode.
    ///
    /// # Errors
    /// [`OpenError`]; nothing stays open, and the seat is as it was.
    pub fn open(&self, options: SocketOptions, generic: bool) -> Result<BoundSocket, OpenError> {
        let socket = Socket::open(options, &self.memory)?;
        Ok(BoundSocket { socket, generic })
    }

    /// Leaves a socket for the port, which takes it with its next batch. The device of the one that it has is gone, and
    /// with it the kernel's hold on frames.
    pub fn take_socket(&self, socket: BoundSocket) {
        self.set(Next::Socket(Box::new(socket)));
    }

    /// Has the port close its socket with its next batch. The device is gone.
    pub fn clear(&self) {
        self.set(Next::None);
    }

    fn set(&self, next: Next) {
        *self.lock() = Some(next);
        self.changed.store(true, Ordering::Release);
    }

    fn take(&self) -> Option<Next> {
        let mut next = self.lock();
        self.changed.store(false, Ordering::Relaxed);
        next.take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Next>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
