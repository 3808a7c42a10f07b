//! One queue of a TUN device.

use super::join::{Group, Joining};
use super::options::TunOffloads;
use crate::posted::{Arrival, Posted};
use crate::sys;
use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use weir_frame::{
    Frame, FramePool, Home, Meta, Port, PortCounters, PortMode, PortRole, Segmentation, Transport,
};
use weir_wire::coalesce::MAX_PACKETS;
use weir_wire::virtio::{self, Header, Kind, Pending};

/// A shard's queue of a TUN device. Made by a [`TunDevice`](super::TunDevice).
///
/// Reading stops while the large frames are all abroad: what the kernel has joined would be lost in a small one, and
/// the kernel's queue keeps it.
pub struct TunPort {
    file: Arc<File>,
    pool: FramePool,
    posted: Option<Posted>,
    joining: Joining,
    has_header: bool,
    offloads: TunOffloads,
    counters: PortCounters,
}

impl TunPort {
    pub(super) fn new(file: Arc<File>, has_header: bool, offloads: TunOffloads, pool: FramePool) -> Self {
        Self {
            file,
            pool,
            posted: None,
            joining: Joining::default(),
            has_header,
            offloads,
            counters: PortCounters::default(),
        }
    }

    /// Buffers for one packet of any length; without large frames in the pool at all, of a small frame's.
    fn post(&mut self) -> Option<Posted> {
        let mut posted = self.posted.take().or_else(|| Posted::take(&mut self.pool))?;
        if posted.complete(&mut self.pool) || self.pool.size().large == 0 {
            return Some(posted);
        }
        self.posted = Some(posted);
        None
    }

    fn read(&mut self, posted: Posted, len: usize, header: &[u8; virtio::HEADER_LEN]) -> Option<Frame> {
        // The driver cuts what is too long without a word; no packet is as long as a large frame's room.
        if len >= posted.room() {
            self.counters.rx_too_long += 1;
            posted.give_back(&mut self.pool);
            return None;
        }
        let meta = if self.has_header {
            describe(header, len)
        } else {
            Some(Meta::default())
        };
        let Some(meta) = meta else {
            self.counters.rx_malformed += 1;
            posted.give_back(&mut self.pool);
            return None;
        };
        match posted.finish(len, &mut self.pool) {
            Arrival::Frame(mut frame) => {
                self.counters.rx_frames += 1;
                self.counters.rx_bytes += len as u64;
                *frame.meta_mut() = meta;
                Some(frame)
            }
            Arrival::TooLong => {
                self.counters.rx_too_long += 1;
                None
            }
        }
    }

    fn write(&mut self, frames: &mut [Frame], joining: &Joining, group: &Group) {
        let header = match &group.state {
            Some(state) => state.finish(frames[group.head].bytes_mut()),
            None => Header::default(),
        };
        let mut header_bytes = [0; virtio::HEADER_LEN];
        header.write(&mut header_bytes);
        let mut spans = [IoSlice::new(&[]); 1 + MAX_PACKETS];
        let mut count = 0;
        if self.has_header {
            spans[0] = IoSlice::new(&header_bytes);
            count = 1;
        }
        spans[count] = IoSlice::new(frames[group.head].bytes());
        count += 1;
        let mut bytes = frames[group.head].len();
        let mut packets = 1;
        for (index, payload_offset) in joining.behind(group) {
            let payload = &frames[index].bytes()[payload_offset..];
            spans[count] = IoSlice::new(payload);
            count += 1;
            bytes += payload.len();
            packets += 1;
        }
        loop {
            let error = match (&*self.file).write_vectored(&spans[..count]) {
                Ok(_) => {
                    self.counters.tx_packets += packets;
                    self.counters.tx_bytes += bytes as u64;
                    return;
                }
                Err(error) => error,
            };
            match sys::errno(&error) {
                libc::EINTR => {}
                libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM => {
                    self.counters.tx_full += packets;
                    return;
                }
                // EIO: the device is down. EBADFD: the queue was taken off. EINVAL: no IP packet.
                _ => {
                    self.counters.tx_errors += packets;
                    return;
                }
            }
        }
    }
}

impl Port for TunPort {
    fn receive(&mut self, out: &mut Vec<Frame>, limit: usize) -> usize {
        let before = out.len();
        for _ in 0..limit {
            let Some(mut posted) = self.post() else { break };
            let mut header = [0; virtio::HEADER_LEN];
            let header_len = if self.has_header { header.len() } else { 0 };
            let [first, rest] = posted.spans();
            let mut spans = [IoSliceMut::new(&mut header[..header_len]), first, rest];
            match (&*self.file).read_vectored(&mut spans) {
                Ok(len) if len < header_len => {
                    self.counters.rx_malformed += 1;
                    posted.give_back(&mut self.pool);
                }
                Ok(len) => out.extend(self.read(posted, len - header_len, &header)),
                Err(error) => {
                    self.posted = Some(posted);
                    match sys::errno(&error) {
                        libc::EINTR => {}
                        libc::EAGAIN => break,
                        _ => {
                            self.counters.rx_errors += 1;
                            break;
                        }
                    }
                }
            }
        }
        out.len() - before
    }

    fn transmit(&mut self, frames: &mut Vec<Frame>) {
        let mut joining = std::mem::take(&mut self.joining);
        joining.plan(frames, self.offloads);
        for group in joining.groups() {
            self.write(frames, &joining, group);
        }
        self.joining = joining;
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
        self.pool.abroad() - self.posted.as_ref().map_or(0, Posted::frames)
    }

    fn into_pool(mut self: Box<Self>) -> FramePool {
        if let Some(posted) = self.posted.take() {
            posted.give_back(&mut self.pool);
        }
        self.pool
    }

    fn role(&self) -> PortRole {
        PortRole::Host
    }

    fn mode(&self) -> PortMode {
        if self.offloads.tcp {
            PortMode::Offload
        } else {
            PortMode::Plain
        }
    }

    fn counters(&self) -> PortCounters {
        self.counters
    }

    fn descriptors(&self, out: &mut Vec<RawFd>) {
        out.push(self.file.as_raw_fd());
    }

    fn forgotten_source(&mut self) -> Option<SocketAddr> {
        None
    }
}

/// What the header says of a packet of `len` bytes; `None` where it says what it cannot.
fn describe(header: &[u8; virtio::HEADER_LEN], len: usize) -> Option<Meta> {
    let (header, _) = Header::parse(header)?;
    let mut meta = Meta::default();
    if header.flags & virtio::NEEDS_CSUM != 0 {
        let (start, offset) = (header.csum_start.get(), header.csum_offset.get());
        if usize::from(start) + usize::from(offset) + 2 > len {
            return None;
        }
        meta.partial_checksum = Some((start, offset));
    }
    match header.pending().ok()? {
        Pending::Nothing | Pending::Checksum { .. } => {}
        Pending::Segmentation(offload) => {
            let transport = match offload.kind {
                Kind::TcpV4 => Transport::TcpV4,
                Kind::TcpV6 => Transport::TcpV6,
                Kind::UdpL4 => Transport::Udp,
            };
            let size = offload.segment_size;
            if size == 0 {
                return None;
            }
            meta.segmentation = Segmentation::Super { transport, size };
        }
    }
    Some(meta)
}
