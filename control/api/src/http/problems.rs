//! Every kind of problem.

use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

/// A kind of problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Kind {
    /// The last part of its type.
    pub name: &'static str,
    /// The status of the answer.
    pub status: u16,
    /// In words.
    pub title: &'static str,
}

/// The kinds of problems.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Kinds {
    /// All of them.
    pub items: Vec<Kind>,
}

/// What a problem's type begins with; the route of that name lists the kinds.
pub const TYPE_PREFIX: &str = "/v1/problems#";

macro_rules! kinds {
    ($($constant:ident $name:literal $status:literal $title:literal;)*) => {
        $(pub const $constant: Kind = Kind { name: $name, status: $status, title: $title };)*

        /// Every kind.
        pub const ALL: &[Kind] = &[$($constant),*];
    };
}

kinds! {
    SYNTAX "syntax" 400 "The request cannot be read";
    UNAUTHENTICATED "unauthenticated" 401 "Nobody is logged in";
    FORBIDDEN "forbidden" 403 "The caller may not do this";
    CSRF "csrf" 403 "The request may not come from this page";
    PASSWORD_CHANGE "password-change-required" 403 "The password is to be changed first";
    NOT_FOUND "not-found" 404 "There is no such thing";
    METHOD "method-not-allowed" 405 "The route does not know this method";
    CONFLICT "conflict" 409 "Something else stands against it";
    READ_ONLY "read-only" 409 "It is declared where it cannot be changed from here";
    UNDER_WAY "under-way" 409 "The same request is being answered";
    PRECONDITION "precondition-failed" 412 "It has changed meanwhile, or is there already";
    TOO_LARGE "too-large" 413 "The body is too large";
    MEDIA_TYPE "media-type" 415 "The body is of another type than expected";
    INVALID "invalid" 422 "Fields are wrong";
    KEY_REUSED "idempotency-key-reused" 422 "The Idempotency-Key was another request's";
    TOO_MANY "too-many" 429 "There are too many";
    INTERNAL "internal" 500 "The program has a fault";
    UNAVAILABLE "unavailable" 503 "What is needed for this does not answer";
    TIMEOUT "timeout" 503 "It took too long";
    STORAGE "storage" 507 "The store cannot be written";
}

impl Kind {
    /// The status of the answer.
    pub fn code(self) -> StatusCode {
        StatusCode::from_u16(self.status).expect("the table holds statuses of HTTP")
    }
}
