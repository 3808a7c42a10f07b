//! JSON bodies: of the right type, not too large, strictly read, and each fault named by its field or its position.

use super::failure::Failure;
use super::{field, problems};
use crate::auth::Access;
use crate::limits::BODY_MAX;
use crate::types::FieldProblem;
use crate::types::object::Object;
use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, Request};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method};
use serde::de::DeserializeOwned;

/// A JSON body.
#[derive(Debug)]
pub(crate) struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        check_type(request.headers(), request.method())?;
        let limit = body_max(&request);
        let bytes = read(request.into_body(), limit).await?;
        parse(&bytes).map(Self)
    }
}

/// Bytes of the request's body at most.
pub(super) fn body_max(request: &Request) -> usize {
    request
        .extensions()
        .get::<Access>()
        .map_or(BODY_MAX, |access| access.body_max)
}

/// Reads a body of up to `limit` bytes.
pub(super) async fn read(body: axum::body::Body, limit: usize) -> Result<Bytes, Failure> {
    to_bytes(body, limit).await.map_err(|error| {
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            if cause.to_string().contains("length limit exceeded") {
                return Failure::new(problems::TOO_LARGE, format!("expected at most {limit} bytes"));
            }
            source = cause.source();
        }
        Failure::new(problems::SYNTAX, "the body ended before it was complete")
    })
}

fn check_type(headers: &HeaderMap, method: &Method) -> Result<(), Failure> {
    let said = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = said
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let taken = essence == "application/json"
        || (*method == Method::PATCH && essence == "application/merge-patch+json");
    if taken {
        return Ok(());
    }
    let expected = match *method {
        Method::PATCH => "application/merge-patch+json or application/json",
        _ => "application/json",
    };
    Err(Failure::new(
        problems::MEDIA_TYPE,
        format!("Content-Type: expected {expected}"),
    ))
}

/// Reads JSON strictly.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let error = match serde_path_to_error::deserialize(&mut reader) {
        Ok(Object(value)) => match reader.end() {
            Ok(()) => return Ok(value),
            Err(error) => return Err(syntax(&error)),
        },
        Err(error) => error,
    };
    if !error.inner().is_data() {
        return Err(syntax(error.inner()));
    }
    let document = serde_json::from_slice(bytes).ok();
    let said = error.inner().to_string();
    Err(Failure::invalid(vec![field::problem(
        error.path(),
        &said,
        document.as_ref(),
    )]))
}

/// Reads a part of a document that was read before, whose place in it is `prefix`.
pub(crate) fn part<T: DeserializeOwned>(prefix: &str, value: &serde_json::Value) -> Result<T, FieldProblem> {
    let read = serde_path_to_error::deserialize::<_, Object<T>>(value);
    read.map(|Object(value)| value).map_err(|error| {
        let mut problem = field::problem(error.path(), &error.inner().to_string(), Some(value));
        problem.field = match problem.field.as_str() {
            "body" => prefix.to_owned(),
            field => format!("{prefix}.{field}"),
        };
        problem
    })
}

/// Where the text stops being JSON. What stands there is not repeated: it may be a secret.
fn syntax(error: &serde_json::Error) -> Failure {
    let (line, column) = (error.line(), error.column());
    let what = if error.is_eof() {
        "the JSON ends too early"
    } else {
        "this is no JSON"
    };
    Failure::new(
        problems::SYNTAX,
        format!("{what} at line {line}, column {column} of the body"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{PeerInput, SessionInput};
    use axum::response::IntoResponse;

    async fn problem<T: DeserializeOwned + core::fmt::Debug>(text: &str) -> serde_json::Value {
        let response = parse::<T>(text.as_bytes()).unwrap_err().into_response();
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    // Catches a refusal that does not say where, what and why.
    #[tokio::test]
    async fn the_field_the_value_and_the_expectation_are_named() {
        let cases = [
            (
                r#"{"name":"a","allowed_ips":["10.0.0.1/32","x"]}"#,
                "allowed_ips[1]",
                "\"x\"",
                "a network such as",
            ),
            (r#"{"name":"a b<"}"#, "name", "\"a b<\"", "1 to 64"),
            (
                r#"{"name":"a","persistent_keepalive":70000}"#,
                "persistent_keepalive",
                "70000",
                "0 to 65535",
            ),
            (r#"{"name":"a","nam":1}"#, "nam", "null", "no such field"),
            (r#"{}"#, "name", "null", "a value"),
            (r#"{"name":"a","name":"b"}"#, "name", "null", "it once"),
            (
                r#"{"name":"a","expires_at":"soon"}"#,
                "expires_at",
                "\"soon\"",
                "a time such as",
            ),
            (r#""secret""#, "body", "null", "an object"),
            (r#"{"name":["a"]}"#, "name", "null", "1 to 64"),
        ];
        for (text, field, value, expected) in cases {
            let problem = problem::<PeerInput>(text).await;
            let error = &problem["errors"][0];
            assert_eq!(problem["status"], 422, "{text}");
            assert_eq!(error["field"], field, "{text}");
            assert_eq!(error["value"].to_string(), value, "{text}: {error}");
            assert!(
                error["expected"].as_str().unwrap().contains(expected),
                "{text}: {error}"
            );
        }
    }

    // Catches a password that a problem repeats.
    #[tokio::test]
    async fn secrets_are_not_repeated() {
        for text in [
            r#"{"name":"a","password":"hunter2hunter2","x":1}"#,
            r#"{"name":"a","password":["hunter2"]}"#,
            r#"{"name":"a","password":{"hunter2":1}}"#,
            r#"{"name":"a","password":hunter2}"#,
            r#"{"name":"a","password":"hunter2"#,
        ] {
            let problem = problem::<SessionInput>(text).await;
            assert!(!problem.to_string().contains("hunter2"), "{problem}");
        }
        let long = format!(r#"{{"name":"a","password":"{}"}}"#, "hunter2".repeat(1000));
        let told = problem::<SessionInput>(&long).await;
        assert!(!told.to_string().contains("hunter2"), "{told}");
        let key = r#"{"name":"a","preshared_key":"hunter2"}"#;
        let told = problem::<PeerInput>(key).await;
        assert!(!told.to_string().contains("hunter2"), "{told}");
        assert_eq!(told["errors"][0]["field"], "preshared_key");
    }

    // Catches a syntax error without its place.
    #[tokio::test]
    async fn syntax_errors_say_where() {
        let told = problem::<PeerInput>("{\n  \"name\": }").await;
        assert_eq!(told["status"], 400);
        assert!(told["detail"].as_str().unwrap().contains("line 2"), "{told}");
        assert_eq!(problem::<PeerInput>(r#"{"name":"a"} x"#).await["status"], 400);
        assert_eq!(problem::<PeerInput>("").await["status"], 400);
    }
}
