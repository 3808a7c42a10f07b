//! What each route needs. A route that is not in the table is refused to everybody.

use crate::limits::{BODY_MAX, BULK_BODY_MAX, REQUEST_TIMEOUT, RESTORE_BODY_MAX, SLOW_REQUEST_TIMEOUT};
use crate::types::Scope;
use core::time::Duration;
use http::Method;

/// What a caller needs for a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing: anybody may.
    Open,
    /// Nothing on the Unix socket, else this scope.
    OpenOnUnix(Scope),
    /// To be somebody; a user who must change the password is let in too.
    Known,
    /// To be the user whom the path names, also one who must change the password; else this scope.
    Own(Scope),
    /// This scope.
    Scope(Scope),
}

/// One route and method.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    /// The method; GET stands for HEAD too.
    pub method: &'static str,
    /// The route as the router knows it.
    pub path: &'static str,
    /// What a caller needs.
    pub need: Need,
    /// Bytes of the body at most.
    pub body_max: usize,
    /// How long it may take; `None` for a stream.
    pub timeout: Option<Duration>,
}

/// Every route and method.
pub const ACCESS: &[Access] = &[
    get("/livez", Need::Open),
    get("/readyz", Need::Open),
    get("/metrics", Need::OpenOnUnix(Scope::MetricsRead)),
    get("/v1/openapi.json", Need::Open),
    get("/v1/docs", Need::Open),
    get("/v1/docs/", Need::Open),
    get("/v1/docs/{*file}", Need::Open),
    get("/v1/problems", Need::Open),
    change("POST", "/v1/session", Need::Open),
    get("/v1/session", Need::Known),
    change("DELETE", "/v1/session", Need::Known),
    get("/v1/peers", Need::Scope(Scope::PeersRead)),
    change("POST", "/v1/peers", Need::Scope(Scope::PeersWrite)),
    large(
        "POST",
        "/v1/peers/bulk",
        Need::Scope(Scope::PeersWrite),
        BULK_BODY_MAX,
    ),
    get("/v1/peers/{public_key}", Need::Scope(Scope::PeersRead)),
    change("PUT", "/v1/peers/{public_key}", Need::Scope(Scope::PeersWrite)),
    change("PATCH", "/v1/peers/{public_key}", Need::Scope(Scope::PeersWrite)),
    change("DELETE", "/v1/peers/{public_key}", Need::Scope(Scope::PeersWrite)),
    get("/v1/peers/{public_key}/history", Need::Scope(Scope::PeersRead)),
    get("/v1/peers/{public_key}/config", Need::Scope(Scope::PeersRead)),
    change(
        "POST",
        "/v1/peers/{public_key}/preshared-key",
        Need::Scope(Scope::PeersWrite),
    ),
    // A probe needs peers:write besides, which the route asks for.
    change(
        "POST",
        "/v1/peers/{public_key}/diagnosis",
        Need::Scope(Scope::PeersRead),
    ),
    get("/v1/groups", Need::Scope(Scope::PeersRead)),
    get("/v1/rules", Need::Scope(Scope::RulesRead)),
    large("PUT", "/v1/rules", Need::Scope(Scope::RulesWrite), BULK_BODY_MAX),
    get("/v1/status", Need::Scope(Scope::StatusRead)),
    get("/v1/ports", Need::Scope(Scope::StatusRead)),
    get("/v1/topology", Need::Scope(Scope::StatusRead)),
    get("/v1/alerts", Need::Scope(Scope::StatusRead)),
    get("/v1/throughput", Need::Scope(Scope::StatusRead)),
    Access {
        timeout: None,
        ..get("/v1/events", Need::Scope(Scope::EventsRead))
    },
    get("/v1/audit", Need::Scope(Scope::AuditRead)),
    slow("GET", "/v1/audit/verification", Need::Scope(Scope::AuditRead)),
    slow("GET", "/v1/compliance", Need::Scope(Scope::AuditRead)),
    get("/v1/users", Need::Scope(Scope::UsersRead)),
    change("POST", "/v1/users", Need::Scope(Scope::UsersWrite)),
    get("/v1/users/{name}", Need::Scope(Scope::UsersRead)),
    change("PATCH", "/v1/users/{name}", Need::Scope(Scope::UsersWrite)),
    change("DELETE", "/v1/users/{name}", Need::Scope(Scope::UsersWrite)),
    change("PUT", "/v1/users/{name}/password", Need::Own(Scope::UsersWrite)),
    get("/v1/tokens", Need::Scope(Scope::UsersRead)),
    change("POST", "/v1/tokens", Need::Scope(Scope::TokensWrite)),
    change("DELETE", "/v1/tokens/{id}", Need::Scope(Scope::TokensWrite)),
    get("/v1/settings", Need::Scope(Scope::StatusRead)),
    change("PUT", "/v1/settings", Need::Scope(Scope::SettingsWrite)),
    slow("POST", "/v1/backup", Need::Scope(Scope::Backup)),
    Access {
        body_max: RESTORE_BODY_MAX,
        ..slow("POST", "/v1/restore", Need::Scope(Scope::Backup))
    },
    get("/v1/changes", Need::Scope(Scope::PeersRead)),
    change(
        "POST",
        "/v1/changes/{id}/confirmation",
        Need::Scope(Scope::PeersWrite),
    ),
    change("DELETE", "/v1/changes/{id}", Need::Scope(Scope::PeersWrite)),
];

/// The methods that a route knows, as the header Allow lists them; nothing for what is not in the table.
pub(super) fn allowed(path: &str) -> String {
    let methods = ACCESS
        .iter()
        .filter(|access| access.path == path)
        .flat_map(|access| match access.method {
            "GET" => vec!["GET", "HEAD"],
            other => vec![other],
        });
    methods.collect::<Vec<_>>().join(", ")
}

/// What a route and method need; `None` for what is not in the table.
pub fn access_of(method: &Method, path: &str) -> Option<&'static Access> {
    let method = if *method == Method::HEAD {
        "GET"
    } else {
        method.as_str()
    };
    ACCESS
        .iter()
        .find(|access| access.method == method && access.path == path)
}

const fn get(path: &'static str, need: Need) -> Access {
    change("GET", path, need)
}

const fn change(method: &'static str, path: &'static str, need: Need) -> Access {
    large(method, path, need, BODY_MAX)
}

const fn large(method: &'static str, path: &'static str, need: Need, body_max: usize) -> Access {
    Access {
        method,
        path,
        need,
        body_max,
        timeout: Some(REQUEST_TIMEOUT),
    }
}

/// A route that reads or writes everything that is kept.
const fn slow(method: &'static str, path: &'static str, need: Need) -> Access {
    Access {
        method,
        path,
        need,
        body_max: BODY_MAX,
        timeout: Some(SLOW_REQUEST_TIMEOUT),
    }
}
