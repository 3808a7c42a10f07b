//! What the data plane tells of itself: shards' snapshots and desired state put together.

use crate::about::About;
use crate::clock;
use crate::dataplane::DataPlane;
use crate::refused::{self, Refused};
use crate::xdp::Card;
use core::time::Duration;
use std::collections::HashMap;
use std::sync::Arc;
use weir_abi::drops::Drop;
use weir_abi::key::PublicKey;
use weir_abi::peer_state::{PeerState, StateReason};
use weir_abi::refused::RefusedHandshake;
use weir_abi::status::{
    ArrivalStatus, DeviceStatus, Health, PeerStatus, PortStatus, QueueStatus, RuleStatus, ShardStatus, Status,
};
use weir_engine::{LifeSnapshot, PeerFacts, PeerId, PeerSnapshot, QueueSnapshot, Snapshot, Wanted};
use weir_frame::{PortCounters, PortMode, PortRole};
use weir_noise::Instant;
use weir_noise::limits::{REJECT_AFTER_TIME, REKEY_TIMEOUT};
use weir_wire::arrival::Verdict;
use weir_xdp_prog::AttachMode;

/// Describes the data plane; `warnings` are those of the host.
pub fn status(plane: &DataPlane, about: &About, peers: bool, mut warnings: Vec<String>) -> Status {
    let configured = about.configured();
    let snapshots = plane.snapshots(if peers { &Wanted::All } else { &Wanted::None });
    let tables = plane.tables();
    let (listen_port, fwmark) = plane.port_and_mark();
    warnings.extend_from_slice(plane.aead().warnings());
    warnings.extend_from_slice(weir_crypto::blake2s::warnings());
    warnings.extend(plane.cards().iter().flat_map(|card| card.notes()));
    let steering = plane.with_udp(|udp| {
        if let Some(why) = udp.ipv6_missing() {
            warnings.push(format!("no IPv6 outside: {why}"));
        }
        let report = udp.steering();
        warnings.extend(report.refused.iter().map(ToString::to_string));
        report.in_force.name().to_owned()
    });
    Status {
        interface: plane.interface(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        boot_id: about.boot_id(),
        uptime_s: about.uptime_s(),
        config_path: about.config_path(),
        revision: tables.revision,
        public_key: tables.identity.as_ref().map(|identity| *identity.public()),
        listen_port,
        fwmark,
        mtu: tables.mtu.into(),
        addresses: configured.addresses,
        client_endpoint: configured.client_endpoint,
        dns: configured.dns,
        keepalive_s: configured.keepalive_s,
        forwarding: configured.forwarding,
        nat: configured.nat,
        aead: plane.aead().aead().name().to_owned(),
        aead_best: plane.aead().best().to_owned(),
        steering,
        warnings,
        handshake_queue: plane.handshake_queue(),
        peers: if peers {
            peer_statuses(&tables, &snapshots)
        } else {
            Vec::new()
        },
        rules: rule_statuses(&tables, &snapshots),
        refused: refused::latest(refused::of(&snapshots)),
        devices: plane.cards().iter().map(|card| device_status(card)).collect(),
        shards: snapshots
            .iter()
            .map(|snapshot| shard_status(snapshot, plane.cards()))
            .collect(),
    }
}

/// These peers' statuses, in their order; those that are not there are left out.
pub fn peers(plane: &DataPlane, keys: &[PublicKey]) -> Vec<PeerStatus> {
    let tables = plane.tables();
    let facts: Vec<_> = keys.iter().filter_map(|key| tables.peer_by_key(key)).collect();
    let wanted = Wanted::These(facts.iter().map(|facts| facts.id).collect());
    let snapshots = plane.snapshots(&wanted);
    let active = by_id(&snapshots);
    let refused = refused::by_key(refused::of(&snapshots));
    let now = Instant::from_nanos(clock::boot_nanos());
    facts
        .into_iter()
        .map(|facts| peer_status(facts, active.get(&facts.id).copied(), &refused, now))
        .collect()
}

fn rule_statuses(tables: &weir_engine::Tables, snapshots: &[Snapshot]) -> Vec<RuleStatus> {
    let access = &tables.access;
    let current = |snapshot: &&Snapshot| snapshot.rules.0 == access.serial();
    let decided = |number: usize| {
        let shards = snapshots.iter().filter(current);
        shards.filter_map(|snapshot| snapshot.rules.1.get(number)).sum()
    };
    let rules = access.declared();
    let numbered = rules.all().iter().enumerate();
    numbered
        .filter_map(|(number, rule)| {
            Some(RuleStatus {
                rule: rule.clone(),
                origin: rules.owner(number)?.0,
                packets: decided(number),
            })
        })
        .collect()
}

/// Peers by number, as the shards see them, each with its shard.
pub fn by_id(snapshots: &[Snapshot]) -> HashMap<PeerId, (u16, &PeerSnapshot)> {
    let all = snapshots
        .iter()
        .flat_map(|shard| shard.peers.iter().map(|peer| (shard.shard, peer)));
    all.map(|(shard, peer)| (peer.id, (shard, peer))).collect()
}

fn peer_statuses(tables: &weir_engine::Tables, snapshots: &[Snapshot]) -> Vec<PeerStatus> {
    let active = by_id(snapshots);
    let refused = refused::by_key(refused::of(snapshots));
    let now = Instant::from_nanos(clock::boot_nanos());
    let mut facts: Vec<&PeerFacts> = tables.peers.iter().map(|(_, facts)| &**facts).collect();
    facts.sort_unstable_by_key(|facts| facts.id);
    facts
        .into_iter()
        .map(|facts| peer_status(facts, active.get(&facts.id).copied(), &refused, now))
        .collect()
}

fn peer_status(
    facts: &PeerFacts,
    active: Option<(u16, &PeerSnapshot)>,
    refused: &Refused,
    now: Instant,
) -> PeerStatus {
    let snapshot = active.map(|(_, snapshot)| snapshot);
    let (health, trouble) = health(facts, snapshot, now);
    let life = snapshot.map(|peer| peer.life.clone()).unwrap_or_default();
    PeerStatus {
        public_key: facts.public_key,
        name: facts.name.as_deref().map(str::to_owned),
        groups: facts.groups.clone(),
        origin: facts.origin,
        has_preshared_key: !facts.preshared_key.is_zero(),
        configured_endpoint: facts.configured_endpoint.clone(),
        endpoint: snapshot.map_or(facts.endpoint, |snapshot| snapshot.endpoint),
        allowed_ips: facts.allowed_ips.clone(),
        persistent_keepalive: facts.persistent_keepalive,
        last_handshake_unix_ns: snapshot.map_or(0, |snapshot| snapshot.last_handshake_unix_ns),
        rx_bytes: snapshot.map_or(0, |snapshot| snapshot.rx_bytes),
        tx_bytes: snapshot.map_or(0, |snapshot| snapshot.tx_bytes),
        state: life.state,
        state_since_unix_ms: life.since_unix_ms,
        state_reason: life.reason,
        handshake_us: life.handshake_us.map(u64::from),
        latency_us: life.latency_us.map(u64::from),
        initiations_received: life.initiations_received,
        responses_sent: life.responses_sent,
        unconfirmed_responses: life.unconfirmed_responses,
        last_refusal: last_refusal(facts, &life, refused),
        health,
        trouble,
        shard: active.map(|(shard, _)| shard),
    }
}

/// The last refused message in the peer's name: what its home remembers, or what any shard does that could not prove whose
/// it was.
fn last_refusal(facts: &PeerFacts, life: &LifeSnapshot, refused: &Refused) -> Option<RefusedHandshake> {
    let claimed = refused.get(&facts.public_key).copied();
    let own = life.refusal.as_deref().copied();
    own.into_iter()
        .chain(claimed)
        .max_by_key(|refused| refused.unix_ms)
}

fn health(facts: &PeerFacts, snapshot: Option<&PeerSnapshot>, now: Instant) -> (Health, Option<String>) {
    let Some(peer) = snapshot else {
        return (Health::Idle, None);
    };
    if peer.queued > 0 && peer.endpoint.is_none() {
        let name = facts.configured_endpoint.as_ref();
        let trouble = match name {
            Some(name) => format!("{name} has not been resolved to an address"),
            None => "its endpoint is not known: none is configured and it has not called in".to_owned(),
        };
        return (Health::Degraded, Some(trouble));
    }
    if let Some(trouble) = handshake_trouble(&peer.life, clock::wall_nanos() / 1_000_000) {
        return (Health::Degraded, Some(trouble));
    }
    if peer.unanswered > 1 {
        let seconds = u64::from(peer.unanswered - 1) * REKEY_TIMEOUT.as_secs();
        let at = peer
            .endpoint
            .map_or_else(String::new, |endpoint| format!(" at {endpoint}"));
        let trouble = format!(
            "{} handshake initiations{at} unanswered for about {seconds} s: it is off, unreachable, or has another key for us",
            peer.unanswered
        );
        return (Health::Degraded, Some(trouble));
    }
    let heard = peer.last_received.map(|at| now.since(at));
    let lately = heard.is_some_and(|ago: Duration| ago < REJECT_AFTER_TIME);
    if peer.has_session && lately {
        (Health::Healthy, None)
    } else {
        (Health::Idle, None)
    }
}

/// What is wrong with a peer's handshakes, where more is seen than that nothing comes. What it did last and was not well
/// is past after a session's life.
fn handshake_trouble(life: &LifeSnapshot, now_unix_ms: u64) -> Option<String> {
    if matches!(
        life.state,
        PeerState::Init | PeerState::Connected | PeerState::Rekeying
    ) {
        return None;
    }
    let life_ms = REJECT_AFTER_TIME.as_millis() as u64;
    let lately = |at_ms: u64| at_ms + life_ms > now_unix_ms;
    match life.reason {
        StateReason::WrongPresharedKey => {
            Some("its response does not open: the two sides have different preshared keys".to_owned())
        }
        StateReason::ResponseUnconfirmed if lately(life.since_unix_ms) => Some(format!(
            "{} responses to its initiations found no answer: they do not reach it, or its preshared key is another",
            life.unconfirmed_responses
        )),
        StateReason::OldTimestamp if life.refusal.as_ref().is_some_and(|last| lately(last.unix_ms)) => Some(
            "its initiations bear an old timestamp: its clock was set back, or somebody sends old ones again"
                .to_owned(),
        ),
        StateReason::NeverTried
        | StateReason::InitiationSent
        | StateReason::InitiationReceived
        | StateReason::HandshakeCompleted
        | StateReason::HeardAgain
        | StateReason::RekeyDue
        | StateReason::NoAnswer
        | StateReason::SessionExpired
        | StateReason::Removed
        | StateReason::EndpointUnknown
        | StateReason::ResponseUnconfirmed
        | StateReason::OldTimestamp => None,
    }
}

fn device_status(card: &Card) -> DeviceStatus {
    let counters = card.counters().unwrap_or_default();
    let arrivals = Verdict::ALL.iter().map(|verdict| ArrivalStatus {
        kind: verdict.name().to_owned(),
        fate: verdict.fate().to_owned(),
        frames: counters[*verdict as usize],
    });
    DeviceStatus {
        device: card.device().to_owned(),
        role: card.role().name().to_owned(),
        attached: match card.attached() {
            Some(AttachMode::Driver) => "driver".to_owned(),
            Some(AttachMode::Generic) => "generic".to_owned(),
            None => "no".to_owned(),
        },
        arrivals: arrivals.filter(|arrival| arrival.frames > 0).collect(),
    }
}

/// The queue that a shard's port works on, if it works on one.
fn queue(cards: &[Arc<Card>], shard: u16, role: PortRole, mode: PortMode) -> Option<String> {
    match mode {
        PortMode::Offload | PortMode::Plain | PortMode::Memory => return None,
        PortMode::ZeroCopy | PortMode::Driver | PortMode::Generic => {}
    }
    let card = cards.iter().find(|card| match card.role() {
        weir_config::PortRole::Wan => role == PortRole::Wan,
        weir_config::PortRole::Lan => role == PortRole::Host,
    });
    card.map(|card| format!("{} queue {shard}", card.device()))
}

fn shard_status(snapshot: &Snapshot, cards: &[Arc<Card>]) -> ShardStatus {
    let counters = &snapshot.counters;
    let drops = Drop::ALL
        .iter()
        .map(|&drop| (drop.name().to_owned(), counters.dropped(drop)));
    ShardStatus {
        shard: snapshot.shard,
        ports: snapshot
            .ports
            .iter()
            .map(|port| PortStatus {
                role: match port.role {
                    PortRole::Wan => "wan".to_owned(),
                    PortRole::Host => "host".to_owned(),
                },
                queue: queue(cards, snapshot.shard, port.role, port.mode),
                mode: port.mode.name().to_owned(),
                rx_frames: port.counters.rx_frames,
                rx_bytes: port.counters.rx_bytes,
                tx_packets: port.counters.tx_packets,
                tx_bytes: port.counters.tx_bytes,
                errors: port_errors(&port.counters),
                frames: port.frames,
                abroad: port.abroad,
                in_kernel: port.in_kernel,
            })
            .collect(),
        active_peers: snapshot.active_peers,
        under_load: snapshot.under_load,
        opened: counters.opened,
        sealed: counters.sealed,
        handed_over: counters.handed_over,
        handshakes: counters.handshakes,
        cookie_replies: counters.cookie_replies,
        drops: drops.filter(|(_, count)| *count > 0).collect(),
        burst_sizes: counters.burst_sizes,
        packet_latency: counters.packet_latency,
        handshake_latency: counters.handshake_latency,
        response_latency: counters.response_latency,
        queues: snapshot.queues.iter().map(queue_status).collect(),
    }
}

fn queue_status(queue: &QueueSnapshot) -> QueueStatus {
    QueueStatus {
        name: queue.name.to_owned(),
        depth: queue.depth,
        capacity: queue.capacity,
    }
}

fn port_errors(counters: &PortCounters) -> Vec<(String, u64)> {
    [
        ("rx_too_long", counters.rx_too_long),
        ("rx_malformed", counters.rx_malformed),
        ("rx_martian", counters.rx_martian),
        ("rx_too_big", counters.rx_too_big),
        ("rx_full", counters.rx_full),
        ("rx_errors", counters.rx_errors),
        ("tx_full", counters.tx_full),
        ("tx_too_long", counters.tx_too_long),
        ("tx_errors", counters.tx_errors),
        ("tx_source_forgotten", counters.tx_source_forgotten),
    ]
    .into_iter()
    .filter(|(_, count)| *count > 0)
    .map(|(name, count)| (name.to_owned(), count))
    .collect()
}
