//! What happens in a second: the difference of two statuses over the time between them.

use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;
use weir_abi::key::PublicKey;
use weir_abi::status::{Health, Status};

/// A gateway in a second.
pub struct Rates {
    pub interface: String,
    pub uptime_s: u64,
    /// Peers that are healthy, idle and degraded.
    pub census: [usize; 3],
    pub rx_bps: u64,
    pub tx_bps: u64,
    pub rx_pps: u64,
    pub tx_pps: u64,
    pub handshakes_ps: u64,
    pub drops_ps: u64,
    /// The drops by reason, the most frequent first; none that are none.
    pub drops: Vec<(String, u64)>,
    pub shards: Vec<ShardRates>,
    /// The busiest first; among those that carry nothing, the degraded first.
    pub peers: Vec<PeerRates>,
}

/// A shard in a second.
pub struct ShardRates {
    pub shard: u16,
    pub active_peers: usize,
    pub opened_pps: u64,
    pub sealed_pps: u64,
    pub handed_over_pps: u64,
    pub handshakes_ps: u64,
    pub drops_ps: u64,
    pub under_load: bool,
}

/// A peer in a second.
pub struct PeerRates {
    pub public_key: PublicKey,
    pub name: Option<String>,
    pub health: Health,
    pub trouble: Option<String>,
    pub endpoint: Option<String>,
    pub rx_bps: u64,
    pub tx_bps: u64,
}

impl PeerRates {
    /// Its name, or its key where it has none.
    pub fn called(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.public_key.to_string())
    }
}

/// What happened between two statuses of the same interface. Of a data plane that started in between, nothing.
pub fn between(before: &Status, after: &Status, time: Duration) -> Rates {
    let rate = |before: u64, after: u64| {
        let difference = after.saturating_sub(before) as f64;
        (difference / time.as_secs_f64().max(0.001)).round() as u64
    };
    let shards = shards(before, after, &rate);
    let mut peers = peers(before, after, &rate);
    let sum = |of: fn(&PeerRates) -> u64| peers.iter().map(of).sum();
    let (rx_bps, tx_bps) = (sum(|p| p.rx_bps), sum(|p| p.tx_bps));
    peers.sort_by_key(|p| {
        (
            core::cmp::Reverse(p.rx_bps + p.tx_bps),
            p.health != Health::Degraded,
        )
    });
    let sum = |of: fn(&ShardRates) -> u64| shards.iter().map(of).sum();
    let count = |health| after.peers.iter().filter(|p| p.health == health).count();
    Rates {
        interface: after.interface.clone(),
        uptime_s: after.uptime_s,
        census: [Health::Healthy, Health::Idle, Health::Degraded].map(count),
        rx_bps,
        tx_bps,
        rx_pps: sum(|s| s.opened_pps),
        tx_pps: sum(|s| s.sealed_pps),
        handshakes_ps: sum(|s| s.handshakes_ps),
        drops_ps: sum(|s| s.drops_ps),
        drops: drops(before, after, &rate),
        shards,
        peers,
    }
}

fn shards(before: &Status, after: &Status, rate: &impl Fn(u64, u64) -> u64) -> Vec<ShardRates> {
    let of_shard = |shard| before.shards.iter().find(|s| s.shard == shard);
    let dropped = |drops: &[(String, u64)]| drops.iter().map(|(_, count)| count).sum::<u64>();
    let shards = after.shards.iter().map(|now| {
        let then = of_shard(now.shard).unwrap_or(now);
        ShardRates {
            shard: now.shard,
            active_peers: now.active_peers,
            opened_pps: rate(then.opened, now.opened),
            sealed_pps: rate(then.sealed, now.sealed),
            handed_over_pps: rate(then.handed_over, now.handed_over),
            handshakes_ps: rate(then.handshakes, now.handshakes),
            drops_ps: rate(dropped(&then.drops), dropped(&now.drops)),
            under_load: now.under_load,
        }
    });
    shards.collect()
}

fn peers(before: &Status, after: &Status, rate: &impl Fn(u64, u64) -> u64) -> Vec<PeerRates> {
    let then: HashMap<&PublicKey, (u64, u64)> = before
        .peers
        .iter()
        .map(|peer| (&peer.public_key, (peer.rx_bytes, peer.tx_bytes)))
        .collect();
    let peers = after.peers.iter().map(|peer| {
        let (rx, tx) = then
            .get(&peer.public_key)
            .copied()
            .unwrap_or((peer.rx_bytes, peer.tx_bytes));
        PeerRates {
            public_key: peer.public_key,
            name: peer.name.clone(),
            health: peer.health,
            trouble: peer.trouble.clone(),
            endpoint: peer.endpoint.map(|endpoint| endpoint.to_string()),
            rx_bps: rate(rx, peer.rx_bytes) * 8,
            tx_bps: rate(tx, peer.tx_bytes) * 8,
        }
    });
    peers.collect()
}

fn drops(before: &Status, after: &Status, rate: &impl Fn(u64, u64) -> u64) -> Vec<(String, u64)> {
    let then: HashMap<&str, u64> = crate::status::drops(before).into_iter().collect();
    let mut drops: Vec<(String, u64)> = crate::status::drops(after)
        .into_iter()
        .map(|(reason, count)| {
            (
                reason.to_owned(),
                rate(then.get(reason).copied().unwrap_or(0), count),
            )
        })
        .filter(|(_, rate)| *rate > 0)
        .collect();
    drops.sort_by_key(|(_, rate)| core::cmp::Reverse(*rate));
    drops
}

/// For programs: as the picture, with the `most` busiest peers.
pub fn json(rates: &Rates, most: usize) -> Value {
    let shards = rates.shards.iter().map(|shard| {
        json!({
            "shard": shard.shard,
            "active_peers": shard.active_peers,
            "opened_pps": shard.opened_pps,
            "sealed_pps": shard.sealed_pps,
            "handed_over_pps": shard.handed_over_pps,
            "handshakes_ps": shard.handshakes_ps,
            "drops_ps": shard.drops_ps,
            "under_load": shard.under_load,
        })
    });
    let peers = rates.peers.iter().take(most).map(|peer| {
        json!({
            "public_key": peer.public_key.to_string(),
            "name": peer.name,
            "health": peer.health.name(),
            "trouble": peer.trouble,
            "endpoint": peer.endpoint,
            "rx_bps": peer.rx_bps,
            "tx_bps": peer.tx_bps,
        })
    });
    let drops = rates
        .drops
        .iter()
        .map(|(reason, rate)| (reason.clone(), json!(rate)));
    json!({
        "interface": rates.interface,
        "uptime_s": rates.uptime_s,
        "healthy": rates.census[0],
        "idle": rates.census[1],
        "degraded": rates.census[2],
        "rx_bps": rates.rx_bps,
        "tx_bps": rates.tx_bps,
        "rx_pps": rates.rx_pps,
        "tx_pps": rates.tx_pps,
        "handshakes_ps": rates.handshakes_ps,
        "drops_ps": rates.drops_ps,
        "drops": drops.collect::<serde_json::Map<_, _>>(),
        "shards": shards.collect::<Vec<_>>(),
        "peers": peers.collect::<Vec<_>>(),
    })
}
