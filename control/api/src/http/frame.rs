//! What surrounds every request: its time limit, its line in the log, and the headers of its answer.

use super::failure::Failure;
use super::problems;
use crate::auth::connection::Connection;
use crate::auth::{Access, Authenticated};
use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;

/// Scripts and styles come from this server's files alone; pictures may be in the page too, as those of Swagger UI are.
const CSP: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'none'";

/// For the document's page besides: the one style that Swagger UI writes into its page, by its hash.
const DOCS_CSP: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; \
    form-action 'self'; frame-ancestors 'none'; \
    style-src 'self' 'sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w='";

/// Ends requests that take too long. What has begun is not undone; the caller reads again what came of it.
pub(crate) async fn limit_time(request: Request, next: Next) -> Response {
    let Some(limit) = request
        .extensions()
        .get::<Access>()
        .and_then(|access| access.timeout)
    else {
        return next.run(request).await;
    };
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail = format!(
                "there was no answer within {} s; see what came of it",
                limit.as_secs()
            );
            Failure::new(problems::TIMEOUT, detail).into_response()
        }
    }
}

/// Notes who asked for what, for the line in the log.
pub(crate) async fn finish(request: Request, next: Next) -> Response {
    let known = request
        .extensions()
        .get::<Authenticated>()
        .map(|known| known.caller.actor.to_string());
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned());
    let method = request.method().clone();
    let begun = Instant::now();
    let response = next.run(request).await;
    let (status, ms) = (response.status().as_u16(), begun.elapsed().as_millis() as u64);
    // The path as the router knows it, and no query: neither holds what a caller wrote.
    tracing::debug!(%method, path, status, ms, actor = known, "request");
    response
}

/// The headers of every answer.
pub(crate) async fn frame(request: Request, next: Next) -> Response {
    let tls = request
        .extensions()
        .get::<Connection>()
        .is_some_and(Connection::is_tls);
    let path = request.uri().path();
    let docs = path.starts_with("/v1/docs");
    let api = path.starts_with("/v1/") && !docs;
    let mut response = next.run(request).await;
    secure(
        response.headers_mut(),
        tls,
        if docs { DOCS_CSP } else { CSP },
        api,
    );
    response
}

fn secure(headers: &mut HeaderMap, tls: bool, policy: &'static str, api: bool) {
    let mut put = |name: HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    put(CONTENT_SECURITY_POLICY, policy);
    put(X_CONTENT_TYPE_OPTIONS, "nosniff");
    put(X_FRAME_OPTIONS, "DENY");
    put(REFERRER_POLICY, "no-referrer");
    put(
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    );
    put(
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    );
    if tls {
        put(STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    if api {
        put(CACHE_CONTROL, "no-store");
    }
}
