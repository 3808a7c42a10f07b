//! What a peer carried over time, and why it does not connect.

use super::peer::PeerState;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How far back a history reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub enum HistoryRange {
    /// An hour.
    #[default]
    #[serde(rename = "1h")]
    Hour,
    /// A day.
    #[serde(rename = "24h")]
    Day,
    /// A week.
    #[serde(rename = "7d")]
    Week,
    /// Thirty days.
    #[serde(rename = "30d")]
    Month,
}

/// What a peer carried over time.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct History {
    /// Seconds from one point to the next.
    pub step_s: u32,
    /// `[unix_s, rx_bytes, tx_bytes, handshakes]` of each step; steps of which nothing is known are left out.
    #[schema(value_type = Vec<Vec<u64>>)]
    pub points: Vec<[u64; 4]>,
}

/// What a diagnosis is to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DiagnosisInput {
    /// Whether to begin a handshake and send probes through the tunnel, which takes up to 5 s.
    #[serde(default)]
    pub probe: bool,
}

/// Why a peer does not connect.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Diagnosis {
    /// Where it stands.
    pub state: PeerState,
    /// Why, in one line.
    pub state_reason: String,
    /// What was found, the most certain first; empty where nothing is wrong.
    pub findings: Vec<Finding>,
    /// What the probe measured, where one was asked for.
    pub probe: Option<Probe>,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Finding {
    /// A word for programs, such as `wrong_preshared_key`.
    pub code: String,
    /// How sure it is.
    pub certainty: Certainty,
    /// One line.
    pub summary: String,
    /// What was observed.
    pub detail: String,
    /// What to do.
    pub remedy: String,
}

/// How sure a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// Observed.
    Certain,
    /// Nothing else explains what was observed as well.
    Likely,
    /// One explanation of several.
    Possible,
}

/// What a probe measured.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Probe {
    /// Whether a handshake completed.
    pub handshake: bool,
    /// Its duration.
    pub handshake_ms: Option<f64>,
    /// Round trip of a small echo; null where none came back.
    pub small_ms: Option<f64>,
    /// Round trip of an echo as large as the tunnel's MTU; null where none came back.
    pub large_ms: Option<f64>,
    /// Bytes of that echo's packet.
    pub large_bytes: Option<u32>,
    /// What the probe could not do, in one line.
    pub note: Option<String>,
}
