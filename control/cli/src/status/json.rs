//! The status for programs: one object per interface, keys in base64, times in seconds and nanoseconds.

use super::control::Controlled;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use weir_abi::status::{DeviceStatus, PeerStatus, PortStatus, RuleStatus, ShardStatus, Status};

/// An array with one object per interface, each with what the control process says of it, where one runs that is its own.
pub fn render(statuses: &[Status], controlled: &Controlled) -> String {
    let with_control = |of: &Status| {
        let mut object = status(of);
        object["control"] = controlled.of_interface(&of.interface);
        object
    };
    let all: Vec<Value> = statuses.iter().map(with_control).collect();
    format!("{:#}\n", Value::Array(all))
}

/// Drops of all shards by reason, the most frequent first.
pub fn drops(status: &Status) -> Vec<(&str, u64)> {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, count) in status.shards.iter().flat_map(|s| &s.drops) {
        *sums.entry(name).or_default() += count;
    }
    let mut drops: Vec<_> = sums.into_iter().collect();
    drops.sort_by_key(|(_, count)| core::cmp::Reverse(*count));
    drops
}

/// One peer.
fn peer(peer: &PeerStatus) -> Value {
    json!({
        "public_key": peer.public_key.to_string(),
        "name": peer.name,
        "origin": peer.origin.name(),
        "has_preshared_key": peer.has_preshared_key,
        "configured_endpoint": peer.configured_endpoint.as_ref().map(ToString::to_string),
        "endpoint": peer.endpoint.map(|e| e.to_string()),
        "allowed_ips": peer.allowed_ips.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "persistent_keepalive": peer.persistent_keepalive,
        "last_handshake_unix_ns": peer.last_handshake_unix_ns,
        "rx_bytes": peer.rx_bytes,
        "tx_bytes": peer.tx_bytes,
        "health": peer.health.name(),
        "trouble": peer.trouble,
        "shard": peer.shard,
    })
}

/// One access rule.
fn rule(rule: &RuleStatus) -> Value {
    json!({
        "name": rule.rule.name,
        "action": rule.rule.action.name(),
        "origin": rule.origin.name(),
        "packets": rule.packets,
    })
}

fn status(status: &Status) -> Value {
    json!({
        "interface": status.interface,
        "version": status.version,
        "pid": status.pid,
        "uptime_s": status.uptime_s,
        "revision": status.revision.0,
        "public_key": status.public_key.map(|k| k.to_string()),
        "listen_port": status.listen_port,
        "fwmark": status.fwmark,
        "mtu": status.mtu,
        "aead": status.aead,
        "aead_best": status.aead_best,
        "steering": status.steering,
        "warnings": status.warnings,
        "handshake_queue": status.handshake_queue,
        "drops": counts(drops(status)),
        "devices": status.devices.iter().map(device).collect::<Vec<_>>(),
        "shards": status.shards.iter().map(shard).collect::<Vec<_>>(),
        "rules": status.rules.iter().map(rule).collect::<Vec<_>>(),
        "peers": status.peers.iter().map(peer).collect::<Vec<_>>(),
    })
}

fn shard(shard: &ShardStatus) -> Value {
    json!({
        "shard": shard.shard,
        "active_peers": shard.active_peers,
        "under_load": shard.under_load,
        "opened": shard.opened,
        "sealed": shard.sealed,
        "handed_over": shard.handed_over,
        "handshakes": shard.handshakes,
        "cookie_replies": shard.cookie_replies,
        "drops": counts(shard.drops.iter().map(|(name, count)| (name.as_str(), *count))),
        "burst_sizes": shard.burst_sizes,
        "ports": shard.ports.iter().map(port).collect::<Vec<_>>(),
    })
}

fn device(device: &DeviceStatus) -> Value {
    let arrivals = device.arrivals.iter().map(|arrival| {
        json!({
            "kind": arrival.kind,
            "fate": arrival.fate,
            "frames": arrival.frames,
        })
    });
    json!({
        "device": device.device,
        "role": device.role,
        "attached": device.attached,
        "arrivals": arrivals.collect::<Vec<_>>(),
    })
}

fn port(port: &PortStatus) -> Value {
    json!({
        "role": port.role,
        "queue": port.queue,
        "mode": port.mode,
        "rx_frames": port.rx_frames,
        "rx_bytes": port.rx_bytes,
        "tx_packets": port.tx_packets,
        "tx_bytes": port.tx_bytes,
        "errors": counts(port.errors.iter().map(|(name, count)| (name.as_str(), *count))),
        "frames": port.frames,
        "abroad": port.abroad,
        "in_kernel": port.in_kernel,
    })
}

fn counts<'a>(counts: impl IntoIterator<Item = (&'a str, u64)>) -> Value {
    counts
        .into_iter()
        .map(|(name, count)| (name.to_owned(), json!(count)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}
