//! `weir peer list`: all peers, the configuration's among them.

use crate::args::ListArgs;
use crate::change::print_json;
use crate::control::Control;
use crate::control::records::Peer;
use crate::error::Outcome;
use crate::keys::print;
use crate::term::{self, Table, Tone, bytes};
use crate::times::relative_or_never;
use jiff::Timestamp;
use std::process::ExitCode;

/// Prints the peers that are wanted.
pub fn list(control: &Control, options: &ListArgs) -> Outcome {
    let chosen = [
        ("q", &options.find),
        ("group", &options.group),
        ("state", &options.state),
        ("owner", &options.owner),
    ];
    let query: Vec<(&str, &str)> = chosen
        .iter()
        .filter_map(|(name, value)| Some((*name, value.as_deref()?)))
        .collect();
    let items = control.list("/v1/peers", &query, usize::MAX)?;
    if options.json {
        print_json(&items.into())?;
        return Ok(ExitCode::SUCCESS);
    }
    let peers: Vec<Peer> = Control::read_all(&items, "GET /v1/peers")?;
    if peers.is_empty() {
        let words = if options.chooses() {
            "no such peers"
        } else {
            "no peers; add one with: weir peer add NAME"
        };
        print(&format!("{words}\n"))?;
    } else {
        print(&table(&peers, Timestamp::now()).render(term::colours()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn table(peers: &[Peer], now: Timestamp) -> Table {
    let mut table = Table::new(&[
        "NAME",
        "STATE",
        "ENDPOINT",
        "HANDSHAKE",
        "RECEIVED",
        "SENT",
        "ALLOWED IPS",
        "OWNER",
        "PUBLIC KEY",
    ]);
    for peer in peers {
        let live = &peer.live;
        let endpoint = live.endpoint.as_ref().or(peer.endpoint.as_ref());
        let cells = [
            peer.name.clone().unwrap_or_else(|| "-".to_owned()),
            state(peer, now),
            endpoint.cloned().unwrap_or_else(|| "-".to_owned()),
            relative_or_never(live.last_handshake_at, now),
            bytes(live.rx_bytes_total),
            bytes(live.tx_bytes_total),
            peer.allowed_ips.join(" "),
            peer.owner.clone(),
            peer.public_key.clone(),
        ];
        let mut row = cells.map(|cell| (cell, Tone::Plain)).to_vec();
        row[1].1 = tone(peer, now);
        table.row(row);
    }
    table
}

/// Where the peer stands, and what is wrong with that.
fn state(peer: &Peer, now: Timestamp) -> String {
    if peer.disabled {
        return "disabled".to_owned();
    }
    if peer.expires_at.is_some_and(|end| end <= now) {
        return "expired".to_owned();
    }
    match peer.conflict.as_ref().or(peer.live.trouble.as_ref()) {
        Some(trouble) => format!("{}: {trouble}", peer.live.state),
        None => peer.live.state.clone(),
    }
}

fn tone(peer: &Peer, now: Timestamp) -> Tone {
    if peer.disabled || peer.expires_at.is_some_and(|end| end <= now) {
        return Tone::Dim;
    }
    if peer.conflict.is_some() {
        return Tone::Bad;
    }
    match peer.live.health.as_str() {
        "healthy" => Tone::Good,
        "degraded" => Tone::Bad,
        _ => Tone::Plain,
    }
}
