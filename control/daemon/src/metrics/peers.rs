//! The peers' metrics: under the names of other exporters, and Weir's own.

use super::{Family, PEERS_MAX, seconds};
use crate::learnt::Learnt;
use crate::sampler::Totals;
use crate::world::Published;
use std::sync::Arc;
use weir_abi::key::PublicKey;
use weir_abi::peer_state::PeerState;
use weir_abi::status::{Health, PeerStatus, Status};
use weir_model::record::MetricsNames;

/// One peer, with what labels say of it.
struct Labelled<'a> {
    status: &'a PeerStatus,
    key: String,
    name: String,
    allowed_ips: String,
    endpoint: String,
}

/// Adds them.
pub fn families(
    published: &Published,
    learnt: &Learnt,
    status: &Status,
    totals: &Totals,
    families: &mut Vec<Family>,
) {
    let mut all: Vec<(&PublicKey, &Arc<PeerStatus>)> = learnt.peers.iter().collect();
    // The same ones each time, so that no series comes and goes.
    all.sort_unstable_by_key(|(key, _)| **key);
    let rest = all.split_off(all.len().min(PEERS_MAX));
    let peers: Vec<Labelled<'_>> = all.iter().map(|(_, peer)| labelled(published, peer)).collect();
    match published.state.settings.metrics_names {
        MetricsNames::Dashboard12177 => dashboard(status, &peers, families),
        MetricsNames::MindFlavor => mindflavor(status, &peers, families),
    }
    own(&peers, totals, learnt, families);
    states(learnt, families);
    left_out(&rest, families);
}

fn labelled<'a>(published: &Published, peer: &'a PeerStatus) -> Labelled<'a> {
    let stored = published
        .state
        .peer(&peer.public_key)
        .and_then(|record| record.name.clone());
    let prefixes: Vec<String> = peer.allowed_ips.iter().map(ToString::to_string).collect();
    Labelled {
        status: peer,
        key: peer.public_key.to_string(),
        name: stored.or_else(|| peer.name.clone()).unwrap_or_default(),
        allowed_ips: prefixes.join(","),
        endpoint: peer
            .endpoint
            .map(|endpoint| endpoint.to_string())
            .unwrap_or_default(),
    }
}

/// The names of mdlayher's exporter, for which dashboard 12177 is made.
fn dashboard(status: &Status, peers: &[Labelled<'_>], families: &mut Vec<Family>) {
    let device = status.interface.as_str();
    let key = status.public_key.map(|key| key.to_string()).unwrap_or_default();
    families.push(
        Family::gauge("wireguard_device_info", "The interface.")
            .with(&[("device", device), ("public_key", &key)], 1.0),
    );
    let mut info = Family::gauge("wireguard_peer_info", "A peer.");
    let mut handshake = Family::gauge(
        "wireguard_peer_last_handshake_seconds",
        "When the last handshake completed, since 1970.",
    );
    let mut received = Family::counter(
        "wireguard_peer_receive_bytes_total",
        "Bytes received from a peer.",
    );
    let mut sent = Family::counter("wireguard_peer_transmit_bytes_total", "Bytes sent to a peer.");
    for peer in peers {
        info.add(
            &[
                ("allowed_ips", peer.allowed_ips.as_str()),
                ("device", device),
                ("endpoint", peer.endpoint.as_str()),
                ("name", peer.name.as_str()),
                ("public_key", peer.key.as_str()),
            ],
            1.0,
        );
        let labels = [("device", device), ("public_key", peer.key.as_str())];
        handshake.add(&labels, seconds(peer.status.last_handshake_unix_ns));
        received.add(&labels, peer.status.rx_bytes as f64);
        sent.add(&labels, peer.status.tx_bytes as f64);
    }
    families.extend([info, handshake, received, sent]);
}

/// The names of MindFlavor's exporter.
fn mindflavor(status: &Status, peers: &[Labelled<'_>], families: &mut Vec<Family>) {
    let mut sent = Family::counter("wireguard_sent_bytes_total", "Bytes sent to the peer");
    let mut received = Family::counter("wireguard_received_bytes_total", "Bytes received from the peer");
    let mut handshake = Family::gauge(
        "wireguard_latest_handshake_seconds",
        "When the last handshake completed, since 1970",
    );
    for peer in peers {
        let labels = [
            ("interface", status.interface.as_str()),
            ("public_key", peer.key.as_str()),
            ("allowed_ips", peer.allowed_ips.as_str()),
            ("friendly_name", peer.name.as_str()),
        ];
        sent.add(&labels, peer.status.tx_bytes as f64);
        received.add(&labels, peer.status.rx_bytes as f64);
        handshake.add(&labels, seconds(peer.status.last_handshake_unix_ns));
    }
    families.extend([sent, received, handshake]);
}

fn own(peers: &[Labelled<'_>], totals: &Totals, learnt: &Learnt, families: &mut Vec<Family>) {
    let mut connected = Family::gauge("weir_peer_connected", "Whether a peer has a session.");
    let mut degraded = Family::gauge("weir_peer_degraded", "Whether something is wrong with a peer.");
    let mut latency = Family::gauge(
        "weir_peer_latency_seconds",
        "The last round trip that was measured.",
    );
    let mut handshake = Family::gauge(
        "weir_peer_handshake_seconds",
        "How long the last handshake took that we began.",
    );
    let mut received = Family::counter(
        "weir_peer_received_bytes_total",
        "Bytes received since it is known.",
    );
    let mut sent = Family::counter("weir_peer_sent_bytes_total", "Bytes sent since it is known.");
    for peer in peers {
        let labels = [("public_key", peer.key.as_str()), ("name", peer.name.as_str())];
        let status = peer.status;
        let has_session = matches!(status.state, PeerState::Connected | PeerState::Rekeying);
        connected.add(&labels, f64::from(u8::from(has_session)));
        degraded.add(&labels, f64::from(u8::from(status.health == Health::Degraded)));
        if let Some(us) = status.latency_us {
            latency.add(&labels, us as f64 / 1e6);
        }
        if let Some(us) = status.handshake_us {
            handshake.add(&labels, us as f64 / 1e6);
        }
        let (rx, tx) = totals.of(&status.public_key, learnt.peers.get(&status.public_key));
        received.add(&labels, rx as f64);
        sent.add(&labels, tx as f64);
    }
    families.extend([connected, degraded, latency, handshake, received, sent]);
}

fn states(learnt: &Learnt, families: &mut Vec<Family>) {
    let mut family = Family::gauge("weir_peers", "Peers by state.");
    for state in PeerState::ALL {
        let count = learnt.peers.values().filter(|peer| peer.state == state).count();
        family.add(&[("state", state.name())], count as f64);
    }
    families.push(family);
}

/// The peers beyond the limit, in sum.
fn left_out(rest: &[(&PublicKey, &Arc<PeerStatus>)], families: &mut Vec<Family>) {
    let sum = |count: fn(&PeerStatus) -> u64| rest.iter().map(|(_, peer)| count(peer)).sum::<u64>() as f64;
    families.extend([
        Family::gauge(
            "weir_peers_left_out",
            "Peers without series of their own, as there are too many.",
        )
        .with(&[], rest.len() as f64),
        Family::gauge("weir_peers_left_out_received_bytes", "Bytes received from them.")
            .with(&[], sum(|peer| peer.rx_bytes)),
        Family::gauge("weir_peers_left_out_sent_bytes", "Bytes sent to them.")
            .with(&[], sum(|peer| peer.tx_bytes)),
    ]);
}
