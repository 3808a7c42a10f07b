//! What can be asked for, and by whom.

use crate::record::{
    Action, Actor, ChangeId, PasswordHash, Peer, Role, Session, SessionId, Settings, Source, Token, TokenId,
    User,
};
use jiff::Timestamp;
use weir_abi::endpoint::Endpoint;
use weir_abi::key::{PresharedKey, PublicKey};
use weir_abi::prefix::Prefix;
use weir_abi::rule::Rule;

/// Who asks, from where, and when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asker {
    /// Who.
    pub actor: Actor,
    /// From where.
    pub source: Source,
    /// When.
    pub now: Timestamp,
}

/// One change, and what problems with it call it.
#[derive(Clone, PartialEq, Debug)]
pub struct Placed {
    /// Before the names of its fields, such as `operations[3].peer`; empty where it is the only one.
    pub within: String,
    /// The change.
    pub change: Change,
}

impl From<Change> for Placed {
    fn from(change: Change) -> Self {
        Self {
            within: String::new(),
            change,
        }
    }
}

/// One change.
#[derive(Clone, PartialEq, Debug)]
pub enum Change {
    /// A peer that is to be new. Without allowed IPs it is given free addresses of the interface's networks.
    CreatePeer(PublicKey, PeerEdit),
    /// A peer, there or not. Without allowed IPs one that is there keeps its own.
    PutPeer(PublicKey, PeerEdit),
    /// A peer that is there.
    PatchPeer(PublicKey, PeerEdit),
    /// A peer that is there and is to go.
    RemovePeer(PublicKey),
    /// A peer as `wg` made it in the data plane, where it is in force already: it is not judged.
    TakePeer(Box<Peer>),
    /// A peer that `wg` removed from the data plane.
    LosePeer(PublicKey),
    /// A peer whose time has come: the data plane is to be told.
    ExpirePeer(PublicKey),
    /// All access rules of control's.
    Rules(Vec<Rule>),
    /// A user that is to be new.
    CreateUser(Box<User>),
    /// A user that is there.
    PatchUser(String, UserEdit),
    /// A password. Ends the user's sessions but for the one that is to be kept.
    SetPassword {
        /// Whose.
        name: String,
        /// Its hash.
        hash: PasswordHash,
        /// Whether another is to be chosen before anything else.
        must_change: bool,
        /// The session that stays.
        keep: Option<SessionId>,
    },
    /// A user that is to go; its sessions end.
    RemoveUser(String),
    /// Somebody signed in, or tried to.
    Login {
        /// By what name.
        name: String,
        /// What became of it.
        action: Action,
        /// Why, in words.
        why: &'static str,
    },
    /// A token that is to be new.
    CreateToken(Token),
    /// A token that is to go.
    RemoveToken(TokenId),
    /// When a token was used last.
    TouchToken(TokenId, Timestamp),
    /// A session begins.
    OpenSession(Session),
    /// A session ends.
    CloseSession(SessionId),
    /// The settings.
    Settings(Settings),
    /// A backup was taken, which is to be known.
    BackupTaken,
    /// A change that waits may stay.
    Confirm(ChangeId),
    /// A change that waits is undone.
    Revert(ChangeId),
}

/// What is said of a peer: what is `None` stays, or is what a new peer has.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct PeerEdit {
    /// A name for people.
    pub name: Option<Option<String>>,
    /// Its groups.
    pub groups: Option<Vec<String>>,
    /// Its networks.
    pub allowed_ips: Option<Vec<Prefix>>,
    /// Where it is reached.
    pub endpoint: Option<Option<Endpoint>>,
    /// Seconds between keepalives; 0 is off.
    pub persistent_keepalive: Option<Option<u16>>,
    /// The key shared with it.
    pub preshared_key: Option<Option<PresharedKey>>,
    /// Whether it is kept out of the data plane.
    pub disabled: Option<bool>,
    /// From when on it is.
    pub expires_at: Option<Option<Timestamp>>,
    /// Free text.
    pub notes: Option<String>,
}

impl PeerEdit {
    /// Does to a peer what is said, but for its allowed IPs where none are given.
    pub(crate) fn apply(&self, peer: &mut Peer) {
        fn set<T: Clone>(field: &mut T, to: &Option<T>) {
            if let Some(to) = to {
                field.clone_from(to);
            }
        }
        set(&mut peer.name, &self.name);
        set(&mut peer.groups, &self.groups);
        set(&mut peer.allowed_ips, &self.allowed_ips);
        set(&mut peer.endpoint, &self.endpoint);
        set(&mut peer.persistent_keepalive, &self.persistent_keepalive);
        set(&mut peer.preshared_key, &self.preshared_key);
        set(&mut peer.disabled, &self.disabled);
        set(&mut peer.expires_at, &self.expires_at);
        set(&mut peer.notes, &self.notes);
        peer.persistent_keepalive = peer.persistent_keepalive.filter(|seconds| *seconds > 0);
        peer.preshared_key = peer.preshared_key.take().filter(|key| !key.is_zero());
    }
}

/// What is said of a user: what is `None` stays.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UserEdit {
    /// What they may do.
    pub role: Option<Role>,
    /// Whether they are kept from signing in.
    pub disabled: Option<bool>,
    /// Whether they must choose a new password first.
    pub must_change_password: Option<bool>,
}
