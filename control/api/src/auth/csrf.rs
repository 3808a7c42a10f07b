//! Changes that another site's page makes with the browser's cookie: each needs what only our page knows, and what the
//! browser says of where it comes from must be our own origin.

use super::connection::Connection;
use crate::http::Failure;
use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Method, Uri};
use subtle::ConstantTimeEq;

/// Whether a request with this method changes nothing (RFC 9110 section 9.2.1).
pub(super) fn is_safe(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE
    )
}

/// Refuses a change whose page was not told the session's CSRF token.
pub(super) fn same_token(headers: &HeaderMap, expected: &str) -> Result<(), Failure> {
    let said = headers
        .get("x-csrf-token")
        .map_or(&b""[..], |value| value.as_bytes());
    if bool::from(said.ct_eq(expected.as_bytes())) {
        return Ok(());
    }
    Err(Failure::csrf(
        "the header X-CSRF-Token does not say what GET /v1/session answers as csrf_token",
    ))
}

/// Refuses what a browser says comes from another site's page.
pub(crate) fn same_origin(headers: &HeaderMap, uri: &Uri, connection: &Connection) -> Result<(), Failure> {
    let refused = || Failure::csrf("the request comes from a page of another origin");
    if let Some(site) = headers.get("sec-fetch-site")
        && site != "same-origin"
        && site != "none"
    {
        return Err(refused());
    }
    let Some(origin) = headers.get(ORIGIN) else {
        return Ok(());
    };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host
        .or_else(|| uri.authority().map(http::uri::Authority::as_str))
        .ok_or_else(refused)?;
    // Without TLS of our own a proxy may speak it for us.
    let schemes: &[&str] = if connection.is_tls() {
        &["https"]
    } else {
        &["http", "https"]
    };
    let ours = |origin: &str| {
        schemes
            .iter()
            .any(|scheme| origin.eq_ignore_ascii_case(&format!("{scheme}://{host}")))
    };
    if origin.to_str().is_ok_and(ours) {
        Ok(())
    } else {
        Err(refused())
    }
}
