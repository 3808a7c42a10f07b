//! The gateway's metrics: per shard, per port, per device.

use super::Family;
use weir_abi::status::{ShardStatus, Status};

/// Adds them.
pub fn families(status: &Status, families: &mut Vec<Family>) {
    let interface = status.interface.as_str();
    let key = status.public_key.map(|key| key.to_string()).unwrap_or_default();
    families.push(
        Family::gauge("weir_info", "The gateway, and what it works with.").with(
            &[
                ("interface", interface),
                ("version", &status.version),
                ("public_key", &key),
                ("aead", &status.aead),
                ("aead_best", &status.aead_best),
                ("steering", &status.steering),
            ],
            1.0,
        ),
    );
    families.push(
        Family::gauge("weir_uptime_seconds", "For how long the data plane has run.")
            .with(&[], status.uptime_s as f64),
    );
    families.push(
        Family::gauge(
            "weir_handshake_queue",
            "Handshake messages that wait for the worker.",
        )
        .with(&[], status.handshake_queue as f64),
    );
    shards(status, families);
    ports(status, families);
    devices(status, families);
}

fn shards(status: &Status, families: &mut Vec<Family>) {
    type Count = fn(&ShardStatus) -> u64;
    const COUNTERS: [(&str, &str, Count); 5] = [
        ("weir_opened_packets_total", "Packets opened.", |shard| {
            shard.opened
        }),
        ("weir_sealed_packets_total", "Packets sealed.", |shard| {
            shard.sealed
        }),
        (
            "weir_handed_over_frames_total",
            "Frames handed to other shards.",
            |shard| shard.handed_over,
        ),
        ("weir_handshakes_total", "Handshakes completed.", |shard| {
            shard.handshakes
        }),
        ("weir_cookie_replies_total", "Cookie replies sent.", |shard| {
            shard.cookie_replies
        }),
    ];
    for (name, help, count) in COUNTERS {
        let mut family = Family::counter(name, help);
        for shard in &status.shards {
            family.add(&[("shard", &shard.shard.to_string())], count(shard) as f64);
        }
        families.push(family);
    }
    let mut under_load = Family::gauge("weir_under_load", "Whether a shard demands cookies.");
    let mut active = Family::gauge("weir_active_peers", "Peers at home in a shard.");
    let mut drops = Family::counter("weir_drops_total", "Packets dropped, by reason.");
    let mut packet = Family::histogram(
        "weir_packet_latency_seconds",
        "From a packet's receipt until it was sent.",
    );
    let mut handshake = Family::histogram(
        "weir_handshake_latency_seconds",
        "From our initiation to the response.",
    );
    let mut depth = Family::gauge("weir_queue_depth", "What waits in a queue.");
    let mut capacity = Family::gauge("weir_queue_capacity", "What fits into a queue.");
    for shard in &status.shards {
        let number = shard.shard.to_string();
        let own = [("shard", number.as_str())];
        under_load.add(&own, f64::from(u8::from(shard.under_load)));
        active.add(&own, shard.active_peers as f64);
        packet.add_histogram(&own, &shard.packet_latency);
        handshake.add_histogram(&own, &shard.handshake_latency);
        for (reason, count) in &shard.drops {
            drops.add(&[("shard", &number), ("reason", reason)], *count as f64);
        }
        for queue in &shard.queues {
            let labels = [("shard", number.as_str()), ("queue", queue.name.as_str())];
            depth.add(&labels, queue.depth as f64);
            capacity.add(&labels, queue.capacity as f64);
        }
    }
    families.extend([under_load, active, drops, packet, handshake, depth, capacity]);
}

fn ports(status: &Status, families: &mut Vec<Family>) {
    let mut mode = Family::gauge("weir_port_info", "A port of a shard, and the mode in force.");
    let mut rx_frames = Family::counter("weir_port_received_frames_total", "Frames received.");
    let mut rx_bytes = Family::counter("weir_port_received_bytes_total", "Bytes received.");
    let mut tx_packets = Family::counter("weir_port_sent_packets_total", "Packets sent.");
    let mut tx_bytes = Family::counter("weir_port_sent_bytes_total", "Bytes sent.");
    let mut errors = Family::counter("weir_port_errors_total", "Errors and drops of a port itself.");
    for shard in &status.shards {
        let number = shard.shard.to_string();
        for (place, port) in shard.ports.iter().enumerate() {
            let place = place.to_string();
            let own = [
                ("shard", number.as_str()),
                ("port", place.as_str()),
                ("role", port.role.as_str()),
            ];
            let queue = port.queue.as_deref().unwrap_or_default();
            mode.add(
                &[&own[..], &[("mode", port.mode.as_str()), ("queue", queue)]].concat(),
                1.0,
            );
            rx_frames.add(&own, port.rx_frames as f64);
            rx_bytes.add(&own, port.rx_bytes as f64);
            tx_packets.add(&own, port.tx_packets as f64);
            tx_bytes.add(&own, port.tx_bytes as f64);
            for (reason, count) in &port.errors {
                errors.add(&[&own[..], &[("error", reason.as_str())]].concat(), *count as f64);
            }
        }
    }
    families.extend([mode, rx_frames, rx_bytes, tx_packets, tx_bytes, errors]);
}

fn devices(status: &Status, families: &mut Vec<Family>) {
    let mut attached = Family::gauge(
        "weir_device_info",
        "A device of AF_XDP, and where the XDP program runs.",
    );
    let mut arrivals = Family::counter("weir_device_frames_total", "Frames that the XDP program judged.");
    for device in &status.devices {
        let own = [("device", device.device.as_str()), ("role", device.role.as_str())];
        attached.add(
            &[&own[..], &[("attached", device.attached.as_str())]].concat(),
            1.0,
        );
        for arrival in &device.arrivals {
            let more = [("kind", arrival.kind.as_str()), ("fate", arrival.fate.as_str())];
            arrivals.add(&[&own[..], &more[..]].concat(), arrival.frames as f64);
        }
    }
    families.extend([attached, arrivals]);
}
