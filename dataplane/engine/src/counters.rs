//! What a shard counts. Plain numbers of one owner; whoever wants them asks the shard.

use weir_abi::drops::Drop;
use weir_abi::histogram::Histogram;

/// A shard's counters since it was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Counters {
    /// Transport messages opened, keepalives included.
    pub opened: u64,
    /// Transport messages sealed, keepalives included.
    pub sealed: u64,
    /// Frames handed to other shards.
    pub handed_over: u64,
    /// Handshakes completed.
    pub handshakes: u64,
    /// Initiations sent.
    pub initiations: u64,
    /// Cookie replies sent.
    pub cookie_replies: u64,
    /// Received bursts of 1, 2, 3–4, 5–8, 9–16, 17–32, 33 and more packets.
    pub burst_sizes: [u64; 7],
    /// How long packets took from their receipt until they were sent.
    pub packet_latency: Histogram,
    /// How long the handshakes took that this shard began.
    pub handshake_latency: Histogram,
    /// How long authentic initiations of others took from their arrival until the worker's answer was at their peer's home.
    pub response_latency: Histogram,
    drops: [u64; Drop::ALL.len()],
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            opened: 0,
            sealed: 0,
            handed_over: 0,
            handshakes: 0,
            initiations: 0,
            cookie_replies: 0,
            burst_sizes: [0; 7],
            packet_latency: Histogram::default(),
            handshake_latency: Histogram::default(),
            response_latency: Histogram::default(),
            drops: [0; Drop::ALL.len()],
        }
    }
}

impl Counters {
    /// Counts one dropped packet.
    pub fn drop(&mut self, reason: Drop) {
        self.drops[reason as usize] += 1;
    }

    /// Counts several packets dropped for one reason.
    pub fn drop_many(&mut self, reason: Drop, count: usize) {
        self.drops[reason as usize] += count as u64;
    }

    /// Packets dropped for this reason.
    pub fn dropped(&self, reason: Drop) -> u64 {
        self.drops[reason as usize]
    }

    /// Counts one burst.
    pub fn burst(&mut self, packets: usize) {
        if packets > 0 {
            let class = packets.next_power_of_two().trailing_zeros() as usize;
            self.burst_sizes[class.min(6)] += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches a burst counted in its neighbour's class.
    #[test]
    fn bursts_fall_into_their_classes() {
        let mut counters = Counters::default();
        for packets in [0, 1, 2, 3, 4, 5, 8, 9, 16, 17, 32, 33, 64, 4000] {
            counters.burst(packets);
        }
        assert_eq!(counters.burst_sizes, [1, 1, 2, 2, 2, 2, 3]);
    }
}
