//! A backend in memory, for tests alone: as strict as the real one where the router relies on it, and no further.

mod access;
mod peers;
pub mod samples;
mod state;

pub use state::Fake;

use async_trait::async_trait;
use jiff::Timestamp;
use state::{changed, missing};
use weir_api::backend::*;
use weir_api::caller::{Caller, ETag, Options};
use weir_api::events::Hub;
use weir_api::types::*;
use zeroize::Zeroizing;

#[async_trait]
impl Backend for Fake {
    async fn readiness(&self) -> Readiness {
        let held = self.held();
        let missing = if held.ready {
            vec![]
        } else {
            vec!["the data plane is away".to_owned()]
        };
        Readiness {
            ready: held.ready,
            missing,
        }
    }

    async fn metrics(&self) -> Answer<String> {
        Ok("# TYPE weir_peers gauge\nweir_peers 1\n".to_owned())
    }

    fn events(&self) -> &Hub {
        &self.hub
    }

    async fn peers(&self, query: &PeerQuery, page: &PageRequest) -> Answer<Page<Peer>> {
        peers::list(&self.held(), query, page)
    }

    async fn peer(&self, key: Key) -> Answer<Versioned<Peer>> {
        peers::read(&self.held(), key)
    }

    async fn peer_live(&self, key: Key) -> Answer<Live> {
        peers::read(&self.held(), key).map(|peer| peer.value.live)
    }

    async fn create_peer(
        &self,
        by: &Caller,
        options: &Options,
        peer: PeerInput,
    ) -> Answer<Outcome<PeerCreated>> {
        peers::create(&mut *self.change(by, options)?, options, peer)
    }

    async fn put_peer(
        &self,
        by: &Caller,
        options: &Options,
        key: Key,
        peer: PeerInput,
    ) -> Answer<Outcome<Peer>> {
        peers::put(&mut *self.change(by, options)?, options, key, peer)
    }

    async fn patch_peer(
        &self,
        by: &Caller,
        options: &Options,
        key: Key,
        patch: PeerPatch,
    ) -> Answer<Outcome<Peer>> {
        peers::patch(&mut *self.change(by, options)?, options, key, patch)
    }

    async fn delete_peer(&self, by: &Caller, options: &Options, key: Key) -> Answer<Outcome<()>> {
        peers::delete(&mut *self.change(by, options)?, options, key)
    }

    async fn bulk_peers(
        &self,
        by: &Caller,
        options: &Options,
        operations: Vec<BulkOperation>,
    ) -> Answer<Outcome<BulkDone>> {
        peers::bulk(&mut *self.change(by, options)?, options, operations)
    }

    async fn peer_history(&self, key: Key, _: HistoryRange) -> Answer<History> {
        peers::read(&self.held(), key)?;
        Ok(History {
            step_s: 60,
            points: vec![[0, 1, 2, 3]],
        })
    }

    async fn peer_config(&self, key: Key) -> Answer<String> {
        peers::read(&self.held(), key)?;
        Ok("[Interface]\nAddress = 10.0.0.2/32\n".to_owned())
    }

    async fn rotate_preshared_key(
        &self,
        by: &Caller,
        options: &Options,
        key: Key,
    ) -> Answer<Outcome<PeerConfig>> {
        let mut held = self.change(by, options)?;
        let before = peers::read(&held, key)?;
        if !options.precondition.holds(Some(&before.etag)) {
            return Err(Refusal::Precondition {
                etag: Some(before.etag),
            });
        }
        let config = format!("[Peer]\nPresharedKey = {}\n", samples::SECRET);
        Ok(changed(&mut held, options, PeerConfig { config }))
    }

    async fn diagnose(&self, _: &Caller, key: Key, input: DiagnosisInput) -> Answer<Diagnosis> {
        peers::read(&self.held(), key)?;
        if input.probe && !self.held().ready {
            return Err(Refusal::Unavailable {
                detail: "the data plane is away, and a probe needs it".to_owned(),
            });
        }
        Ok(samples::diagnosis(input.probe))
    }

