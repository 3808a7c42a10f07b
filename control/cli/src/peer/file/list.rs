//! `weir peer list`: what the configuration declares, whether or not a gateway runs.

use crate::error::Outcome;
use crate::files;
use crate::keys::print;
use crate::term::{self, Table, Tone};
use serde_json::{Value, json};
use std::path::Path;
use std::process::ExitCode;
use weir_abi::desired::Peer;

/// Prints the peers.
pub fn list(config: &Path, as_json: bool) -> Outcome {
    let loaded = files::load(config)?;
    let peers = &loaded.config.peers;
    if as_json {
        let all: Vec<Value> = peers.iter().map(object).collect();
        print(&format!("{:#}\n", Value::Array(all)))?;
    } else if peers.is_empty() {
        print("no peers; add one with: weir peer add NAME\n")?;
    } else {
        print(&table(peers).render(term::colours()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn object(peer: &Peer) -> Value {
    json!({
        "name": peer.name,
        "public_key": peer.public_key.to_string(),
        "has_preshared_key": peer.preshared_key.is_some(),
        "endpoint": peer.endpoint.as_ref().map(ToString::to_string),
        "allowed_ips": peer.allowed_ips.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "persistent_keepalive": peer.persistent_keepalive,
    })
}

fn table(peers: &[Peer]) -> Table {
    let mut table = Table::new(&["NAME", "PUBLIC KEY", "PSK", "ENDPOINT", "ALLOWED IPS"]);
    for peer in peers {
        let allowed: Vec<String> = peer.allowed_ips.iter().map(ToString::to_string).collect();
        let cells = [
            peer.name.clone().unwrap_or_else(|| "-".to_owned()),
            peer.public_key.to_string(),
            if peer.preshared_key.is_some() { "yes" } else { "no" }.to_owned(),
            peer.endpoint.as_ref().map_or("-".to_owned(), ToString::to_string),
            allowed.join(" "),
        ];
        table.row(cells.map(|cell| (cell, Tone::Plain)).to_vec());
    }
    table
}
