//! Settings, backups, and changes that wait for their confirmation.

use super::object;
use super::secret::Secret;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What an administrator can set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Hours after which a session ends, however busy.
    #[schema(minimum = 1, maximum = 720)]
    pub session_hours: u16,
    /// Minutes without a request after which a session ends.
    #[schema(minimum = 5, maximum = 1440)]
    pub session_idle_minutes: u16,
    /// When alerts are raised.
    #[serde(deserialize_with = "object::one")]
    pub alerts: AlertThresholds,
    /// The names of metrics of peers.
    pub metrics_names: MetricsNames,
}

/// When alerts are raised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertThresholds {
    /// Seconds without an authenticated packet after which a connected peer counts as gone.
    #[schema(minimum = 10, maximum = 86400)]
    pub peer_gone_s: u32,
    /// Refused handshakes a minute.
    #[schema(minimum = 1, maximum = 1000000)]
    pub refused_handshakes_per_minute: u32,
    /// Cookie replies a minute.
    #[schema(minimum = 1, maximum = 1000000)]
    pub cookie_replies_per_minute: u32,
    /// Packets a minute that fail authentication.
    #[schema(minimum = 1, maximum = 1000000)]
    pub decrypt_failures_per_minute: u32,
    /// Packets dropped of a thousand received.
    #[schema(minimum = 1, maximum = 1000)]
    pub drops_per_mille: u32,
}

/// The names of metrics of peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum MetricsNames {
    /// Those of Grafana's dashboard 12177.
    #[serde(rename = "12177")]
    Dashboard12177,
    /// Those of MindFlavor's exporter.
    #[serde(rename = "mindflavor")]
    MindFlavor,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            session_hours: 12,
            session_idle_minutes: 60,
            alerts: AlertThresholds::default(),
            metrics_names: MetricsNames::Dashboard12177,
        }
    }
}

impl Default for AlertThresholds {
    fn default() -> Self {
        Self {
            peer_gone_s: 180,
            refused_handshakes_per_minute: 60,
            cookie_replies_per_minute: 600,
            decrypt_failures_per_minute: 600,
            drops_per_mille: 10,
        }
    }
}

/// Asks for a backup.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupInput {
    /// What it is encrypted with, of at least 10 characters.
    #[schema(value_type = String, format = Password, min_length = 10, max_length = 1024, write_only)]
    pub passphrase: Secret,
}

/// A backup that is to be restored.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreInput {
    /// What it was encrypted with.
    pub passphrase: Secret,
    /// The backup in base64.
    #[schema(content_encoding = "base64")]
    pub backup: String,
}

/// What a restored backup held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Restored {
    /// Peers.
    pub peers: u64,
    /// Access rules.
    pub rules: u64,
    /// Users.
    pub users: u64,
    /// Tokens.
    pub tokens: u64,
    /// When the backup was made.
    pub made_at: Timestamp,
}

/// What a change would do.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Diff {
    /// Each difference; empty where the change changes nothing.
    pub diff: Vec<DiffEntry>,
}

/// What a change made, or with `dry_run` what it would do.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum DiffOr<T> {
    /// What it made.
    Made(T),
    /// What it would do.
    Diff(Diff),
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct DiffEntry {
    /// What becomes of it.
    pub op: DiffOp,
    /// Where, such as `/peers/KEY/allowed_ips`.
    pub path: String,
    /// What it is now; a secret is shown as `"(secret)"`.
    pub before: Option<serde_json::Value>,
    /// What it would be; a secret is shown as `"(secret)"`.
    pub after: Option<serde_json::Value>,
}

/// What becomes of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DiffOp {
    /// It comes to be.
    Add,
    /// It goes.
    Remove,
    /// It changes.
    Replace,
}

/// Changes that wait for their confirmation.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Changes {
    /// The one that reverts next first.
    pub items: Vec<PendingChange>,
}

/// A change that reverts by itself unless it is confirmed.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct PendingChange {
    /// What it is confirmed by.
    pub id: String,
    /// When it was made.
    pub made_at: Timestamp,
    /// Who made it.
    pub made_by: String,
    /// When it reverts.
    pub reverts_at: Timestamp,
    /// What it did.
    pub diff: Vec<DiffEntry>,
}
