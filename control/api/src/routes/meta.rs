//! Routes about the process and the API itself.

use crate::api::Api;
use crate::backend::Refusal;
use crate::document;
use crate::http::Failure;
use crate::http::problems::{self, Kinds};
use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::header::CONTENT_TYPE;
use std::sync::Arc;

/// Whether the process answers.
#[utoipa::path(get, path = "/livez", tag = "meta", responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// Whether requests can be served; 503 says what is missing.
#[utoipa::path(
    get, path = "/readyz", tag = "meta",
    responses(
        (status = 200, body = String, content_type = "text/plain"),
        (status = 503, body = crate::types::Problem, content_type = "application/problem+json", description = "Something is missing")
    )
)]
pub(super) async fn readyz(State(api): State<Arc<Api>>) -> Result<&'static str, Failure> {
    let readiness = api.backend.readiness().await;
    if readiness.ready {
        return Ok("ready\n");
    }
    Err(Refusal::Unavailable {
        detail: readiness.missing.join("; "),
    }
    .into())
}

/// The metrics, in Prometheus' text format. Open on the Unix socket.
#[utoipa::path(get, path = "/metrics", tag = "meta", responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) async fn metrics(State(api): State<Arc<Api>>) -> Result<Response, Failure> {
    let text = api.backend.metrics().await?;
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

/// The kinds of problems that requests are refused with.
#[utoipa::path(get, path = "/v1/problems", tag = "meta", responses((status = 200, body = Kinds)))]
pub(super) async fn problems() -> Json<Kinds> {
    Json(Kinds {
        items: problems::ALL.to_vec(),
    })
}

/// This document.
#[utoipa::path(get, path = "/v1/openapi.json", tag = "meta", responses((status = 200, body = serde_json::Value)))]
pub(super) async fn openapi() -> Response {
    ([(CONTENT_TYPE, "application/json")], document::json()).into_response()
}

/// The document for people is a folder.
pub(super) async fn docs_redirect() -> Redirect {
    Redirect::permanent("/v1/docs/")
}

/// The document for people.
pub(super) async fn docs_index() -> Result<Response, Failure> {
    document::file("index.html")
}

/// The files of the document for people.
pub(super) async fn docs_file(Path(file): Path<String>) -> Result<Response, Failure> {
    document::file(&file)
}
