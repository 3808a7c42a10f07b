//! What registered peers and live sessions cost in memory, counted by [`crate::allocator::Counting`], which the caller
//! has installed.

use crate::allocator::live_bytes;
use crate::client::{Client, Received};
use crate::gateway::Gateway;
use crate::seed::Seed;
use crate::setup::{PeerSpec, Setup};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant as WallInstant;
use weir_abi::key::PublicKey;

/// What some number of peers costs.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Peers.
    pub peers: usize,
    /// Bytes of all of them.
    pub bytes: i64,
    /// Seconds that it took.
    pub seconds: f64,
}

impl Cost {
    /// Bytes of one peer.
    pub fn per_peer(&self) -> f64 {
        self.bytes as f64 / self.peers as f64
    }
}

/// Registers peers, each with one IPv4 and one IPv6 address, none of which ever speaks.
///
/// # Panics
/// If the counting allocator is not installed, as in [`live`].
pub fn registered(peers: usize) -> Cost {
    let mut gateway = empty_gateway();
    let specs = (0..peers).map(|n| PeerSpec {
        allowed_ips: vec![
            format!("{}/32", inner(n)),
            format!("fd00::{:x}:{:x}/128", n >> 16, n & 0xffff),
        ],
        ..PeerSpec::new(some_key(n), &[])
    });
    measure(peers, || {
        // In parts, as the changes themselves take memory too.
        let mut specs = specs.peekable();
        while specs.peek().is_some() {
            let changes = specs.by_ref().take(250_000).map(|spec| spec.change()).collect();
            gateway.apply(changes).expect("a sound configuration");
            gateway.round(0);
        }
    })
}

/// Gives peers that are registered already a session each.
///
/// # Panics
/// If a handshake fails.
pub fn live(peers: usize) -> Cost {
    let mut gateway = empty_gateway();
    let seed = Seed::from(1);
    let mut clients: Vec<Client> = (0..peers)
        .map(|n| {
            let mut key = [9; 32];
            key[8..16].copy_from_slice(&(n as u64).to_le_bytes());
            let address = SocketAddr::new(Ipv4Addr::from_bits(0xcb00_0000 + n as u32).into(), 51820);
            Client::new(key, gateway.public_key(), address, seed.random(n as u64))
        })
        .collect();
    let specs: Vec<PeerSpec> = (0..peers)
        .map(|n| PeerSpec::new(clients[n].public_key(), &[&format!("{}/32", inner(n))]))
        .collect();
    gateway.configure(&specs);
    gateway.round(0);
    let mut messages: Vec<Option<Vec<u8>>> = vec![None; peers];
    measure(peers, || {
        for (n, client) in clients.iter_mut().enumerate() {
            // Slower than the rate at which a shard asks strangers for cookies.
            let now_ns = n as u64 * 5_000_000;
            messages[n] = Some(client.initiation(gateway.now(now_ns).at));
            exchange(&mut gateway, client, messages[n].take(), now_ns);
        }
    })
}

fn exchange(gateway: &mut Gateway, client: &mut Client, mut message: Option<Vec<u8>>, now_ns: u64) {
    let (to, at) = (gateway.address(), gateway.now(now_ns).at);
    while let Some(bytes) = message.take() {
        gateway.deliver(client.address, to, 0, &bytes);
        while gateway.round(now_ns) {}
        while let Some(parcel) = gateway.sent() {
            if client.receive(&parcel.bytes, at) == Received::Session {
                message = Some(client.data(&[], at));
            }
            gateway.handles(0).0.recycle(parcel);
        }
    }
    assert!(
        client.session.take().is_some(),
        "the handshake failed: {:?}",
        gateway.drops()
    );
}

fn empty_gateway() -> Gateway {
    let setup = Setup {
        shards_max: 1,
        ..Setup::new(1, "192.0.2.1:51820")
    };
    let mut gateway = Gateway::new(setup, &Seed::from(1), 1);
    gateway.configure(&[]);
    gateway.round(0);
    gateway
}

fn measure(peers: usize, work: impl FnOnce()) -> Cost {
    let (before, start) = (live_bytes(), WallInstant::now());
    work();
    let bytes = live_bytes() - before;
    assert!(bytes > 0, "the counting allocator is not installed");
    Cost {
        peers,
        bytes,
        seconds: start.elapsed().as_secs_f64(),
    }
}

fn some_key(n: usize) -> PublicKey {
    let mut key = [0x55; 32];
    key[..8].copy_from_slice(&(n as u64).to_le_bytes());
    PublicKey::from_bytes(key)
}

fn inner(n: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0a00_0000 + n as u32)
}
