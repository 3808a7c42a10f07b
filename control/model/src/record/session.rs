//! A browser that is signed in.

use core::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::id::SessionId;
use super::secret::SecretHash;

/// One session. The cookie is the identifier and 32 random bytes whose hash is kept; the CSRF token is derived from the
/// cookie, so nothing of it is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// What it is known by.
    pub id: SessionId,
    /// What the cookie's random half hashes to.
    pub hash: SecretHash,
    /// The user it belongs to.
    pub user: String,
    /// Where they signed in from; `None` is the Unix socket.
    pub source: Option<IpAddr>,
    /// When they signed in.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// All but the hash.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id)
            .field("user", &self.user)
            .field("source", &self.source)
            .field("created_at", &self.created_at)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
