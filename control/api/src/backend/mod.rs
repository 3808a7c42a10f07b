//! What the API asks of the process that owns the state.
//!
//! The router authenticates, checks scopes and the form of requests, and hashes passwords and tokens; a [`Backend`]
//! judges what requests mean, keeps preconditions, writes the audit log (also of refused logins, which it is told of)
//! and answers with the types of [`crate::types`]. It never sees a password or a token, only their hashes.

mod access;
mod page;
mod refusal;

pub use access::{
    LoginAttempt, LoginOutcome, NewSession, NewToken, NewUser, SessionRecord, TokenRecord, UserSecret,
};
pub use page::{AuditQuery, Page, PageKey, PageRequest, PeerQuery, PeerSort};
pub use refusal::{Refusal, StorageFault};

use crate::caller::{Caller, ETag, Options};
use crate::events::Hub;
use crate::types::{
    Alerts, AuditEntry, AuditVerification, BackupInput, BulkDone, BulkOperation, Changes, Compliance,
    Diagnosis, DiagnosisInput, Diff, Groups, History, HistoryRange, Key, Live, Peer, PeerConfig, PeerCreated,
    PeerInput, PeerPatch, PendingChange, PortList, Readiness, RestoreInput, Restored, Role, RuleInput, Rules,
    Settings, Status, Throughput, TokenCreated, Tokens, Topology, User, UserPatch, Users,
};
use async_trait::async_trait;
use jiff::Timestamp;
use zeroize::Zeroizing;

/// The answer to a question.
pub type Answer<T> = Result<T, Refusal>;

/// Something with its version. Of a peer the version is that of its configuration, not of its counters.
#[derive(Clone, Debug, PartialEq)]
pub struct Versioned<T> {
    /// The thing.
    pub value: T,
    /// Its version.
    pub etag: ETag,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome<T> {
    /// It was made.
    Made(Made<T>),
    /// It was only asked what it would do.
    WouldMake(Diff),
}

/// A change that was made.
#[derive(Clone, Debug, PartialEq)]
pub struct Made<T> {
    /// What the answer says.
    pub value: T,
    /// Whether something came to be that was not there.
    pub created: bool,
    /// The version that the thing has now, where it has one.
    pub etag: Option<ETag>,
    /// The change that reverts unless it is confirmed, where that was asked for.
    pub pending: Option<PendingChange>,
}

impl<T> Made<T> {
    /// A change with nothing further to say.
    pub fn plain(value: T) -> Self {
        Self {
            value,
            created: false,
            etag: None,
            pending: None,
        }
    }
}

impl<T> Outcome<T> {
    /// The same, of something that came to be by it.
    #[must_use]
    pub fn created(self) -> Self {
        match self {
            Outcome::Made(made) => Outcome::Made(Made {
                created: true,
                ..made
            }),
            Outcome::WouldMake(diff) => Outcome::WouldMake(diff),
        }
    }
}

/// A page of the audit log, as far as a query asks for it.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEntries {
    /// The entries, the newest first.
    pub page: Page<AuditEntry>,
    /// The hash of the oldest entry that is kept.
    pub oldest_hash: Option<String>,
    /// The hash of the newest entry.
    pub newest_hash: Option<String>,
}

