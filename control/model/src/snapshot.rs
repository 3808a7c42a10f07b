//! Desired state at one moment: immutable to its readers, cheap to copy, with what changes are checked against.

use crate::record::{
    ChangeId, Peer, PendingChange, Rules, Session, SessionId, Settings, State, Token, TokenId, User, Write,
};
use crate::shared::Shared;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_abi::key::PublicKey;
use weir_abi::prefix::Prefix;

/// All records of control at one moment. Copies share what they have in common.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Snapshot {
    /// Peers by key.
    pub peers: Shared<PublicKey, Arc<Peer>>,
    /// Whose each name is.
    pub names: Shared<String, PublicKey>,
    /// Whose each allowed IP is; those of peers that are disabled too, for they may be enabled at any time.
    pub prefixes: Shared<Prefix, PublicKey>,
    /// The access rules.
    pub rules: Arc<Rules>,
    /// Users by name.
    pub users: Arc<BTreeMap<String, User>>,
    /// Tokens.
    pub tokens: Arc<BTreeMap<TokenId, Token>>,
    /// Sessions of browsers.
    pub sessions: Shared<SessionId, Arc<Session>>,
    /// The settings.
    pub settings: Arc<Settings>,
    /// Changes that wait for their confirmation.
    pub pending: Arc<BTreeMap<ChangeId, PendingChange>>,
}

impl From<State> for Snapshot {
    fn from(state: State) -> Self {
        let mut snapshot = Self {
            rules: Arc::new(state.rules),
            users: Arc::new(state.users),
            tokens: Arc::new(state.tokens),
            settings: Arc::new(state.settings),
            pending: Arc::new(state.pending),
            ..Self::default()
        };
        for peer in state.peers.into_values() {
            snapshot.put_peer(Arc::new(peer));
        }
        for (id, session) in state.sessions {
            snapshot.sessions.insert(id, Arc::new(session));
        }
        snapshot
    }
}

impl Snapshot {
    /// The records, as the store gives and takes them all at once, without outbox.
    pub fn records(&self) -> State {
        State {
            peers: self
                .peers
                .iter()
                .map(|(key, peer)| (*key, (**peer).clone()))
                .collect(),
            rules: (*self.rules).clone(),
            users: (*self.users).clone(),
            tokens: (*self.tokens).clone(),
            sessions: self
                .sessions
                .iter()
                .map(|(id, session)| (*id, (**session).clone()))
                .collect(),
            settings: (*self.settings).clone(),
            pending: (*self.pending).clone(),
            ..State::default()
        }
    }

    /// The peer with this key.
    pub fn peer(&self, key: &PublicKey) -> Option<&Arc<Peer>> {
        self.peers.get(key)
    }

    /// Does what the store does when it commits.
    pub fn apply(&mut self, write: &Write) {
        match write {
            Write::Peer(peer) => self.put_peer(Arc::new(peer.clone())),
            Write::RemovePeer(key) => drop(self.remove_peer(key)),
            Write::Rules(rules) => self.rules = Arc::new(rules.clone()),
            Write::User(user) => drop(Arc::make_mut(&mut self.users).insert(user.name.clone(), user.clone())),
            Write::RemoveUser(name) => drop(Arc::make_mut(&mut self.users).remove(name)),
            Write::Token(token) => drop(Arc::make_mut(&mut self.tokens).insert(token.id, token.clone())),
            Write::RemoveToken(id) => drop(Arc::make_mut(&mut self.tokens).remove(id)),
            Write::Session(session) => drop(self.sessions.insert(session.id, Arc::new(session.clone()))),
            Write::RemoveSession(id) => drop(self.sessions.remove(id)),
            Write::Settings(settings) => self.settings = Arc::new(settings.clone()),
            Write::Pending(change) => {
                Arc::make_mut(&mut self.pending).insert(change.id, change.clone());
            }
            Write::RemovePending(id) => drop(Arc::make_mut(&mut self.pending).remove(id)),
            Write::DataPlane(_) => {}
        }
    }

    fn put_peer(&mut self, peer: Arc<Peer>) {
        let key = peer.public_key;
        self.remove_peer(&key);
        if let Some(name) = &peer.name {
            self.names.insert(name.clone(), key);
        }
        for prefix in &peer.allowed_ips {
            self.prefixes.insert(*prefix, key);
        }
        self.peers.insert(key, peer);
    }

    fn remove_peer(&mut self, key: &PublicKey) -> Option<Arc<Peer>> {
        let peer = self.peers.remove(key)?;
        // A name or prefix may have gone to another peer already, within one set of changes.
        if let Some(name) = peer
            .name
            .as_ref()
            .filter(|name| self.names.get(*name) == Some(key))
        {
            self.names.remove(name);
        }
        for prefix in &peer.allowed_ips {
            if self.prefixes.get(prefix) == Some(key) {
                self.prefixes.remove(prefix);
            }
        }
        Some(peer)
    }
}
