//! What the API asks for, answered: readers look at what the owner and the link published, changes go to the owner.

mod access;
mod audit;
mod edit;
pub mod etags;
mod gateway;
mod list;
mod peers;
pub mod present;
mod whole;

use crate::link::poller::Polling;
use crate::metrics::Metrics;
use crate::owner::{Asking, Done, Expect, Reply, Wanted};
use crate::sampler::Totals;
use crate::world::{Published, World};
use jiff::Timestamp;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use weir_api::async_trait;
use weir_api::backend::{
    Answer, AuditEntries, AuditQuery, Backend, LoginAttempt, Made, NewSession, NewToken, NewUser, Outcome,
    Page, PageRequest, PeerQuery, Refusal, SessionRecord, StorageFault, TokenRecord, UserSecret, Versioned,
};
use weir_api::caller::{self, Caller, ETag, Options};
use weir_api::events::Hub;
use weir_api::types::{
    self, Alerts, AuditVerification, BackupInput, BulkDone, BulkOperation, Changes, Compliance, Diagnosis,
    DiagnosisInput, Diff, Groups, History, HistoryRange, Key, Live, Peer, PeerConfig, PeerCreated, PeerInput,
    PeerPatch, PortList, Readiness, RestoreInput, Restored, Role, RuleInput, Rules, Settings, Status,
    Throughput, TokenCreated, Tokens, Topology, User, UserPatch, Users,
};
use weir_model::record::{Actor, SessionId, Source, TokenId};
use weir_model::{Change, Placed};
use weir_store::{Store, StoreError};
use zeroize::Zeroizing;

/// How old the peers of a list may be.
const LIST_AGE: Duration = Duration::from_millis(1500);

/// The backend.
pub struct Service {
    world: Arc<World>,
    owner: Asking,
    polling: Polling,
    store: Store,
    totals: Arc<Totals>,
    metrics: Metrics,
    dataplane: PathBuf,
    first_password: Option<PathBuf>,
    /// When each session was used last, where that was since this process started.
    used: Mutex<HashMap<SessionId, Timestamp>>,
}

/// What a [`Service`] is made of.
pub struct Parts {
    /// What the parts of the process share.
    pub world: Arc<World>,
    /// Asks the owner.
    pub owner: Asking,
    /// Asks the poller.
    pub polling: Polling,
    /// The store, for reading.
    pub store: Store,
    /// Bytes for life.
    pub totals: Arc<Totals>,
    /// The data plane's socket, for probes.
    pub dataplane: PathBuf,
    /// The file with the first password, removed when that is changed.
    pub first_password: Option<PathBuf>,
}

impl Service {
    /// A backend of these parts.
    pub fn new(parts: Parts) -> Self {
        Self {
            world: parts.world,
            owner: parts.owner,
            polling: parts.polling,
            store: parts.store,
            totals: parts.totals,
            metrics: Metrics,
            dataplane: parts.dataplane,
            first_password: parts.first_password,
            used: Mutex::default(),
        }
    }

    fn published(&self) -> Arc<Published> {
        self.world.published.load_full()
    }

    /// Has the owner make changes as a caller wants them.
    async fn change(
        &self,
        by: &Caller,
        options: &Options,
        changes: Vec<Placed>,
        expect: Option<Expect>,
    ) -> Reply {
        let wanted = Wanted {
            dry_run: options.dry_run,
            confirm_within: options.confirm_within_s.map(|s| Duration::from_secs(s.into())),
            expect: expect.map(|about| (about, options.precondition.clone())),
        };
        self.owner.change(changes, asker(by), wanted).await
    }

    /// The same for one change without options.
    async fn plainly(&self, by: (Actor, Source), change: Change) -> Reply {
        self.owner
            .change(vec![change.into()], by, Wanted::default())
            .await
    }
}

