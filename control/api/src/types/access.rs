//! Users, sessions, tokens, roles and scopes.

use super::secret::Secret;
use super::text::{Name, UserName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What somebody may do; each may what the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads what is no secret and changes nothing.
    Viewer,
    /// Changes peers and rules, reads the audit log.
    Operator,
    /// Does everything.
    Administrator,
}

/// One thing that a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
pub enum Scope {
    /// Reads peers, groups, histories and diagnoses.
    #[serde(rename = "peers:read")]
    PeersRead,
    /// Changes peers.
    #[serde(rename = "peers:write")]
    PeersWrite,
    /// Reads access rules.
    #[serde(rename = "rules:read")]
    RulesRead,
    /// Changes access rules.
    #[serde(rename = "rules:write")]
    RulesWrite,
    /// Reads status, ports, topology, alerts, throughput and settings.
    #[serde(rename = "status:read")]
    StatusRead,
    /// Listens to events.
    #[serde(rename = "events:read")]
    EventsRead,
    /// Reads the audit log and the compliance report.
    #[serde(rename = "audit:read")]
    AuditRead,
    /// Reads users and tokens.
    #[serde(rename = "users:read")]
    UsersRead,
    /// Changes users.
    #[serde(rename = "users:write")]
    UsersWrite,
    /// Makes and revokes tokens.
    #[serde(rename = "tokens:write")]
    TokensWrite,
    /// Changes settings.
    #[serde(rename = "settings:write")]
    SettingsWrite,
    /// Makes backups and restores them.
    #[serde(rename = "backup")]
    Backup,
    /// Reads metrics.
    #[serde(rename = "metrics:read")]
    MetricsRead,
}

impl Scope {
    /// Every scope.
    pub const ALL: &'static [Scope] = &[
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

    /// The least role that has it.
    pub fn role(self) -> Role {
        match self {
            Scope::PeersRead
            | Scope::RulesRead
            | Scope::StatusRead
            | Scope::EventsRead
            | Scope::MetricsRead => Role::Viewer,
            Scope::PeersWrite | Scope::RulesWrite | Scope::AuditRead => Role::Operator,
            Scope::UsersRead
            | Scope::UsersWrite
            | Scope::TokensWrite
            | Scope::SettingsWrite
            | Scope::Backup => Role::Administrator,
        }
    }
}

impl Role {
    /// The scopes it has.
    pub fn scopes(self) -> Vec<Scope> {
        Scope::ALL
            .iter()
            .copied()
            .filter(|scope| scope.role() <= self)
            .collect()
    }
}

/// Asks for a session.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionInput {
    /// The user's name.
    #[schema(max_length = 64)]
    pub name: String,
    /// The user's password.
    pub password: Secret,
}

/// Who the caller is.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Session {
    /// The user's or the token's name, or `root` on the Unix socket.
    pub name: String,
    /// The caller's role.
    pub role: Role,
    /// What the caller may do.
    pub scopes: Vec<Scope>,
    /// What the header `X-CSRF-Token` is to say on every change, where the caller has a cookie.
    pub csrf_token: Option<String>,
    /// Whether nothing else is allowed until the password is changed.
    pub must_change_password: bool,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// The users.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Users {
    /// By name.
    pub items: Vec<User>,
}

/// One user.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct User {
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Whether it is locked out.
    pub disabled: bool,
    /// Whether its password is to be changed before anything else.
    pub must_change_password: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it logged in last.
    pub last_login_at: Option<Timestamp>,
}

/// What a user is to be.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserInput {
    /// Its name.
    pub name: UserName,
    /// Its role.
    pub role: Role,
    /// Its first password, of at least 10 characters.
    #[schema(value_type = String, format = Password, min_length = 10, max_length = 1024, write_only)]
    pub password: Secret,
    /// Whether that is to be changed at the first login.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub must_change_password: bool,
}

/// A merge patch (RFC 7396) of a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserPatch {
    /// Its role.
    #[serde(default)]
    #[schema(value_type = Option<Role>)]
    pub role: Option<Role>,
    /// Whether it is locked out.
    #[serde(default)]
    pub disabled: Option<bool>,
    /// Whether its password is to be changed before anything else.
    #[serde(default)]
    pub must_change_password: Option<bool>,
}

/// A new password.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordInput {
    /// The password until now, which one's own change needs.
    #[serde(default)]
    #[schema(value_type = Option<Secret>)]
    pub current: Option<Secret>,
    /// The password from now on, of at least 10 characters.
    #[schema(value_type = String, format = Password, min_length = 10, max_length = 1024, write_only)]
    pub new: Secret,
}

/// The tokens.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Tokens {
    /// By name.
    pub items: Vec<Token>,
}

/// One token, without its secret.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Token {
    /// What it is revoked by.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// The role that bounds its scopes.
    pub role: Role,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was used last, to the minute.
    pub last_used_at: Option<Timestamp>,
}

/// What a token is to be.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenInput {
    /// Its name for people.
    pub name: Name,
    /// The role that bounds its scopes.
    pub role: Role,
    /// What it may do; absent is all that its role may.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 32)]
    pub scopes: Option<Vec<Scope>>,
    /// When it ends; null or absent is never.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

/// A token that was made.
#[derive(Clone, PartialEq, Serialize, ToSchema)]
pub struct TokenCreated {
    /// The token itself, answered this once.
    pub token: String,
    /// What it is revoked by.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// The role that bounds its scopes.
    pub role: Role,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

fn yes() -> bool {
    true
}
