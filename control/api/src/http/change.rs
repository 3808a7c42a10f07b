//! Changes: what headers and query say of how one is to be made, and how it is answered.

use super::failure::Failure;
use super::{problems, query};
use crate::backend::{Made, Outcome};
use crate::caller::{ETag, Options, Precondition, Versions};
use crate::limits::{CONFIRM_WITHIN_S, IDEMPOTENCY_KEY_MAX, VERSIONS_MAX};
use crate::types::{FieldProblem, PendingChange};
use axum::Json;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// How a change is to be made.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ChangeQuery {
    /// Only say what the change would do; the answer is a diff.
    #[serde(default)]
    #[param(required = false)]
    dry_run: bool,
    /// Revert the change after so many seconds unless it is confirmed.
    #[serde(default)]
    #[param(minimum = 10, maximum = 3600, value_type = u32, required = false)]
    confirm_within_s: Option<u32>,
}

/// How a change is to be made that does not revert by itself.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DryRunQuery {
    /// Only say what the change would do; the answer is a diff.
    #[serde(default)]
    #[param(required = false)]
    dry_run: bool,
}

/// What must be so for a change to be made.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it is read by the OpenAPI document alone")]
pub(crate) struct ConditionHeaders {
    /// Only if it has one of these versions.
    #[param(rename = "If-Match", required = false, value_type = String, min_length = 1, pattern = "^(\\*|(W/)?\"[!#-~]*\")$")]
    if_match: Option<String>,
    /// Only if it has none of these versions; `*` is only if it does not exist.
    #[param(rename = "If-None-Match", required = false, value_type = String, min_length = 1, pattern = "^(\\*|(W/)?\"[!#-~]*\")$")]
    if_none_match: Option<String>,
}

/// By what a repetition is known.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it is read by the OpenAPI document alone")]
pub(crate) struct IdempotencyHeader {
    /// A text of the caller's; a repetition with the same one is answered like the first, for ten minutes.
    #[param(rename = "Idempotency-Key", required = false, value_type = String, min_length = 1, max_length = 128, pattern = "^[ -~]+$")]
    idempotency_key: Option<String>,
}

/// A change that may revert by itself.
#[derive(Debug)]
pub(crate) struct Change(pub Options);

/// A change that stays.
#[derive(Debug)]
pub(crate) struct Unconfirmed(pub Options);

impl<S: Sync> FromRequestParts<S> for Change {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let query: ChangeQuery = query::parse(parts.uri.query().unwrap_or_default())?;
        if let Some(seconds) = query.confirm_within_s
            && !CONFIRM_WITHIN_S.contains(&seconds)
        {
            let expected = format!("{} to {}", CONFIRM_WITHIN_S.start(), CONFIRM_WITHIN_S.end());
            return Err(Failure::invalid(vec![FieldProblem::new(
                "confirm_within_s",
                seconds,
                expected,
            )]));
        }
        options(&parts.headers, query.dry_run, query.confirm_within_s).map(Self)
    }
}

impl<S: Sync> FromRequestParts<S> for Unconfirmed {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let query: DryRunQuery = query::parse(parts.uri.query().unwrap_or_default())?;
        options(&parts.headers, query.dry_run, None).map(Self)
    }
}

fn options(headers: &HeaderMap, dry_run: bool, confirm_within_s: Option<u32>) -> Result<Options, Failure> {
    Ok(Options {
        dry_run,
        confirm_within_s,
        precondition: Precondition {
            matches: versions(headers, IF_MATCH)?,
            none_match: versions(headers, IF_NONE_MATCH)?,
        },
        idempotency_key: idempotency_key(headers)?.map(str::to_owned),
    })
}

/// The request's Idempotency-Key.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Failure> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    let key = value
        .to_str()
        .ok()
        .filter(|key| (1..=IDEMPOTENCY_KEY_MAX).contains(&key.len()));
    let expected = || {
        let expected = format!("1 to {IDEMPOTENCY_KEY_MAX} ASCII characters");
        Failure::invalid(vec![FieldProblem::silent("Idempotency-Key", expected)])
    };
    key.map(Some).ok_or_else(expected)
}

