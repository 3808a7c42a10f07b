//! Users, sessions and tokens in memory.

use super::samples;
use super::state::{Held, changed, missing};
use std::collections::BTreeMap;
use std::sync::OnceLock;
use weir_api::backend::*;
use weir_api::caller::Options;
use weir_api::types::*;
use zeroize::Zeroizing;

/// A user in memory.
#[derive(Clone)]
pub struct FakeUser {
    pub role: Role,
    pub hash: Zeroizing<String>,
    pub disabled: bool,
    pub must_change_password: bool,
}

pub(super) fn users() -> BTreeMap<String, FakeUser> {
    static HASH: OnceLock<Zeroizing<String>> = OnceLock::new();
    let hash = HASH
        .get_or_init(|| weir_api::auth::password::hash(&Secret::new(samples::PASSWORD.to_owned())).unwrap());
    let users = [
        ("admin", Role::Administrator),
        ("operator", Role::Operator),
        ("viewer", Role::Viewer),
    ];
    users
        .into_iter()
        .map(|(name, role)| {
            let user = FakeUser {
                role,
                hash: hash.clone(),
                disabled: false,
                must_change_password: false,
            };
            (name.to_owned(), user)
        })
        .collect()
}

pub(super) fn secret(held: &Held, name: &str) -> Option<UserSecret> {
    held.users.get(name).map(|user| UserSecret {
        name: name.to_owned(),
        role: user.role,
        password_hash: user.hash.clone(),
        disabled: user.disabled,
        must_change_password: user.must_change_password,
    })
}

pub(super) fn session(held: &Held, hash: &[u8; 32]) -> Option<SessionRecord> {
    let (name, created_at, used_at) = held.sessions.get(hash)?;
    let user = held.users.get(name).filter(|user| !user.disabled)?;
    Some(SessionRecord {
        hash: *hash,
        user: name.clone(),
        role: user.role,
        must_change_password: user.must_change_password,
        created_at: *created_at,
        used_at: *used_at,
    })
}

pub(super) fn user(name: &str, user: &FakeUser) -> User {
    User {
        name: name.to_owned(),
        role: user.role,
        disabled: user.disabled,
        must_change_password: user.must_change_password,
        created_at: jiff::Timestamp::UNIX_EPOCH,
        last_login_at: None,
    }
}

pub(super) fn create_user(held: &mut Held, options: &Options, new: NewUser) -> Answer<Outcome<User>> {
    let name = new.name.to_string();
    if held.users.contains_key(&name) {
        return Err(Refusal::Conflict {
            detail: format!("there is a user {name} already"),
        });
    }
    let made = FakeUser {
        role: new.role,
        hash: new.password_hash,
        disabled: false,
        must_change_password: new.must_change_password,
    };
    let answer = user(&name, &made);
    if !options.dry_run {
        held.users.insert(name, made);
    }
    Ok(changed(held, options, answer))
}

pub(super) fn patch_user(
    held: &mut Held,
    options: &Options,
    name: &str,
    patch: UserPatch,
) -> Answer<Outcome<User>> {
    let mut after = held.users.get(name).cloned().ok_or(missing("user"))?;
    after.role = patch.role.unwrap_or(after.role);
    after.disabled = patch.disabled.unwrap_or(after.disabled);
    after.must_change_password = patch.must_change_password.unwrap_or(after.must_change_password);
    if after.role != Role::Administrator || after.disabled {
        keep_an_administrator(held, name)?;
    }
    let answer = user(name, &after);
    if !options.dry_run {
        held.users.insert(name.to_owned(), after);
    }
    Ok(changed(held, options, answer))
}

pub(super) fn delete_user(held: &mut Held, options: &Options, name: &str) -> Answer<Outcome<()>> {
    held.users.get(name).ok_or(missing("user"))?;
    keep_an_administrator(held, name)?;
    if !options.dry_run {
        held.users.remove(name);
    }
    Ok(changed(held, options, ()))
}

fn keep_an_administrator(held: &Held, but: &str) -> Answer<()> {
    let others = held.users.iter().filter(|(name, _)| *name != but);
    if others
        .into_iter()
        .any(|(_, user)| user.role == Role::Administrator && !user.disabled)
    {
        return Ok(());
    }
    Err(Refusal::Conflict {
        detail: format!("{but} is the last administrator"),
    })
}

pub(super) fn set_password(
    held: &mut Held,
    options: &Options,
    name: &str,
    hash: Zeroizing<String>,
    keep: Option<[u8; 32]>,
) -> Answer<Outcome<()>> {
    let user = held.users.get_mut(name).ok_or(missing("user"))?;
    if !options.dry_run {
        user.hash = hash;
        user.must_change_password &= keep.is_none();
        held.sessions
            .retain(|hash, session| session.0 != name || Some(*hash) == keep);
    }
    Ok(changed(held, options, ()))
}

pub(super) fn token(record: &TokenRecord) -> Token {
    Token {
        id: record.id.clone(),
        name: record.name.clone(),
        role: record.role,
        scopes: record.scopes.clone(),
        created_at: jiff::Timestamp::UNIX_EPOCH,
        created_by: "user:admin".to_owned(),
        expires_at: record.expires_at,
        last_used_at: record.used_at,
    }
}

pub(super) fn create_token(
    held: &mut Held,
    options: &Options,
    new: NewToken,
) -> Answer<Outcome<TokenCreated>> {
    let record = TokenRecord {
        id: new.id,
        hash: new.hash,
        name: new.name.to_string(),
        role: new.role,
        scopes: new.scopes,
        expires_at: new.expires_at,
        used_at: None,
    };
    let created = TokenCreated {
        token: new.token.to_string(),
        id: record.id.clone(),
        name: record.name.clone(),
        role: record.role,
        scopes: record.scopes.clone(),
        expires_at: record.expires_at,
    };
    if !options.dry_run {
        held.tokens.push(record);
    }
    Ok(changed(held, options, created))
}

pub(super) fn delete_token(held: &mut Held, options: &Options, id: &str, up_to: Role) -> Answer<Outcome<()>> {
    let token = held
        .tokens
        .iter()
        .find(|token| token.id == id)
        .ok_or(missing("token"))?;
    if token.role > up_to {
        return Err(Refusal::Forbidden {
            detail: "the token's role is above the caller's".to_owned(),
        });
    }
    if !options.dry_run {
        held.tokens.retain(|token| token.id != id);
    }
    Ok(changed(held, options, ()))
}
