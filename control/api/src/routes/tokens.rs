//! Tokens.

use crate::api::Api;
use crate::auth::By;
use crate::auth::secret;
use crate::backend::NewToken;
use crate::caller::Caller;
use crate::http::{Body, DryRunQuery, Failure, IdParam, IdempotencyHeader, TextPath, Unconfirmed, answer};
use crate::types::{Diff, FieldProblem, TokenCreated, TokenInput, Tokens};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use std::sync::Arc;

/// The tokens, without their secrets.
#[utoipa::path(get, path = "/v1/tokens", tag = "access", responses((status = 200, body = Tokens)))]
pub(super) async fn list(State(api): State<Arc<Api>>) -> Result<Json<Tokens>, Failure> {
    Ok(Json(api.backend.tokens().await?))
}

/// Makes a token, answered this once. It may no more than its maker.
#[utoipa::path(
    post, path = "/v1/tokens", tag = "access", params(DryRunQuery, IdempotencyHeader), request_body = TokenInput,
    responses((status = 201, body = TokenCreated), (status = 200, body = Diff, description = "With dry_run"))
)]
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    By(by): By,
    Unconfirmed(options): Unconfirmed,
    Body(input): Body<TokenInput>,
) -> Result<Response, Failure> {
    judge(&input, &by, (api.clock)())?;
    let mut scopes = input.scopes.unwrap_or_else(|| {
        let all = input.role.scopes().into_iter();
        all.filter(|scope| by.may(*scope)).collect()
    });
    scopes.sort_unstable();
    scopes.dedup();
    let token = secret::new_token()?;
    let new = NewToken {
        hash: secret::hash(&token),
        token,
        id: secret::new_id()?,
        name: input.name,
        role: input.role,
        scopes,
        expires_at: input.expires_at,
    };
    answer::<TokenCreated>(
        api.backend.create_token(&by, &options, new).await?.created(),
        false,
    )
}

/// Revokes a token.
#[utoipa::path(
    delete, path = "/v1/tokens/{id}", tag = "access", params(IdParam, DryRunQuery),
    responses((status = 204), (status = 200, body = Diff, description = "With dry_run"))
)]
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    By(by): By,
    TextPath(id): TextPath,
    Unconfirmed(options): Unconfirmed,
) -> Result<Response, Failure> {
    answer(api.backend.delete_token(&by, &options, &id, by.role).await?, true)
}

fn judge(input: &TokenInput, by: &Caller, now: Timestamp) -> Result<(), Failure> {
    let mut wrong = Vec::new();
    for (place, scope) in input.scopes.iter().flatten().enumerate() {
        let expected = if scope.role() > input.role {
            "a scope that the token's role has"
        } else if !by.may(*scope) {
            "a scope that the caller has"
        } else {
            continue;
        };
        let name = serde_json::to_value(scope).unwrap_or_default();
        wrong.push(FieldProblem::new(format!("scopes[{place}]"), name, expected));
    }
    if input.scopes.as_ref().is_some_and(Vec::is_empty) {
        wrong.push(FieldProblem::silent("scopes", "at least one scope"));
    }
    if input.role > by.role {
        wrong.push(FieldProblem::silent("role", "no more than the caller's own"));
    }
    if let Some(end) = input.expires_at.filter(|end| *end <= now) {
        wrong.push(FieldProblem::new("expires_at", end.to_string(), "a time to come"));
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(Failure::invalid(wrong))
    }
}
