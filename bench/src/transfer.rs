//! A TCP transfer between two namespaces that proves every byte: seeded random bytes, a checksum at both ends, and the
//! longest time in which nothing arrived.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use blake2::{Blake2s256, Digest};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::{LabError, Namespace, Result, wait};

/// Bytes written or read at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// How long one read, write or accept may block before the deadline is looked at.
const TICK: Duration = Duration::from_millis(50);

/// Bytes from one namespace to an address of another.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// Where the receiver listens: an address of its namespace, or port 0 of one for any port.
    pub destination: SocketAddr,
    /// Bytes to send.
    pub bytes: u64,
    /// The most bytes sent per second, so that a transfer outlasts a rekey; none for as many as go.
    pub bytes_per_s: Option<u64>,
    /// The seed of the bytes.
    pub seed: u64,
    /// How long all of it may take, from its start.
    pub limit: Duration,
}

/// A transfer that arrived whole.
#[derive(Clone, Copy, Debug)]
pub struct TransferReport {
    /// From the connection's acceptance to its end.
    pub duration: Duration,
    /// The longest time between two arrivals.
    pub longest_silence: Duration,
    /// Bits per second over the duration.
    pub bits_per_s: f64,
}

/// A transfer under way.
#[derive(Debug)]
pub struct Running {
    transfer: Transfer,
    started: Instant,
    progress: Arc<Progress>,
    sender: JoinHandle<io::Result<Sum>>,
    receiver: JoinHandle<io::Result<Received>>,
}

type Sum = [u8; 32];

#[derive(Debug, Default)]
struct Progress {
    received: AtomicU64,
    longest_silence_us: AtomicU64,
    abandoned: AtomicBool,
}

struct Received {
    sum: Sum,
    duration: Duration,
}

impl Transfer {
    /// Starts sender and receiver on threads inside their namespaces, and waits until they are connected.
    pub fn start(mut self, from: &Namespace, to: &Namespace) -> Result<Running> {
        let listening = || -> io::Result<_> {
            let listener = TcpListener::bind(self.destination)?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) = to
            .enter(listening)
            .map_err(LabError::io(format!("listen on {}", self.destination)))?;
        self.destination = address;
        let progress = Arc::new(Progress::default());
        let started = Instant::now();

        let receiver = {
            let progress = Arc::clone(&progress);
            thread::spawn(move || receive(&listener, &progress))
        };
        let sender = {
            let (transfer, progress, from) = (self.clone(), Arc::clone(&progress), from.clone());
            thread::spawn(move || {
                from.bind_thread();
                let sent = send(&transfer, &progress, started);
                if sent.is_err() {
                    // The receiver would wait for what cannot come.
                    progress.abandoned.store(true, Ordering::Relaxed);
                }
                sent
            })
        };
        let running = Running {
            transfer: self,
            started,
            progress,
            sender,
            receiver,
        };
        let what = format!("the first byte of a transfer to {address}");
        match wait::until_true(&what, running.transfer.limit, || {
            running.received_bytes() > 0 || running.sender.is_finished()
        }) {
            Ok(()) => Ok(running),
            Err(late) => {
                // Had one of them failed, it would have been over.
                let _ = running.abandon();
                Err(late)
            }
        }
    }

    /// Starts it and waits for its end.
    pub fn run(self, from: &Namespace, to: &Namespace) -> Result<TransferReport> {
        self.start(from, to)?.finish()
    }
}

impl Running {
    /// Bytes that have arrived so far.
    pub fn received_bytes(&self) -> u64 {
        self.progress.received.load(Ordering::Relaxed)
    }

    /// Waits until this many bytes have arrived.
    pub fn await_bytes(&self, bytes: u64, limit: Duration) -> Result<()> {
        let what = format!("byte {bytes} of a transfer to {}", self.transfer.destination);
        wait::until_true(&what, limit, || self.received_bytes() >= bytes)
    }

