//! What every route shares: bodies, queries, preconditions, problems, pages, repetitions, and the answer's headers.

mod body;
mod change;
pub(crate) mod cursor;
pub(crate) mod failure;
mod field;
mod frame;
mod idempotency;
mod path;
pub(crate) mod problems;
mod query;

pub(crate) use body::{Body, part};
pub(crate) use change::{
    Change, ChangeQuery, ConditionHeaders, DryRunQuery, IdempotencyHeader, Unconfirmed, answer, conditional,
};
pub(crate) use failure::Failure;
pub(crate) use frame::{finish, frame, limit_time};
pub(crate) use idempotency::{Answers, idempotent};
pub(crate) use path::{IdParam, KeyParam, KeyPath, NameParam, TextPath};
pub(crate) use query::Query;
