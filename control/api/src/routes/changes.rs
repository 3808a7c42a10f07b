//! Changes that wait for their confirmation.

use crate::api::Api;
use crate::auth::By;
use crate::http::{Failure, IdParam, TextPath};
use crate::types::Changes;
use axum::Json;
use axum::extract::State;
use http::StatusCode;
use std::sync::Arc;

/// Changes that revert by themselves unless they are confirmed.
#[utoipa::path(get, path = "/v1/changes", tag = "administration", responses((status = 200, body = Changes)))]
pub(super) async fn list(State(api): State<Arc<Api>>) -> Result<Json<Changes>, Failure> {
    Ok(Json(api.backend.changes().await?))
}

/// Lets a change stay.
#[utoipa::path(
    post, path = "/v1/changes/{id}/confirmation", tag = "administration", params(IdParam), responses((status = 204))
)]
pub(super) async fn confirm(
    State(api): State<Arc<Api>>,
    By(by): By,
    TextPath(id): TextPath,
) -> Result<StatusCode, Failure> {
    api.backend.confirm_change(&by, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Reverts a change now.
#[utoipa::path(delete, path = "/v1/changes/{id}", tag = "administration", params(IdParam), responses((status = 204)))]
pub(super) async fn revert(
    State(api): State<Arc<Api>>,
    By(by): By,
    TextPath(id): TextPath,
) -> Result<StatusCode, Failure> {
    api.backend.revert_change(&by, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
