//! Parts of paths.

use super::failure::Failure;
use crate::types::{FieldProblem, Key};
use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;
use utoipa::IntoParams;

/// Bytes of a part of a path at most; no name and no id is as long.
const PART_MAX: usize = 256;

/// The peer that a path names.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it is read by the OpenAPI document alone")]
pub(crate) struct KeyParam {
    /// The peer's key, in base64url or percent-encoded base64.
    #[param(
        pattern = "^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$",
        example = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA"
    )]
    public_key: String,
}

/// The user that a path names.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it is read by the OpenAPI document alone")]
pub(crate) struct NameParam {
    /// The user's name.
    #[param(pattern = "^[a-z0-9][a-z0-9._-]{0,31}$")]
    name: String,
}

/// What else a path names.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it is read by the OpenAPI document alone")]
pub(crate) struct IdParam {
    /// Its id.
    #[param(pattern = "^[A-Za-z0-9_-]{1,64}$")]
    id: String,
}

/// The path's public key, in base64 or base64url.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyPath(pub Key);

/// The path's name or id.
#[derive(Clone, Debug)]
pub(crate) struct TextPath(pub String);

impl<S: Send + Sync> FromRequestParts<S> for KeyPath {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let (name, text) = only_part(parts, state).await?;
        let refused = |_| {
            let expected = "a key of 44 base64 characters, or of 43 in base64url";
            Failure::invalid(vec![FieldProblem::new(
                name,
                text.chars().take(100).collect::<String>(),
                expected,
            )])
        };
        Key::from_path(&text).map(Self).map_err(refused)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for TextPath {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let (_, text) = only_part(parts, state).await?;
        if text.len() > PART_MAX {
            return Err(Failure::not_found("nothing is called so"));
        }
        Ok(Self(text))
    }
}

async fn only_part<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<(String, String), Failure> {
    let missing = || Failure::not_found("the path names nothing that can be");
    let params = RawPathParams::from_request_parts(parts, state)
        .await
        .map_err(|_| missing())?;
    let (name, text) = params.iter().next().ok_or_else(missing)?;
    Ok((name.to_owned(), text.to_owned()))
}
