//! A sender of UDP datagrams at a steady pace and a receiver that counts them. Neither uses the offloads of UDP: these
//! are the datagrams of programs that know nothing of them.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg, setsockopt, sockopt};

use super::pair::Pair;
use crate::{LabError, Result};

/// Payload of a datagram: with IPv4 and UDP a packet of the tunnel's MTU.
pub(super) const DATAGRAM_BYTES: usize = 1392;

/// Datagrams sent or received by one system call.
const BATCH: usize = 32;

/// Bytes that the receiver's socket holds, so that its own scheduling loses nothing.
const RECEIVE_BUFFER: usize = 8 << 20;

/// After this long without arrivals the receiver has them all.
const QUIET: Duration = Duration::from_millis(200);

/// A pace and how long it is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paced {
    pub datagrams_per_s: f64,
    pub duration: Duration,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    /// Datagrams sent, as a share of those that the pace asked for.
    pub offered_share: f64,
    /// Datagrams lost, as a share of those sent.
    pub lost_share: f64,
    /// Bits of payload that arrived per second of sending.
    pub arrived_bits_per_s: f64,
}

impl Paced {
    /// Sends from the left end to the right one.
    pub fn run(&self, pair: &Pair) -> Result<Outcome> {
        let receiver = pair
            .right
            .namespace
            .enter(|| receiving_socket((pair.right.inner, 0).into()))
            .map_err(LabError::io("open the receiver's socket"))?;
        let destination = receiver
            .local_addr()
            .map_err(LabError::io("read the receiver's address"))?;
        let (arrived, ended) = (AtomicU64::new(0), AtomicBool::new(false));
        let (sent, elapsed) = thread::scope(|scope| {
            let counting = scope.spawn(|| receive(&receiver, &arrived, &ended));
            let sent = pair
                .left
                .namespace
                .enter(|| self.send((pair.left.inner, 0).into(), destination));
            ended.store(true, Ordering::Relaxed);
            let counted = counting.join().expect("the receiver returns its errors");
            counted.and(sent)
        })
        .map_err(LabError::io(format!("send datagrams to {destination}")))?;
        let arrived = arrived.into_inner() as f64;
        Ok(Outcome {
            offered_share: sent as f64 / (self.datagrams_per_s * self.duration.as_secs_f64()),
            lost_share: 1.0 - arrived / sent as f64,
            arrived_bits_per_s: arrived * (DATAGRAM_BYTES * 8) as f64 / elapsed.as_secs_f64(),
        })
    }

    /// Sends for as long as asked, and returns how many datagrams went out in what time.
    fn send(&self, from: SocketAddr, to: SocketAddr) -> io::Result<(u64, Duration)> {
        let socket = UdpSocket::bind(from)?;
        socket.connect(to)?;
        let payload = [0x5a; DATAGRAM_BYTES];
        let slices = [[IoSlice::new(&payload)]; BATCH];
        let addresses = [None::<SockaddrStorage>; BATCH];
        let mut headers = MultiHeaders::preallocate(BATCH, None);
        let interval = Duration::from_secs_f64(BATCH as f64 / self.datagrams_per_s);
        let start = Instant::now();
        let mut sent = 0;
        loop {
            let elapsed = start.elapsed();
            if elapsed >= self.duration {
                return Ok((sent, elapsed));
            }
            let due = (elapsed.as_secs_f64() * self.datagrams_per_s) as u64 + 1;
            if sent + BATCH as u64 > due {
                // Asleep, it leaves the cores to what is measured.
                thread::sleep(interval.min(self.duration - elapsed));
                continue;
            }
            match sendmmsg(
                socket.as_raw_fd(),
                &mut headers,
                &slices,
                addresses,
                [],
                MsgFlags::empty(),
            ) {
                Ok(results) => sent += results.count() as u64,
                // The interface's queue is full: the datagrams count as sent and lost.
                Err(Errno::ENOBUFS) => sent += BATCH as u64,
                Err(Errno::ECONNREFUSED | Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

fn receiving_socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER)?;
    socket.set_read_timeout(Some(QUIET))?;
    Ok(socket)
}

/// Counts until the sender has ended and nothing arrives any more.
fn receive(socket: &UdpSocket, arrived: &AtomicU64, ended: &AtomicBool) -> io::Result<()> {
    let mut buffers = vec![[0; DATAGRAM_BYTES]; BATCH];
    let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(BATCH, None);
    loop {
        let mut slices: Vec<[IoSliceMut<'_>; 1]> = buffers
            .iter_mut()
            .map(|buffer| [IoSliceMut::new(buffer)])
            .collect();
        let flags = MsgFlags::MSG_WAITFORONE;
        match recvmmsg(socket.as_raw_fd(), &mut headers, &mut slices, flags, None) {
            Ok(results) => {
                arrived.fetch_add(results.count() as u64, Ordering::Relaxed);
            }
            Err(Errno::EAGAIN) if ended.load(Ordering::Relaxed) => return Ok(()),
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
