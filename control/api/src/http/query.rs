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
    let reader = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
    serde_path_to_error::deserialize(reader).map_err(|error| {
        let said = form_urlencoded::parse(query.as_bytes()).into_owned();
        let document = Value::Object(said.map(|(name, value)| (name, Value::String(value))).collect());
        Failure::invalid(vec![field::problem(
            error.path(),
            &error.inner().to_string(),
            Some(&document),
        )])
    })
}
