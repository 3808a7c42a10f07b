//! Changes by the API: tried out, made, or made until they revert by themselves.

use crate::args::ChangeArgs;
use crate::control::records::{Diff, DiffEntry};
use crate::control::{Answer, Control};
use crate::error::Outcome;
use crate::keys::print;
use crate::term::{Tone, colours, paint, printable, say};
use crate::times::relative;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use ureq::http::Method;

/// Sends a change. `None` where it was only to be shown, which it then was.
pub fn send(
    control: &Control,
    method: &Method,
    path: &str,
    body: Option<&impl Serialize>,
    change: &ChangeArgs,
) -> Outcome<Option<Answer>> {
    let seconds = change.confirm_within.map(|seconds| seconds.to_string());
    let mut query = Vec::new();
    query.extend(change.dry_run.then_some(("dry_run", "true")));
    query.extend(seconds.as_deref().map(|seconds| ("confirm_within_s", seconds)));
    let answer = match body {
        Some(body) => control.send_json(method, path, &query, body)?,
        None => control.send(
            method,
            path,
            &crate::control::Sending {
                query: &query,
                ..Default::default()
            },
        )?,
    };
    if change.dry_run {
        show(&answer, change.json)?;
        return Ok(None);
    }
    if let Some(pending) = &answer.change {
        announce(pending);
    }
    Ok(Some(answer))
}

/// Prints what a change would do.
pub fn show(answer: &Answer, as_json: bool) -> Outcome<()> {
    if as_json {
        return print_json(&answer.read()?);
    }
    let Diff { diff } = answer.read()?;
    if diff.is_empty() {
        print("nothing would change\n")
    } else {
        print(&text(&diff, colours()))
    }
}

/// A line a difference: `+ path: value`, `- path: value`, `~ path: value -> value`.
pub fn text(diff: &[DiffEntry], colours: bool) -> String {
    let mut text = String::new();
    for entry in diff {
        let value = |value: &Option<Value>| value.as_ref().map_or("none".to_owned(), Value::to_string);
        let (sign, tone, values) = match entry.op.as_str() {
            "add" => ("+", Tone::Good, value(&entry.after)),
            "remove" => ("-", Tone::Bad, value(&entry.before)),
            _ => {
                let values = format!("{} -> {}", value(&entry.before), value(&entry.after));
                ("~", Tone::Warn, values)
            }
        };
        let line = format!("{sign} {}: {values}", entry.path);
        text.push_str(&paint(&printable(&line), tone, colours));
        text.push('\n');
    }
    text
}

/// Says when a change reverts by itself, and how it is kept.
fn announce(pending: &Value) {
    let pending = pending.get("change").unwrap_or(pending);
    let Some(id) = pending.get("id").and_then(Value::as_str) else {
        return;
    };
    let when = pending.get("reverts_at").and_then(Value::as_str);
    let when = when.and_then(|when| when.parse().ok());
    let when = when.map_or("soon".to_owned(), |when| relative(when, Timestamp::now()));
    say(&printable(&format!(
        "it reverts by itself {when} unless you confirm it: weir changes confirm {id}"
    )));
}

/// An answer as programs see it.
pub fn print_json(value: &Value) -> Outcome<()> {
    print(&format!("{value:#}\n"))
}
