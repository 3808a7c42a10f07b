//! One gateway and many clients that are no gateways: client n owns 10.N.N.N/32 counted from 10.1.0.0 and sits at an
//! address of its own.

use super::{A, address};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use weir_testkit::{Client, PeerSpec, Received, Setup, Simulation, packets};

pub struct Clients {
    pub sim: Simulation,
    pub clients: Vec<Client>,
    serial: u64,
}

impl Clients {
    pub fn new(seed: u64, shards: usize, count: usize) -> Self {
        Self::of(seed, Setup::new(1, "192.0.2.1:51820").shards(shards), count)
    }

    pub fn of(seed: u64, setup: Setup, count: usize) -> Self {
        let mut sim = Simulation::new(seed);
        sim.add(setup);
        let gateway = sim.gateways[A].public_key();
        let clients: Vec<Client> = (0..count)
            .map(|n| {
                let random = sim.seed().random(1000 + n as u64);
                Client::new(key(n), gateway, client_address(n), random)
            })
            .collect();
        let peers: Vec<PeerSpec> = clients.iter().enumerate().map(|(n, c)| spec(c, n)).collect();
        sim.gateways[A].configure(&peers);
        for client in &clients {
            sim.network.bind(client.address);
        }
        Self {
            sim,
            clients,
            serial: 0,
        }
    }

    /// A packet of client `n` to the gateway's host, unlike every other.
    pub fn packet(&mut self, n: usize, flow: u16) -> Vec<u8> {
        self.serial += 1;
        let from = SocketAddr::new(inner(n).into(), 1000 + flow);
        packets::udp(from, address("10.0.1.7:80"), &self.serial.to_be_bytes())
    }

    /// A packet of the gateway's host to client `n`.
    pub fn packet_to(&mut self, n: usize) -> Vec<u8> {
        self.serial += 1;
        let to = SocketAddr::new(inner(n).into(), 1000);
        packets::udp(address("10.0.1.7:80"), to, &self.serial.to_be_bytes())
    }

    /// Sends one initiation of client `n`.
    pub fn initiate(&mut self, n: usize) {
        let at = self.sim.instant();
        let message = self.clients[n].initiation(at);
        self.send(n, &message);
    }

    pub fn send(&mut self, n: usize, message: &[u8]) {
        let (from, to) = (self.clients[n].address, self.sim.gateways[A].address());
        self.sim.send(from, to, message);
    }

    /// Sends a packet of client `n` into the tunnel and hands it back.
    pub fn send_data(&mut self, n: usize) -> Vec<u8> {
        let packet = self.packet(n, 0);
        let at = self.sim.instant();
        let message = self.clients[n].data(&packet, at);
        self.send(n, &message);
        packet
    }

    /// Takes in what arrived at client `n`, answers initiations, and hands back what it all was.
    pub fn poll(&mut self, n: usize) -> Vec<Received> {
        let mut all = Vec::new();
        let at = self.sim.instant();
        while let Some(datagram) = self.sim.network.receive(self.clients[n].address) {
            let received = self.clients[n].receive(&datagram.bytes, at);
            if let Received::Initiation(response) = &received {
                self.send(n, response);
            }
            all.push(received);
        }
        all
    }

    /// A handshake of client `n`, confirmed by a packet.
    pub fn connect(&mut self, n: usize) {
        self.initiate(n);
        self.sim.run_for(Duration::from_millis(50));
        let received = self.poll(n);
        assert!(
            received.contains(&Received::Session),
            "client {n} got {received:?}: {:?}",
            self.sim.gateways[A].drops()
        );
        self.send_data(n);
        self.sim.run_for(Duration::from_millis(50));
        self.sim.gateways[A].host_received();
    }

    pub fn connect_all(&mut self) {
        for n in 0..self.clients.len() {
            self.initiate(n);
        }
        self.sim.run_for(Duration::from_millis(50));
        for n in 0..self.clients.len() {
            let received = self.poll(n);
            assert!(
                received.contains(&Received::Session),
                "client {n} got {received:?}: {:?}",
                self.sim.gateways[A].drops()
            );
            self.send_data(n);
        }
        self.sim.run_for(Duration::from_millis(50));
        assert_eq!(self.sim.gateways[A].host_received().len(), self.clients.len());
    }

    /// One packet each way under the present session, which must arrive.
    pub fn echo(&mut self, n: usize) {
        let there = self.send_data(n);
        self.sim.run_for(Duration::from_millis(25));
        let got = self.sim.gateways[A].host_received();
        assert_eq!(got, [there], "client {n}: {:?}", self.sim.gateways[A].drops());
        let back = self.packet_to(n);
        self.sim.gateways[A].host_send(&back);
        self.sim.run_for(Duration::from_millis(25));
        let received = self.poll(n);
        let arrived = received
            .iter()
            .any(|r| matches!(r, Received::Data(data) if data.starts_with(&back)));
        assert!(
            arrived,
            "client {n} got {received:?}: {:?}",
            self.sim.gateways[A].drops()
        );
    }

    /// Client `n` is somewhere else from now on.
    pub fn roam(&mut self, n: usize, round: u16) {
        let port = 20_000 + round;
        self.clients[n].address.set_port(port);
        self.sim.network.bind(self.clients[n].address);
    }
}

pub fn spec(client: &Client, n: usize) -> PeerSpec {
    PeerSpec::new(client.public_key(), &[&format!("{}/32", inner(n))])
}

pub fn key(n: usize) -> [u8; 32] {
    let mut key = [7; 32];
    key[8..16].copy_from_slice(&(n as u64 + 1).to_le_bytes());
    key
}

pub fn inner(n: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0a01_0000 + n as u32)
}

pub fn client_address(n: usize) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::from_bits(0xcb00_0000 + n as u32).into(), 51820)
}
