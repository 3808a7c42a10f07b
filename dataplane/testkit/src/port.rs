//! A port whose wire is a pair of queues that the test holds the other end of.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use weir_frame::{Frame, FramePool, Home, Meta, PoolSize, Port, PortCounters, PortMode, PortRole};

/// Bytes on their way into or out of a port, and what stands beside them.
#[derive(Clone, Debug, Default)]
pub struct Parcel {
    /// A datagram, an IP packet, or several as `meta.segmentation` tells.
    pub bytes: Vec<u8>,
    /// What the port says or was told of it.
    pub meta: Meta,
}

#[derive(Default)]
struct Queues {
    incoming: VecDeque<Parcel>,
    outgoing: VecDeque<Parcel>,
    /// Buffers used before, so that a warm port allocates nothing.
    spare: Vec<Vec<u8>>,
    abroad: usize,
    too_long: u64,
    forgotten: VecDeque<SocketAddr>,
}

/// The test's end of a [`MemoryPort`].
#[derive(Clone, Default)]
pub struct PortHandle(Arc<Mutex<Queues>>);

impl PortHandle {
    /// Puts a copy of `bytes` where the port will receive it.
    pub fn deliver(&self, bytes: &[u8], meta: Meta) {
        let mut queues = self.queues();
        let mut buffer = queues.spare.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(bytes);
        queues.incoming.push_back(Parcel { bytes: buffer, meta });
    }

    /// The next parcel that the port sent.
    pub fn take(&self) -> Option<Parcel> {
        self.queues().outgoing.pop_front()
    }

    /// Hands a parcel's buffer back for another one.
    pub fn recycle(&self, parcel: Parcel) {
        self.queues().spare.push(parcel.bytes);
    }

    /// Frames of the port that are neither at home nor lost: 0 when the gateway is at rest.
    pub fn abroad(&self) -> usize {
        self.queues().abroad
    }

    /// Parcels that wait to be received.
    pub fn waiting(&self) -> usize {
        self.queues().incoming.len()
    }

    /// Parcels dropped because they exceed the port's largest frame.
    pub fn too_long(&self) -> u64 {
        self.queues().too_long
    }

    /// Makes the port report that the local address towards `remote` was refused.
    pub fn forget_source(&self, remote: SocketAddr) {
        self.queues().forgotten.push_back(remote);
    }

    /// Moves everything that waits to be received to another port's queue, as when a socket closes whose datagrams the
    /// kernel hands to another.
    pub fn pass_on(&self, other: &PortHandle) {
        let waiting = core::mem::take(&mut self.queues().incoming);
        other.queues().incoming.extend(waiting);
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A port over memory.
pub struct MemoryPort {
    handle: PortHandle,
    pool: FramePool,
    role: PortRole,
    counters: PortCounters,
}

impl MemoryPort {
    /// A port of this home with frames of its own, and the test's end of it.
    pub fn new(role: PortRole, home: Home, size: PoolSize) -> (Self, PortHandle) {
        let handle = PortHandle::default();
        let port = Self {
            handle: handle.clone(),
            pool: FramePool::new(home, size),
            role,
            counters: PortCounters::default(),
        };
        (port, handle)
    }

    fn largest(&self) -> usize {
        let size = self.pool.size();
        let bytes = if size.large > 0 {
            size.large_bytes
        } else {
            size.small_bytes
        };
        bytes - size.headroom
    }
}

impl Port for MemoryPort {
    fn receive(&mut self, out: &mut Vec<Frame>, limit: usize) -> usize {
        let largest = self.largest();
        let mut queues = self.handle.queues();
        let mut count = 0;
        while count < limit {
            let Some(parcel) = queues.incoming.front() else {
                break;
            };
            if parcel.bytes.len() > largest {
                queues.incoming.pop_front();
                queues.too_long += 1;
                self.counters.rx_too_long += 1;
                continue;
            }
            let Some(mut frame) = self.pool.take(parcel.bytes.len()) else {
                break;
            };
            let parcel = queues.incoming.pop_front().expect("it was seen a moment ago");
            assert!(
                frame.write(&parcel.bytes),
                "the frame was asked for with this length"
            );
            *frame.meta_mut() = parcel.meta;
            self.counters.rx_frames += 1;
            self.counters.rx_bytes += parcel.bytes.len() as u64;
            queues.spare.push(parcel.bytes);
            out.push(frame);
            count += 1;
        }
        queues.abroad = self.pool.abroad();
        count
    }

    fn transmit(&mut self, frames: &mut Vec<Frame>) {
        let mut queues = self.handle.queues();
        for frame in frames.drain(..) {
            let mut bytes = queues.spare.pop().unwrap_or_default();
            bytes.clear();
            bytes.extend_from_slice(frame.bytes());
            self.counters.tx_packets += 1;
            self.counters.tx_bytes += bytes.len() as u64;
            queues.outgoing.push_back(Parcel {
                bytes,
                meta: *frame.meta(),
            });
            self.pool.give_back(frame);
        }
        queues.abroad = self.pool.abroad();
    }

    fn fresh(&mut self, len: usize) -> Option<Frame> {
        let frame = self.pool.take(len);
        self.handle.queues().abroad = self.pool.abroad();
        frame
    }

    fn give_back(&mut self, frame: Frame) {
        self.pool.give_back(frame);
        self.handle.queues().abroad = self.pool.abroad();
    }

    fn home(&self) -> Home {
        self.pool.home()
    }

    fn frames(&self) -> usize {
        self.pool.size().frames()
    }

    fn abroad(&self) -> usize {
        self.pool.abroad()
    }

    fn into_pool(self: Box<Self>) -> FramePool {
        self.pool
    }

    fn role(&self) -> PortRole {
        self.role
    }

    fn mode(&self) -> PortMode {
        PortMode::Memory
    }

    fn counters(&self) -> PortCounters {
        self.counters
    }

    fn forgotten_source(&mut self) -> Option<SocketAddr> {
        self.handle.queues().forgotten.pop_front()
    }
}
