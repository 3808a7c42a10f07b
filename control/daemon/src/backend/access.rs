//! Users, sessions, tokens, settings: records in and out.

use super::{Service, asker, etags, outcome, source};
use crate::clock;
use crate::owner::Expect;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use weir_api::backend::{
    Answer, LoginAttempt, LoginOutcome, NewSession, NewToken, NewUser, Outcome, Refusal, SessionRecord,
    TokenRecord, UserSecret,
};
use weir_api::caller::{self, Caller, Options};
use weir_api::types::{self, MetricsNames, Role, Scope, Settings, Token, TokenCreated, User, UserPatch};
use weir_model::record::{
    self, Action, Actor, PasswordHash, SecretHash, Session, SessionId, Source, TokenId,
};
use weir_model::{Change, UserEdit};
use zeroize::Zeroizing;

/// Sessions whose last use is remembered at most.
const USED_MAX: usize = 65_536;

/// What a session is known by: half of its secret's hash.
pub fn session_id(hash: &[u8; 32]) -> SessionId {
    let mut id = [0; 16];
    id.copy_from_slice(&hash[..16]);
    SessionId::from_bytes(id)
}

/// A user, without anything secret.
pub fn user(user: &record::User) -> User {
    User {
        name: user.name.clone(),
        role: role(user.role),
        disabled: user.disabled,
        must_change_password: user.must_change_password,
        created_at: user.created_at,
        last_login_at: user.last_login_at,
    }
}

fn role(role: record::Role) -> Role {
    match role {
        record::Role::Viewer => Role::Viewer,
        record::Role::Operator => Role::Operator,
        record::Role::Administrator => Role::Administrator,
    }
}

fn role_record(role: Role) -> record::Role {
    match role {
        Role::Viewer => record::Role::Viewer,
        Role::Operator => record::Role::Operator,
        Role::Administrator => record::Role::Administrator,
    }
}

macro_rules! scopes {
    ($($name:ident)*) => {
        fn scope(scope: record::Scope) -> Scope {
            match scope { $(record::Scope::$name => Scope::$name,)* }
        }

        fn scope_record(scope: Scope) -> record::Scope {
            match scope { $(Scope::$name => record::Scope::$name,)* }
        }
    };
}

scopes!(PeersRead PeersWrite RulesRead RulesWrite StatusRead EventsRead AuditRead UsersRead UsersWrite TokensWrite SettingsWrite Backup MetricsRead);

/// The settings.
pub fn settings(settings: &record::Settings) -> Settings {
    let alerts = &settings.alerts;
    Settings {
        session_hours: settings.session_hours,
        session_idle_minutes: settings.session_idle_minutes,
        alerts: types::AlertThresholds {
            peer_gone_s: alerts.peer_gone_s,
            refused_handshakes_per_minute: alerts.refused_handshakes_per_minute,
            cookie_replies_per_minute: alerts.cookie_replies_per_minute,
            decrypt_failures_per_minute: alerts.decrypt_failures_per_minute,
            drops_per_mille: alerts.drops_per_mille,
        },
        metrics_names: match settings.metrics_names {
            record::MetricsNames::Dashboard12177 => MetricsNames::Dashboard12177,
            record::MetricsNames::MindFlavor => MetricsNames::MindFlavor,
        },
    }
}

/// Settings as a record; what the API does not name stays.
pub fn settings_record(settings: &Settings, known: &record::Settings) -> record::Settings {
    let alerts = &settings.alerts;
    record::Settings {
        session_hours: settings.session_hours,
        session_idle_minutes: settings.session_idle_minutes,
        audit_days: known.audit_days,
        metrics_names: match settings.metrics_names {
            MetricsNames::Dashboard12177 => record::MetricsNames::Dashboard12177,
            MetricsNames::MindFlavor => record::MetricsNames::MindFlavor,
        },
        alerts: record::AlertThresholds {
            peer_gone_s: alerts.peer_gone_s,
            refused_handshakes_per_minute: alerts.refused_handshakes_per_minute,
            cookie_replies_per_minute: alerts.cookie_replies_per_minute,
            decrypt_failures_per_minute: alerts.decrypt_failures_per_minute,
            drops_per_mille: alerts.drops_per_mille,
            expiry_days: known.alerts.expiry_days,
        },
    }
}

/// Users.
impl Service {
    pub(super) fn secret_of(&self, name: &str) -> Option<UserSecret> {
        let published = self.published();
        let user = published.state.users.get(name)?;
        Some(UserSecret {
            name: user.name.clone(),
            role: role(user.role),
            password_hash: Zeroizing::new(user.password.expose().to_owned()),
            disabled: user.disabled,
            must_change_password: user.must_change_password,
        })
    }

