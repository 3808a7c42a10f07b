//! Query strings, read as strictly as bodies.

use super::failure::Failure;
use super::field;
use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A query string.
#[derive(Debug)]
pub(crate) struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        parse(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

/// Reads a query string.
pub(super) fn parse<T: DeserializeOwned>(query: &str) -> Result<T, Failure> {
    // Pairs whose value is empty say nothing: forms send them for what was left out.
    let said: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .filter(|(_, value)| !value.is_empty())
        .collect();
    let kept = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(&said)
        .finish();
    let reader = serde_urlencoded::Deserializer::new(form_urlencoded::parse(kept.as_bytes()));
    serde_path_to_error::deserialize(reader).map_err(|error| {
        let document = said
            .iter()
            .map(|(name, value)| (name.clone(), Value::String(value.clone())))
            .collect();
        let document = Value::Object(document);
        Failure::invalid(vec![field::problem(
            error.path(),
            &error.inner().to_string(),
            Some(&document),
        )])
    })
}
