//! What the API answers, as far as people are shown it. Programs are shown the answer itself.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// A page of a list, or a whole one.
#[derive(Deserialize)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next begins.
    #[serde(default)]
    pub next_cursor: Option<String>,
}

/// A peer.
#[derive(Deserialize)]
pub struct Peer {
    pub public_key: String,
    pub name: Option<String>,
    pub groups: Vec<String>,
    pub allowed_ips: Vec<String>,
    pub endpoint: Option<String>,
    pub persistent_keepalive: Option<u16>,
    pub has_preshared_key: bool,
    pub disabled: bool,
    pub expires_at: Option<Timestamp>,
    pub notes: String,
    pub owner: String,
    pub created_at: Option<Timestamp>,
    pub updated_at: Option<Timestamp>,
    pub conflict: Option<String>,
    pub live: Live,
}

impl Peer {
    /// Its name, or its key where it has none.
    pub fn called(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.public_key)
    }
}

/// How a peer is now.
#[derive(Deserialize)]
pub struct Live {
    pub state: String,
    pub state_since: Option<Timestamp>,
    pub state_reason: String,
    pub health: String,
    pub trouble: Option<String>,
    pub endpoint: Option<String>,
    pub last_handshake_at: Option<Timestamp>,
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    pub rx_bytes_total: u64,
    pub tx_bytes_total: u64,
    pub latency_ms: Option<f64>,
    pub handshake_ms: Option<f64>,
}

/// A peer that was made, and its client's configuration, which nobody else has.
#[derive(Deserialize)]
pub struct PeerCreated {
    pub peer: Peer,
    pub config: Option<String>,
}

/// Why a peer does not connect.
#[derive(Deserialize)]
pub struct Diagnosis {
    pub state: String,
    pub state_reason: String,
    pub findings: Vec<Finding>,
    pub probe: Option<Probe>,
}

/// One thing that was found.
#[derive(Deserialize)]
pub struct Finding {
    pub certainty: String,
    pub summary: String,
    pub detail: String,
    pub remedy: String,
}

/// What a probe measured.
#[derive(Deserialize)]
pub struct Probe {
    pub handshake: bool,
    pub handshake_ms: Option<f64>,
    pub small_ms: Option<f64>,
    pub large_ms: Option<f64>,
    pub large_bytes: Option<u32>,
    pub note: Option<String>,
}

/// An access rule.
#[derive(Deserialize)]
pub struct Rule {
    pub name: Option<String>,
    pub action: String,
    pub from: Vec<String>,
    pub to: Vec<String>,
    /// A name or a number.
    pub protocol: Option<Value>,
    pub ports: Vec<String>,
    pub log: bool,
    pub owner: String,
    pub packets: Option<u64>,
}

/// How the gateway is.
#[derive(Deserialize)]
pub struct Status {
    pub control: ControlStatus,
    pub dataplane: Option<DataPlane>,
}

/// The control process.
#[derive(Deserialize)]
pub struct ControlStatus {
    pub version: String,
    pub started_at: Timestamp,
    pub store: String,
    pub store_trouble: Option<String>,
    pub pending: u64,
}

/// The data plane that control speaks to.
#[derive(Deserialize)]
pub struct DataPlane {
    pub interface: String,
}

/// One thing that is wrong.
#[derive(Deserialize)]
pub struct Alert {
    pub severity: String,
    pub since: Timestamp,
    pub summary: String,
    pub remedy: String,
}

/// One entry of the audit log.
#[derive(Deserialize)]
pub struct AuditEntry {
    pub number: u64,
    pub at: Timestamp,
    pub actor: String,
    pub source: String,
    pub action: String,
    pub target: String,
}

/// Whether the audit log is whole.
#[derive(Deserialize)]
pub struct AuditVerification {
    pub intact: bool,
    pub entries: u64,
    pub newest_hash: Option<String>,
    pub trouble: Option<String>,
}

/// A token.
#[derive(Deserialize)]
pub struct Token {
    pub id: String,
    pub name: String,
    pub role: String,
    pub scopes: Vec<String>,
    pub created_by: String,
    pub expires_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
}

/// A token that was made.
#[derive(Deserialize)]
pub struct TokenCreated {
    pub token: String,
    pub id: String,
    pub expires_at: Option<Timestamp>,
}

/// Somebody who may log in.
#[derive(Deserialize)]
pub struct User {
    pub name: String,
    pub role: String,
    pub disabled: bool,
    pub must_change_password: bool,
    pub last_login_at: Option<Timestamp>,
}

/// What a change would do.
#[derive(Deserialize)]
pub struct Diff {
    pub diff: Vec<DiffEntry>,
}

/// One difference.
#[derive(Deserialize)]
pub struct DiffEntry {
    pub op: String,
    pub path: String,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

/// A change that reverts by itself unless it is confirmed.
#[derive(Deserialize)]
pub struct PendingChange {
    pub id: String,
    pub made_by: String,
    pub reverts_at: Timestamp,
    pub diff: Vec<DiffEntry>,
}

/// What a restored backup held.
#[derive(Deserialize)]
pub struct Restored {
    pub peers: u64,
    pub rules: u64,
    pub users: u64,
    pub tokens: u64,
    pub made_at: Timestamp,
}
