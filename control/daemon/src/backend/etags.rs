//! Versions of what can be changed.

use weir_abi::key::PublicKey;
use weir_api::caller::ETag;
use weir_model::record::{Settings, User};
use weir_model::{GatewayFacts, Snapshot, rule_value};

/// A peer's: of the store by the time of its last change, of the file by what it says.
pub fn peer(state: &Snapshot, facts: &GatewayFacts, key: &PublicKey) -> Option<ETag> {
    if let Some(peer) = state.peer(key) {
        return Some(ETag::from_number(peer.updated_at.as_nanosecond() as u64));
    }
    let file = facts.file.peers.get(key)?;
    Some(ETag::from_contents(format!("{file:?}").as_bytes()))
}

/// The rules': of what they say.
pub fn rules(state: &Snapshot) -> ETag {
    let lines: Vec<String> = state
        .rules
        .items
        .iter()
        .map(|rule| rule_value(rule).to_string())
        .collect();
    ETag::from_contents(lines.join("\n").as_bytes())
}

/// A user's.
pub fn user(user: &User) -> ETag {
    ETag::from_number(user.updated_at.as_nanosecond() as u64)
}

/// The settings'.
pub fn settings(settings: &Settings) -> ETag {
    ETag::from_contents(format!("{settings:?}").as_bytes())
}
