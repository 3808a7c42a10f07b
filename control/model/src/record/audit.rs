//! One line of the audit log: who did what, from where, when, before and after.

use core::fmt;
use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::id::TokenId;

/// What was before or after a change, by field; of a secret only "(set)" or "(changed)".
pub type Facts = BTreeMap<String, String>;

/// An entry to be written; the store numbers it and chains it to the one before it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NewAuditEntry {
    /// When it happened.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// From where.
    pub source: Source,
    /// What was done.
    pub action: Action,
    /// To what: a peer's key, a user's name, a token's identifier; empty where the action says all.
    pub target: String,
    /// What was before; empty where there was nothing.
    pub before: Facts,
    /// What is after; empty where there is nothing.
    pub after: Facts,
}

/// An entry as it stands in the log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Its number, from 1, without gaps.
    pub number: u64,
    /// What happened.
    pub entry: NewAuditEntry,
    /// The hash over it and over the hash of the entry before it.
    pub hash: AuditHash,
}

/// A link of the chain.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AuditHash(pub [u8; 32]);

impl AuditHash {
    /// What the first entry is chained to.
    pub const ORIGIN: Self = Self([0; 32]);
}

impl fmt::Display for AuditHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for AuditHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Who did something.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Actor {
    /// A user who signed in, by name; who tries to sign in, by the name they gave.
    User(String),
    /// A program with a token.
    Token(TokenId),
    /// A process of this user of the host, on the Unix socket.
    Uid(u32),
    /// The `wg` tool or another client of the UAPI socket.
    Wg,
    /// Weir by itself: an expiry, a change that was not confirmed.
    Weir,
}

/// The text by which entries are searched and hashed: what is not a fixed word has its kind before a colon.
impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Actor::User(name) => write!(f, "user:{name}"),
            Actor::Token(id) => write!(f, "token:{id}"),
            Actor::Uid(uid) => write!(f, "uid:{uid}"),
            Actor::Wg => f.write_str("wg"),
            Actor::Weir => f.write_str("weir"),
        }
    }
}

/// From where something was done.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Source {
    /// This address, over HTTP.
    Address(IpAddr),
    /// The Unix socket of the API.
    UnixSocket,
    /// The UAPI socket of the data plane.
    Uapi,
    /// Within the control process.
    Internal,
}

/// The text by which entries are searched and hashed.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Address(address) => write!(f, "{address}"),
            Source::UnixSocket => f.write_str("unix"),
            Source::Uapi => f.write_str("uapi"),
            Source::Internal => f.write_str("internal"),
        }
    }
}

/// What was done.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Action {
    /// A peer was declared.
    PeerCreated,
    /// A peer was changed.
    PeerChanged,
    /// A peer was taken away.
    PeerRemoved,
    /// A peer expired and left the data plane.
    PeerExpired,
    /// The access rules were changed.
    RulesChanged,
    /// A user was made.
    UserCreated,
    /// A user was changed.
    UserChanged,
    /// A user was taken away.
    UserRemoved,
    /// A password was set.
    PasswordChanged,
    /// Someone signed in.
    LoggedIn,
    /// Someone was refused.
    LoginRefused,
    /// Someone signed out.
    LoggedOut,
    /// A token was made.
    TokenCreated,
    /// A token was revoked.
    TokenRevoked,
    /// The settings were changed.
    SettingsChanged,
    /// A change that waited was confirmed.
    ChangeConfirmed,
    /// A change that waited was reverted.
    ChangeReverted,
    /// A backup was taken.
    BackupTaken,
    /// A backup was restored.
    BackupRestored,
    /// Access was restored on the host.
    AdminReset,
    /// The store was recovered from an older copy.
    StoreRecovered,
    /// Entries older than the retention were pruned.
    AuditPruned,
}

impl Action {
    /// Every action.
    pub const ALL: [Action; 22] = [
        Action::PeerCreated,
        Action::PeerChanged,
        Action::PeerRemoved,
        Action::PeerExpired,
        Action::RulesChanged,
        Action::UserCreated,
        Action::UserChanged,
        Action::UserRemoved,
        Action::PasswordChanged,
        Action::LoggedIn,
        Action::LoginRefused,
        Action::LoggedOut,
        Action::TokenCreated,
        Action::TokenRevoked,
        Action::SettingsChanged,
        Action::ChangeConfirmed,
        Action::ChangeReverted,
        Action::BackupTaken,
        Action::BackupRestored,
        Action::AdminReset,
        Action::StoreRecovered,
        Action::AuditPruned,
    ];

    /// The words for it, by which entries are searched and hashed.
    pub const fn name(self) -> &'static str {
        match self {
            Action::PeerCreated => "peer.created",
            Action::PeerChanged => "peer.changed",
            Action::PeerRemoved => "peer.removed",
            Action::PeerExpired => "peer.expired",
            Action::RulesChanged => "rules.changed",
            Action::UserCreated => "user.created",
            Action::UserChanged => "user.changed",
            Action::UserRemoved => "user.removed",
            Action::PasswordChanged => "password.changed",
            Action::LoggedIn => "login.accepted",
            Action::LoginRefused => "login.refused",
            Action::LoggedOut => "login.ended",
            Action::TokenCreated => "token.created",
            Action::TokenRevoked => "token.revoked",
            Action::SettingsChanged => "settings.changed",
            Action::ChangeConfirmed => "change.confirmed",
            Action::ChangeReverted => "change.reverted",
            Action::BackupTaken => "backup.taken",
            Action::BackupRestored => "backup.restored",
            Action::AdminReset => "admin.reset",
            Action::StoreRecovered => "store.recovered",
            Action::AuditPruned => "audit.pruned",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
