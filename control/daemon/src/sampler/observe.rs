//! What of the observed is worth an alert.

use crate::alerts::Observed;
use crate::clock;
use crate::world::Published;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use weir_abi::peer_state::{PeerState, StateReason};
use weir_abi::status::{PeerStatus, Status};
use weir_api::types::Severity;
use weir_model::record::AlertThresholds;

/// Over which rates are taken.
const WINDOW_MS: u64 = 60_000;

/// Peers of which alerts are made one by one; of more at once, the network is the matter and not each of them.
const GONE_MAX: usize = 100;

/// Counters whose growth in a minute is watched.
#[derive(Clone, Copy, Default)]
struct Counted {
    unix_ms: u64,
    boot_id: [u8; 16],
    refused: u64,
    cookies: u64,
    undecryptable: u64,
    dropped: u64,
    received: u64,
}

/// Readings of the last minute.
#[derive(Default)]
pub struct Rates {
    readings: Vec<Counted>,
}

impl Rates {
    /// Takes an overview, and says which rates are above their thresholds.
    pub fn observe(
        &mut self,
        status: &Status,
        thresholds: &AlertThresholds,
        now: Timestamp,
    ) -> Vec<Observed> {
        let unix_ms = u64::try_from(now.as_millisecond()).unwrap_or(0);
        let current = Counted::new(status, unix_ms);
        self.readings
            .retain(|old| old.boot_id == current.boot_id && old.unix_ms + WINDOW_MS >= unix_ms);
        let first = self.readings.first().copied();
        self.readings.push(current);
        let Some(first) = first.filter(|first| first.unix_ms < unix_ms) else {
            return Vec::new();
        };
        // A window that has only begun is taken for a minute: nothing is made out of a second's burst.
        let grown = |now: u64, then: u64| now.saturating_sub(then);
        let mut observed = Vec::new();
        let mut above = |kind, count: u64, most: u32, summary: &str, remedy| {
            if count > u64::from(most) {
                observed.push(Observed {
                    id: kind_id(kind),
                    severity: Severity::Warning,
                    kind,
                    summary: summary.to_owned(),
                    detail: format!("{count} in the last minute; the threshold is {most}"),
                    remedy,
                    peer: None,
                });
            }
        };
        above(
            "handshake_failures",
            grown(current.refused, first.refused),
            thresholds.refused_handshakes_per_minute,
            "Many handshakes are refused",
            "The status lists their sources and reasons; block a source that does not stop.",
        );
        above(
            "cookie_flood",
            grown(current.cookies, first.cookies),
            thresholds.cookie_replies_per_minute,
            "A flood of handshakes is answered with cookies",
            "Sources must prove themselves now, and peers connect all the same; block the flood upstream if it lasts.",
        );
        above(
            "decrypt_failures",
            grown(current.undecryptable, first.undecryptable),
            thresholds.decrypt_failures_per_minute,
            "Many packets fail authentication",
            "Somebody forges packets, or a device on the way damages them.",
        );
        let (dropped, received) = (
            grown(current.dropped, first.dropped),
            grown(current.received, first.received),
        );
        let per_mille = (1000 * dropped).checked_div(received).unwrap_or(0);
        if dropped >= 100 && per_mille > u64::from(thresholds.drops_per_mille) {
            observed.push(Observed {
                id: kind_id("drops"),
                severity: Severity::Warning,
                kind: "drops",
                summary: "Many packets are dropped".to_owned(),
                detail: format!("{dropped} of {received} received in the last minute"),
                remedy: "The status lists drops by reason, for each shard and port.",
                peer: None,
            });
        }
        observed
    }
}

impl Counted {
    fn new(status: &Status, unix_ms: u64) -> Self {
        let mut sum = Self {
            unix_ms,
            boot_id: status.boot_id,
            ..Self::default()
        };
        sum.refused = status.refused.iter().map(|refused| refused.count).sum();
        for shard in &status.shards {
            sum.cookies += shard.cookie_replies;
            for (reason, count) in &shard.drops {
                sum.dropped += count;
                if is_decrypt_failure(reason) {
                    sum.undecryptable += count;
                }
            }
            sum.received += shard.ports.iter().map(|port| port.rx_frames).sum::<u64>();
        }
        sum
    }
}

/// Whether a drop's reason, by its name in `weir_abi::drops`, is that transport data did not authenticate.
fn is_decrypt_failure(reason: &str) -> bool {
    reason == weir_abi::drops::Drop::BadTag.name()
}

fn kind_id(kind: &str) -> String {
    format!("rate/{kind}")
}

