//! A change that reverts by itself unless it is confirmed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use weir_abi::key::PublicKey;

use super::audit::Actor;
use super::id::{ChangeId, TokenId};
use super::peer::Peer;
use super::rules::Rules;
use super::settings::Settings;
use super::token::Token;
use super::user::User;

/// A change that is in force and waits for its confirmation.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PendingChange {
    /// What it is known by.
    pub id: ChangeId,
    /// Who made it.
    pub actor: Actor,
    /// What it did, in one line.
    pub summary: String,
    /// When it was made.
    pub made_at: Timestamp,
    /// When it reverts.
    pub reverts_at: Timestamp,
    /// What reverting puts back.
    pub before: Before,
}

/// Records as they were before a change, each only where the change touched it; a record of `None` was not there.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Before {
    /// Peers.
    pub peers: Vec<(PublicKey, Option<Peer>)>,
    /// Users.
    pub users: Vec<(String, Option<User>)>,
    /// Tokens.
    pub tokens: Vec<(TokenId, Option<Token>)>,
    /// The access rules.
    pub rules: Option<Rules>,
    /// The settings.
    pub settings: Option<Settings>,
}
