//! The status for people.

use crate::term::{Table, Tone, bytes, duration, paint};
use core::fmt::Write as _;
use std::time::{Duration, SystemTime};
use weir_abi::drops::Drop;
use weir_abi::status::{ArrivalStatus, Health, PeerStatus, Status};

/// The whole picture.
pub fn render(status: &Status, now: SystemTime, colours: bool) -> String {
    let mut text = head(status, colours);
    for warning in &status.warnings {
        let _ = writeln!(text, "{} {warning}", paint("warning:", Tone::Warn, colours));
    }
    for (title, table) in [
        ("shards", shards(status)),
        ("devices", devices(status)),
        ("ports", ports(status)),
        ("drops", drops(status)),
        ("access rules", rules(status)),
    ] {
        section(&mut text, title, &table, colours);
    }
    section(
        &mut text,
        &format!("peers: {}", census(status)),
        &peers(status, now),
        colours,
    );
    text
}

fn head(status: &Status, colours: bool) -> String {
    let mut text = String::new();
    let title = paint(&format!("interface {}", status.interface), Tone::Bold, colours);
    let _ = writeln!(
        text,
        "{title}  up {}, weir-dataplane {}, process {}, revision {}",
        duration(status.uptime_s),
        status.version,
        status.pid,
        status.revision.0
    );
    let key = status
        .public_key
        .map_or("none: no handshake is answered".to_owned(), |key| key.to_string());
    let mark = if status.fwmark == 0 {
        String::new()
    } else {
        format!(", mark {:#x}", status.fwmark)
    };
    let handshakes: u64 = status.shards.iter().map(|s| s.handshakes).sum();
    let cookies: u64 = status.shards.iter().map(|s| s.cookie_replies).sum();
    for (name, value) in [
        ("public key", key),
        ("port", format!("{}/udp{mark}", status.listen_port)),
        ("mtu", status.mtu.to_string()),
        ("aead", aead(status)),
        ("steering", status.steering.clone()),
        (
            "handshakes",
            format!(
                "{handshakes} done, {} waiting, {cookies} cookie replies",
                status.handshake_queue
            ),
        ),
    ] {
        let _ = writeln!(text, "  {name:<11}{value}");
    }
    text
}

/// The back end in force, and the CPU's best where that is another.
fn aead(status: &Status) -> String {
    if status.aead == status.aead_best {
        status.aead.clone()
    } else {
        format!("{}, not this CPU's best, {}", status.aead, status.aead_best)
    }
}

fn section(text: &mut String, title: &str, table: &Table, colours: bool) {
    let rows = table.render(colours);
    if !rows.is_empty() {
        let _ = write!(text, "\n{}\n{rows}", paint(title, Tone::Bold, colours));
    }
}

fn plain(text: impl ToString) -> (String, Tone) {
    (text.to_string(), Tone::Plain)
}

fn shards(status: &Status) -> Table {
    let mut table = Table::new(&["SHARD", "PEERS", "OPENED", "SEALED", "HANDED OVER", "LOAD"]);
    for shard in &status.shards {
        let load = if shard.under_load {
            ("under load: cookies demanded".to_owned(), Tone::Warn)
        } else {
            plain("normal")
        };
        table.row(vec![
            plain(shard.shard),
            plain(shard.active_peers),
            plain(shard.opened),
            plain(shard.sealed),
            plain(shard.handed_over),
            load,
        ]);
    }
    table
}

/// What the XDP programs made of frames.
fn devices(status: &Status) -> Table {
    let mut table = Table::new(&["DEVICE", "ROLE", "PROGRAM", "TAKEN", "TO THE KERNEL", "DROPPED"]);
    for device in &status.devices {
        let of = |fate: &str| {
            let arrivals: Vec<&ArrivalStatus> = device.arrivals.iter().filter(|a| a.fate == fate).collect();
            let total: u64 = arrivals.iter().map(|arrival| arrival.frames).sum();
            let kinds: Vec<String> = arrivals
                .iter()
                .map(|arrival| format!("{} {}", arrival.kind, arrival.frames))
                .collect();
            if kinds.is_empty() {
                "0".to_owned()
            } else {
                format!("{total} ({})", kinds.join(", "))
            }
        };
        table.row(vec![
            plain(&device.device),
            plain(&device.role),
            plain(&device.attached),
            plain(of("taken")),
            plain(of("kernel")),
            plain(of("dropped")),
        ]);
    }
    table
}

