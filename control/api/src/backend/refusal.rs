//! Why the owner of the state refuses.

use crate::caller::ETag;
use crate::types::{FieldProblem, Owner};

/// Why a request was refused. Nothing changed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// There is no such thing. Answered with 404.
    #[error("there is no such {what}")]
    NotFound {
        /// What it is, such as `peer`.
        what: &'static str,
    },
    /// Something else stands against it. Answered with 409.
    #[error("{detail}")]
    Conflict {
        /// What, naming both sides.
        detail: String,
    },
    /// Something else has what fields ask for. Answered with 409, which names the fields.
    #[error("{} of the request's fields ask for what something else has", .0.len())]
    Taken(Vec<FieldProblem>),
    /// A precondition does not hold. Answered with 412.
    #[error("it has changed meanwhile, or is there already")]
    Precondition {
        /// The version that it has, where it exists.
        etag: Option<ETag>,
    },
    /// Fields are wrong. Answered with 422.
    #[error("{} of the request's fields are wrong", .0.len())]
    Invalid(Vec<FieldProblem>),
    /// It is declared where it cannot be changed from here. Answered with 409.
    #[error("{detail}")]
    ReadOnly {
        /// Who owns it.
        owner: Owner,
        /// Where it is changed.
        detail: String,
    },
    /// It may not be done by this caller although the caller's scopes allow such things. Answered with 403.
    #[error("{detail}")]
    Forbidden {
        /// Why.
        detail: String,
    },
    /// The store cannot be written. Answered with 507.
    #[error("the store cannot be written: {0}")]
    Storage(StorageFault),
    /// The data plane is away, or does not answer, and is needed for this. Answered with 503.
    #[error("{detail}")]
    Unavailable {
        /// What was tried.
        detail: String,
    },
    /// There are too many. Answered with 429.
    #[error("there are too many {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// Seconds after which another attempt may succeed.
        retry_after_s: u32,
    },
    /// A fault of the program. Answered with 500; the detail is logged and not shown.
    #[error("{0}")]
    Internal(String),
}

/// Why a store cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StorageFault {
    /// No space is left.
    #[error("no space is left on its disk")]
    Full,
    /// It is read-only.
    #[error("its disk is read-only")]
    ReadOnly,
    /// Writing failed otherwise.
    #[error("writing to its disk failed")]
    Failed,
}
