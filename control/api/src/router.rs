//! The router: routes, the authentication before them, and what surrounds both.

use crate::api::Api;
use crate::auth::authenticate;
use crate::http::{Failure, finish, frame, idempotent, limit_time};
use crate::routes::{Document, all};
use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use tower::ServiceExt as _;
use tower_http::compression::CompressionLayer;
use utoipa::OpenApi as _;

/// The API as a router, which expects of each request the extension
/// [`Connection`](crate::auth::connection::Connection). What is not the API's goes to `page`, where there is one.
pub fn router(api: Arc<Api>, page: Option<Router>) -> Router {
    let (routes, _) = all(Document::openapi()).split_for_parts();
    routes
        // Inside authentication: it needs to know the caller, and what the route allows.
        .route_layer(from_fn_with_state(Arc::clone(&api), idempotent))
        .route_layer(from_fn(limit_time))
        .route_layer(from_fn(finish))
        .route_layer(from_fn_with_state(Arc::clone(&api), authenticate))
        .with_state(api)
        .fallback_service(Router::new().fallback(elsewhere).with_state(page))
        .layer(CompressionLayer::new())
        .layer(from_fn(frame))
}

/// What is not the API's.
async fn elsewhere(State(page): State<Option<Router>>, request: Request) -> Response {
    let path = request.uri().path();
    match page {
        Some(page) if path != "/v1" && !path.starts_with("/v1/") => {
            page.oneshot(request).await.unwrap_or_else(|never| match never {})
        }
        Some(_) | None => {
            Failure::not_found("there is no such route; GET /v1/openapi.json lists all").into_response()
        }
    }
}