fn ports(status: &Status) -> Table {
    let mut table = Table::new(&["SHARD", "PORT", "MODE", "RECEIVED", "SENT", "ERRORS"]);
    for (shard, port) in status
        .shards
        .iter()
        .flat_map(|s| s.ports.iter().map(move |p| (s.shard, p)))
    {
        let errors: Vec<String> = port
            .errors
            .iter()
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        let errors = if errors.is_empty() {
            plain("none")
        } else {
            (errors.join(", "), Tone::Warn)
        };
        table.row(vec![
            plain(shard),
            plain(match &port.queue {
                Some(queue) => format!("{}, {queue}", port.role),
                None => port.role.clone(),
            }),
            plain(&port.mode),
            plain(format!("{} frames, {}", port.rx_frames, bytes(port.rx_bytes))),
            plain(format!("{} packets, {}", port.tx_packets, bytes(port.tx_bytes))),
            errors,
        ]);
    }
    table
}

/// Every reason that has a count, over all shards, the most frequent first.
fn drops(status: &Status) -> Table {
    let mut table = Table::new(&["DROPS", "REASON", "MEANING"]);
    for (name, count) in super::json::drops(status) {
        let help = Drop::ALL
            .iter()
            .find(|d| d.name() == name)
            .map_or("", |d| d.help());
        table.row(vec![plain(count), plain(name), (help.to_owned(), Tone::Dim)]);
    }
    table
}

/// Every access rule, in the order in which they are judged.
fn rules(status: &Status) -> Table {
    let mut table = Table::new(&["RULE", "NAME", "ACTION", "PACKETS"]);
    for (place, rule) in status.rules.iter().enumerate() {
        table.row(vec![
            plain(place + 1),
            plain(rule.rule.name.as_deref().unwrap_or("-")),
            plain(rule.rule.action.name()),
            plain(rule.packets),
        ]);
    }
    table
}

fn census(status: &Status) -> String {
    let count = |health| status.peers.iter().filter(|p| p.health == health).count();
    let parts: Vec<String> = [Health::Healthy, Health::Idle, Health::Degraded]
        .into_iter()
        .map(|health| (health, count(health)))
        .filter(|(_, count)| *count > 0)
        .map(|(health, count)| format!("{count} {}", health.name()))
        .collect();
    if parts.is_empty() {
        "none".to_owned()
    } else {
        parts.join(", ")
    }
}

fn peers(status: &Status, now: SystemTime) -> Table {
    let mut table = Table::new(&[
        "PEER",
        "HEALTH",
        "ENDPOINT",
        "HANDSHAKE",
        "RECEIVED",
        "SENT",
        "ALLOWED IPS",
    ]);
    for peer in &status.peers {
        let tone = match peer.health {
            Health::Healthy => Tone::Good,
            Health::Idle => Tone::Plain,
            Health::Degraded => Tone::Bad,
        };
        let health = match &peer.trouble {
            Some(trouble) => format!("{}: {trouble}", peer.health.name()),
            None => peer.health.name().to_owned(),
        };
        let allowed: Vec<String> = peer.allowed_ips.iter().map(ToString::to_string).collect();
        table.row(vec![
            plain(peer.name.clone().unwrap_or_else(|| peer.public_key.to_string())),
            (health, tone),
            plain(endpoint(peer)),
            plain(handshake(peer, now)),
            plain(bytes(peer.rx_bytes)),
            plain(bytes(peer.tx_bytes)),
            plain(allowed.join(" ")),
        ]);
    }
    table
}

fn endpoint(peer: &PeerStatus) -> String {
    let configured = || peer.configured_endpoint.as_ref().map(ToString::to_string);
    peer.endpoint
        .map(|e| e.to_string())
        .or_else(configured)
        .unwrap_or_else(|| "-".to_owned())
}

fn handshake(peer: &PeerStatus, now: SystemTime) -> String {
    if peer.last_handshake_unix_ns == 0 {
        return "never".to_owned();
    }
    let at = SystemTime::UNIX_EPOCH + Duration::from_nanos(peer.last_handshake_unix_ns);
    match now.duration_since(at) {
        Ok(ago) => format!("{} ago", duration(ago.as_secs())),
        Err(_) => "in the future: the clock was set back".to_owned(),
    }
}