/// The versions that a header lists (RFC 9110 section 8.8.3). If-Match compares strongly, so that a weak one matches
/// nothing; If-None-Match compares weakly.
fn versions(headers: &HeaderMap, name: HeaderName) -> Result<Option<Versions>, Failure> {
    let refused = || {
        let expected = format!("*, or up to {VERSIONS_MAX} versions in quotes");
        Failure::invalid(vec![FieldProblem::silent(name.as_str(), expected)])
    };
    let (mut listed, mut said) = (Vec::new(), 0);
    for value in headers.get_all(&name) {
        let mut rest = value.to_str().map_err(|_| refused())?.trim();
        if rest == "*" {
            return Ok(Some(Versions::Any));
        }
        while !rest.is_empty() {
            let (weak, tag, behind) = entity_tag(rest).ok_or_else(refused)?;
            if !(weak && name == IF_MATCH) {
                listed.push(ETag::from_text(tag));
            }
            said += 1;
            rest = behind;
        }
    }
    if said > VERSIONS_MAX || (said == 0 && headers.contains_key(&name)) {
        return Err(refused());
    }
    Ok((said > 0).then_some(Versions::Listed(listed)))
}

/// The first entity tag of a list: whether it is weak, its text, and what follows the comma behind it.
fn entity_tag(list: &str) -> Option<(bool, &str, &str)> {
    let (weak, quoted) = list
        .strip_prefix("W/")
        .map_or((false, list), |quoted| (true, quoted));
    let (tag, behind) = quoted.strip_prefix('"')?.split_once('"')?;
    match behind.trim_start() {
        "" => Some((weak, tag, "")),
        more => {
            let next = more.strip_prefix(',')?.trim_start();
            (!next.is_empty()).then_some((weak, tag, next))
        }
    }
}

/// Answers something with its version, or that the caller has it already.
pub(crate) fn conditional<T: Serialize>(
    headers: &HeaderMap,
    value: T,
    etag: &ETag,
) -> Result<Response, Failure> {
    let asked = Precondition {
        matches: None,
        none_match: versions(headers, IF_NONE_MATCH)?,
    };
    let mut response = match asked.holds(Some(etag)) {
        true => Json(value).into_response(),
        false => StatusCode::NOT_MODIFIED.into_response(),
    };
    put_etag(&mut response, etag);
    Ok(response)
}

/// Answers a change: what it would do, or what it made. Nothing to say is 204.
pub(crate) fn answer<T: Serialize>(outcome: Outcome<T>, empty: bool) -> Result<Response, Failure> {
    let Made {
        value,
        created,
        etag,
        pending,
    } = match outcome {
        Outcome::WouldMake(diff) => return Ok(Json(diff).into_response()),
        Outcome::Made(made) => made,
    };
    let mut response = match (empty, created) {
        (true, _) => StatusCode::NO_CONTENT.into_response(),
        (false, true) => (StatusCode::CREATED, Json(value)).into_response(),
        (false, false) => Json(value).into_response(),
    };
    if let Some(etag) = etag {
        put_etag(&mut response, &etag);
    }
    if let Some(pending) = pending {
        put_pending(&mut response, &pending)?;
    }
    Ok(response)
}

fn put_etag(response: &mut Response, etag: &ETag) {
    if let Ok(value) = HeaderValue::from_str(&format!("\"{}\"", etag.as_str())) {
        response.headers_mut().insert(ETAG, value);
    }
}

/// `Weir-Change: {"id":"…","reverts_at":"…"}`.
fn put_pending(response: &mut Response, pending: &PendingChange) -> Result<(), Failure> {
    let said = serde_json::json!({ "id": pending.id, "reverts_at": pending.reverts_at });
    let value = HeaderValue::from_str(&said.to_string())
        .map_err(|_| Failure::new(problems::INTERNAL, "the change's id is no header"))?;
    response
        .headers_mut()
        .insert(HeaderName::from_static("weir-change"), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches a comma or a space inside of a version taken for the end of it, and lists that are none.
    #[test]
    fn versions_are_listed_in_quotes() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, HeaderValue::from_str(text).expect("a header"));
            versions(&headers, IF_NONE_MATCH)
        };
        let listed = |tags: &[&str]| {
            Some(Versions::Listed(
                tags.iter().map(|tag| ETag::from_text(tag)).collect(),
            ))
        };
        for (text, expected) in [
            ("*", Some(Versions::Any)),
            ("\"a\"", listed(&["a"])),
            ("\"a,b\" , W/\"c\",\"\"", listed(&["a,b", "c", ""])),
        ] {
            assert_eq!(read(text).expect("a list"), expected, "{text}");
        }
        for text in ["", "a", "\"a", "\"a\" \"b\"", "\"a\",", "w/\"a\"", "*, \"a\""] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