    async fn groups(&self) -> Answer<Groups> {
        Ok(Groups {
            items: vec![Group {
                name: "staff".to_owned(),
                peers: 1,
            }],
        })
    }

    async fn rules(&self) -> Answer<Versioned<Rules>> {
        let held = self.held();
        Ok(Versioned {
            value: held.rules.clone(),
            etag: held.version(),
        })
    }

    async fn put_rules(
        &self,
        by: &Caller,
        options: &Options,
        rules: Vec<RuleInput>,
    ) -> Answer<Outcome<Rules>> {
        let mut held = self.change(by, options)?;
        let etag = held.version();
        if !options.precondition.holds(Some(&etag)) {
            return Err(Refusal::Precondition { etag: Some(etag) });
        }
        let rules = Rules {
            items: rules.into_iter().map(samples::rule).collect(),
        };
        if !options.dry_run {
            held.rules = rules.clone();
        }
        Ok(changed(&mut held, options, rules))
    }

    async fn status(&self) -> Answer<Status> {
        if self.held().hangs {
            core::future::pending::<()>().await;
        }
        Ok(samples::status())
    }

    async fn ports(&self) -> Answer<PortList> {
        Ok(PortList {
            items: vec![],
            devices: vec![],
        })
    }

    async fn topology(&self) -> Answer<Topology> {
        Ok(samples::topology())
    }

    async fn alerts(&self) -> Answer<Alerts> {
        Ok(Alerts {
            items: vec![samples::alert()],
        })
    }

    async fn throughput(&self) -> Answer<Throughput> {
        Ok(Throughput {
            step_s: 1,
            points: vec![[1, 2, 3, 4, 5, 6, 7]],
        })
    }

    async fn audit(&self, _: &AuditQuery, page: &PageRequest) -> Answer<AuditEntries> {
        let held = self.held();
        let keyed = held.audit.iter().map(|entry| {
            let number = entry.number.to_be_bytes().to_vec();
            (
                PageKey {
                    sort: vec![],
                    id: number,
                },
                entry.clone(),
            )
        });
        Ok(AuditEntries {
            page: Page::cut(keyed, true, page),
            oldest_hash: None,
            newest_hash: None,
        })
    }

    async fn verify_audit(&self) -> Answer<AuditVerification> {
        Ok(samples::verification(self.held().audit.len() as u64))
    }

    async fn compliance(&self, from: Timestamp, to: Timestamp) -> Answer<Compliance> {
        Ok(samples::compliance(from, to))
    }

    async fn user_secret(&self, name: &str) -> Answer<Option<UserSecret>> {
        Ok(access::secret(&self.held(), name))
    }

    async fn record_login(&self, attempt: LoginAttempt) {
        self.held().logins.push(attempt);
    }

    async fn open_session(&self, session: NewSession) -> Answer<()> {
        self.held().sessions.insert(
            session.hash,
            (session.user, session.created_at, session.created_at),
        );
        Ok(())
    }

    async fn session(&self, hash: &[u8; 32]) -> Answer<Option<SessionRecord>> {
        Ok(access::session(&self.held(), hash))
    }

    async fn touch_session(&self, hash: &[u8; 32], at: Timestamp) {
        if let Some(session) = self.held().sessions.get_mut(hash) {
            session.2 = at;
        }
    }

    async fn close_session(&self, _: &Caller, hash: &[u8; 32]) -> Answer<()> {
        self.held().sessions.remove(hash);
        Ok(())
    }

    async fn token(&self, hash: &[u8; 32]) -> Answer<Option<TokenRecord>> {
        Ok(self
            .held()
            .tokens
            .iter()
            .find(|token| token.hash == *hash)
            .cloned())
    }

    async fn touch_token(&self, id: &str, at: Timestamp) {
        if let Some(token) = self.held().tokens.iter_mut().find(|token| token.id == id) {
            token.used_at = Some(at);
        }
    }

    async fn users(&self) -> Answer<Users> {
        Ok(Users {
            items: self
                .held()
                .users
                .iter()
                .map(|(name, user)| access::user(name, user))
                .collect(),
        })
    }

