//! Many clients of one gateway that are no processes: each is a UDP socket and the session of a
//! [`weir_testkit::Client`], and does what it is told when it is told to.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant as Clock};

use weir_abi::key::PublicKey;
use weir_bench::Namespace;
use weir_bench::device_config::KeyPair;
use weir_noise::Instant;
use weir_testkit::packets::{echo, udp};
use weir_testkit::{Client, Received, Seed};

/// How long one answer of the gateway may take, three times what a handshake may (REKEY_TIMEOUT, whitepaper 6.1).
const ANSWER_LIMIT: Duration = Duration::from_secs(15);

/// Between two initiations: what the gateway lets through of one source.
const CALL_AGAIN: Duration = Duration::from_millis(500);

/// Bytes of the headers of IP and ICMP, which an echo carries its payload behind.
const ECHO_HEADERS: usize = 28;

/// One client.
pub struct Caller {
    number: u16,
    client: Client,
    namespace: Namespace,
    gateway: SocketAddr,
    socket: UdpSocket,
    started: Clock,
}

/// The key of the client with this number.
pub fn key(number: u16) -> PublicKey {
    KeyPair::seeded(private_seed(number)).public()
}

/// The address in the tunnel of the client with this number.
pub fn address(number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(10, 77, 100 + high, low)
}

fn private_seed(number: u16) -> u64 {
    10_000 + u64::from(number)
}

impl Caller {
    /// A client in a namespace, which has not called yet.
    pub fn new(namespace: &Namespace, number: u16, key: PublicKey, gateway: SocketAddr) -> io::Result<Self> {
        let socket = open(namespace, gateway)?;
        let private = *KeyPair::seeded(private_seed(number)).private().expose();
        let random = Seed::from(private_seed(number)).random(0);
        Ok(Self {
            number,
            client: Client::new(private, key, socket.local_addr()?, random),
            namespace: namespace.clone(),
            gateway,
            socket,
            started: Clock::now(),
        })
    }

    /// Its key.
    pub fn key(&self) -> PublicKey {
        self.client.public_key()
    }

    /// Shakes hands; an initiation that meets a limit or a demand for a cookie is sent again.
    pub fn call(&mut self) {
        let begun = Clock::now();
        while begun.elapsed() < ANSWER_LIMIT {
            let initiation = self.client.initiation(self.now());
            self.socket
                .send(&initiation)
                .expect("the gateway's network is up");
            if self.receive(CALL_AGAIN) == Some(Received::Session) {
                return;
            }
        }
        panic!("caller {}: no session within {ANSWER_LIMIT:?}", self.number);
    }

    /// Goes on from another port, as behind a NAT that forgot it.
    pub fn moves(&mut self) {
        self.socket = open(&self.namespace, self.gateway).expect("there are ports left");
    }

    /// Pings an address through the tunnel, with a payload of its own, which must come back whole. An error says what
    /// came instead.
    pub fn pings(&mut self, to: Ipv4Addr, sequence: u16) -> Result<(), String> {
        let payload: Vec<u8> = (0..400u32)
            .map(|at| (at * 7 + u32::from(self.number) + u32::from(sequence)) as u8)
            .collect();
        let request = echo(
            IpAddr::V4(address(self.number)),
            IpAddr::V4(to),
            self.number,
            sequence,
            &payload,
        );
        self.send(&request);
        let begun = Clock::now();
        let mut others = Vec::new();
        while begun.elapsed() < ANSWER_LIMIT {
            match self.receive(ANSWER_LIMIT) {
                Some(Received::Data(packet)) if packet.len() >= ECHO_HEADERS + payload.len() => {
                    assert_eq!(packet[20], 0, "an echo reply");
                    assert_eq!(packet[ECHO_HEADERS..][..payload.len()], payload);
                    return Ok(());
                }
                Some(other) => others.push(other),
                None => {}
            }
        }
        Err(format!(
            "caller {}: ping {sequence} to {to} was not answered; received: {others:?}",
            self.number
        ))
    }

    /// Sends a datagram through the tunnel.
    pub fn says(&mut self, to: SocketAddr, payload: &[u8]) {
        let from = SocketAddr::from((address(self.number), 5000 + self.number));
        self.send(&udp(from, to, payload));
    }

    fn send(&mut self, packet: &[u8]) {
        let now = self.now();
        let message = self.client.data(packet, now);
        self.socket.send(&message).expect("the gateway's network is up");
    }

    fn receive(&mut self, limit: Duration) -> Option<Received> {
        let mut datagram = [0; 2048];
        self.socket
            .set_read_timeout(Some(limit))
            .expect("a limit above zero");
        let length = self.socket.recv(&mut datagram).ok()?;
        let now = self.now();
        Some(self.client.receive(&datagram[..length], now))
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(self.started.elapsed().as_nanos() as u64)
    }
}

fn open(namespace: &Namespace, gateway: SocketAddr) -> io::Result<UdpSocket> {
    namespace.enter(|| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect(gateway)?;
        Ok(socket)
    })
}
