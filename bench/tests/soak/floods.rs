//! Bursts of datagrams faster than rings are emptied, and garbage at the gateway's port.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};
use weir_bench::Namespace;
use weir_bench::gateway_topology::gateway_key;
use weir_testkit::packets;

use super::Ongoing;

/// Datagrams of one burst: more than a ring has entries.
const BURST: u32 = 3000;

/// Between two bursts.
const PERIOD: Duration = Duration::from_millis(400);

/// Pieces of garbage in a second.
const GARBAGE_PER_S: u32 = 300;

/// Sends bursts from a namespace to addresses in turn, from many ports, so that every queue has its part.
pub fn bursts(namespace: &Namespace, destinations: &[SocketAddr], seed: u64) -> Ongoing<u64> {
    let (namespace, destinations) = (namespace.clone(), destinations.to_vec());
    Ongoing::start(move |stop| {
        let sockets: Vec<_> = namespace.enter(|| {
            (0..8)
                .map(|_| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap())
                .collect()
        });
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut sent = 0;
        for destination in destinations.iter().cycle() {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let length = (random.next_u32() % 1300) as usize;
            for number in 0..BURST {
                let socket = &sockets[number as usize % sockets.len()];
                // While the network is down, and where nobody is there to be resolved, it fails.
                sent += u64::from(socket.send_to(&vec![0x33; length], destination).is_ok());
            }
            std::thread::sleep(PERIOD);
        }
        sent
    })
}

/// Sends garbage to the gateway: of no format, forged initiations, data for nobody.
pub fn garbage(namespace: &Namespace, gateway: SocketAddr, seed: u64) -> Ongoing<u64> {
    let namespace = namespace.clone();
    Ongoing::start(move |stop| {
        let socket = namespace.enter(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap());
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut sent = 0;
        while !stop.load(Ordering::Relaxed) {
            let mut datagram = vec![0; (random.next_u32() % 1400) as usize];
            random.fill_bytes(&mut datagram);
            match random.next_u32() % 4 {
                0 => datagram = packets::forged_initiation(&gateway_key().public(), sent).to_vec(),
                1 if datagram.len() >= 32 => datagram[..4].copy_from_slice(&[4, 0, 0, 0]),
                2 => {
                    datagram.resize(92, 0);
                    datagram[..4].copy_from_slice(&[2, 0, 0, 0]);
                }
                _ => {}
            }
            sent += u64::from(socket.send_to(&datagram, gateway).is_ok());
            std::thread::sleep(Duration::from_secs(1) / GARBAGE_PER_S);
        }
        sent
    })
}

/// An address in the tunnel, at a port where nobody listens.
pub fn nobody(address: impl Into<IpAddr>) -> SocketAddr {
    SocketAddr::new(address.into(), 9)
}