/// What became of a change: its differences where it was only asked about, else what `made` makes of it.
fn outcome<T>(
    options: &Options,
    done: Done,
    etag: Option<ETag>,
    created: bool,
    made: impl FnOnce(&Done) -> Answer<T>,
) -> Answer<Outcome<T>> {
    if options.dry_run {
        return Ok(Outcome::WouldMake(Diff {
            diff: present::diff(done.differences),
        }));
    }
    let value = made(&done)?;
    let pending = done.pending.as_ref().map(|change| types::PendingChange {
        id: change.id.to_string(),
        made_at: change.made_at,
        made_by: change.actor.to_string(),
        reverts_at: change.reverts_at,
        diff: present::diff(done.differences.clone()),
    });
    Ok(Outcome::Made(Made {
        value,
        created,
        etag,
        pending,
    }))
}

/// Who asks, as the audit log has it.
fn asker(by: &Caller) -> (Actor, Source) {
    let actor = match &by.actor {
        caller::Actor::User(name) => Actor::User(name.clone()),
        caller::Actor::Token { name, id } => match id.parse::<TokenId>() {
            Ok(id) => Actor::Token(id),
            Err(_) => Actor::User(name.clone()),
        },
        caller::Actor::Unix(uid) => Actor::Uid(*uid),
    };
    (actor, source(by.source))
}

fn source(source: caller::Source) -> Source {
    match source {
        caller::Source::Address(address) => Source::Address(address),
        caller::Source::Unix => Source::UnixSocket,
    }
}

/// Reads the store on a thread that may wait for the disk.
pub async fn reading<T: Send + 'static>(
    store: &Store,
    read: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
) -> Answer<T> {
    let store = store.clone();
    match tokio::task::spawn_blocking(move || read(&store)).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => {
            tracing::error!("{error}");
            Err(match crate::owner::storage_fault(&error) {
                StorageFault::Failed => Refusal::Internal(error.to_string()),
                fault => Refusal::Storage(fault),
            })
        }
        Err(error) => Err(Refusal::Internal(error.to_string())),
    }
}

#[async_trait]
impl Backend for Service {
    async fn readiness(&self) -> Readiness {
        self.ready()
    }

    async fn metrics(&self) -> Answer<String> {
        self.polling.fresh(&self.world, LIST_AGE).await;
        self.metrics
            .text(&self.world, &self.totals)
            .map_err(Refusal::Internal)
    }

    fn events(&self) -> &Hub {
        &self.world.hub
    }

    async fn peers(&self, query: &PeerQuery, page: &PageRequest) -> Answer<Page<Peer>> {
        self.list_peers(query, page).await
    }

    async fn peer(&self, key: Key) -> Answer<Versioned<Peer>> {
        self.one_peer(key).await
    }

    async fn peer_live(&self, key: Key) -> Answer<Live> {
        self.live(key).await
    }

    async fn create_peer(
        &self,
        by: &Caller,
        options: &Options,
        peer: PeerInput,
    ) -> Answer<Outcome<PeerCreated>> {
        self.make_peer(by, options, peer).await
    }

    async fn put_peer(
        &self,
        by: &Caller,
        options: &Options,
        key: Key,
        peer: PeerInput,
    ) -> Answer<Outcome<Peer>> {
        let change = Change::PutPeer(key.0, edit::of_input(peer));
        self.change_peer(by, options, key, change).await
    }

    async fn patch_peer(
        &self,
        by: &Caller,
        options: &Options,
        key: Key,
        patch: PeerPatch,
    ) -> Answer<Outcome<Peer>> {
        let change = Change::PatchPeer(key.0, edit::of_patch(patch));
        self.change_peer(by, options, key, change).await
    }

    async fn delete_peer(&self, by: &Caller, options: &Options, key: Key) -> Answer<Outcome<()>> {
        let changes = vec![Change::RemovePeer(key.0).into()];
        let done = self
            .change(by, options, changes, Some(Expect::Peer(key.0)))
            .await?;
        outcome(options, done, None, false, |_| Ok(()))
    }

    async fn bulk_peers(
        &self,
        by: &Caller,
        options: &Options,
        operations: Vec<BulkOperation>,
    ) -> Answer<Outcome<BulkDone>> {
        self.bulk(by, options, operations).await
    }