    pub(super) async fn make_user(
        &self,
        by: &Caller,
        options: &Options,
        new: NewUser,
    ) -> Answer<Outcome<User>> {
        let now = clock::now();
        let name = new.name.as_str().to_owned();
        let made = record::User {
            name: name.clone(),
            role: role_record(new.role),
            password: PasswordHash::from_phc(new.password_hash.to_string()),
            must_change_password: new.must_change_password,
            disabled: false,
            created_at: now,
            updated_at: now,
            last_login_at: None,
        };
        let changes = vec![Change::CreateUser(Box::new(made)).into()];
        self.users_changed(by, options, changes, name, true).await
    }

    pub(super) async fn change_user(
        &self,
        by: &Caller,
        options: &Options,
        name: &str,
        patch: UserPatch,
    ) -> Answer<Outcome<User>> {
        let edit = UserEdit {
            role: patch.role.map(role_record),
            disabled: patch.disabled,
            must_change_password: patch.must_change_password,
        };
        let changes = vec![Change::PatchUser(name.to_owned(), edit).into()];
        self.users_changed(by, options, changes, name.to_owned(), false)
            .await
    }

    async fn users_changed(
        &self,
        by: &Caller,
        options: &Options,
        changes: Vec<weir_model::Placed>,
        name: String,
        created: bool,
    ) -> Answer<Outcome<User>> {
        let done = self
            .change(by, options, changes, Some(Expect::User(name.clone())))
            .await?;
        let etag = done.state.users.get(&name).map(etags::user);
        outcome(options, done, etag, created, |done| {
            let found = done
                .state
                .users
                .get(&name)
                .ok_or(Refusal::NotFound { what: "user" })?;
            Ok(user(found))
        })
    }

    pub(super) async fn change_password(
        &self,
        by: &Caller,
        options: &Options,
        name: &str,
        hash: Zeroizing<String>,
        keep: Option<[u8; 32]>,
    ) -> Answer<Outcome<()>> {
        let own = matches!(&by.actor, caller::Actor::User(user) if user == name);
        let known = self.secret_of(name).ok_or(Refusal::NotFound { what: "user" })?;
        let change = Change::SetPassword {
            name: name.to_owned(),
            hash: PasswordHash::from_phc(hash.to_string()),
            must_change: known.must_change_password && !own,
            keep: keep.as_ref().map(session_id),
        };
        let expect = Some(Expect::User(name.to_owned()));
        let done = self.change(by, options, vec![change.into()], expect).await?;
        if !options.dry_run && name == crate::first::ADMINISTRATOR {
            self.forget_first_password();
        }
        outcome(options, done, None, false, |_| Ok(()))
    }

    /// The first password is void, so the file that tells it goes.
    fn forget_first_password(&self) {
        if let Some(path) = &self.first_password
            && let Err(error) = std::fs::remove_file(path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!("{}: {error}; remove it", path.display());
        }
    }
}

/// Sessions.
impl Service {
    pub(super) async fn note_login(&self, attempt: LoginAttempt) {
        let accepted = attempt.outcome == LoginOutcome::Accepted;
        let why = match attempt.outcome {
            LoginOutcome::Accepted => "accepted",
            LoginOutcome::Refused => "wrong name or password",
            LoginOutcome::Disabled => "the user is disabled",
            LoginOutcome::Limited => "too many before",
        };
        let by = (Actor::User(attempt.name.clone()), source(attempt.source));
        let action = if accepted {
            Action::LoggedIn
        } else {
            Action::LoginRefused
        };
        let change = Change::Login {
            name: attempt.name,
            action,
            why,
        };
        if let Err(refusal) = self.plainly(by, change).await {
            tracing::error!("a login is not in the audit log: {refusal}");
        }
    }

    pub(super) async fn begin_session(&self, new: NewSession) -> Answer<()> {
        let hours = self.published().state.settings.session_hours;
        let lasts = SignedDuration::from_hours(hours.into());
        let (actor, from) = (Actor::User(new.user.clone()), source(new.source));
        let session = Session {
            id: session_id(&new.hash),
            hash: SecretHash::from_bytes(new.hash),
            user: new.user,
            source: match from {
                Source::Address(address) => Some(address),
                Source::UnixSocket | Source::Uapi | Source::Internal => None,
            },
            created_at: new.created_at,
            expires_at: new.created_at.checked_add(lasts).unwrap_or(Timestamp::MAX),
        };
        self.plainly((actor, from), Change::OpenSession(session))
            .await
            .map(drop)
    }

