//! What passed in the last 300 s, from the shards' counters, at one point a second while somebody looks.

use std::collections::VecDeque;
use weir_abi::status::Status;

/// Points kept.
const POINTS_MAX: usize = 300;

/// Beyond so many seconds two readings are too far apart to say anything of a second.
const GAP_MAX_S: f64 = 30.0;

/// What was counted at one moment.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
struct Reading {
    boot_id: [u8; 16],
    unix_ms: u64,
    rx_bytes: u64,
    tx_bytes: u64,
    rx_packets: u64,
    tx_packets: u64,
    handshakes: u64,
    drops: u64,
}

/// Rates from reading to reading.
#[derive(Debug, Default)]
pub struct Throughput {
    last: Option<Reading>,
    points: VecDeque<[u64; 7]>,
}

impl Throughput {
    /// Takes a status read at this time, and returns the point that it makes with the one before:
    /// `[unix_s, rx_bps, tx_bps, rx_pps, tx_pps, handshakes, drops]`.
    pub fn take(&mut self, status: &Status, unix_ms: u64) -> Option<[u64; 7]> {
        let now = Reading::new(status, unix_ms);
        let last = self.last.replace(now)?;
        let seconds = unix_ms.saturating_sub(last.unix_ms) as f64 / 1000.0;
        if last.boot_id != now.boot_id || seconds <= 0.0 || seconds > GAP_MAX_S {
            return None;
        }
        let rate = |now: u64, then: u64| (now.saturating_sub(then) as f64 / seconds).round() as u64;
        let point = [
            unix_ms / 1000,
            8 * rate(now.rx_bytes, last.rx_bytes),
            8 * rate(now.tx_bytes, last.tx_bytes),
            rate(now.rx_packets, last.rx_packets),
            rate(now.tx_packets, last.tx_packets),
            now.handshakes.saturating_sub(last.handshakes),
            now.drops.saturating_sub(last.drops),
        ];
        if self.points.len() == POINTS_MAX {
            self.points.pop_front();
        }
        self.points.push_back(point);
        Some(point)
    }

    /// The points, the oldest first.
    pub fn points(&self) -> Vec<[u64; 7]> {
        self.points.iter().copied().collect()
    }
}

impl Reading {
    /// Sums up all shards. Traffic is what passes the WAN ports.
    fn new(status: &Status, unix_ms: u64) -> Self {
        let mut sum = Self {
            boot_id: status.boot_id,
            unix_ms,
            ..Self::default()
        };
        for shard in &status.shards {
            for port in shard.ports.iter().filter(|port| port.role == "wan") {
                sum.rx_bytes += port.rx_bytes;
                sum.tx_bytes += port.tx_bytes;
                sum.rx_packets += port.rx_frames;
                sum.tx_packets += port.tx_packets;
            }
            sum.handshakes += shard.handshakes;
            sum.drops += shard.drops.iter().map(|(_, count)| count).sum::<u64>();
        }
        sum
    }
}
