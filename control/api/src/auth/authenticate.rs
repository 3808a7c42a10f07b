//! Who asks: a token, a session's cookie, or the credentials of the process at a Unix socket. The first that the request
//! carries decides; a wrong one is refused and never passed over for the next.

use super::access::{Access, Need, access_of, allowed};
use super::connection::Connection;
use super::csrf;
use super::{cookie, secret};
use crate::api::Api;
use crate::backend::{SessionRecord, TokenRecord};
use crate::caller::{Actor, Caller, Source};
use crate::http::failure::Failure;
use crate::types::{Role, Scope, Settings};
use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// How often the time of last use is noted.
const TOUCH_AFTER: SignedDuration = SignedDuration::from_secs(60);

/// Who asks, and how that was shown.
#[derive(Clone, Debug)]
pub(crate) struct Authenticated {
    pub caller: Caller,
    pub credential: Credential,
}

/// How a caller showed who it is.
#[derive(Clone, Debug)]
pub(crate) enum Credential {
    /// By a session's cookie.
    Session {
        record: SessionRecord,
        csrf_token: Zeroizing<String>,
        expires_at: Timestamp,
    },
    /// By a token.
    Token(TokenRecord),
    /// By being a process of root or of our own user.
    Unix,
}

impl Credential {
    /// Whether nothing else is allowed until the password is changed.
    pub fn must_change_password(&self) -> bool {
        matches!(self, Credential::Session { record, .. } if record.must_change_password)
    }
}

impl<S: Sync> FromRequestParts<S> for Authenticated {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(Failure::unauthenticated)
    }
}

/// Who asks, for routes that need no more.
#[derive(Debug)]
pub(crate) struct By(pub Caller);

impl<S: Sync> FromRequestParts<S> for By {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        Authenticated::from_request_parts(parts, state)
            .await
            .map(|known| Self(known.caller))
    }
}

/// Lets a request through to its route where its caller may.
pub(crate) async fn authenticate(
    State(api): State<Arc<Api>>,
    request: Request,
    next: Next,
) -> Result<Response, Failure> {
    let (mut parts, body) = request.into_parts();
    let path = parts
        .extensions
        .get::<MatchedPath>()
        .map_or("", MatchedPath::as_str);
    let Some(access) = access_of(&parts.method, path) else {
        return Err(Failure::method_not_allowed(&allowed(path)));
    };
    let connection = parts.extensions.get::<Connection>().copied();
    let connection = connection.ok_or_else(|| Failure::internal("the request's connection is not known"))?;
    if let Some(known) = admit(&api, access, &mut parts, &connection).await? {
        parts.extensions.insert(known);
    }
    parts.extensions.insert(*access);
    Ok(next.run(Request::from_parts(parts, body)).await)
}

/// Who asks, where the route needs to know; refused where the caller may not.
async fn admit(
    api: &Api,
    access: &Access,
    request: &mut Parts,
    connection: &Connection,
) -> Result<Option<Authenticated>, Failure> {
    let scope = match access.need {
        Need::Open => return Ok(None),
        Need::OpenOnUnix(_) if connection.source() == Source::Unix => return Ok(None),
        Need::OpenOnUnix(scope) | Need::Own(scope) | Need::Scope(scope) => Some(scope),
        Need::Known => None,
    };
    let known = identify(api, &request.headers, connection).await?;
    let known = known.ok_or_else(Failure::unauthenticated)?;
    if let Credential::Session { csrf_token, .. } = &known.credential
        && !csrf::is_safe(&request.method)
    {
        csrf::same_token(&request.headers, csrf_token)?;
        csrf::same_origin(&request.headers, &request.uri, connection)?;
    }
    let own = matches!(access.need, Need::Own(_)) && is_own(request, &known).await;
    match scope {
        Some(scope) if !own => may(&known, scope)?,
        Some(_) | None => {}
    }
    Ok(Some(known))
}

/// Whether the path names the user whose session it is.
async fn is_own(request: &mut Parts, known: &Authenticated) -> bool {
    let Ok(params) = RawPathParams::from_request_parts(request, &()).await else {
        return false;
    };
    let named = params.iter().next().map(|(_, value)| value);
    matches!(&known.credential, Credential::Session { record, .. } if Some(record.user.as_str()) == named)
}

/// Whether a caller may do this now.
fn may(known: &Authenticated, scope: Scope) -> Result<(), Failure> {
    if known.credential.must_change_password() {
        return Err(Failure::password_change_required());
    }
    if !known.caller.may(scope) {
        return Err(Failure::missing_scope(scope));
    }
    Ok(())
}

