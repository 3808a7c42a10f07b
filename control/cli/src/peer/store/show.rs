//! `weir peer show`: one peer with all that is known of it.

use crate::args::OneArgs;
use crate::change::print_json;
use crate::control::Control;
use crate::control::records::Peer;
use crate::error::Outcome;
use crate::keys::print;
use crate::term::{bytes, printable};
use crate::times::{relative, relative_or_never, to_the_second};
use core::fmt::Write as _;
use jiff::Timestamp;
use std::process::ExitCode;

/// Prints the peer.
pub fn show(control: &Control, one: &OneArgs) -> Outcome {
    let (peer, value) = super::find(control, &one.peer)?;
    if one.json {
        print_json(&value)?;
    } else {
        print(&text(&peer, Timestamp::now()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn text(peer: &Peer, now: Timestamp) -> String {
    let live = &peer.live;
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let moment = |time: Option<Timestamp>| {
        time.map(|time| format!("{} ({})", to_the_second(time), relative(time, now)))
    };
    let milliseconds = |time: Option<f64>| time.map(|time| format!("{time:.1} ms"));
    let state = match live.state_since {
        Some(since) => format!(
            "{}, since {}: {}",
            live.state,
            relative(since, now),
            live.state_reason
        ),
        None => format!("{}: {}", live.state, live.state_reason),
    };
    let owner = match peer.owner.as_str() {
        "file" => "weir.toml, read-only here".to_owned(),
        owner => owner.to_owned(),
    };
    let keepalive = peer.persistent_keepalive.map(|seconds| format!("{seconds} s"));
    let lines = [
        ("public key", Some(peer.public_key.clone())),
        ("owner", Some(owner)),
        ("conflict", peer.conflict.clone()),
        ("state", Some(state)),
        ("trouble", live.trouble.clone()),
        (
            "disabled",
            peer.disabled.then(|| "yes: it is let in no more".to_owned()),
        ),
        ("expires", moment(peer.expires_at)),
        (
            "groups",
            Some(peer.groups.join(", ")).filter(|groups| !groups.is_empty()),
        ),
        ("allowed IPs", Some(peer.allowed_ips.join(", "))),
        ("endpoint", Some(or_dash(&live.endpoint))),
        ("configured", peer.endpoint.clone()),
        ("keepalive", keepalive),
        (
            "preshared key",
            Some(if peer.has_preshared_key { "yes" } else { "no" }.to_owned()),
        ),
        ("handshake", Some(relative_or_never(live.last_handshake_at, now))),
        ("it took", milliseconds(live.handshake_ms)),
        ("latency", milliseconds(live.latency_ms)),
        ("received", Some(volume(live.rx_bytes_total, live.rx_bytes))),
        ("sent", Some(volume(live.tx_bytes_total, live.tx_bytes))),
        ("made", moment(peer.created_at)),
        ("changed", moment(peer.updated_at)),
        (
            "notes",
            Some(peer.notes.replace('\n', " / ")).filter(|notes| !notes.is_empty()),
        ),
    ];
    let mut text = format!("peer {}\n", printable(peer.called()));
    for (name, value) in lines {
        if let Some(value) = value {
            let _ = writeln!(text, "  {name:<14}{}", printable(&value));
        }
    }
    text
}

fn volume(total: u64, since_start: u64) -> String {
    format!(
        "{}, {} since the data plane started",
        bytes(total),
        bytes(since_start)
    )
}
