//! An AF_XDP socket bound to a queue of a network card, and how the kernel really moves its frames.

use crate::memory::Memory;
use crate::ring::{Consumer, Producer};
use crate::sys;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How often a queue that an ending socket still holds is asked for again.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// How long it is asked for: sockets are unbound up to 300 ms after they were closed.
const ASK_LIMIT: Duration = Duration::from_secs(2);

/// Packets that one kick may send from copied frames; the kernel's own choice is 32 (`XDP_MAX_TX_SKB_BUDGET`, Linux
/// 6.18, option 9 of `SOL_XDP`).
const TRANSMIT_BUDGET: u32 = 1024;
const XDP_MAX_TX_SKB_BUDGET: i32 = 9;

/// Of asm-generic/socket.h, for which libc has no names.
const SO_PREFER_BUSY_POLL: i32 = 69;
const SO_BUSY_POLL_BUDGET: i32 = 70;

/// Microseconds that one ask may poll, and frames that it may take: a batch of a shard's.
const POLL_US: i32 = 20;
const POLL_BUDGET: i32 = 64;

/// Bytes that the kernel counts of a copied frame at most until the card has sent it: a page, and its own notes beside it.
const COPY: u32 = 4096 + 512;

/// Whether frames are copied between the card's memory and the socket's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Copying {
    /// Zero-copy: the card reads and writes the socket's memory.
    None,
    /// The kernel copies each frame.
    Each,
}

/// What is wanted of a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SocketOptions {
    /// The interface's number.
    pub interface: u32,
    /// The queue.
    pub queue: u32,
    /// How frames are to be moved; `None` takes zero-copy where it can be had.
    pub copying: Option<Copying>,
    /// Entries of each ring, a power of two.
    pub ring: u32,
    /// Whether the card's queue is worked on when the socket is asked for frames, instead of at interrupts.
    pub busy_poll: bool,
}

