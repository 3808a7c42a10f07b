//! What the API says when it refuses: a problem of RFC 9457, with the fields that are wrong.

use core::fmt;
use serde::Deserialize;
use serde_json::Value;

/// `application/problem+json`, as far as a person is told of it.
#[derive(Debug, Deserialize)]
pub struct Problem {
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: Option<String>,
    #[serde(default)]
    errors: Vec<FieldError>,
}

/// One field that is wrong. The API leaves a secret's value out.
#[derive(Debug, Deserialize)]
struct FieldError {
    field: String,
    #[serde(default)]
    value: Value,
    #[serde(default)]
    expected: String,
}

impl Problem {
    /// For an answer that says no more than its status.
    pub fn of_status(status: u16) -> Self {
        Self {
            title: format!("HTTP status {status}"),
            detail: None,
            errors: Vec::new(),
        }
    }
}

impl fmt::Display for Problem {
    /// What is wrong, then a line for each field: `name: "a/b"; expected …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.detail, self.title.as_str()) {
            (Some(detail), "") => write!(f, "{detail}")?,
            (Some(detail), title) => write!(f, "{title}: {detail}")?,
            (None, "") => write!(f, "refused without a reason")?,
            (None, title) => write!(f, "{title}")?,
        }
        for error in &self.errors {
            write!(f, "\n{}", error.field)?;
            if !error.value.is_null() {
                write!(f, ": {}", error.value)?;
            }
            if !error.expected.is_empty() {
                write!(f, "; expected {}", error.expected)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches a refusal of which a person is not told the field, the value or what belongs there.
    #[test]
    fn fields_values_and_expectations_are_said() {
        let text = r#"{"type":"about:blank","title":"Invalid request","status":422,"detail":"a field is wrong",
            "errors":[{"field":"name","value":"a/b","expected":"letters"},{"field":"password","value":null,"expected":"12 characters"}]}"#;
        let problem: Problem = serde_json::from_str(text).unwrap();
        assert_eq!(
            problem.to_string(),
            "Invalid request: a field is wrong\nname: \"a/b\"; expected letters\npassword; expected 12 characters"
        );
        assert_eq!(Problem::of_status(507).to_string(), "HTTP status 507");
    }
}
