//! All records together, as they are held in memory.

use std::collections::BTreeMap;

use weir_abi::key::PublicKey;

use super::id::{ChangeId, SessionId, TokenId};
use super::outbox::{CommitNumber, DataPlaneSeen, OutboxKey};
use super::peer::Peer;
use super::pending::PendingChange;
use super::rules::Rules;
use super::session::Session;
use super::settings::Settings;
use super::token::Token;
use super::user::User;
use super::write::Write;

/// What the store holds, but for the audit log and history.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct State {
    /// Peers.
    pub peers: BTreeMap<PublicKey, Peer>,
    /// The access rules.
    pub rules: Rules,
    /// Users.
    pub users: BTreeMap<String, User>,
    /// Tokens.
    pub tokens: BTreeMap<TokenId, Token>,
    /// Sessions.
    pub sessions: BTreeMap<SessionId, Session>,
    /// The settings.
    pub settings: Settings,
    /// Changes that wait for their confirmation.
    pub pending: BTreeMap<ChangeId, PendingChange>,
    /// What the data plane has not confirmed, and the last commit that touched it.
    pub outbox: BTreeMap<OutboxKey, CommitNumber>,
    /// Which data plane was last in step; `None` before the first.
    pub data_plane: Option<DataPlaneSeen>,
    /// The last commit; 0 before the first.
    pub commit: CommitNumber,
}

impl State {
    /// Does to the records in memory what the store does to those in the file.
    pub fn apply(&mut self, write: Write) {
        match write {
            Write::Peer(peer) => drop(self.peers.insert(peer.public_key, peer)),
            Write::RemovePeer(key) => drop(self.peers.remove(&key)),
            Write::Rules(rules) => self.rules = rules,
            Write::User(user) => drop(self.users.insert(user.name.clone(), user)),
            Write::RemoveUser(name) => drop(self.users.remove(&name)),
            Write::Token(token) => drop(self.tokens.insert(token.id, token)),
            Write::RemoveToken(id) => drop(self.tokens.remove(&id)),
            Write::Session(session) => drop(self.sessions.insert(session.id, session)),
            Write::RemoveSession(id) => drop(self.sessions.remove(&id)),
            Write::Settings(settings) => self.settings = settings,
            Write::Pending(change) => drop(self.pending.insert(change.id, change)),
            Write::RemovePending(id) => drop(self.pending.remove(&id)),
            Write::DataPlane(seen) => self.data_plane = Some(seen),
        }
    }
}
