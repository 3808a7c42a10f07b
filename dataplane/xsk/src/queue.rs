//! A queue as a port's engine room: whole Ethernet frames in and out, and every frame accounted for.

use crate::memory::{CHUNK, CHUNK_OF_WHOLE_KIB, KERNEL_HEADROOM, Memory, MemoryError};
use crate::socket::{Copying, Kernel, OpenError, Socket, SocketOptions};
use crate::sys;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use weir_frame::{Frame, FramePool, Home, PoolSize};

/// Kicks of one batch until what is left is dropped: a copying kernel may send a part of it at a time.
const KICKS: u32 = 64;

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

/// One queue of a network card.
///
/// Every frame of its memory is in the pool, abroad with whoever took it, or in the kernel's hands; what the kernel has
/// lies in `held`, at the place of its chunk, so that nothing can be taken from it or given to it twice.
pub struct Queue {
    socket: Socket,
    memory: Memory,
    pool: FramePool,
    held: Vec<Option<Frame>>,
    /// How many frames the kernel has to fill.
    filling: u32,
    /// How many frames the kernel has to send.
    sending: u32,
    ring: u32,
    counters: QueueCounters,
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

/// The frames of a queue and their memory, from socket to socket.
pub struct Store {
    memory: Memory,
    pool: FramePool,
    held: Vec<Option<Frame>>,
}

impl Store {
    /// Memory that the kernel can share for the small frames of `size`, which are of [`CHUNK`] bytes, or of
    /// [`CHUNK_OF_WHOLE_KIB`] where that is asked for; large ones lie in ordinary memory.
    ///
    /// # Errors
    /// [`MemoryError`].
    pub fn new(home: Home, size: PoolSize) -> Result<Self, MemoryError> {
        let small_bytes = if size.small_bytes > CHUNK {
            CHUNK_OF_WHOLE_KIB
        } else {
            CHUNK
        };
        let (memory, bytes) = Memory::map(size.small, small_bytes)?;
        let size = PoolSize { small_bytes, ..size };
        Ok(Self {
            memory,
            pool: FramePool::over(home, size, bytes),
            held: (0..memory.chunks()).map(|_| None).collect(),
        })
    }

    /// Whether the memory lies in huge pages.
    pub fn huge(&self) -> bool {
        self.memory.huge()
    }
}

impl Queue {
    /// Opens a socket on a queue over a store's memory. At most half of its small frames are left with the kernel to be
    /// filled.
    ///
    /// # Errors
    /// [`Refused`], with the store; nothing stays open.
    pub fn open(options: SocketOptions, store: Store) -> Result<Self, Refused> {
        let socket = match Socket::open(options, &store.memory) {
            Ok(socket) => socket,
            Err(error) => {
                return Err(Refused {
                    error,
                    store: Box::new(store),
                });
            }
        };
        let Store {
            memory,
            mut pool,
            mut held,
        } = store;
        // The last socket's hold on the memory ended before the kernel let this one have the queue.
        held.iter_mut()
            .filter_map(Option::take)
            .for_each(|frame| pool.give_back(frame));
        let mut queue = Self {
            socket,
            held,
            memory,
            pool,
            filling: 0,
            sending: 0,
            ring: options.ring,
            counters: QueueCounters::default(),
        };
        queue.fill();
        Ok(queue)
    }

    /// Closes the socket and keeps the frames, for the next queue of the same home: frames still abroad come back to
    /// that, and those in the kernel's hands are its own until that is open.
    pub fn close(self) -> Store {
        drop(self.socket);
        Store {
            memory: self.memory,
            pool: self.pool,
            held: self.held,
        }
    }

    /// How the kernel says that it moves frames.
    pub fn copying(&self) -> Copying {
        self.socket.copying()
    }

    /// What the queue counted.
    pub fn counters(&self) -> QueueCounters {
        self.counters
    }

    /// What the kernel counted.
    ///
    /// # Errors
    /// The kernel's, which has none while the socket is bound.
    pub fn kernel(&self) -> io::Result<Kernel> {
        self.socket.statistics()
    }

    /// The pool of the queue's frames.
    pub fn pool(&mut self) -> &mut FramePool {
        &mut self.pool
    }

    /// Whether a frame lies in the queue's memory, so that the kernel can send it.
    pub fn owns(&self, frame: &Frame) -> bool {
        self.memory.chunk(frame).is_some()
    }

    /// All frames of the queue, at home, abroad and in the kernel's hands.
    pub fn frames(&self) -> usize {
        self.pool.size().frames()
    }

    /// Frames in the kernel's hands: to be filled, to be sent.
    pub fn held(&self) -> (u32, u32) {
        (self.filling, self.sending)
    }

