//! A token by which a program uses the API.

use core::fmt;
use core::str::FromStr;
use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::id::TokenId;
use super::secret::SecretHash;
use super::user::Role;

/// One token. Its text, shown once, is `weir_`, the identifier and 32 random bytes whose hash is kept.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// What it is known by.
    pub id: TokenId,
    /// A name for people.
    pub name: String,
    /// What its random half hashes to.
    pub hash: SecretHash,
    /// The most it may do.
    pub role: Role,
    /// What of that it may do.
    pub scopes: BTreeSet<Scope>,
    /// The user who made it; `None` where that was done on the host.
    pub made_by: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is refused; `None` is never.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to within an hour: finer would cost a write a request.
    pub last_used_at: Option<Timestamp>,
}

/// All but the hash.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("role", &self.role)
            .field("scopes", &self.scopes)
            .field("made_by", &self.made_by)
            .field("created_at", &self.created_at)
            .field("expires_at", &self.expires_at)
            .field("last_used_at", &self.last_used_at)
            .finish_non_exhaustive()
    }
}

/// One thing that a token may be allowed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Scope {
    /// Peers, groups and their history.
    PeersRead,
    /// Changing peers.
    PeersWrite,
    /// Access rules.
    RulesRead,
    /// Changing access rules.
    RulesWrite,
    /// Status, ports, topology, alerts, throughput.
    StatusRead,
    /// The stream of events.
    EventsRead,
    /// The audit log and compliance reports.
    AuditRead,
    /// Users, without anything secret.
    UsersRead,
    /// Changing users.
    UsersWrite,
    /// Making and revoking tokens.
    TokensWrite,
    /// Changing settings.
    SettingsWrite,
    /// Taking and restoring backups.
    Backup,
    /// Metrics.
    MetricsRead,
}

/// Why a text is no scope.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("\"{0}\" is no scope; expected one such as peers:read")]
pub struct ScopeError(pub String);

impl Scope {
    /// Every scope.
    pub const ALL: [Scope; 13] = [
        Scope::PeersRead,
        Scope::PeersWrite,
        Scope::RulesRead,
        Scope::RulesWrite,
        Scope::StatusRead,
        Scope::EventsRead,
        Scope::AuditRead,
        Scope::UsersRead,
        Scope::UsersWrite,
        Scope::TokensWrite,
        Scope::SettingsWrite,
        Scope::Backup,
        Scope::MetricsRead,
    ];

    /// The word for it, such as `peers:read`.
    pub const fn name(self) -> &'static str {
        match self {
            Scope::PeersRead => "peers:read",
            Scope::PeersWrite => "peers:write",
            Scope::RulesRead => "rules:read",
            Scope::RulesWrite => "rules:write",
            Scope::StatusRead => "status:read",
            Scope::EventsRead => "events:read",
            Scope::AuditRead => "audit:read",
            Scope::UsersRead => "users:read",
            Scope::UsersWrite => "users:write",
            Scope::TokensWrite => "tokens:write",
            Scope::SettingsWrite => "settings:write",
            Scope::Backup => "backup",
            Scope::MetricsRead => "metrics:read",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let named = Scope::ALL.into_iter().find(|scope| scope.name() == text);
        named.ok_or_else(|| ScopeError(text.to_owned()))
    }
}
