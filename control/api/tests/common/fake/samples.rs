//! One of each thing that the backend in memory tells of.

use jiff::Timestamp;
use std::collections::BTreeMap;
use weir_api::types::*;

/// The key of the peer that is there.
pub const KEY: &str = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";

/// What no answer but the one that creates or rotates it may hold.
pub const SECRET: &str = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I=";

/// The password of every user.
pub const PASSWORD: &str = "correct horse battery";

pub(super) fn peer(public_key: Key, name: &str, now: Timestamp) -> Peer {
    Peer {
        public_key,
        name: Some(name.to_owned()),
        groups: vec!["staff".to_owned()],
        allowed_ips: vec!["10.0.0.2/32".parse().unwrap()],
        endpoint: None,
        persistent_keepalive: Some(25),
        has_preshared_key: true,
        disabled: false,
        expires_at: None,
        notes: String::new(),
        owner: Owner::Control,
        created_at: Some(now),
        updated_at: Some(now),
        conflict: None,
        live: Live {
            state: PeerState::Connected,
            state_since: Some(now),
            state_reason: "a handshake completed".to_owned(),
            health: Health::Healthy,
            trouble: None,
            endpoint: Some("192.0.2.1:51820".to_owned()),
            last_handshake_at: Some(now),
            rx_bytes: 1,
            tx_bytes: 2,
            rx_bytes_total: 3,
            tx_bytes_total: 4,
            latency_ms: Some(1.5),
            handshake_ms: None,
            shard: Some(0),
        },
    }
}

pub(super) fn rule(input: RuleInput) -> Rule {
    Rule {
        name: input.name.map(|name| name.to_string()),
        action: input.action,
        from: input.from,
        to: input.to,
        protocol: input.protocol,
        ports: input.ports,
        log: input.log,
        owner: Owner::Control,
        packets: Some(0),
    }
}

pub(super) fn status() -> Status {
    Status {
        control: ControlStatus {
            version: "0.1.0".to_owned(),
            started_at: Timestamp::UNIX_EPOCH,
            store: StoreState::Ok,
            store_trouble: None,
            pending: 0,
        },
        dataplane: None,
        peers: PeerCounts::default(),
        alerts: 1,
    }
}

pub(super) fn topology() -> Topology {
    let node = TopologyNode {
        id: "gateway".to_owned(),
        kind: NodeKind::Gateway,
        label: "wg0".to_owned(),
        public_key: None,
        state: None,
        groups: vec![],
    };
    Topology {
        nodes: vec![node],
        links: vec![],
        left_out: 0,
    }
}

pub(super) fn alert() -> Alert {
    Alert {
        id: "peer-gone".to_owned(),
        severity: Severity::Warning,
        kind: "peer_gone".to_owned(),
        since: Timestamp::UNIX_EPOCH,
        summary: "laptop is gone".to_owned(),
        detail: String::new(),
        remedy: String::new(),
        public_key: None,
    }
}

pub(super) fn diagnosis(probe: bool) -> Diagnosis {
    let finding = Finding {
        code: "unknown_peer".to_owned(),
        certainty: Certainty::Certain,
        summary: "another key calls".to_owned(),
        detail: String::new(),
        remedy: "compare the keys".to_owned(),
    };
    let probe = probe.then_some(Probe {
        handshake: true,
        handshake_ms: Some(3.0),
        small_ms: Some(1.0),
        large_ms: None,
        large_bytes: Some(1420),
        note: None,
    });
    let state_reason = "no answer".to_owned();
    Diagnosis {
        state: PeerState::Disconnected,
        state_reason,
        findings: vec![finding],
        probe,
    }
}

pub(super) fn audit(now: Timestamp) -> Vec<AuditEntry> {
    let entry = |number| AuditEntry {
        number,
        at: now,
        actor: "user:admin".to_owned(),
        source: "192.0.2.1".to_owned(),
        action: "peer.create".to_owned(),
        target: format!("peer/{KEY}"),
        before: None,
        after: Some(serde_json::json!({ "name": "laptop" })),
        hash: "00".repeat(32),
    };
    (1..=25).map(entry).collect()
}

pub(super) fn verification(entries: u64) -> AuditVerification {
    AuditVerification {
        intact: true,
        entries,
        oldest: Some(1),
        newest: Some(entries),
        oldest_hash: None,
        newest_hash: None,
        trouble: None,
    }
}

pub(super) fn compliance(from: Timestamp, to: Timestamp) -> Compliance {
    let peer = CompliancePeer {
        public_key: KEY.parse().unwrap(),
        name: Some("laptop".to_owned()),
        handshakes: 7,
        rx_bytes: 8,
        tx_bytes: 9,
        first_seen: Some(from),
        last_seen: None,
    };
    Compliance {
        from,
        to,
        made_at: to,
        audit_intact: true,
        peers: vec![peer],
        changes: BTreeMap::from([("user:admin".to_owned(), 1)]),
        refused_logins: BTreeMap::new(),
        denied: BTreeMap::new(),
    }
}