    /// Appends frames that have arrived to `out`, at most `limit`, each beginning with its Ethernet header, and gives
    /// the kernel others to fill. Says how many.
    pub fn receive(&mut self, out: &mut Vec<Frame>, limit: usize) -> usize {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let (held, counters, memory) = (&mut self.held, &mut self.counters, &self.memory);
        let mut taken = 0;
        self.socket.receive.read(limit, |entry| {
            let (chunk, offset) = memory.split(entry.addr);
            let len = entry.len as usize;
            let Some(mut frame) = held.get_mut(chunk).and_then(Option::take) else {
                counters.invalid += 1;
                return;
            };
            taken += 1;
            frame.reset(offset);
            frame.set_len(len.min(frame.room()));
            // Another core or the card wrote it; by the time its turn comes, it is here.
            sys::prefetch(frame.bytes());
            out.push(frame);
        });
        self.filling -= taken;
        self.counters.received += u64::from(taken);
        self.fill();
        taken as usize
    }

    /// Sends frames of this queue that begin with their Ethernet headers, in order. Those for which there is no room
    /// stay in `frames`: the kernel does not keep up.
    ///
    /// # Panics
    /// If a frame lies in other memory than the queue's ([`Queue::owns`]): the kernel could not read it.
    pub fn transmit(&mut self, frames: &mut Vec<Frame>) {
        self.complete();
        loop {
            let wanted = u32::try_from(frames.len()).unwrap_or(u32::MAX);
            let room = self.socket.transmit.room(wanted);
            for frame in frames.drain(..room as usize) {
                let chunk = self
                    .memory
                    .chunk(&frame)
                    .expect("the caller asked whether the frame is the queue's");
                self.socket.transmit.write(libc::xdp_desc {
                    addr: self.memory.address(chunk) + frame.headroom() as u64,
                    len: frame.len() as u32,
                    options: 0,
                });
                self.held[chunk as usize] = Some(frame);
            }
            self.sending += room;
            self.counters.sent += u64::from(room);
            self.push_out();
            if frames.is_empty() || room == 0 {
                return;
            }
        }
    }

    /// Takes home what the kernel has sent.
    pub fn complete(&mut self) {
        let (held, pool, counters) = (&mut self.held, &mut self.pool, &mut self.counters);
        let memory = &self.memory;
        let mut taken = 0;
        self.socket.completion.read(u32::MAX, |address| {
            let (chunk, _) = memory.split(address);
            match held.get_mut(chunk).and_then(Option::take) {
                Some(frame) => {
                    taken += 1;
                    pool.give_back(frame);
                }
                None => counters.invalid += 1,
            }
        });
        self.sending -= taken;
    }

    /// Gives the kernel what was written, and asks it to send where it wants to be asked. A copying kernel sends only
    /// when it is asked, and maybe a part; a kernel that is busy is asked again with the next batch.
    fn push_out(&mut self) {
        self.socket.transmit.publish();
        for _ in 0..KICKS {
            if self.sending == 0 || !self.socket.transmit.needs_wakeup() {
                break;
            }
            self.counters.kicks += 1;
            let kicked = sys::kick_transmit(self.socket.as_fd());
            let before = self.sending;
            self.complete();
            match kicked {
                Ok(()) => break,
                // A part was sent (EAGAIN), or the card's queue is full (ENOBUFS, EBUSY).
                Err(error) if is_busy(&error) && self.sending < before => {}
                Err(error) if is_busy(&error) => break,
                Err(_) => {
                    self.counters.errors += 1;
                    break;
                }
            }
        }
    }

    /// Gives the kernel frames to fill: as many as the ring takes, and half of all at most.
    fn fill(&mut self) {
        let most = self.ring.min(self.memory.chunks() as u32 / 2);
        let wanted = self.socket.fill.room(most.saturating_sub(self.filling));
        let mut given = 0;
        while given < wanted {
            let Some(frame) = self.pool.take_small() else {
                break;
            };
            let chunk = self
                .memory
                .chunk(&frame)
                .expect("small frames are the queue's chunks");
            self.socket.fill.write(self.memory.address(chunk));
            self.held[chunk as usize] = Some(frame);
            given += 1;
        }
        if given > 0 {
            self.filling += given;
            self.socket.fill.publish();
        }
        if self.socket.fill.needs_wakeup() {
            // A refusal is one of the card's driver, which then asks again.
            let _ = sys::kick_receive(self.socket.as_fd());
        }
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn is_busy(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EAGAIN | libc::EBUSY | libc::ENOBUFS)
    )
}

const _: () = assert!(
    CHUNK > KERNEL_HEADROOM + 1514,
    "a chunk holds a frame of an Ethernet's MTU"
);