    async fn peer_history(&self, key: Key, range: HistoryRange) -> Answer<History> {
        self.history(key, range).await
    }

    async fn peer_config(&self, key: Key) -> Answer<String> {
        self.config(key)
    }

    async fn rotate_preshared_key(
        &self,
        by: &Caller,
        options: &Options,
        key: Key,
    ) -> Answer<Outcome<PeerConfig>> {
        self.rotate(by, options, key).await
    }

    async fn diagnose(&self, _by: &Caller, key: Key, input: DiagnosisInput) -> Answer<Diagnosis> {
        self.diagnosis(key, input.probe).await
    }

    async fn groups(&self) -> Answer<Groups> {
        let (published, learnt) = (self.published(), self.world.learnt.load_full());
        let groups = list::groups(&published, &learnt).into_iter();
        let items = groups.map(|(name, peers)| types::Group { name, peers }).collect();
        Ok(Groups { items })
    }

    async fn rules(&self) -> Answer<Versioned<Rules>> {
        self.polling.fresh(&self.world, LIST_AGE).await;
        let published = self.published();
        let etag = etags::rules(&published.state);
        Ok(Versioned {
            value: self.rules_of(&published.state),
            etag,
        })
    }

    async fn put_rules(
        &self,
        by: &Caller,
        options: &Options,
        rules: Vec<RuleInput>,
    ) -> Answer<Outcome<Rules>> {
        let items = rules.into_iter().map(edit::rule).collect();
        let changes = vec![Change::Rules(items).into()];
        let done = self.change(by, options, changes, Some(Expect::Rules)).await?;
        let etag = etags::rules(&done.state);
        outcome(options, done, Some(etag), false, |done| {
            Ok(self.rules_of(&done.state))
        })
    }

    async fn status(&self) -> Answer<Status> {
        self.polling.fresh(&self.world, LIST_AGE).await;
        Ok(self.gateway_status())
    }

    async fn ports(&self) -> Answer<PortList> {
        self.polling.fresh(&self.world, LIST_AGE).await;
        self.port_list()
    }

    async fn topology(&self) -> Answer<Topology> {
        self.polling.fresh(&self.world, LIST_AGE).await;
        Ok(self.drawing())
    }

    async fn alerts(&self) -> Answer<Alerts> {
        Ok(Alerts {
            items: self.world.alerts.list(),
        })
    }

    async fn throughput(&self) -> Answer<Throughput> {
        Ok(Throughput {
            step_s: 1,
            points: self.world.throughput().points(),
        })
    }

    async fn audit(&self, query: &AuditQuery, page: &PageRequest) -> Answer<AuditEntries> {
        self.audit_page(query, page).await
    }

    async fn verify_audit(&self) -> Answer<AuditVerification> {
        self.audit_verification().await
    }

    async fn compliance(&self, from: Timestamp, to: Timestamp) -> Answer<Compliance> {
        self.report(from, to).await
    }

    async fn user_secret(&self, name: &str) -> Answer<Option<UserSecret>> {
        Ok(self.secret_of(name))
    }

    async fn record_login(&self, attempt: LoginAttempt) {
        self.note_login(attempt).await;
    }

    async fn open_session(&self, session: NewSession) -> Answer<()> {
        self.begin_session(session).await
    }

    async fn session(&self, hash: &[u8; 32]) -> Answer<Option<SessionRecord>> {
        Ok(self.session_of(hash))
    }

    async fn touch_session(&self, hash: &[u8; 32], at: Timestamp) {
        self.touch(hash, at);
    }

    async fn close_session(&self, by: &Caller, hash: &[u8; 32]) -> Answer<()> {
        let id = access::session_id(hash);
        self.plainly(asker(by), Change::CloseSession(id)).await.map(drop)
    }

    async fn token(&self, hash: &[u8; 32]) -> Answer<Option<TokenRecord>> {
        Ok(self.token_of(hash))
    }

