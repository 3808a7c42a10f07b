//! What a data plane is started with.

use super::WAN;
use std::os::fd::OwnedFd;
use weir_config::PortRole;
use weir_engine::Rates;
use weir_frame::{FramePool, Home, PoolSize};
use weir_sockets::{OffloadChoice, SteeringChoice};

/// What a data plane is started with.
#[derive(Debug)]
pub struct Options {
    /// The TUN device's name, which may hold `%d`.
    pub interface: String,
    /// Shards.
    pub shards: usize,
    /// The tunnel's MTU in bytes at the start.
    pub mtu: u16,
    /// Offloads of UDP and TUN.
    pub offload: OffloadChoice,
    /// How datagrams find their shard.
    pub steering: SteeringChoice,
    /// The AEAD back end.
    pub aead: weir_crypto::Choice,
    /// Frames taken from a port at a time.
    pub burst: usize,
    /// Bytes of each UDP socket's buffers.
    pub buffer: u32,
    /// Packets of one peer that wait for a handshake.
    pub queue: usize,
    /// Limits on handshake messages.
    pub rates: Rates,
    /// An open TUN device to be used, whose one queue is then the only one.
    pub tun: Option<OwnedFd>,
    /// Devices of AF_XDP.
    pub devices: Vec<weir_config::Port>,
}

impl Options {
    /// Enough small frames for a burst of super-packets to be cut, enough large ones to receive bursts in; fewer beside
    /// a queue of AF_XDP, which carries most.
    pub(super) fn pool(&self, shard: usize, port: u16) -> FramePool {
        let role = if port == WAN { PortRole::Wan } else { PortRole::Lan };
        let (small, large) = if self.devices.iter().any(|device| device.role == role) {
            (512, 32)
        } else {
            (2560, 96)
        };
        let size = PoolSize {
            small,
            small_bytes: 2048,
            large,
            large_bytes: 65_536 + 512,
            headroom: 128,
        };
        let home = Home {
            shard: shard as u16,
            port,
        };
        FramePool::new(home, size)
    }
}