/// Peers that went away though something was to be said to them, or that were heard of too long ago.
pub fn peers<'a>(
    peers: impl Iterator<Item = &'a Arc<PeerStatus>>,
    published: &Published,
    thresholds: &AlertThresholds,
    now: Timestamp,
) -> Vec<Observed> {
    let unix_ms = u64::try_from(now.as_millisecond()).unwrap_or(0);
    let gone_ms = u64::from(thresholds.peer_gone_s) * 1000;
    let gone = |peer: &&Arc<PeerStatus>| {
        let had_session = peer.last_handshake_unix_ns > 0;
        let lost = peer.state == PeerState::Disconnected && peer.state_reason != StateReason::SessionExpired;
        let since = unix_ms.saturating_sub(peer.state_since_unix_ms);
        // The threshold counts from the last sign of life, of which the data plane knows 20 s before it says so.
        had_session && lost && since + 20_000 >= gone_ms
    };
    let all: Vec<&Arc<PeerStatus>> = peers.filter(gone).collect();
    if all.len() > GONE_MAX {
        return vec![Observed {
            id: "gone".to_owned(),
            severity: Severity::Critical,
            kind: "peers_gone",
            summary: format!("{} peers are gone", all.len()),
            detail: "They had sessions, and do not answer any more.".to_owned(),
            remedy: "So many at once: look at the gateway's network first.",
            peer: None,
        }];
    }
    all.into_iter().map(|peer| gone_peer(peer, published)).collect()
}

fn gone_peer(peer: &PeerStatus, published: &Published) -> Observed {
    let key = peer.public_key;
    let stored = published.state.peer(&key).and_then(|record| record.name.clone());
    let name = stored
        .or_else(|| peer.name.clone())
        .unwrap_or_else(|| key.to_string());
    let since = clock::from_unix_ms(peer.state_since_unix_ms);
    let since = since.map_or_else(String::new, |at| format!(" since {at}"));
    Observed {
        id: format!("gone/{key}"),
        severity: Severity::Warning,
        kind: "peer_gone",
        summary: format!("Peer {name} is gone"),
        detail: format!("It is disconnected{since}. {}", peer.state_reason.text()),
        remedy: "Its page says why under \"why no handshake?\".",
        peer: Some(key),
    }
}

/// Tokens and peers that end soon.
pub fn expiring(published: &Published, thresholds: &AlertThresholds, now: Timestamp) -> Vec<Observed> {
    let ahead = SignedDuration::from_hours(24 * i64::from(thresholds.expiry_days));
    let until = now.checked_add(ahead).unwrap_or(Timestamp::MAX);
    let soon = |at: Option<Timestamp>| at.filter(|at| now < *at && *at <= until);
    let tokens = published
        .state
        .tokens
        .values()
        .filter_map(|token| Some((token, soon(token.expires_at)?)));
    let tokens = tokens.map(|(token, at)| Observed {
        id: format!("expiry/token/{}", token.id),
        severity: Severity::Info,
        kind: "token_expires",
        summary: format!("Token {} expires soon", token.name),
        detail: format!("It expires at {at}."),
        remedy: "Make a new one and give it to whoever uses this one.",
        peer: None,
    });
    let peers = published.state.peers.values().filter(|peer| !peer.disabled);
    let peers = peers.filter_map(|peer| Some((peer, soon(peer.expires_at)?)));
    let peers = peers.map(|(peer, at)| Observed {
        id: format!("expiry/peer/{}", peer.public_key),
        severity: Severity::Info,
        kind: "peer_expires",
        summary: format!(
            "Peer {} expires soon",
            peer.name.as_deref().unwrap_or("without a name")
        ),
        detail: format!("It expires at {at}."),
        remedy: "Give it another time to expire, if it is to stay.",
        peer: Some(peer.public_key),
    });
    tokens.chain(peers).collect()
}

/// What the data plane warns of.
pub fn warnings(status: &Status) -> Vec<Observed> {
    let shown = |warning: &String| Observed {
        id: format!("warning/{warning}"),
        severity: Severity::Info,
        kind: "data_plane_warning",
        summary: "The data plane warns".to_owned(),
        detail: warning.clone(),
        remedy: "`weir doctor` says more.",
        peer: None,
    };
    status.warnings.iter().map(shown).collect()
}

/// The data plane does not answer.
pub fn away(why: &str) -> Observed {
    Observed {
        id: "away".to_owned(),
        severity: Severity::Critical,
        kind: "data_plane_away",
        summary: "The data plane does not answer".to_owned(),
        detail: why.to_owned(),
        remedy: "Look at the log of weir-dataplane, and start it again.",
        peer: None,
    }
}

/// The store takes no changes.
pub fn store_fault(kind: &'static str, why: &str) -> Observed {
    Observed {
        id: "store".to_owned(),
        severity: Severity::Critical,
        kind,
        summary: "The store cannot be written".to_owned(),
        detail: why.to_owned(),
        remedy: "Traffic goes on, but nothing can be changed: make room on the disk, or mount it writable.",
        peer: None,
    }
}

/// The store came from a copy.
pub fn recovered(why: &str) -> Observed {
    Observed {
        id: "recovered".to_owned(),
        severity: Severity::Warning,
        kind: "store_recovered",
        summary: "The store was damaged, and the last good copy is in use".to_owned(),
        detail: why.to_owned(),
        remedy: "Compare the peers with what you expect, look at the disk, and start weir-control again.",
        peer: None,
    }
}

/// A certificate that ends soon.
pub fn certificate(ends: Timestamp) -> Observed {
    Observed {
        id: "certificate".to_owned(),
        severity: Severity::Warning,
        kind: "certificate_expires",
        summary: "The TLS certificate expires soon".to_owned(),
        detail: format!("It expires at {ends}."),
        remedy: "Put a new certificate into the same files; it is read when they change.",
        peer: None,
    }
}
