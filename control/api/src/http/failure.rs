//! How a request fails: a problem (RFC 9457) with the headers that go with it.

use super::problems::{self, Kind, TYPE_PREFIX};
use crate::auth::password::HashError;
use crate::auth::secret::NoRandomness;
use crate::backend::Refusal;
use crate::types::{FieldProblem, Problem, Scope};
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONTENT_TYPE, ETAG, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue};

/// The media type of problems.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// Fields told of at most.
const ERRORS_MAX: usize = 50;

/// Why a request fails.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    detail: String,
    errors: Vec<FieldProblem>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Failure {
    /// A problem of this kind.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// Fields are wrong.
    pub fn invalid(errors: Vec<FieldProblem>) -> Self {
        let one = |error: &FieldProblem| format!("{}: expected {}", error.field, error.expected);
        let detail = match errors.as_slice() {
            [only] => one(only),
            [first, rest @ ..] => format!("{}; and {} more", one(first), rest.len()),
            [] => "the request's fields are wrong".to_owned(),
        };
        let mut failure = Self::new(problems::INVALID, detail);
        failure.errors = errors;
        failure.errors.truncate(ERRORS_MAX);
        failure
    }

    /// Nobody is logged in, or not any more, or the credentials are wrong: which of these is not told.
    pub fn unauthenticated() -> Self {
        Self::new(problems::UNAUTHENTICATED, "log in, or send a token that is valid")
            .with(WWW_AUTHENTICATE, "Bearer realm=\"weir\"")
    }

    /// The caller may not do this.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(problems::FORBIDDEN, detail)
    }

    /// The caller lacks a scope.
    pub fn missing_scope(scope: Scope) -> Self {
        let name = serde_json::to_value(scope).ok();
        let name = name.as_ref().and_then(|name| name.as_str()).unwrap_or_default();
        Self::forbidden(format!(
            "this needs the scope {name}, which the caller does not have"
        ))
    }

    /// The password is to be changed first.
    pub fn password_change_required() -> Self {
        let detail = "change the password with PUT /v1/users/{name}/password; nothing else is allowed before";
        Self::new(problems::PASSWORD_CHANGE, detail)
    }

    /// The request does not come from our page.
    pub fn csrf(detail: &str) -> Self {
        Self::new(problems::CSRF, detail)
    }

    /// The route does not know the method, but these.
    pub fn method_not_allowed(allowed: &str) -> Self {
        Self::new(problems::METHOD, format!("the route knows {allowed}")).with(ALLOW, allowed)
    }

    /// There is no such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(problems::NOT_FOUND, detail)
    }

    /// A fault of the program: logged, and not shown.
    pub fn internal(detail: impl AsRef<str>) -> Self {
        tracing::error!(
            detail = detail.as_ref(),
            "a request failed by a fault of the program"
        );
        Self::new(problems::INTERNAL, "the log of weir-control says more")
    }

    /// There are too many; another attempt may succeed after some seconds.
    pub fn too_many(detail: impl Into<String>, retry_after_s: u32) -> Self {
        Self::new(problems::TOO_MANY, detail).with(RETRY_AFTER, &retry_after_s.to_string())
    }

    /// With a header.
    pub fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let problem = Problem {
            kind: format!("{TYPE_PREFIX}{}", self.kind.name),
            title: self.kind.title.to_owned(),
            status: self.kind.status,
            detail: self.detail,
            errors: self.errors,
        };
        let body = serde_json::to_vec(&problem).expect("a problem is text and numbers");
        let mut response = (self.kind.code(), body).into_response();
        response.headers_mut().extend(self.headers);
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        response
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let said = refusal.to_string();
        match refusal {
            Refusal::NotFound { .. } => Self::not_found(said),
            Refusal::Conflict { detail } => Self::new(problems::CONFLICT, detail),
            Refusal::Taken(errors) => Self {
                kind: problems::CONFLICT,
                ..Self::invalid(errors)
            },
            Refusal::Precondition { etag } => {
                let failure = Self::new(problems::PRECONDITION, said);
                match etag {
                    Some(etag) => failure.with(ETAG, &format!("\"{}\"", etag.as_str())),
                    None => failure,
                }
            }
            Refusal::Invalid(errors) => Self::invalid(errors),
            Refusal::ReadOnly { detail, .. } => Self::new(problems::READ_ONLY, detail),
            Refusal::Forbidden { detail } => Self::forbidden(detail),
            Refusal::Storage(_) => Self::new(problems::STORAGE, said),
            Refusal::Unavailable { detail } => {
                Self::new(problems::UNAVAILABLE, detail).with(RETRY_AFTER, "2")
            }
            Refusal::TooMany { retry_after_s, .. } => Self::too_many(said, retry_after_s),
            Refusal::Internal(detail) => Self::internal(detail),
        }
    }
}

impl From<HashError> for Failure {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy => Self::too_many(error.to_string(), 1),
            HashError::Failed => Self::internal(error.to_string()),
        }
    }
}

impl From<NoRandomness> for Failure {
    fn from(error: NoRandomness) -> Self {
        Self::internal(error.to_string())
    }
}
