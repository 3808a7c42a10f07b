//! What proves someone's identity, as it is kept: never the password or the token itself.

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A password's hash with its parameters and salt, as a PHC string (`$argon2id$v=19$…`).
#[derive(Clone, Zeroize, ZeroizeOnDrop, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// The hash in this PHC string; whether it is one is the verifier's to say.
    pub const fn from_phc(phc: String) -> Self {
        Self(phc)
    }

    /// The PHC string. Whoever calls this keeps it out of logs, answers and errors.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Nothing of the hash.
impl core::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

impl PartialEq for PasswordHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for PasswordHash {}

/// BLAKE3 of the random 32 bytes in a token or a session's cookie: too many to guess, so that no slow hash is needed.
#[derive(Clone, Zeroize, ZeroizeOnDrop, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// The hash with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The hash's bytes. Whoever calls this keeps them out of logs, answers and errors.
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

/// In constant time, so that nothing of a kept hash shows in how long a wrong token takes.
impl PartialEq for SecretHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SecretHash {}
