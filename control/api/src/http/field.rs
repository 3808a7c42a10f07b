//! From an error of serde to the field that is wrong, what was found there, and what was expected.

use crate::types::{FieldProblem, SECRET_FIELDS};
use serde_json::Value;

/// Characters of a value that are repeated at most.
const VALUE_MAX: usize = 200;

/// The problem with the field at `path`, of which serde says `said`. `document` is what was read, where it could be.
pub(super) fn problem(
    path: &serde_path_to_error::Path,
    said: &str,
    document: Option<&Value>,
) -> FieldProblem {
    let path = path.to_string();
    let path = if path == "." { String::new() } else { path };
    // serde_json adds the position, which the field's name says better.
    let said = said.rsplit_once(" at line ").map_or(said, |(said, _)| said);
    if let Some((name, rest)) = quoted(said, "unknown field ") {
        let known = rest
            .trim_start_matches(", expected ")
            .trim_start_matches(", there are no fields");
        let expected = if known.is_empty() {
            "no fields".to_owned()
        } else {
            format!("no such field, but {known}")
        };
        return FieldProblem::silent(joined(&path, name), expected);
    }
    if let Some((name, _)) = quoted(said, "missing field ") {
        return FieldProblem::silent(joined(&path, name), "a value");
    }
    if let Some((name, _)) = quoted(said, "duplicate field ") {
        return FieldProblem::silent(joined(&path, name), "it once");
    }
    let expected = match said.rfind("expected ") {
        _ if is_time(&path) => "a time such as 2026-11-21T12:00:00Z".to_owned(),
        Some(at) => said[at + "expected ".len()..].to_owned(),
        // What a library says of its own may repeat the value.
        None => "another value".to_owned(),
    };
    let expected = in_words(expected);
    // The whole body may hold secrets.
    let value = if path.is_empty() || is_secret(&path) {
        None
    } else {
        document.and_then(|document| value_at(document, &path))
    };
    FieldProblem {
        field: if path.is_empty() { "body".to_owned() } else { path },
        value,
        expected,
    }
}

/// What was expected, without Rust's names for it.
fn in_words(expected: String) -> String {
    match expected.as_str() {
        "u8" => "a number of 0 to 255",
        "u16" => "a number of 0 to 65535",
        "u32" => "a number of 0 to 4294967295",
        "u64" => "a number of 0 to 18446744073709551615",
        "a boolean" => "true or false",
        "a string" => "a text",
        "a sequence" => "a list",
        _ => return expected,
    }
    .to_owned()
}

/// Whether the path names a time, of which the library for times says what it did and not what it expected.
fn is_time(path: &str) -> bool {
    path.ends_with("_at") || matches!(path, "from" | "to")
}

/// Whether some part of the path names a secret.
fn is_secret(path: &str) -> bool {
    path.split(['.', '[', ']'])
        .any(|part| SECRET_FIELDS.contains(&part))
}

/// The value there: a number, a truth value, null, or the beginning of a text. Lists and objects are not repeated.
fn value_at(document: &Value, path: &str) -> Option<Value> {
    let mut value = document;
    for part in path.split(['.', '[', ']']).filter(|part| !part.is_empty()) {
        value = match value {
            Value::Array(items) => items.get(part.parse::<usize>().ok()?)?,
            Value::Object(members) => members.get(part)?,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return None,
        };
    }
    match value {
        Value::String(text) => Some(Value::String(text.chars().take(VALUE_MAX).collect())),
        Value::Null | Value::Bool(_) | Value::Number(_) => Some(value.clone()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

fn joined(path: &str, name: &str) -> String {
    let name: String = name.chars().take(VALUE_MAX).collect();
    // The path of an unknown field may already end with it.
    if path.is_empty() {
        name
    } else if path == name || path.ends_with(&format!(".{name}")) {
        path.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// What stands between the backquotes behind `intro`, and what follows.
fn quoted<'a>(said: &'a str, intro: &str) -> Option<(&'a str, &'a str)> {
    let rest = said.strip_prefix(intro)?.strip_prefix('`')?;
    // A field's name may itself hold backquotes; what follows it holds none before its own.
    let end = rest
        .find("`, expected ")
        .or_else(|| rest.find("`, there are no fields"))
        .or_else(|| rest.rfind('`'))?;
    Some((&rest[..end], &rest[end + 1..]))
}
