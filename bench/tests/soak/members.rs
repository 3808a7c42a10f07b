//! Many peers in one thread: each shakes hands again and again, from other ports now and then, and pings the server behind
//! the gateway in bursts, losing and doubling some of what it sends.

use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand_chacha::{ChaCha8Rng, ChaCha20Rng};
use rand_core::{Rng as _, SeedableRng as _};
use weir_bench::Namespace;
use weir_bench::device_config::KeyPair;
use weir_bench::gateway_topology::gateway_key;
use weir_testkit::{Client, Received, packets};

use super::Ongoing;

/// How many there are.
pub const MEMBERS: u16 = 16;

/// Between two bursts of one member, and the most packets of one.
const PERIOD: Duration = Duration::from_millis(100);
const BURST: u32 = 8;

/// After which a member shakes hands again.
const AGAIN: Duration = Duration::from_secs(4);

/// After which it tries once more.
const RETRY: Duration = Duration::from_secs(1);

/// What they saw.
#[derive(Clone, Copy, Default, Debug)]
pub struct Seen {
    /// Echo requests sent.
    pub asked: u64,
    /// Echo replies received, whole.
    pub answered: u64,
    /// Handshakes completed.
    pub sessions: u64,
}

/// Address of a member in the tunnel.
fn address(number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(10, 77, 100 + high, low)
}

fn key(number: u16) -> KeyPair {
    KeyPair::seeded(20_000 + u64::from(number))
}

/// The lines of `weir.toml` for these members.
pub fn toml(members: impl Iterator<Item = u16>) -> String {
    let mut toml = String::new();
    for number in members {
        let (key, address) = (key(number).public(), address(number));
        write!(
            toml,
            "\n[[peer]]\npublic_key = \"{key}\"\nallowed_ips = [\"{address}/32\"]\n"
        )
        .unwrap();
    }
    toml
}

struct Member {
    number: u16,
    client: Client,
    socket: UdpSocket,
    random: ChaCha8Rng,
    handshake: Instant,
    burst: Instant,
}

/// Starts all in a namespace, to ping `server` through `gateway`.
pub fn start(namespace: &Namespace, gateway: SocketAddr, server: Ipv4Addr) -> Ongoing<Seen> {
    let namespace = namespace.clone();
    Ongoing::start(move |stop| {
        namespace.enter(|| {
            let begun = Instant::now();
            let members = (0..MEMBERS).map(|number| Member::new(number, gateway, begun));
            run(members.collect(), gateway, server, begun, stop)
        })
    })
}

fn run(
    mut members: Vec<Member>,
    gateway: SocketAddr,
    server: Ipv4Addr,
    begun: Instant,
    stop: &AtomicBool,
) -> Seen {
    let mut seen = Seen::default();
    while !stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        let time = weir_noise::Instant::from_nanos((now - begun).as_nanos() as u64);
        for member in &mut members {
            member.listen(time, &mut seen);
            if member.handshake <= now {
                member.call(gateway, now, time);
            }
            if member.burst <= now {
                member.ask(server, now, time, &mut seen);
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    seen
}

fn open(gateway: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(gateway)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

impl Member {
    fn new(number: u16, gateway: SocketAddr, begun: Instant) -> Self {
        let socket = open(gateway).unwrap();
        let random = ChaCha20Rng::seed_from_u64(number.into());
        let private = *key(number).private().expose();
        let begin = begun + PERIOD * number.into() / MEMBERS.into();
        Self {
            number,
            client: Client::new(
                private,
                gateway_key().public(),
                socket.local_addr().unwrap(),
                random,
            ),
            socket,
            random: ChaCha8Rng::seed_from_u64(number.into()),
            handshake: begin,
            burst: begin,
        }
    }

    /// Begins a handshake, from another port one time out of three.
    fn call(&mut self, gateway: SocketAddr, now: Instant, time: weir_noise::Instant) {
        self.handshake = now + RETRY;
        // While the network is down, there is no other port to be had.
        if self.random.next_u32().is_multiple_of(3)
            && let Ok(socket) = open(gateway)
        {
            self.socket = socket;
        }
        let initiation = self.client.initiation(time);
        self.send(&initiation);
    }

    fn ask(&mut self, server: Ipv4Addr, now: Instant, time: weir_noise::Instant, seen: &mut Seen) {
        self.burst = now + PERIOD;
        if self.client.session.is_none() {
            return;
        }
        for _ in 0..=self.random.next_u32() % BURST {
            let payload = vec![self.number as u8; (self.random.next_u32() % 1300) as usize];
            let (from, to) = (IpAddr::V4(address(self.number)), IpAddr::V4(server));
            let packet = packets::echo(from, to, self.number, seen.asked as u16, &payload);
            let message = self.client.data(&packet, time);
            seen.asked += 1;
            match self.random.next_u32() % 50 {
                0 => {}
                1 => {
                    self.send(&message);
                    self.send(&message);
                }
                _ => self.send(&message),
            }
        }
    }

    fn listen(&mut self, time: weir_noise::Instant, seen: &mut Seen) {
        let mut datagram = [0; 2048];
        while let Ok(length) = self.socket.recv(&mut datagram) {
            match self.client.receive(&datagram[..length], time) {
                Received::Session => {
                    seen.sessions += 1;
                    self.handshake = Instant::now() + AGAIN;
                }
                Received::Initiation(response) => self.send(&response),
                Received::Data(packet) if packet.len() >= 28 && packet[9] == 1 && packet[20] == 0 => {
                    // What follows is padding (whitepaper 5.4.6).
                    let length = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
                    let payload = packet.get(28..length);
                    let whole =
                        payload.is_some_and(|bytes| bytes.iter().all(|&byte| byte == self.number as u8));
                    assert!(whole, "member {}: a damaged answer: {packet:x?}", self.number);
                    seen.answered += 1;
                }
                Received::Cookie | Received::Data(_) | Received::Nothing => {}
            }
        }
    }

    fn send(&self, message: &[u8]) {
        // While the network is down, it fails.
        let _ = self.socket.send(message);
    }
}