    pub(super) fn session_of(&self, hash: &[u8; 32]) -> Option<SessionRecord> {
        let published = self.published();
        let session = published.state.sessions.get(&session_id(hash))?;
        if session.hash != SecretHash::from_bytes(*hash) {
            return None;
        }
        let user = published
            .state
            .users
            .get(&session.user)
            .filter(|user| !user.disabled)?;
        let used = self
            .used
            .lock()
            .expect("nothing that holds this panics")
            .get(&session.id)
            .copied();
        Some(SessionRecord {
            hash: *hash,
            user: user.name.clone(),
            role: role(user.role),
            must_change_password: user.must_change_password,
            created_at: session.created_at,
            // After a restart nobody knows better than that the process is up.
            used_at: used.unwrap_or(session.created_at.max(self.world.started_at)),
        })
    }

    pub(super) fn touch(&self, hash: &[u8; 32], at: Timestamp) {
        let published = self.published();
        let mut used = self.used.lock().expect("nothing that holds this panics");
        if used.len() >= USED_MAX {
            used.retain(|id, _| published.state.sessions.contains_key(id));
        }
        used.insert(session_id(hash), at);
    }
}

/// Tokens.
impl Service {
    pub(super) fn token_of(&self, hash: &[u8; 32]) -> Option<TokenRecord> {
        let published = self.published();
        let wanted = SecretHash::from_bytes(*hash);
        let token = published
            .state
            .tokens
            .values()
            .find(|token| token.hash == wanted)?;
        Some(TokenRecord {
            id: token.id.to_string(),
            hash: *hash,
            name: token.name.clone(),
            role: role(token.role),
            scopes: token.scopes.iter().copied().map(scope).collect(),
            expires_at: token.expires_at,
            used_at: token.last_used_at,
        })
    }

    /// To within an hour: finer would cost a write each time.
    pub(super) async fn note_token(&self, id: &str, at: Timestamp) {
        let Ok(id) = id.parse::<TokenId>() else { return };
        let published = self.published();
        let hour = SignedDuration::from_hours(1);
        let last = published
            .state
            .tokens
            .get(&id)
            .and_then(|token| token.last_used_at);
        if last.is_some_and(|last| at.duration_since(last) < hour) {
            return;
        }
        // A store that cannot be written is said elsewhere, and the token is used all the same.
        let _ = self
            .plainly((Actor::Weir, Source::Internal), Change::TouchToken(id, at))
            .await;
    }

    pub(super) fn token_list(&self) -> Vec<Token> {
        let published = self.published();
        let shown = |token: &record::Token| Token {
            id: token.id.to_string(),
            name: token.name.clone(),
            role: role(token.role),
            scopes: token.scopes.iter().copied().map(scope).collect(),
            created_at: token.created_at,
            created_by: token.made_by.clone().unwrap_or_else(|| "root".to_owned()),
            expires_at: token.expires_at,
            last_used_at: token.last_used_at,
        };
        let mut tokens: Vec<Token> = published.state.tokens.values().map(shown).collect();
        tokens.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        tokens
    }

    pub(super) async fn make_token(
        &self,
        by: &Caller,
        options: &Options,
        new: NewToken,
    ) -> Answer<Outcome<TokenCreated>> {
        let id: TokenId = new
            .id
            .parse()
            .map_err(|_| Refusal::Internal("a token's id of another form".to_owned()))?;
        let made_by = match asker(by).0 {
            Actor::User(name) => Some(name),
            Actor::Token(id) => Some(format!("token:{id}")),
            Actor::Uid(_) | Actor::Wg | Actor::Weir => None,
        };
        let token = record::Token {
            id,
            name: new.name.as_str().to_owned(),
            hash: SecretHash::from_bytes(new.hash),
            role: role_record(new.role),
            scopes: new.scopes.iter().copied().map(scope_record).collect(),
            made_by,
            created_at: clock::now(),
            expires_at: new.expires_at,
            last_used_at: None,
        };
        let done = self
            .change(by, options, vec![Change::CreateToken(token).into()], None)
            .await?;
        outcome(options, done, None, true, |_| {
            Ok(TokenCreated {
                token: new.token.to_string(),
                id: new.id,
                name: new.name.as_str().to_owned(),
                role: new.role,
                scopes: new.scopes,
                expires_at: new.expires_at,
            })
        })
    }

    pub(super) async fn revoke_token(
        &self,
        by: &Caller,
        options: &Options,
        id: &str,
        up_to: Role,
    ) -> Answer<Outcome<()>> {
        let id: TokenId = id.parse().map_err(|_| Refusal::NotFound { what: "token" })?;
        let published = Arc::clone(&self.published());
        let token = published
            .state
            .tokens
            .get(&id)
            .ok_or(Refusal::NotFound { what: "token" })?;
        if role(token.role) > up_to {
            return Err(Refusal::Forbidden {
                detail: "the token may more than who would revoke it".to_owned(),
            });
        }
        let done = self
            .change(by, options, vec![Change::RemoveToken(id).into()], None)
            .await?;
        outcome(options, done, None, false, |_| Ok(()))
    }
}