/// Whether a caller whose request goes on and on still may.
pub(crate) async fn may_stay(api: &Api, known: &Authenticated, scope: Scope) -> bool {
    let now = (api.clock)();
    let again = match &known.credential {
        Credential::Unix => return true,
        Credential::Token(token) => match api.backend.token(&token.hash).await {
            Ok(Some(token)) => by_token(token, known.caller.source, now),
            Ok(None) | Err(_) => None,
        },
        Credential::Session {
            record, csrf_token, ..
        } => {
            let Ok(settings) = api.backend.settings().await else {
                return false;
            };
            match api.backend.session(&record.hash).await {
                Ok(Some(record)) => by_session(
                    record,
                    csrf_token.clone(),
                    &settings.value,
                    known.caller.source,
                    now,
                ),
                Ok(None) | Err(_) => None,
            }
        }
    };
    again.is_some_and(|again| may(&again, scope).is_ok())
}

/// Who asks; `None` where the request carries nothing that says so.
async fn identify(
    api: &Api,
    headers: &HeaderMap,
    connection: &Connection,
) -> Result<Option<Authenticated>, Failure> {
    let (now, source) = ((api.clock)(), connection.source());
    if let Some(authorization) = headers.get(AUTHORIZATION) {
        let token = authorization
            .to_str()
            .ok()
            .and_then(bearer)
            .ok_or_else(Failure::unauthenticated)?;
        return identify_token(api, token, source, now).await.map(Some);
    }
    if let Some(secret) = cookie::session_secret(headers) {
        return identify_session(api, secret, source, now).await.map(Some);
    }
    Ok(match connection {
        Connection::Unix(peer) if peer.uid == 0 || peer.uid == api.own_uid => Some(Authenticated {
            caller: caller(
                Actor::Unix(peer.uid),
                source,
                Role::Administrator,
                Role::Administrator.scopes(),
            ),
            credential: Credential::Unix,
        }),
        Connection::Unix(_) | Connection::Tcp { .. } => None,
    })
}

async fn identify_token(
    api: &Api,
    token: &str,
    source: Source,
    now: Timestamp,
) -> Result<Authenticated, Failure> {
    let hash = secret::hash(token);
    let record = api
        .backend
        .token(&hash)
        .await?
        .filter(|record| bool::from(record.hash.ct_eq(&hash)));
    let record = record.ok_or_else(Failure::unauthenticated)?;
    let stale = record
        .used_at
        .is_none_or(|used| now.duration_since(used) >= TOUCH_AFTER);
    let id = record.id.clone();
    let known = by_token(record, source, now).ok_or_else(Failure::unauthenticated)?;
    if stale {
        api.backend.touch_token(&id, now).await;
    }
    Ok(known)
}

async fn identify_session(
    api: &Api,
    text: &str,
    source: Source,
    now: Timestamp,
) -> Result<Authenticated, Failure> {
    if !secret::is_random(text) {
        return Err(Failure::unauthenticated());
    }
    let hash = secret::hash(text);
    let record = api
        .backend
        .session(&hash)
        .await?
        .filter(|record| bool::from(record.hash.ct_eq(&hash)));
    let record = record.ok_or_else(Failure::unauthenticated)?;
    let settings = api.backend.settings().await?.value;
    let stale = now.duration_since(record.used_at) >= TOUCH_AFTER;
    let csrf = Zeroizing::new(secret::csrf_token(text));
    let known = by_session(record, csrf, &settings, source, now).ok_or_else(Failure::unauthenticated)?;
    if stale {
        api.backend.touch_session(&hash, now).await;
    }
    Ok(known)
}

/// The caller with this token, unless it has expired.
fn by_token(record: TokenRecord, source: Source, now: Timestamp) -> Option<Authenticated> {
    if record.expires_at.is_some_and(|end| end <= now) {
        return None;
    }
    let actor = Actor::Token {
        name: record.name.clone(),
        id: record.id.clone(),
    };
    let scopes = record
        .scopes
        .iter()
        .copied()
        .filter(|scope| scope.role() <= record.role)
        .collect();
    Some(Authenticated {
        caller: caller(actor, source, record.role, scopes),
        credential: Credential::Token(record),
    })
}

/// The caller with this session, unless it has expired.
fn by_session(
    record: SessionRecord,
    csrf_token: Zeroizing<String>,
    settings: &Settings,
    source: Source,
    now: Timestamp,
) -> Option<Authenticated> {
    let expires_at = record.created_at + SignedDuration::from_hours(i64::from(settings.session_hours));
    let idle_until = record.used_at + SignedDuration::from_mins(i64::from(settings.session_idle_minutes));
    if expires_at <= now || idle_until <= now {
        return None;
    }
    let caller = caller(
        Actor::User(record.user.clone()),
        source,
        record.role,
        record.role.scopes(),
    );
    Some(Authenticated {
        caller,
        credential: Credential::Session {
            record,
            csrf_token,
            expires_at,
        },
    })
}

fn caller(actor: Actor, source: Source, role: Role, scopes: Vec<Scope>) -> Caller {
    Caller {
        actor,
        source,
        role,
        scopes,
    }
}

fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && secret::is_token(token)).then_some(token)
}