/// The owner of the state. Every call is a whole: it is done or nothing changed.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Whether requests can be served.
    async fn readiness(&self) -> Readiness;
    /// The metrics in Prometheus' text format.
    async fn metrics(&self) -> Answer<String>;
    /// Where events are published for those who listen.
    fn events(&self) -> &Hub;

    /// Peers in the order that the query asks for; [`Page::cut`] makes the page.
    async fn peers(&self, query: &PeerQuery, page: &PageRequest) -> Answer<Page<Peer>>;
    /// One peer.
    async fn peer(&self, key: Key) -> Answer<Versioned<Peer>>;
    /// How one peer is now, asked every second by those who listen to it.
    async fn peer_live(&self, key: Key) -> Answer<Live>;
    /// Creates a peer; makes its keys where it has none.
    async fn create_peer(
        &self,
        by: &Caller,
        options: &Options,
        peer: PeerInput,
    ) -> Answer<Outcome<PeerCreated>>;
    /// Creates or replaces a peer.
    async fn put_peer(
        &self,
        by: &Caller,
        options: &Options,
        key: Key,
        peer: PeerInput,
    ) -> Answer<Outcome<Peer>>;
    /// Changes a peer.
    async fn patch_peer(
        &self,
        by: &Caller,
        options: &Options,
        key: Key,
        patch: PeerPatch,
    ) -> Answer<Outcome<Peer>>;
    /// Removes a peer.
    async fn delete_peer(&self, by: &Caller, options: &Options, key: Key) -> Answer<Outcome<()>>;
    /// Makes several changes, all or none. A field problem's name begins with `operations[N]`.
    async fn bulk_peers(
        &self,
        by: &Caller,
        options: &Options,
        operations: Vec<BulkOperation>,
    ) -> Answer<Outcome<BulkDone>>;
    /// What a peer carried over time.
    async fn peer_history(&self, key: Key, range: HistoryRange) -> Answer<History>;
    /// A peer's configuration for wg-quick, without its private and its preshared key.
    async fn peer_config(&self, key: Key) -> Answer<String>;
    /// Gives a peer a new preshared key and shows it in its configuration this once.
    async fn rotate_preshared_key(
        &self,
        by: &Caller,
        options: &Options,
        key: Key,
    ) -> Answer<Outcome<PeerConfig>>;
    /// Why a peer does not connect.
    async fn diagnose(&self, by: &Caller, key: Key, input: DiagnosisInput) -> Answer<Diagnosis>;
    /// The groups that peers are of.
    async fn groups(&self) -> Answer<Groups>;

    /// The access rules.
    async fn rules(&self) -> Answer<Versioned<Rules>>;
    /// Replaces control's access rules.
    async fn put_rules(
        &self,
        by: &Caller,
        options: &Options,
        rules: Vec<RuleInput>,
    ) -> Answer<Outcome<Rules>>;

    /// How the gateway is.
    async fn status(&self) -> Answer<Status>;
    /// The ports of all shards.
    async fn ports(&self) -> Answer<PortList>;
    /// Who is connected with whom.
    async fn topology(&self) -> Answer<Topology>;
    /// What is wrong now.
    async fn alerts(&self) -> Answer<Alerts>;
    /// What passed in the last 300 s.
    async fn throughput(&self) -> Answer<Throughput>;

    /// A page of the audit log, the newest entry first. The key of an entry is its number as text.
    async fn audit(&self, query: &AuditQuery, page: &PageRequest) -> Answer<AuditEntries>;
    /// Reads the whole audit log and says whether it is whole.
    async fn verify_audit(&self) -> Answer<AuditVerification>;
    /// What happened from `from` until `to`.
    async fn compliance(&self, from: Timestamp, to: Timestamp) -> Answer<Compliance>;

    /// The user's password hash and role, for a login; `None` where there is no such user. Disabled users are told as
    /// such, after their password was verified.
    async fn user_secret(&self, name: &str) -> Answer<Option<UserSecret>>;
    /// Writes down a login or why it was refused.
    async fn record_login(&self, attempt: LoginAttempt);
    /// Keeps a session until it ends, over restarts too. Bounded: the user's oldest one goes for it where there are
    /// too many.
    async fn open_session(&self, session: NewSession) -> Answer<()>;
    /// The session whose secret has this hash, with its user as it is now; `None` where there is none, and where the
    /// user is disabled or gone. Whether it has expired the router judges.
    async fn session(&self, hash: &[u8; 32]) -> Answer<Option<SessionRecord>>;
    /// Notes when a session was used last; the router calls this once a minute at most. Needs no place on the disk.
    async fn touch_session(&self, hash: &[u8; 32], at: Timestamp);
    /// Ends a session.
    async fn close_session(&self, by: &Caller, hash: &[u8; 32]) -> Answer<()>;
    /// The token whose secret has this hash; `None` where there is none. Whether it has expired the router judges.
    async fn token(&self, hash: &[u8; 32]) -> Answer<Option<TokenRecord>>;
    /// Notes when a token was used last; the router calls this once a minute at most.
    async fn touch_token(&self, id: &str, at: Timestamp);

    /// The users, by name.
    async fn users(&self) -> Answer<Users>;
    /// One user.
    async fn user(&self, name: &str) -> Answer<Versioned<User>>;
    /// Makes a user.
    async fn create_user(&self, by: &Caller, options: &Options, user: NewUser) -> Answer<Outcome<User>>;
    /// Changes a user. The last administrator who is not disabled stays one.
    async fn patch_user(
        &self,
        by: &Caller,
        options: &Options,
        name: &str,
        patch: UserPatch,
    ) -> Answer<Outcome<User>>;
    /// Removes a user and ends its sessions. The last administrator who is not disabled stays.
    async fn delete_user(&self, by: &Caller, options: &Options, name: &str) -> Answer<Outcome<()>>;
    /// Replaces a user's password hash, clears `must_change_password` where the user did it, and ends the user's
    /// sessions except the one with the hash `keep`.
    async fn set_password(
        &self,
        by: &Caller,
        options: &Options,
        name: &str,
        password_hash: Zeroizing<String>,
        keep: Option<[u8; 32]>,
    ) -> Answer<Outcome<()>>;
    /// The tokens, by name.
    async fn tokens(&self) -> Answer<Tokens>;
    /// Makes a token. The answer's `token` is what `token` says.
    async fn create_token(
        &self,
        by: &Caller,
        options: &Options,
        token: NewToken,
    ) -> Answer<Outcome<TokenCreated>>;
    /// Revokes a token. A caller revokes only tokens of roles up to `up_to`.
    async fn delete_token(
        &self,
        by: &Caller,
        options: &Options,
        id: &str,
        up_to: Role,
    ) -> Answer<Outcome<()>>;

    /// The settings.
    async fn settings(&self) -> Answer<Versioned<Settings>>;
    /// Replaces the settings.
    async fn put_settings(
        &self,
        by: &Caller,
        options: &Options,
        settings: Settings,
    ) -> Answer<Outcome<Settings>>;
    /// An encrypted copy of all that is kept.
    async fn backup(&self, by: &Caller, input: BackupInput) -> Answer<Vec<u8>>;
    /// Replaces all that is kept by a backup; `backup` is decoded from the input's base64.
    async fn restore(
        &self,
        by: &Caller,
        options: &Options,
        input: RestoreInput,
        backup: Vec<u8>,
    ) -> Answer<Outcome<Restored>>;

    /// Changes that wait for their confirmation.
    async fn changes(&self) -> Answer<Changes>;
    /// Lets a change stay.
    async fn confirm_change(&self, by: &Caller, id: &str) -> Answer<()>;
    /// Reverts a change now.
    async fn revert_change(&self, by: &Caller, id: &str) -> Answer<()>;
}
