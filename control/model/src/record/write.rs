//! One change of one record: what batches for the store are made of.

use serde::{Deserialize, Serialize};
use weir_abi::key::PublicKey;

use super::id::{ChangeId, SessionId, TokenId};
use super::outbox::DataPlaneSeen;
use super::peer::Peer;
use super::pending::PendingChange;
use super::rules::Rules;
use super::session::Session;
use super::settings::Settings;
use super::token::Token;
use super::user::User;

/// Puts a record where it belongs, in place of the one there, or takes one away. Taking away what is not there is no error.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Write {
    /// Puts a peer.
    Peer(Peer),
    /// Takes a peer away.
    RemovePeer(PublicKey),
    /// Puts the access rules.
    Rules(Rules),
    /// Puts a user.
    User(User),
    /// Takes a user away.
    RemoveUser(String),
    /// Puts a token.
    Token(Token),
    /// Takes a token away.
    RemoveToken(TokenId),
    /// Puts a session.
    Session(Session),
    /// Ends a session.
    RemoveSession(SessionId),
    /// Puts the settings.
    Settings(Settings),
    /// Puts a change that waits for its confirmation.
    Pending(PendingChange),
    /// Takes such a change away: it is confirmed or reverted.
    RemovePending(ChangeId),
    /// Puts which data plane is in step.
    DataPlane(DataPlaneSeen),
}
