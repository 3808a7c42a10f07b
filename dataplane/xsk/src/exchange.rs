//! The give and take of frames with the kernel over one socket.

use crate::queue::QueueCounters;
use crate::socket::Socket;
use crate::store::Store;
use crate::sys;
use std::io;
use std::os::fd::AsFd as _;
use weir_frame::Frame;

/// Kicks of one batch until what is left is dropped: a copying kernel may send a part of it at a time.
const KICKS: u32 = 64;

/// Frames that a copying kernel sends by one kick, where it cannot be told otherwise (`TX_BATCH_SIZE` of its xsk.c).
const KICKED: u32 = 32;

/// A socket at work over a store's memory, which every call is given.
pub(crate) struct Exchange {
    pub(crate) socket: Socket,
    /// How many frames the kernel has to fill.
    pub(crate) filling: u32,
    /// How many frames the kernel has to send.
    pub(crate) sending: u32,
    pub(crate) counters: QueueCounters,
}

impl Exchange {
    /// Begins with what the store has at home, of which at most half is left with the kernel to be filled. The last
    /// socket's hold on the memory has ended: before the kernel lets another one have the queue, or with its device.
    pub(crate) fn begin(socket: Socket, store: &mut Store) -> Self {
        store.take_home();
        let mut exchange = Self {
            socket,
            filling: 0,
            sending: 0,
            counters: QueueCounters::default(),
        };
        exchange.fill(store);
        exchange
    }

    /// Appends frames that have arrived to `out`, at most `limit`, each beginning with its Ethernet header, and gives
    /// the kernel others to fill. Says how many.
    pub(crate) fn receive(&mut self, store: &mut Store, out: &mut Vec<Frame>, limit: usize) -> usize {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        if self.socket.busy_poll() && !self.socket.receive.waits() {
            // The kernel works on the card's queue within the call; a refusal is the driver's, which then is asked again.
            let _ = sys::kick_receive(self.socket.as_fd());
        }
        let (held, counters, memory) = (&mut store.held, &mut self.counters, &store.memory);
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
        self.fill(store);
        taken as usize
    }

    /// Sends frames of the store that begin with their Ethernet headers, in order. Those for which there is no room stay
    /// in `frames`: the kernel does not keep up.
    ///
    /// # Panics
    /// If a frame lies in other memory than the store's: the kernel could not read it.
    pub(crate) fn transmit(&mut self, store: &mut Store, frames: &mut Vec<Frame>) {
        self.complete(store);
        loop {
            let wanted = u32::try_from(frames.len()).unwrap_or(u32::MAX);
            let room = self.socket.transmit.room(wanted);
            for frame in frames.drain(..room as usize) {
                let chunk = store
                    .memory
                    .chunk(&frame)
                    .expect("the caller asked whether the frame is the queue's");
                self.socket.transmit.write(libc::xdp_desc {
                    addr: store.memory.address(chunk) + frame.headroom() as u64,
                    len: frame.len() as u32,
                    options: 0,
                });
                store.held[chunk as usize] = Some(frame);
            }
            self.sending += room;
            self.counters.sent += u64::from(room);
            self.push_out(store);
            if frames.is_empty() || room == 0 {
                return;
            }
        }
    }

    /// What was counted, by the kernel too.
    pub(crate) fn counted(&self) -> QueueCounters {
        let kernel = self.socket.statistics().unwrap_or_default();
        QueueCounters {
            full: kernel.dropped + kernel.receive_full,
            ..self.counters
        }
    }

    /// Takes home what the kernel has sent.
    pub(crate) fn complete(&mut self, store: &mut Store) {
        let (held, pool, counters) = (&mut store.held, &mut store.pool, &mut self.counters);
        let memory = &store.memory;
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
    /// when it is asked, and maybe a part, of which nothing tells until the card is done with it; a kernel that is busy is
    /// asked again with the next batch.
    fn push_out(&mut self, store: &mut Store) {
        self.socket.transmit.publish();
        let mut unseen = self.sending.div_ceil(KICKED);
        for _ in 0..KICKS {
            if self.sending == 0 || !self.socket.transmit.needs_wakeup() {
                break;
            }
            self.counters.kicks += 1;
            let kicked = sys::kick_transmit(self.socket.as_fd());
            let before = self.sending;
            self.complete(store);
            match kicked {
                Ok(()) => break,
                // A part was sent (EAGAIN), or the card's queue is full (ENOBUFS, EBUSY).
                Err(error) if is_busy(&error) && self.sending < before => {}
                Err(error) if is_busy(&error) && unseen > 0 => unseen -= 1,
                Err(error) if is_busy(&error) => break,
                Err(_) => {
                    self.counters.errors += 1;
                    break;
                }
            }
        }
    }

    /// Gives the kernel frames to fill: as many as the ring takes, and half of all at most.
    fn fill(&mut self, store: &mut Store) {
        let most = self.socket.ring().min(store.memory.chunks() as u32 / 2);
        let wanted = self.socket.fill.room(most.saturating_sub(self.filling));
        let mut given = 0;
        while given < wanted {
            let Some(frame) = store.pool.take_small() else {
                break;
            };
            let chunk = store
                .memory
                .chunk(&frame)
                .expect("small frames are the queue's chunks");
            self.socket.fill.write(store.memory.address(chunk));
            store.held[chunk as usize] = Some(frame);
            given += 1;
        }
        if given > 0 {
            self.filling += given;
            self.socket.fill.publish();
        }
        // With busy polling each receive asks anyway. A refusal is one of the card's driver, which then asks again.
        if self.socket.fill.needs_wakeup() && !self.socket.busy_poll() {
            let _ = sys::kick_receive(self.socket.as_fd());
        }
    }
}

fn is_busy(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EAGAIN | libc::EBUSY | libc::ENOBUFS)
    )
}
