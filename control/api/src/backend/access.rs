//! What the owner of the state keeps of users, sessions and tokens. Secrets come as hashes alone.

use crate::caller::Source;
use crate::types::{Name, Role, Scope, UserName};
use core::fmt;
use jiff::Timestamp;
use zeroize::Zeroizing;

/// What a login is verified against.
#[derive(Clone, PartialEq, Eq)]
pub struct UserSecret {
    /// The user's name.
    pub name: String,
    /// The user's role.
    pub role: Role,
    /// The password's hash, as an argon2id PHC string.
    pub password_hash: Zeroizing<String>,
    /// Whether the user is locked out.
    pub disabled: bool,
    /// Whether nothing else is allowed until the password is changed.
    pub must_change_password: bool,
}

/// A login, or one that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginAttempt {
    /// The name that was given, where a user could be called so; else empty, as people type passwords there.
    pub name: String,
    /// From where.
    pub source: Source,
    /// When.
    pub at: Timestamp,
    /// What became of it.
    pub outcome: LoginOutcome,
}

/// What became of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginOutcome {
    /// The session was opened.
    Accepted,
    /// The name or the password was wrong.
    Refused,
    /// The user is locked out.
    Disabled,
    /// There were too many before.
    Limited,
}

/// A session that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSession {
    /// The hash of its secret.
    pub hash: [u8; 32],
    /// Its user.
    pub user: String,
    /// From where it was opened.
    pub source: Source,
    /// When.
    pub created_at: Timestamp,
}

/// A session with its user as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// The hash of its secret.
    pub hash: [u8; 32],
    /// Its user.
    pub user: String,
    /// The user's role.
    pub role: Role,
    /// Whether nothing else is allowed until the password is changed.
    pub must_change_password: bool,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it was used last.
    pub used_at: Timestamp,
}

/// A token as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRecord {
    /// What it is revoked by.
    pub id: String,
    /// The hash of its secret.
    pub hash: [u8; 32],
    /// Its name for people.
    pub name: String,
    /// The role that bounds its scopes.
    pub role: Role,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was used last.
    pub used_at: Option<Timestamp>,
}

/// A user that is to be.
#[derive(Clone, PartialEq, Eq)]
pub struct NewUser {
    /// Its name.
    pub name: UserName,
    /// Its role.
    pub role: Role,
    /// The hash of its password, as an argon2id PHC string.
    pub password_hash: Zeroizing<String>,
    /// Whether that is to be changed at the first login.
    pub must_change_password: bool,
}

/// A token that is to be.
#[derive(Clone, PartialEq, Eq)]
pub struct NewToken {
    /// The token itself, for the answer alone: it is not kept.
    pub token: Zeroizing<String>,
    /// Its hash, which is kept.
    pub hash: [u8; 32],
    /// What it is revoked by.
    pub id: String,
    /// Its name for people.
    pub name: Name,
    /// The role that bounds its scopes.
    pub role: Role,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

impl fmt::Debug for UserSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserSecret")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for NewUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewUser")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for NewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewToken")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
