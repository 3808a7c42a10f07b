//! What a gateway of a simulation is made of, and where its packets arrive.

use std::net::SocketAddr;
use weir_abi::change::{AllowedIpChange, Change, PeerChange};
use weir_abi::endpoint::Endpoint;
use weir_abi::key::{PresharedKey, PublicKey};
use weir_frame::PoolSize;

/// On which shard datagrams arrive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WanSteering {
    /// As the reuseport program does: by the slot in the receiver index, initiations by source.
    Slot,
    /// As a card's hash does: by source.
    Source,
    /// Always on this shard.
    All(u16),
    /// Where [`WanSteering::Slot`] would not have it.
    Wrong,
}

/// On which shard packets of the host arrive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HostSteering {
    /// By a hash of the packet's addresses.
    Flow,
    /// Always on this shard.
    All(u16),
    /// On each shard in turn.
    Turns,
}

/// What a gateway is made of.
#[derive(Clone)]
pub struct Setup {
    /// Its private key.
    pub private_key: [u8; 32],
    /// Its addresses outside.
    pub addresses: Vec<SocketAddr>,
    /// Shards running at first.
    pub shards: usize,
    /// Shards that there can be.
    pub shards_max: usize,
    /// The tunnel's MTU.
    pub mtu: u16,
    /// Frames of each port.
    pub pool: PoolSize,
    /// Frames taken from a port at a time.
    pub burst: usize,
}

impl Setup {
    /// One shard, MTU 1420, 256 frames a port.
    pub fn new(private_key: u8, address: &str) -> Self {
        Self {
            private_key: [private_key; 32],
            addresses: vec![address.parse().expect("an address and port")],
            shards: 1,
            shards_max: 4,
            mtu: 1420,
            pool: PoolSize {
                small: 256,
                large: 8,
                ..PoolSize::default()
            },
            burst: weir_engine::limits::BURST,
        }
    }

    /// This many shards.
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = shards;
        self.shards_max = self.shards_max.max(shards);
        self
    }
}

/// A peer to be declared.
#[derive(Clone)]
pub struct PeerSpec {
    /// Its public key.
    pub public_key: PublicKey,
    /// Mixed into handshakes.
    pub preshared_key: Option<[u8; 32]>,
    /// Where it is.
    pub endpoint: Option<SocketAddr>,
    /// Its prefixes.
    pub allowed_ips: Vec<String>,
    /// Seconds.
    pub persistent_keepalive: Option<u16>,
}

impl PeerSpec {
    /// A peer with these prefixes and nothing else.
    pub fn new(public_key: PublicKey, allowed_ips: &[&str]) -> Self {
        Self {
            public_key,
            preshared_key: None,
            endpoint: None,
            allowed_ips: allowed_ips.iter().map(|&text| text.to_owned()).collect(),
            persistent_keepalive: None,
        }
    }

    /// At this endpoint.
    pub fn at(mut self, endpoint: SocketAddr) -> Self {
        self.endpoint = Some(endpoint);
        self
    }

    /// The change that declares the peer.
    pub fn change(&self) -> Change {
        let add = |text: &String| AllowedIpChange::Add(text.parse().expect("a prefix"));
        Change::Peer(PeerChange {
            preshared_key: self.preshared_key.map(PresharedKey::from_bytes),
            endpoint: self.endpoint.map(Endpoint::Address),
            persistent_keepalive: self.persistent_keepalive,
            replace_allowed_ips: true,
            allowed_ips: self.allowed_ips.iter().map(add).collect(),
            ..PeerChange::new(self.public_key)
        })
    }
}
