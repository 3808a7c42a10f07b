//! Users, their sessions, and tokens.

use super::Draft;
use crate::change::UserEdit;
use crate::limits::{SESSIONS_MAX, TOKENS_MAX, USERS_MAX};
use crate::problem::{Problem, Refused};
use crate::record::{Action, Session, SessionId, TokenId, User, Write};
use std::sync::Arc;

impl Draft<'_> {
    pub(super) fn user(&self, name: &str) -> Result<User, Refused> {
        let found = self.next.users.get(name).cloned();
        found.ok_or_else(|| Refused::NotFound {
            what: "user",
            name: name.to_owned(),
        })
    }

    pub(super) fn put_user(&mut self, mut user: User) {
        user.updated_at = self.by.now;
        self.users.insert(user.name.clone());
        self.next.apply(&Write::User(user));
    }

    pub(super) fn create_user(&mut self, user: &User) -> Result<(), Refused> {
        if self.next.users.contains_key(&user.name) {
            return Err(Refused::Exists {
                what: "user",
                name: user.name.clone(),
            });
        }
        if self.next.users.len() >= USERS_MAX {
            self.report([Problem::new("name", "", format!("at most {USERS_MAX} users"))]);
        }
        self.put_user(user.clone());
        Ok(())
    }

    pub(super) fn patch_user(&mut self, name: &str, edit: &UserEdit) -> Result<(), Refused> {
        let mut user = self.user(name)?;
        let before = user.clone();
        user.role = edit.role.unwrap_or(user.role);
        user.disabled = edit.disabled.unwrap_or(user.disabled);
        user.must_change_password = edit.must_change_password.unwrap_or(user.must_change_password);
        if user == before {
            return Ok(());
        }
        if user.disabled {
            self.end_sessions(name, None);
        }
        self.put_user(user);
        Ok(())
    }

    pub(super) fn remove_user(&mut self, name: &str) -> Result<(), Refused> {
        self.user(name)?;
        self.users.insert(name.to_owned());
        self.next.apply(&Write::RemoveUser(name.to_owned()));
        self.end_sessions(name, None);
        Ok(())
    }

    pub(super) fn login(&mut self, name: &str, action: Action, why: &str) {
        let outcome = [("outcome".to_owned(), why.to_owned())].into();
        self.note(action, format!("user/{name}"), outcome);
        if action == Action::LoggedIn
            && let Ok(mut user) = self.user(name)
        {
            user.last_login_at = Some(self.by.now);
            self.write(Write::User(user));
        }
    }

    pub(super) fn sessions_of(&self, name: &str) -> Vec<Arc<Session>> {
        let all = self.next.sessions.values();
        all.filter(|session| session.user == name).cloned().collect()
    }

    pub(super) fn end_sessions(&mut self, name: &str, keep: Option<SessionId>) {
        for session in self.sessions_of(name) {
            if Some(session.id) != keep {
                self.write(Write::RemoveSession(session.id));
            }
        }
    }

    /// Begins a session; those that ended go, and the oldest of a user who has too many.
    pub(super) fn open_session(&mut self, session: &Session) {
        let ended = self
            .next
            .sessions
            .values()
            .filter(|known| known.expires_at <= self.by.now);
        let ended: Vec<SessionId> = ended.map(|known| known.id).collect();
        for id in ended {
            self.write(Write::RemoveSession(id));
        }
        let mut known = self.sessions_of(&session.user);
        known.sort_by_key(|session| session.created_at);
        let too_many = (known.len() + 1).saturating_sub(SESSIONS_MAX);
        for old in &known[..too_many.min(known.len())] {
            self.write(Write::RemoveSession(old.id));
        }
        self.write(Write::Session(session.clone()));
    }

    pub(super) fn close_session(&mut self, id: &SessionId) {
        if let Some(session) = self.next.sessions.get(id).cloned() {
            self.note(
                Action::LoggedOut,
                session.user.clone(),
                crate::record::Facts::new(),
            );
            self.write(Write::RemoveSession(*id));
        }
    }

    pub(super) fn create_token(&mut self, token: &crate::record::Token) -> Result<(), Refused> {
        if self.next.tokens.contains_key(&token.id) {
            return Err(Refused::Exists {
                what: "token",
                name: token.id.to_string(),
            });
        }
        if self.next.tokens.len() >= TOKENS_MAX {
            self.report([Problem::new("name", "", format!("at most {TOKENS_MAX} tokens"))]);
        }
        if let Some(at) = token.expires_at.filter(|at| *at <= self.by.now) {
            self.report([Problem::new("expires_at", at, "a time to come")]);
        }
        self.tokens.insert(token.id);
        self.next.apply(&Write::Token(token.clone()));
        Ok(())
    }

    pub(super) fn remove_token(&mut self, id: &TokenId) -> Result<(), Refused> {
        if !self.next.tokens.contains_key(id) {
            return Err(Refused::NotFound {
                what: "token",
                name: id.to_string(),
            });
        }
        self.tokens.insert(*id);
        self.next.apply(&Write::RemoveToken(*id));
        Ok(())
    }
}