    /// Waits for the end, at most until the transfer's limit has passed since its start, and compares the checksums.
    pub fn finish(self) -> Result<TransferReport> {
        let what = format!(
            "a transfer of {} bytes to {}",
            self.transfer.bytes, self.transfer.destination
        );
        let rest = self.transfer.limit.saturating_sub(self.started.elapsed());
        let over = wait::until_true(&what, rest, || {
            self.sender.is_finished() && self.receiver.is_finished()
        });
        let received_bytes = self.received_bytes();
        let longest_silence = Duration::from_micros(self.progress.longest_silence_us.load(Ordering::Relaxed));
        let (transfer, sent, received) = self.abandon();
        if over.is_err() {
            return Err(LabError::Late {
                what: format!("{what} ({received_bytes} arrived, longest silence {longest_silence:?})"),
                limit: transfer.limit,
            });
        }
        let sent = sent.map_err(LabError::io(format!("send to {}", transfer.destination)))?;
        let received = received.map_err(LabError::io(format!("receive on {}", transfer.destination)))?;
        if received_bytes != transfer.bytes || received.sum != sent {
            return Err(LabError::Corrupt {
                seed: transfer.seed,
                sent: transfer.bytes,
                received: received_bytes,
            });
        }
        Ok(TransferReport {
            duration: received.duration,
            longest_silence,
            bits_per_s: 8.0 * received_bytes as f64 / received.duration.as_secs_f64(),
        })
    }

    /// Ends both threads at their next tick and returns what became of them.
    fn abandon(self) -> (Transfer, io::Result<Sum>, io::Result<Received>) {
        self.progress.abandoned.store(true, Ordering::Relaxed);
        let sent = self.sender.join().expect("the sender returns its errors");
        let received = self.receiver.join().expect("the receiver returns its errors");
        (self.transfer, sent, received)
    }
}

impl Progress {
    /// Whether a call that timed out shall be made again; an error of its own kind once the transfer is abandoned.
    fn again(&self, error: io::Error) -> io::Result<()> {
        let abandoned = self.abandoned.load(Ordering::Relaxed);
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
                if !abandoned =>
            {
                Ok(())
            }
            _ => Err(error),
        }
    }

    fn arrived(&self, bytes: usize, silence: Duration) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
        self.longest_silence_us
            .fetch_max(silence.as_micros() as u64, Ordering::Relaxed);
    }
}

fn send(transfer: &Transfer, progress: &Progress, started: Instant) -> io::Result<Sum> {
    let mut stream = TcpStream::connect_timeout(&transfer.destination, transfer.limit)?;
    stream.set_write_timeout(Some(TICK))?;
    let mut random = ChaCha8Rng::seed_from_u64(transfer.seed);
    let mut sum = Blake2s256::new();
    let mut chunk = [0; CHUNK_BYTES];
    let mut rest = transfer.bytes;
    while rest > 0 {
        let length = CHUNK_BYTES.min(usize::try_from(rest).unwrap_or(CHUNK_BYTES));
        let bytes = &mut chunk[..length];
        random.fill_bytes(bytes);
        sum.update(&*bytes);
        write_all(&mut stream, bytes, progress)?;
        rest -= length as u64;
        if let Some(bytes_per_s) = transfer.bytes_per_s {
            pace(started, transfer.bytes - rest, bytes_per_s, progress);
        }
    }
    Ok(sum.finalize().into())
}

fn write_all(stream: &mut TcpStream, mut bytes: &[u8], progress: &Progress) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) => progress.again(error)?,
        }
    }
    Ok(())
}

/// Sleeps until this many bytes are due.
fn pace(started: Instant, sent: u64, bytes_per_s: u64, progress: &Progress) {
    let due = started + Duration::from_secs_f64(sent as f64 / bytes_per_s as f64);
    while !progress.abandoned.load(Ordering::Relaxed) {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        thread::sleep(left.min(TICK));
    }
}

fn receive(listener: &TcpListener, progress: &Progress) -> io::Result<Received> {
    let mut stream = loop {
        match listener.accept() {
            Ok((stream, _)) => break stream,
            Err(error) => progress.again(error)?,
        }
        thread::sleep(Duration::from_millis(1));
    };
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(TICK))?;
    let accepted = Instant::now();
    let mut last = accepted;
    let mut sum = Blake2s256::new();
    let mut chunk = [0; CHUNK_BYTES];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => {
                let now = Instant::now();
                sum.update(&chunk[..length]);
                progress.arrived(length, now - last);
                last = now;
            }
            Err(error) => {
                progress.arrived(0, last.elapsed());
                progress.again(error)?;
            }
        }
    }
    Ok(Received {
        sum: sum.finalize().into(),
        duration: accepted.elapsed(),
    })
}
