//! Numbered UDP datagrams at a pace, to tell whether a single one was lost.

use std::collections::HashSet;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};

use crate::{LabError, Namespace, Result};

/// Bytes of the receiver's buffer, for a machine that has other things to do for a second.
const BUFFER_BYTES: usize = 4 << 20;

/// How long the last datagrams may take.
const TAIL: Duration = Duration::from_secs(2);

/// Between two looks at whether to stop.
const TICK: Duration = Duration::from_millis(50);

/// Datagrams under way.
#[derive(Debug)]
pub struct Counted {
    stop: Arc<AtomicBool>,
    sender: JoinHandle<io::Result<u64>>,
    receiver: JoinHandle<io::Result<HashSet<u64>>>,
}

/// What became of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountedReport {
    /// Datagrams sent.
    pub sent: u64,
    /// Different datagrams received.
    pub received: u64,
}

impl Counted {
    /// Sends from one namespace to an address of another, this many in a second, until told to stop.
    pub fn start(from: &Namespace, to: &Namespace, destination: SocketAddr, per_s: u32) -> Result<Self> {
        let bound = || -> io::Result<_> {
            let socket = UdpSocket::bind((destination.ip(), 0))?;
            // Beyond the limit for ordinary users, as root may.
            setsockopt(&socket, sockopt::RcvBufForce, &BUFFER_BYTES)?;
            socket.set_read_timeout(Some(TICK))?;
            let address = socket.local_addr()?;
            Ok((socket, address))
        };
        let (socket, address) = to
            .enter(bound)
            .map_err(LabError::io(format!("bind {destination}")))?;
        let stop = Arc::new(AtomicBool::new(false));
        let receiver = {
            let stop = Arc::clone(&stop);
            thread::spawn(move || receive(&socket, &stop))
        };
        let sender = {
            let (stop, from) = (Arc::clone(&stop), from.clone());
            thread::spawn(move || {
                from.bind_thread();
                send(address, per_s, &stop)
            })
        };
        Ok(Self {
            stop,
            sender,
            receiver,
        })
    }

    /// Stops, waits for what is under way, and counts.
    pub fn finish(self) -> Result<CountedReport> {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.sender.join().expect("the sender returns its errors");
        let received = self.receiver.join().expect("the receiver returns its errors");
        Ok(CountedReport {
            sent: sent.map_err(LabError::io("send numbered datagrams"))?,
            received: received
                .map_err(LabError::io("receive numbered datagrams"))?
                .len() as u64,
        })
    }
}

fn send(destination: SocketAddr, per_s: u32, stop: &AtomicBool) -> io::Result<u64> {
    let unspecified: SocketAddr = if destination.is_ipv4() {
        ([0; 4], 0).into()
    } else {
        ([0u16; 8], 0).into()
    };
    let socket = UdpSocket::bind(unspecified)?;
    let started = Instant::now();
    let mut sent = 0u64;
    while !stop.load(Ordering::Relaxed) {
        socket.send_to(&sent.to_be_bytes(), destination)?;
        sent += 1;
        let due = started + Duration::from_secs(1) * u32::try_from(sent).unwrap_or(u32::MAX) / per_s;
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok(sent)
}

fn receive(socket: &UdpSocket, stop: &AtomicBool) -> io::Result<HashSet<u64>> {
    let mut seen = HashSet::new();
    let mut datagram = [0; 8];
    let mut stopped: Option<Instant> = None;
    loop {
        match socket.recv(&mut datagram) {
            Ok(8) => {
                seen.insert(u64::from_be_bytes(datagram));
            }
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(error) => return Err(error),
        }
        if stop.load(Ordering::Relaxed) && stopped.get_or_insert_with(Instant::now).elapsed() > TAIL {
            return Ok(seen);
        }
    }
}
