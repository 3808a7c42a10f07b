//! Members of a JSON merge patch (RFC 7396): absent, null, or a value.

use serde::{Deserialize, Deserializer};

/// Reads a member whose absence differs from `null`: absent is `None` by `#[serde(default)]`, null is `Some(None)`.
pub fn member<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Some)
}