    async fn user(&self, name: &str) -> Answer<Versioned<User>> {
        let held = self.held();
        let user = held.users.get(name).ok_or(missing("user"))?;
        Ok(Versioned {
            value: access::user(name, user),
            etag: ETag::from_number(1),
        })
    }

    async fn create_user(&self, by: &Caller, options: &Options, user: NewUser) -> Answer<Outcome<User>> {
        access::create_user(&mut *self.change(by, options)?, options, user)
    }

    async fn patch_user(
        &self,
        by: &Caller,
        options: &Options,
        name: &str,
        patch: UserPatch,
    ) -> Answer<Outcome<User>> {
        access::patch_user(&mut *self.change(by, options)?, options, name, patch)
    }

    async fn delete_user(&self, by: &Caller, options: &Options, name: &str) -> Answer<Outcome<()>> {
        access::delete_user(&mut *self.change(by, options)?, options, name)
    }

    async fn set_password(
        &self,
        by: &Caller,
        options: &Options,
        name: &str,
        password_hash: Zeroizing<String>,
        keep: Option<[u8; 32]>,
    ) -> Answer<Outcome<()>> {
        assert!(
            by.role > Role::Viewer || by.actor.name() == name,
            "the router let {by:?} change {name}'s password"
        );
        access::set_password(
            &mut *self.change_own(options)?,
            options,
            name,
            password_hash,
            keep,
        )
    }

    async fn tokens(&self) -> Answer<Tokens> {
        Ok(Tokens {
            items: self.held().tokens.iter().map(access::token).collect(),
        })
    }

    async fn create_token(
        &self,
        by: &Caller,
        options: &Options,
        token: NewToken,
    ) -> Answer<Outcome<TokenCreated>> {
        access::create_token(&mut *self.change(by, options)?, options, token)
    }

    async fn delete_token(
        &self,
        by: &Caller,
        options: &Options,
        id: &str,
        up_to: Role,
    ) -> Answer<Outcome<()>> {
        access::delete_token(&mut *self.change(by, options)?, options, id, up_to)
    }

    async fn settings(&self) -> Answer<Versioned<Settings>> {
        let held = self.held();
        Ok(Versioned {
            value: held.settings.clone(),
            etag: held.version(),
        })
    }

    async fn put_settings(
        &self,
        by: &Caller,
        options: &Options,
        settings: Settings,
    ) -> Answer<Outcome<Settings>> {
        let mut held = self.change(by, options)?;
        let etag = held.version();
        if !options.precondition.holds(Some(&etag)) {
            return Err(Refusal::Precondition { etag: Some(etag) });
        }
        if !options.dry_run {
            held.settings = settings.clone();
        }
        Ok(changed(&mut held, options, settings))
    }

    async fn backup(&self, by: &Caller, _: BackupInput) -> Answer<Vec<u8>> {
        drop(self.change(by, &Options::default())?);
        Ok(b"sealed".to_vec())
    }

    async fn restore(
        &self,
        by: &Caller,
        options: &Options,
        _: RestoreInput,
        backup: Vec<u8>,
    ) -> Answer<Outcome<Restored>> {
        let mut held = self.change(by, options)?;
        if backup != b"sealed" {
            let expected = "a backup of Weir and the passphrase that it was made with";
            return Err(Refusal::Invalid(vec![FieldProblem::silent("backup", expected)]));
        }
        let restored = Restored {
            peers: 1,
            rules: 0,
            users: 3,
            tokens: 0,
            made_at: Timestamp::UNIX_EPOCH,
        };
        Ok(changed(&mut held, options, restored))
    }

    async fn changes(&self) -> Answer<Changes> {
        Ok(Changes {
            items: self.held().pending.clone(),
        })
    }

    async fn confirm_change(&self, by: &Caller, id: &str) -> Answer<()> {
        let mut held = self.change(by, &Options::default())?;
        held.end_change(id)
    }

    async fn revert_change(&self, by: &Caller, id: &str) -> Answer<()> {
        let mut held = self.change(by, &Options::default())?;
        held.end_change(id)
    }
}
