//! Problems (RFC 9457): what every refusal is answered with.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why a request was refused, as `application/problem+json` (RFC 9457).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Which kind of problem, for programs: a path below `/v1/docs/problems/`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The status of the answer.
    pub status: u16,
    /// This problem in words.
    pub detail: String,
    /// What is wrong with which field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldProblem>,
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FieldProblem {
    /// The field, such as `operations[3].peer.allowed_ips[0]`.
    pub field: String,
    /// What was found; null for secrets and for what is missing.
    pub value: Option<serde_json::Value>,
    /// What was expected.
    pub expected: String,
}

impl FieldProblem {
    /// A field with the value found in it.
    pub fn new(
        field: impl Into<String>,
        value: impl Into<serde_json::Value>,
        expected: impl Into<String>,
    ) -> Self {
        Self {
            field: field.into(),
            value: Some(value.into()),
            expected: expected.into(),
        }
    }

    /// A field whose value is missing, or is not to be repeated.
    pub fn silent(field: impl Into<String>, expected: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            value: None,
            expected: expected.into(),
        }
    }
}