    async fn touch_token(&self, id: &str, at: Timestamp) {
        self.note_token(id, at).await;
    }

    async fn users(&self) -> Answer<Users> {
        let published = self.published();
        Ok(Users {
            items: published.state.users.values().map(access::user).collect(),
        })
    }

    async fn user(&self, name: &str) -> Answer<Versioned<User>> {
        let published = self.published();
        let user = published
            .state
            .users
            .get(name)
            .ok_or(Refusal::NotFound { what: "user" })?;
        Ok(Versioned {
            value: access::user(user),
            etag: etags::user(user),
        })
    }

    async fn create_user(&self, by: &Caller, options: &Options, user: NewUser) -> Answer<Outcome<User>> {
        self.make_user(by, options, user).await
    }

    async fn patch_user(
        &self,
        by: &Caller,
        options: &Options,
        name: &str,
        patch: UserPatch,
    ) -> Answer<Outcome<User>> {
        self.change_user(by, options, name, patch).await
    }

    async fn delete_user(&self, by: &Caller, options: &Options, name: &str) -> Answer<Outcome<()>> {
        let changes = vec![Change::RemoveUser(name.to_owned()).into()];
        let done = self
            .change(by, options, changes, Some(Expect::User(name.to_owned())))
            .await?;
        outcome(options, done, None, false, |_| Ok(()))
    }

    async fn set_password(
        &self,
        by: &Caller,
        options: &Options,
        name: &str,
        password_hash: Zeroizing<String>,
        keep: Option<[u8; 32]>,
    ) -> Answer<Outcome<()>> {
        self.change_password(by, options, name, password_hash, keep).await
    }

    async fn tokens(&self) -> Answer<Tokens> {
        Ok(Tokens {
            items: self.token_list(),
        })
    }

    async fn create_token(
        &self,
        by: &Caller,
        options: &Options,
        token: NewToken,
    ) -> Answer<Outcome<TokenCreated>> {
        self.make_token(by, options, token).await
    }

    async fn delete_token(
        &self,
        by: &Caller,
        options: &Options,
        id: &str,
        up_to: Role,
    ) -> Answer<Outcome<()>> {
        self.revoke_token(by, options, id, up_to).await
    }

    async fn settings(&self) -> Answer<Versioned<Settings>> {
        let published = self.published();
        let settings = &published.state.settings;
        Ok(Versioned {
            value: access::settings(settings),
            etag: etags::settings(settings),
        })
    }

    async fn put_settings(
        &self,
        by: &Caller,
        options: &Options,
        settings: Settings,
    ) -> Answer<Outcome<Settings>> {
        let known = Arc::clone(&self.published().state.settings);
        let changes = vec![Change::Settings(access::settings_record(&settings, &known)).into()];
        let done = self.change(by, options, changes, Some(Expect::Settings)).await?;
        let etag = etags::settings(&done.state.settings);
        outcome(options, done, Some(etag), false, |done| {
            Ok(access::settings(&done.state.settings))
        })
    }

    async fn backup(&self, by: &Caller, input: BackupInput) -> Answer<Vec<u8>> {
        self.take_backup(by, input).await
    }

    async fn restore(
        &self,
        by: &Caller,
        options: &Options,
        input: RestoreInput,
        backup: Vec<u8>,
    ) -> Answer<Outcome<Restored>> {
        self.restore_backup(by, options, input, backup).await
    }

    async fn changes(&self) -> Answer<Changes> {
        Ok(self.waiting())
    }

    async fn confirm_change(&self, by: &Caller, id: &str) -> Answer<()> {
        let id = id.parse().map_err(|_| Refusal::NotFound { what: "change" })?;
        self.plainly(asker(by), Change::Confirm(id)).await.map(drop)
    }

    async fn revert_change(&self, by: &Caller, id: &str) -> Answer<()> {
        let id = id.parse().map_err(|_| Refusal::NotFound { what: "change" })?;
        self.plainly(asker(by), Change::Revert(id)).await.map(drop)
    }
}
