//! Many peers in one thread, each with a socket and an address of its own, who talk to a gateway once a second: echo
//! requests to its address in the tunnel, which its kernel answers. They answer the gateway's handshakes, and begin one
//! themselves only until the first is done.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use weir_abi::key::PublicKey;
use weir_bench::Namespace;
use weir_bench::device_config::KeyPair;
use weir_testkit::{Client, Received, packets};

/// Between two echo requests of one peer.
const PERIOD: Duration = Duration::from_secs(1);

/// After which an initiation is repeated (REKEY_TIMEOUT).
const RETRY: Duration = Duration::from_secs(5);

/// Between the first words of two peers.
const STAGGER: Duration = Duration::from_millis(4);

/// How long datagrams are awaited before the clock is looked at.
const TICK_MS: u16 = 5;

/// The seed of the first peer's key; the others follow.
const FIRST_SEED: u64 = 10_000;

/// What the peers saw since the last [`Swarm::mark`].
#[derive(Clone, Default)]
pub struct Record {
    /// When each was first answered by the gateway's kernel.
    pub answered: Vec<Option<Instant>>,
    /// When the gateway's initiations came, and to whom.
    pub initiations: Vec<(Instant, usize)>,
}

/// Running peers; they end when it is dropped.
pub struct Swarm {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    stop: AtomicBool,
    record: Mutex<Record>,
}

struct Member {
    client: Client,
    socket: UdpSocket,
    number: usize,
    due: Instant,
    sequence: u16,
}

/// Who the peer with this number is.
pub fn public_key(number: usize) -> PublicKey {
    KeyPair::seeded(FIRST_SEED + number as u64).public()
}

/// Its address outside, in 10.200.0.0/16.
pub fn outer(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 200, (number / 250) as u8, (number % 250) as u8 + 1)
}

/// Its address in the tunnel, in 10.100.0.0/16.
pub fn inner(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 100, (number / 250) as u8 + 1, (number % 250) as u8 + 1)
}

impl Swarm {
    /// Starts `count` peers of the gateway at `gateway`, whose address in the tunnel is `answers`. Their namespace must
    /// count 10.200.0.0/16 as its own.
    pub fn start(
        count: usize,
        namespace: &Namespace,
        gateway: (SocketAddr, PublicKey),
        answers: IpAddr,
    ) -> Self {
        let begin = Instant::now();
        let member = |number: usize| {
            let address = SocketAddr::new(outer(number).into(), 51820);
            let socket = UdpSocket::bind(address).unwrap();
            socket.set_nonblocking(true).unwrap();
            let key = KeyPair::seeded(FIRST_SEED + number as u64);
            let random = ChaCha20Rng::seed_from_u64(number as u64);
            Member {
                client: Client::new(*key.private().expose(), gateway.1, address, random),
                socket,
                number,
                due: begin + STAGGER * number as u32,
                sequence: 0,
            }
        };
        let members = namespace.enter(|| (0..count).map(member).collect());
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            record: Mutex::new(Record::new(count)),
        });
        let thread = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || run(members, (gateway.0, answers), begin, &shared))
        };
        Self {
            shared,
            thread: Some(thread),
        }
    }

    /// Forgets what was seen.
    pub fn mark(&self) {
        let mut record = self.shared.record.lock().unwrap();
        *record = Record::new(record.answered.len());
    }

    /// What was seen since the last mark.
    pub fn record(&self) -> Record {
        self.shared.record.lock().unwrap().clone()
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its panic has been printed.
            let _ = thread.join();
        }
    }
}

impl Record {
    fn new(count: usize) -> Self {
        Self {
            answered: vec![None; count],
            initiations: Vec::new(),
        }
    }

    /// How many were answered.
    pub fn answers(&self) -> usize {
        self.answered.iter().flatten().count()
    }

    /// The most initiations within any window of this length.
    pub fn densest(&self, window: Duration) -> usize {
        let within = |start: &Instant| {
            let times = self.initiations.iter().map(|(time, _)| time);
            times
                .filter(|time| *time >= start && **time < *start + window)
                .count()
        };
        self.initiations
            .iter()
            .map(|(start, _)| within(start))
            .max()
            .unwrap_or(0)
    }

    /// How many different peers were called.
    pub fn called(&self) -> usize {
        self.initiations
            .iter()
            .map(|(_, number)| number)
            .collect::<BTreeSet<_>>()
            .len()
    }
}

fn run(mut members: Vec<Member>, gateway: (SocketAddr, IpAddr), begin: Instant, shared: &Shared) {
    let protocol_time = || weir_noise::Instant::from_nanos(begin.elapsed().as_nanos() as u64);
    while !shared.stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        for member in members.iter_mut().filter(|member| member.due <= now) {
            member.speak(gateway, now, protocol_time());
        }
        for ready in ready(&members) {
            members[ready].listen(gateway.0, shared, protocol_time());
        }
    }
}

/// The peers for whom something has arrived.
fn ready(members: &[Member]) -> Vec<usize> {
    let mut sockets: Vec<PollFd> = members
        .iter()
        .map(|member| PollFd::new(member.socket.as_fd(), PollFlags::POLLIN))
        .collect();
    poll(&mut sockets, PollTimeout::from(TICK_MS)).unwrap();
    let ready = sockets
        .iter()
        .enumerate()
        .filter(|(_, socket)| socket.any() == Some(true));
    ready.map(|(number, _)| number).collect()
}

impl Member {
    fn speak(&mut self, (gateway, answers): (SocketAddr, IpAddr), now: Instant, time: weir_noise::Instant) {
        if self.client.session.is_none() {
            self.due = now + RETRY;
            let initiation = self.client.initiation(time);
            return self.send(gateway, &initiation);
        }
        self.due = now + PERIOD;
        self.sequence = self.sequence.wrapping_add(1);
        let from = IpAddr::from(inner(self.number));
        let echo = packets::echo(from, answers, self.number as u16, self.sequence, &[0x77; 32]);
        let message = self.client.data(&echo, time);
        self.send(gateway, &message);
    }

    fn listen(&mut self, gateway: SocketAddr, shared: &Shared, time: weir_noise::Instant) {
        let mut datagram = [0; 2048];
        loop {
            let length = match self.socket.recv(&mut datagram) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => panic!("peer {}: {error}", self.number),
            };
            match self.client.receive(&datagram[..length], time) {
                Received::Session => self.due = Instant::now(),
                Received::Cookie => {
                    let again = self.client.initiation(time);
                    self.send(gateway, &again);
                }
                Received::Initiation(response) => {
                    let mut record = shared.record.lock().unwrap();
                    record.initiations.push((Instant::now(), self.number));
                    drop(record);
                    self.send(gateway, &response);
                }
                Received::Data(packet) if !packet.is_empty() => {
                    let mut record = shared.record.lock().unwrap();
                    record.answered[self.number].get_or_insert_with(Instant::now);
                }
                Received::Data(_) | Received::Nothing => {}
            }
        }
    }

    fn send(&self, gateway: SocketAddr, message: &[u8]) {
        // While the gateway is down, nobody is there to take it.
        let _ = self.socket.send_to(message, gateway);
    }
}
