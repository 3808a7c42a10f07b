//! What an administrator sets for control itself.

use serde::{Deserialize, Serialize};

/// All settings: one record.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// Hours that a browser stays signed in.
    pub session_hours: u16,
    /// Minutes without a request after which a browser is signed out.
    pub session_idle_minutes: u16,
    /// Days that audit entries are kept; `None` is for ever.
    pub audit_days: Option<u16>,
    /// Whose names the metrics have.
    pub metrics_names: MetricsNames,
    /// When alerts are raised.
    pub alerts: AlertThresholds,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            session_hours: 12,
            session_idle_minutes: 60,
            audit_days: None,
            metrics_names: MetricsNames::default(),
            alerts: AlertThresholds::default(),
        }
    }
}

/// Whose names the metrics of peers have, so that a dashboard made for them shows Weir.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum MetricsNames {
    /// Those of Grafana's dashboard 12177.
    #[default]
    Dashboard12177,
    /// Those of MindFlavor's exporter.
    MindFlavor,
}

/// When alerts are raised.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AlertThresholds {
    /// Seconds without an authenticated packet after which a peer that had a session is gone.
    pub peer_gone_s: u32,
    /// Handshakes refused in a minute, over all sources.
    pub refused_handshakes_per_minute: u32,
    /// Cookie replies in a minute, over all shards.
    pub cookie_replies_per_minute: u32,
    /// Packets in a minute that fail authentication, over all shards.
    pub decrypt_failures_per_minute: u32,
    /// Packets dropped of a thousand received.
    pub drops_per_mille: u32,
    /// Days before their end from which on certificates, tokens and peers that expire are told.
    pub expiry_days: u16,
}

impl Default for AlertThresholds {
    fn default() -> Self {
        Self {
            // REJECT_AFTER_TIME (whitepaper section 6.1): no session outlives it without a handshake.
            peer_gone_s: 180,
            refused_handshakes_per_minute: 60,
            cookie_replies_per_minute: 600,
            decrypt_failures_per_minute: 600,
            drops_per_mille: 10,
            expiry_days: 14,
        }
    }
}