/// Why a socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another program holds the queue.
    #[error("queue {queue} of interface number {interface} is in use by another AF_XDP socket")]
    InUse {
        /// The interface's number.
        interface: u32,
        /// The queue.
        queue: u32,
    },
    /// A mode was asked for by name and cannot be had.
    #[error(
        "zero-copy on queue {queue} of interface number {interface}: {source}; expected a driver that has it"
    )]
    NoZeroCopy {
        /// The interface's number.
        interface: u32,
        /// The queue.
        queue: u32,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Anything else.
    #[error("AF_XDP on queue {queue} of interface number {interface}: {what}: {source}")]
    System {
        /// The interface's number.
        interface: u32,
        /// The queue.
        queue: u32,
        /// What was tried.
        what: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl OpenError {
    /// Whether the device may have no queue of that number: the kernel says no more than that the binding is invalid.
    pub fn is_no_such_queue(&self) -> bool {
        match self {
            OpenError::NoZeroCopy { source, .. } | OpenError::System { source, .. } => {
                source.raw_os_error() == Some(libc::EINVAL)
            }
            OpenError::InUse { .. } => false,
        }
    }
}

/// What the kernel counted of a socket (`XDP_STATISTICS`), in frames.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Kernel {
    /// Received and dropped, too long for a chunk among them.
    pub dropped: u64,
    /// Received and dropped, for the receive ring was full.
    pub receive_full: u64,
    /// Times that the fill ring was empty when a frame came.
    pub fill_empty: u64,
    /// Entries of the fill ring that made no sense.
    pub receive_invalid: u64,
    /// Entries of the transmit ring that made no sense.
    pub transmit_invalid: u64,
}

/// A bound socket and its four rings.
pub(crate) struct Socket {
    descriptor: OwnedFd,
    pub(crate) fill: Producer<u64>,
    pub(crate) completion: Consumer<u64>,
    pub(crate) receive: Consumer<libc::xdp_desc>,
    pub(crate) transmit: Producer<libc::xdp_desc>,
    copying: Copying,
    ring: u32,
    busy_poll: bool,
}

impl Socket {
    pub(crate) fn open(options: SocketOptions, memory: &Memory) -> Result<Self, OpenError> {
        let modes: &[Copying] = match options.copying {
            Some(Copying::None) => &[Copying::None],
            Some(Copying::Each) => &[Copying::Each],
            None => &[Copying::None, Copying::Each],
        };
        let mut refused = None;
        for mode in modes {
            // A socket whose bind failed keeps what it was told before, so each try takes a fresh one.
            match Self::open_in(*mode, options, memory) {
                Ok(socket) => return Ok(socket),
                Err(error @ OpenError::InUse { .. }) => return Err(error),
                Err(error) => refused = Some(error),
            }
        }
        Err(refused.expect("at least one mode was tried"))
    }

    fn open_in(mode: Copying, options: SocketOptions, memory: &Memory) -> Result<Self, OpenError> {
        let failed = |what| {
            move |source| OpenError::System {
                interface: options.interface,
                queue: options.queue,
                what,
                source,
            }
        };
        let descriptor = sys::socket().map_err(failed("making a socket"))?;
        let socket = descriptor.as_fd();
        register(socket, memory).map_err(failed("sharing memory"))?;
        if options.busy_poll {
            poll_busily(socket).map_err(failed("asking for busy polling"))?;
        }
        for ring in [
            libc::XDP_UMEM_FILL_RING,
            libc::XDP_UMEM_COMPLETION_RING,
            libc::XDP_RX_RING,
            libc::XDP_TX_RING,
        ] {
            sys::set_option(socket, libc::SOL_XDP, ring, &options.ring).map_err(failed("sizing a ring"))?;
        }
        let offsets: libc::xdp_mmap_offsets =
            sys::option(socket, libc::XDP_MMAP_OFFSETS).map_err(failed("asking for the rings"))?;
        let mapping = failed("mapping a ring");
        let size = options.ring;
        let fill = Producer::map(socket, libc::XDP_UMEM_PGOFF_FILL_RING as i64, &offsets.fr, size)
            .map_err(mapping)?;
        let completion = Consumer::map(
            socket,
            libc::XDP_UMEM_PGOFF_COMPLETION_RING as i64,
            &offsets.cr,
            size,
        )
        .map_err(mapping)?;
        let receive = Consumer::map(socket, libc::XDP_PGOFF_RX_RING, &offsets.rx, size).map_err(mapping)?;
        let transmit = Producer::map(socket, libc::XDP_PGOFF_TX_RING, &offsets.tx, size).map_err(mapping)?;
        bind(socket, mode, options).map_err(|source| match (source.raw_os_error(), mode) {
            (Some(libc::EBUSY), _) => OpenError::InUse {
                interface: options.interface,
                queue: options.queue,
            },
            (_, Copying::None) => OpenError::NoZeroCopy {
                interface: options.interface,
                queue: options.queue,
                source,
            },
            (_, Copying::Each) => failed("binding")(source),
        })?;
        // Older kernels do not know it and send 32 at a time, which the loop over kicks makes up for.
        let _ = sys::set_option(socket, libc::SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &TRANSMIT_BUDGET);
        let read_back: libc::xdp_options =
            sys::option(socket, libc::XDP_OPTIONS).map_err(failed("reading the mode back"))?;
        if mode == Copying::Each {
            hold_copies(socket, options.ring);
        }
        let copying = if read_back.flags & libc::XDP_OPTIONS_ZEROCOPY != 0 {
            Copying::None
        } else {
            Copying::Each
        };
        Ok(Self {
            descriptor,
            fill,
            completion,
            receive,
            transmit,
            copying,
            ring: options.ring,
            busy_poll: options.busy_poll,
        })
    }

    /// How the kernel says that it moves frames.
    pub(crate) fn copying(&self) -> Copying {
        self.copying
    }

    /// Whether to receive means to ask.
    pub(crate) fn busy_poll(&self) -> bool {
        self.busy_poll
    }

    /// Entries of each ring.
    pub(crate) fn ring(&self) -> u32 {
        self.ring
    }

    pub(crate) fn statistics(&self) -> io::Result<Kernel> {
        let counted: libc::xdp_statistics = sys::option(self.as_fd(), libc::XDP_STATISTICS)?;
        Ok(Kernel {
            dropped: counted.rx_dropped,
            receive_full: counted.rx_ring_full,
            fill_empty: counted.rx_fill_ring_empty_descs,
            receive_invalid: counted.rx_invalid_descs,
            transmit_invalid: counted.tx_invalid_descs,
        })
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

fn register(socket: BorrowedFd<'_>, memory: &Memory) -> io::Result<()> {
    let registration = libc::xdp_umem_reg {
        addr: memory.base() as u64,
        len: (memory.chunks() * memory.chunk_bytes()) as u64,
        chunk_size: memory.chunk_bytes() as u32,
        headroom: 0,
        flags: 0,
        tx_metadata_len: 0,
    };
    sys::set_option(socket, libc::SOL_XDP, libc::XDP_UMEM_REG, &registration)
}

/// Lets as many copies wait for the card as the ring has entries. The usual buffer holds some ninety; beyond, the kernel
/// leaves frames in the ring until it is asked again, and nobody knows when that would be of use.
fn hold_copies(socket: BorrowedFd<'_>, ring: u32) {
    // The kernel doubles it.
    let bytes = i32::try_from(ring.saturating_mul(COPY) / 2).unwrap_or(i32::MAX);
    // Without CAP_NET_ADMIN up to the system's limit.
    let _ = sys::set_option(socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &bytes)
        .or_else(|_| sys::set_option(socket, libc::SOL_SOCKET, libc::SO_SNDBUF, &bytes));
}

/// Has the kernel leave the card's queue to whoever asks the socket for frames (Linux 5.11).
fn poll_busily(socket: BorrowedFd<'_>) -> io::Result<()> {
    for (option, value) in [
        (SO_PREFER_BUSY_POLL, 1),
        (libc::SO_BUSY_POLL, POLL_US),
        (SO_BUSY_POLL_BUDGET, POLL_BUDGET),
    ] {
        sys::set_option(socket, libc::SOL_SOCKET, option, &value)?;
    }
    Ok(())
}

/// Binds; a queue that an ending socket still holds is waited for.
fn bind(socket: BorrowedFd<'_>, mode: Copying, options: SocketOptions) -> io::Result<()> {
    let mode = match mode {
        Copying::None => libc::XDP_ZEROCOPY,
        Copying::Each => libc::XDP_COPY,
    };
    let address = libc::sockaddr_xdp {
        sxdp_family: libc::AF_XDP as u16,
        sxdp_flags: mode | libc::XDP_USE_NEED_WAKEUP,
        sxdp_ifindex: options.interface,
        sxdp_queue_id: options.queue,
        sxdp_shared_umem_fd: 0,
    };
    let begun = Instant::now();
    loop {
        match sys::bind(socket, &address) {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) && begun.elapsed() < ASK_LIMIT => {
                std::thread::sleep(ASK_AGAIN);
            }
            bound => return bound,
        }
    }
}
