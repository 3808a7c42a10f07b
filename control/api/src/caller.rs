//! Who asks, and how a change is to be made.

use crate::types::{Role, Scope};
use core::fmt;
use std::net::IpAddr;

/// Who asks. Authentication makes it; nothing else does, outside tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// By what it is known.
    pub actor: Actor,
    /// From where it asks.
    pub source: Source,
    /// Its role.
    pub role: Role,
    /// What it may do; never more than its role may.
    pub scopes: Vec<Scope>,
}

impl Caller {
    /// Whether it may do this.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) && scope.role() <= self.role
    }
}

/// By what a caller is known. Its text is what the audit log says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Actor {
    /// A user with a session.
    User(String),
    /// A token, by its name and id.
    Token {
        /// Its name for people.
        name: String,
        /// What it is revoked by.
        id: String,
    },
    /// A process of this host on the Unix socket, by its user's number.
    Unix(u32),
}

impl Actor {
    /// The name alone.
    pub fn name(&self) -> String {
        match self {
            Actor::User(name) | Actor::Token { name, .. } => name.clone(),
            Actor::Unix(0) => "root".to_owned(),
            Actor::Unix(uid) => uid.to_string(),
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Actor::User(name) => write!(f, "user:{name}"),
            Actor::Token { id, .. } => write!(f, "token:{id}"),
            Actor::Unix(uid) => write!(f, "uid:{uid}"),
        }
    }
}

/// From where a caller asks. Its text is what the audit log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// Over TCP from this address.
    Address(IpAddr),
    /// Over the Unix socket.
    Unix,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Address(address) => address.fmt(f),
            Source::Unix => f.write_str("unix"),
        }
    }
}

/// How a change is to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Only say what it would do.
    pub dry_run: bool,
    /// Revert it after so many seconds unless it is confirmed; 10 to 3600.
    pub confirm_within_s: Option<u32>,
    /// What must be so for it to be made.
    pub precondition: Precondition,
    /// What the caller calls this change, so that a repetition is known; the router answers repetitions by itself.
    pub idempotency_key: Option<String>,
}

/// A version of something, as the header ETag carries it between its quotes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ETag(String);

impl ETag {
    /// The version with this number.
    pub fn from_number(number: u64) -> Self {
        Self(format!("{number:x}"))
    }

    /// The version with these contents.
    pub fn from_contents(contents: &[u8]) -> Self {
        Self(blake3::hash(contents).to_hex()[..16].to_owned())
    }

    /// The text between the quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The version that a header names between its quotes.
    pub fn from_text(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// What If-Match and If-None-Match ask for (RFC 9110 section 13.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Precondition {
    /// If-Match: it exists with one of these versions.
    pub matches: Option<Versions>,
    /// If-None-Match: it does not exist with any of these versions.
    pub none_match: Option<Versions>,
}

/// The versions that a header lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Versions {
    /// `*`: whatever exists.
    Any,
    /// These.
    Listed(Vec<ETag>),
}

impl Precondition {
    /// Whether it holds for something with this version; `None` for what does not exist. Whoever changes it asks this
    /// while nobody else can.
    pub fn holds(&self, current: Option<&ETag>) -> bool {
        let listed = |versions: &Versions| match (versions, current) {
            (_, None) => false,
            (Versions::Any, Some(_)) => true,
            (Versions::Listed(tags), Some(current)) => tags.contains(current),
        };
        self.matches.as_ref().is_none_or(listed) && !self.none_match.as_ref().is_some_and(listed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches a change of what somebody else changed meanwhile, and a creation that overwrites.
    #[test]
    fn preconditions_follow_the_rfc() {
        let (one, two) = (ETag::from_number(1), ETag::from_number(2));
        let matches = Precondition {
            matches: Some(Versions::Listed(vec![one.clone()])),
            none_match: None,
        };
        assert!(matches.holds(Some(&one)) && !matches.holds(Some(&two)) && !matches.holds(None));
        let creates = Precondition {
            matches: None,
            none_match: Some(Versions::Any),
        };
        assert!(creates.holds(None) && !creates.holds(Some(&one)));
        let exists = Precondition {
            matches: Some(Versions::Any),
            none_match: None,
        };
        assert!(exists.holds(Some(&two)) && !exists.holds(None));
        assert!(Precondition::default().holds(None) && Precondition::default().holds(Some(&one)));
    }

    // Catches a token that may more than its role.
    #[test]
    fn scopes_are_bounded_by_the_role() {
        let caller = Caller {
            actor: Actor::Unix(0),
            source: Source::Unix,
            role: Role::Viewer,
            scopes: Scope::ALL.to_vec(),
        };
        assert!(caller.may(Scope::PeersRead) && !caller.may(Scope::PeersWrite) && !caller.may(Scope::Backup));
    }
}
