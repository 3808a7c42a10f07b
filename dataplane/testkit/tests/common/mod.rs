//! What the simulations share: two gateways that know each other, and numbered packets between them.
#![allow(dead_code, reason = "each simulation uses its part")]

pub mod clients;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use weir_testkit::{Gateway, PeerSpec, Setup, Simulation, packets};
use weir_wire::ip;

pub const A: usize = 0;
pub const B: usize = 1;

pub fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address and port")
}

/// Two gateways with each other as their only peer. A knows where B is.
pub fn pair(seed: u64, shards: usize) -> Simulation {
    let setups = [
        Setup::new(1, "192.0.2.1:51820").shards(shards),
        Setup::new(2, "198.51.100.2:51820").shards(shards),
    ];
    pair_of(seed, setups)
}

pub fn pair_of(seed: u64, setups: [Setup; 2]) -> Simulation {
    let mut sim = Simulation::new(seed);
    for setup in setups {
        sim.add(setup);
    }
    let peer_of_a = peer_spec(&sim.gateways[B], 2).at(sim.gateways[B].address());
    let peer_of_b = peer_spec(&sim.gateways[A], 1);
    sim.gateways[A].configure(&[peer_of_a]);
    sim.gateways[B].configure(&[peer_of_b]);
    sim
}

/// The gateway with this number as a peer: it owns 10.0.N.0/24 and fd00:N::/64.
pub fn peer_spec(gateway: &Gateway, number: u8) -> PeerSpec {
    PeerSpec::new(
        gateway.public_key(),
        &[&format!("10.0.{number}.0/24"), &format!("fd00:{number}::/64")],
    )
}

/// What is no ICMP error: the gateway answers its own host with those where a packet cannot enter the tunnel.
pub fn packets_of(received: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    received.into_iter().filter(|packet| !is_error(packet)).collect()
}

/// Whether a packet is an ICMP error: unreachable, too big, time exceeded or a problem of a parameter.
pub fn is_error(packet: &[u8]) -> bool {
    let Ok(parsed) = ip::Packet::parse(packet) else {
        return false;
    };
    match (parsed.protocol, packet.get(parsed.l4_offset)) {
        (ip::ICMP, Some(kind)) => [3, 11, 12].contains(kind),
        (ip::ICMPV6, Some(kind)) => *kind < 128,
        _ => false,
    }
}

/// Numbered packets, and which of them arrived.
#[derive(Default)]
pub struct Traffic {
    next: u64,
    sent: HashMap<Vec<u8>, usize>,
    arrived: HashSet<Vec<u8>>,
}

impl Traffic {
    /// Sends one packet through the tunnel of the gateway `from`, as if to the other of a pair.
    pub fn send(&mut self, sim: &mut Simulation, from: usize) {
        let (near, far) = if from == A { (1, 2) } else { (2, 1) };
        let packet = self.packet(near, far);
        self.sent.insert(packet.clone(), 1 - from);
        sim.gateways[from].host_send(&packet);
    }

    /// A packet unlike every other, alternating between the families, of many flows and sizes.
    pub fn packet(&mut self, near: u8, far: u8) -> Vec<u8> {
        let number = self.next;
        self.next += 1;
        let port = 1000 + (number % 97) as u16;
        let (from, to) = if number.is_multiple_of(2) {
            (format!("10.0.{near}.7:{port}"), format!("10.0.{far}.9:80"))
        } else {
            (format!("[fd00:{near}::7]:{port}"), format!("[fd00:{far}::9]:80"))
        };
        let mut payload = number.to_be_bytes().to_vec();
        payload.resize(8 + (number * 31 % 1300) as usize, number as u8);
        packets::udp(address(&from), address(&to), &payload)
    }

    /// Takes in what arrived and asserts that it was sent to that gateway and did not arrive before.
    pub fn collect(&mut self, sim: &mut Simulation) {
        for place in [A, B] {
            for packet in packets_of(sim.gateways[place].host_received()) {
                assert_eq!(
                    self.sent.get(&packet),
                    Some(&place),
                    "a packet arrived that was not sent"
                );
                assert!(self.arrived.insert(packet), "a packet arrived twice");
            }
        }
    }

    /// Packets sent and not arrived.
    pub fn missing(&self) -> usize {
        self.sent.len() - self.arrived.len()
    }

    /// Packets arrived.
    pub fn arrived(&self) -> usize {
        self.arrived.len()
    }
}
