//! The audit log and the compliance report.

use super::text::Key;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A page of the audit log, the newest entry first.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct AuditPage {
    /// The entries.
    pub items: Vec<AuditEntry>,
    /// Where the next page begins; null on the last.
    pub next_cursor: Option<String>,
    /// The hash of the oldest entry that is kept.
    pub oldest_hash: Option<String>,
    /// The hash of the newest entry.
    pub newest_hash: Option<String>,
}

/// One entry of the audit log.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct AuditEntry {
    /// Its number, counted up by one.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// Who: such as `user:NAME`, `token:ID`, `uid:UID` on the Unix socket, `wg`, or `weir` itself.
    pub actor: String,
    /// From where: an address, `unix`, or empty.
    pub source: String,
    /// What was done, such as `peer.created` or `login.refused`.
    pub action: String,
    /// To what, such as `peer/KEY`, `user/NAME`, `token/ID`, `rules`.
    pub target: String,
    /// What it was; secrets are replaced by a fingerprint.
    pub before: Option<serde_json::Value>,
    /// What it became; secrets are replaced by a fingerprint.
    pub after: Option<serde_json::Value>,
    /// Over this entry and the hash of the one before, in hexadecimal.
    pub hash: String,
}

/// Whether the audit log is whole.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct AuditVerification {
    /// Whether each entry is as it was written, and none is missing.
    pub intact: bool,
    /// Entries that were read.
    pub entries: u64,
    /// The number of the oldest entry that is kept.
    pub oldest: Option<u64>,
    /// The number of the newest entry.
    pub newest: Option<u64>,
    /// The hash of the oldest entry that is kept.
    pub oldest_hash: Option<String>,
    /// The hash of the newest entry.
    pub newest_hash: Option<String>,
    /// What is wrong, and at which entry.
    pub trouble: Option<String>,
}

/// What happened in a period.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Compliance {
    /// The period's beginning.
    pub from: Timestamp,
    /// The period's end.
    pub to: Timestamp,
    /// When the report was made.
    pub made_at: Timestamp,
    /// Whether the audit log that it is made of is whole.
    pub audit_intact: bool,
    /// Peers that were declared in the period.
    pub peers: Vec<CompliancePeer>,
    /// Changes by actor.
    pub changes: BTreeMap<String, u64>,
    /// Refused logins by source.
    pub refused_logins: BTreeMap<String, u64>,
    /// Packets denied by access rules, by rule.
    pub denied: BTreeMap<String, u64>,
}

/// One peer in a period.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct CompliancePeer {
    /// Which.
    pub public_key: Key,
    /// Its name.
    pub name: Option<String>,
    /// Handshakes completed.
    pub handshakes: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// When it was heard first in the period.
    pub first_seen: Option<Timestamp>,
    /// When it was heard last in the period.
    pub last_seen: Option<Timestamp>,
}
