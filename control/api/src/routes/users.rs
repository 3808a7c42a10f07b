//! Users and their passwords.

use crate::api::Api;
use crate::auth::{Authenticated, By, Credential, password};
use crate::backend::{NewUser, Refusal};
use crate::caller::{Actor, Caller};
use crate::http::{
    Body, DryRunQuery, Failure, IdempotencyHeader, NameParam, TextPath, Unconfirmed, answer, conditional,
};
use crate::types::{Diff, DiffOr, FieldProblem, PasswordInput, User, UserInput, UserPatch, Users};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use std::sync::Arc;
use tokio::time::Instant;

/// The users.
#[utoipa::path(get, path = "/v1/users", tag = "access", responses((status = 200, body = Users)))]
pub(super) async fn list(State(api): State<Arc<Api>>) -> Result<Json<Users>, Failure> {
    Ok(Json(api.backend.users().await?))
}

/// Makes a user.
#[utoipa::path(
    post, path = "/v1/users", tag = "access", params(DryRunQuery, IdempotencyHeader), request_body = UserInput,
    responses((status = 201, body = User, headers(("ETag" = String))), (status = 200, body = Diff, description = "With dry_run"))
)]
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    By(by): By,
    Unconfirmed(options): Unconfirmed,
    Body(input): Body<UserInput>,
) -> Result<Response, Failure> {
    password::judge("password", &input.password, Some(input.name.as_str()))
        .map_err(|problem| Failure::invalid(vec![problem]))?;
    let user = NewUser {
        name: input.name,
        role: input.role,
        password_hash: api.hasher.hash(input.password).await?,
        must_change_password: input.must_change_password,
    };
    answer(
        api.backend.create_user(&by, &options, user).await?.created(),
        false,
    )
}

/// One user.
#[utoipa::path(
    get, path = "/v1/users/{name}", tag = "access", params(NameParam),
    responses((status = 200, body = User, headers(("ETag" = String))))
)]
pub(super) async fn read(State(api): State<Arc<Api>>, TextPath(name): TextPath) -> Result<Response, Failure> {
    let user = api.backend.user(&name).await?;
    conditional(&HeaderMap::new(), user.value, &user.etag)
}

/// Changes a user by a merge patch (RFC 7396). The last administrator stays one.
#[utoipa::path(
    patch, path = "/v1/users/{name}", tag = "access", params(NameParam, DryRunQuery),
    request_body(content((UserPatch = "application/merge-patch+json"), (UserPatch = "application/json"))),
    responses((status = 200, body = inline(DiffOr<User>), description = "The user, or with dry_run a diff", headers(("ETag" = String))))
)]
pub(super) async fn patch(
    State(api): State<Arc<Api>>,
    By(by): By,
    TextPath(name): TextPath,
    Unconfirmed(options): Unconfirmed,
    Body(patch): Body<UserPatch>,
) -> Result<Response, Failure> {
    answer(api.backend.patch_user(&by, &options, &name, patch).await?, false)
}

/// Removes a user and ends its sessions. The last administrator stays.
#[utoipa::path(
    delete, path = "/v1/users/{name}", tag = "access", params(NameParam, DryRunQuery),
    responses((status = 204), (status = 200, body = Diff, description = "With dry_run"))
)]
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    By(by): By,
    TextPath(name): TextPath,
    Unconfirmed(options): Unconfirmed,
) -> Result<Response, Failure> {
    answer(api.backend.delete_user(&by, &options, &name).await?, true)
}

/// Changes a password: one's own, which needs the current one, or with users:write another's. Ends the user's other
/// sessions.
#[utoipa::path(
    put, path = "/v1/users/{name}/password", tag = "access", params(NameParam, DryRunQuery), request_body = PasswordInput,
    responses((status = 204), (status = 200, body = Diff, description = "With dry_run"))
)]
pub(super) async fn set_password(
    State(api): State<Arc<Api>>,
    known: Authenticated,
    TextPath(name): TextPath,
    Unconfirmed(options): Unconfirmed,
    Body(input): Body<PasswordInput>,
) -> Result<Response, Failure> {
    let own = match (&known.caller.actor, &known.credential) {
        (Actor::User(user), Credential::Session { record, .. }) if *user == name => Some(record.hash),
        _ => None,
    };
    password::judge("new", &input.new, Some(&name)).map_err(|problem| Failure::invalid(vec![problem]))?;
    if own.is_some() {
        check_current(&api, &known.caller, &name, &input).await?;
    }
    let hash = api.hasher.hash(input.new).await?;
    answer(
        api.backend
            .set_password(&known.caller, &options, &name, hash, own)
            .await?,
        true,
    )
}

/// Verifies the current password, with the limits of logins: a session that was left open is no way to guess it.
async fn check_current(api: &Api, by: &Caller, name: &str, input: &PasswordInput) -> Result<(), Failure> {
    let wrong = || Failure::invalid(vec![FieldProblem::silent("current", "the password until now")]);
    let current = input.current.clone().ok_or_else(wrong)?;
    let limited = |seconds| Failure::too_many("too many passwords were wrong; wait before the next", seconds);
    api.logins
        .begin(name, by.source, Instant::now())
        .map_err(limited)?;
    let user = api
        .backend
        .user_secret(name)
        .await?
        .ok_or(Refusal::NotFound { what: "user" })?;
    if !api
        .hasher
        .verify(current.clone(), Some(user.password_hash))
        .await?
    {
        return Err(wrong());
    }
    api.logins.succeeded(name, by.source);
    if current == input.new {
        return Err(Failure::invalid(vec![FieldProblem::silent(
            "new",
            "another password than until now",
        )]));
    }
    Ok(())
}
