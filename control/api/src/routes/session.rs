//! Logging in and out.

use crate::api::Api;
use crate::auth::connection::Connection;
use crate::auth::{Authenticated, Credential, clear_cookie, same_origin, secret, session_cookie};
use crate::backend::{LoginAttempt, LoginOutcome, NewSession, UserSecret};
use crate::caller::Source;
use crate::http::{Body, Failure};
use crate::types::{Secret, Session, SessionInput, UserName};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::header::SET_COOKIE;
use http::{HeaderMap, StatusCode, Uri};
use jiff::SignedDuration;
use std::sync::Arc;
use tokio::time::Instant;

/// Logs in: the answer sets the cookie `weir_session`. Five refusals a minute, per name and per source.
#[utoipa::path(
    post, path = "/v1/session", tag = "session", request_body = SessionInput,
    responses(
        (status = 200, body = Session),
        (status = 401, body = crate::types::Problem, content_type = "application/problem+json", description = "Name or password are wrong")
    )
)]
pub(super) async fn log_in(
    State(api): State<Arc<Api>>,
    Extension(connection): Extension<Connection>,
    headers: HeaderMap,
    uri: Uri,
    Body(input): Body<SessionInput>,
) -> Result<Response, Failure> {
    same_origin(&headers, &uri, &connection)?;
    let source = connection.source();
    let name = known_form(&input.name);
    if let Err(seconds) = api.logins.begin(&name, source, Instant::now()) {
        record(&api, &name, source, LoginOutcome::Limited).await;
        return Err(Failure::too_many(
            "too many logins were refused; wait before the next",
            seconds,
        ));
    }
    let user = verified(&api, &name, source, input.password).await?;
    api.logins.succeeded(&name, source);
    record(&api, &name, source, LoginOutcome::Accepted).await;
    open(&api, user, &connection).await
}

/// Who the caller is.
#[utoipa::path(get, path = "/v1/session", tag = "session", responses((status = 200, body = Session)))]
pub(super) async fn read(known: Authenticated) -> Json<Session> {
    let (csrf_token, expires_at) = match &known.credential {
        Credential::Session {
            csrf_token,
            expires_at,
            ..
        } => (Some(csrf_token.to_string()), Some(*expires_at)),
        Credential::Token(token) => (None, token.expires_at),
        Credential::Unix => (None, None),
    };
    Json(Session {
        name: known.caller.actor.name(),
        role: known.caller.role,
        scopes: known.caller.scopes.clone(),
        csrf_token,
        must_change_password: known.credential.must_change_password(),
        expires_at,
    })
}

/// Logs out. Tokens and the Unix socket have no session; for them it does nothing.
#[utoipa::path(delete, path = "/v1/session", tag = "session", responses((status = 204)))]
pub(super) async fn log_out(State(api): State<Arc<Api>>, known: Authenticated) -> Result<Response, Failure> {
    if let Credential::Session { record, .. } = &known.credential {
        api.backend.close_session(&known.caller, &record.hash).await?;
    }
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, clear_cookie())]).into_response())
}

/// The user, once name and password were found right. An unknown name takes as long as a wrong password.
async fn verified(api: &Api, name: &str, source: Source, password: Secret) -> Result<UserSecret, Failure> {
    let user = if name.is_empty() {
        None
    } else {
        api.backend.user_secret(name).await?
    };
    let hash = user.as_ref().map(|user| user.password_hash.clone());
    let right = api.hasher.verify(password, hash).await?;
    match user {
        Some(user) if right && !user.disabled => Ok(user),
        Some(_) if right => {
            record(api, name, source, LoginOutcome::Disabled).await;
            Err(Failure::unauthenticated())
        }
        Some(_) | None => {
            record(api, name, source, LoginOutcome::Refused).await;
            Err(Failure::unauthenticated())
        }
    }
}

async fn open(api: &Api, user: UserSecret, connection: &Connection) -> Result<Response, Failure> {
    let (now, hours) = ((api.clock)(), api.backend.settings().await?.value.session_hours);
    let text = secret::random()?;
    let session = NewSession {
        hash: secret::hash(&text),
        user: user.name.clone(),
        source: connection.source(),
        created_at: now,
    };
    api.backend.open_session(session).await?;
    let session = Session {
        name: user.name,
        role: user.role,
        scopes: user.role.scopes(),
        csrf_token: Some(secret::csrf_token(&text)),
        must_change_password: user.must_change_password,
        expires_at: Some(now + SignedDuration::from_hours(i64::from(hours))),
    };
    let cookie = session_cookie(&text, hours, connection.is_tls());
    Ok(([(SET_COOKIE, cookie)], Json(session)).into_response())
}

async fn record(api: &Api, name: &str, source: Source, outcome: LoginOutcome) {
    let attempt = LoginAttempt {
        name: name.to_owned(),
        source,
        at: (api.clock)(),
        outcome,
    };
    api.backend.record_login(attempt).await;
}

/// The name, where a user could be called so; else nothing, as people type passwords there.
fn known_form(name: &str) -> String {
    name.parse::<UserName>()
        .map(|name| name.to_string())
        .unwrap_or_default()
}
