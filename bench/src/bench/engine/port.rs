//! A port whose frames are filled before a window and thrown away after it: what it costs inside the window is the moving
//! of frames alone.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weir_frame::{Frame, FramePool, Home, PoolSize, Port, PortCounters, PortMode, PortRole};
use weir_testkit::Parcel;

/// The measuring end of a [`LoadedPort`]. The port looks at it only where nothing is left to receive.
#[derive(Clone, Default)]
pub(super) struct Load(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    next: Vec<Parcel>,
    fresh: bool,
    keep: bool,
    sent: Vec<Vec<u8>>,
}

impl Load {
    /// Has the port fill its frames at its next receive, which hands out none of them: with these parcels, or whatever
    /// the closure makes of those of last time.
    pub fn put(&self, change: impl FnOnce(&mut Vec<Parcel>)) {
        let mut inner = self.inner();
        change(&mut inner.next);
        inner.fresh = true;
    }

    /// Whether the port keeps what it sends from its next load on.
    pub fn keep(&self, keep: bool) {
        self.inner().keep = keep;
    }

    /// What the port sent and kept.
    pub fn sent(&self) -> Vec<Vec<u8>> {
        core::mem::take(&mut self.inner().sent)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The port.
pub(super) struct LoadedPort {
    load: Load,
    role: PortRole,
    pool: FramePool,
    /// Filled frames, the first to be received at the end.
    ready: Vec<Frame>,
    keep: bool,
    sent: u64,
}

impl LoadedPort {
    pub fn new(role: PortRole, home: Home, size: PoolSize) -> (Self, Load) {
        let load = Load::default();
        let port = Self {
            load: load.clone(),
            role,
            pool: FramePool::new(home, size),
            ready: Vec::with_capacity(size.frames()),
            keep: false,
            sent: 0,
        };
        (port, load)
    }

    fn fill(&mut self) {
        let mut inner = self.load.inner();
        self.keep = inner.keep;
        if !core::mem::take(&mut inner.fresh) {
            return;
        }
        for parcel in inner.next.iter().rev() {
            let mut frame = self
                .pool
                .take(parcel.bytes.len())
                .expect("a window has fewer packets than the pool has frames");
            assert!(
                frame.write(&parcel.bytes),
                "the frame was asked for with this length"
            );
            *frame.meta_mut() = parcel.meta;
            self.ready.push(frame);
        }
    }
}

impl Port for LoadedPort {
    fn receive(&mut self, out: &mut Vec<Frame>, limit: usize) -> usize {
        if self.ready.is_empty() {
            self.fill();
            return 0;
        }
        let left = self.ready.len().saturating_sub(limit);
        let count = self.ready.len() - left;
        out.extend(self.ready.drain(left..).rev());
        count
    }

    fn transmit(&mut self, frames: &mut Vec<Frame>) {
        if self.keep {
            let mut inner = self.load.inner();
            inner
                .sent
                .extend(frames.iter().map(|frame| frame.bytes().to_vec()));
        }
        self.sent += frames.len() as u64;
        for frame in frames.drain(..) {
            self.pool.give_back(frame);
        }
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
        self.pool.abroad() - self.ready.len()
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
        PortCounters {
            tx_packets: self.sent,
            ..PortCounters::default()
        }
    }

    fn forgotten_source(&mut self) -> Option<SocketAddr> {
        None
    }
}
