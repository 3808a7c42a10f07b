//! The OpenAPI document, made of the code and of the table of access, and the page that shows it.

use crate::auth::{ACCESS, Access, Need};
use crate::http::Failure;
use crate::http::failure::PROBLEM_JSON;
use crate::routes::{Document, all};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use std::sync::{Arc, OnceLock};
use utoipa::OpenApi as _;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, ResponseBuilder};

/// The OpenAPI 3.1 document as JSON, with a line's end behind it.
pub fn json() -> &'static str {
    static DOCUMENT: OnceLock<String> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let mut text = document()
            .to_pretty_json()
            .expect("the document is text, numbers and lists");
        text.push('\n');
        text
    })
}

/// A file of the page that shows the document. Its scripts and styles are files of their own, so that it works under
/// the same content security policy as everything else.
pub(crate) fn file(name: &str) -> Result<Response, Failure> {
    static CONFIG: OnceLock<Arc<utoipa_swagger_ui::Config<'static>>> = OnceLock::new();
    let config = CONFIG
        .get_or_init(|| Arc::new(utoipa_swagger_ui::Config::from("/v1/openapi.json").validator_url("none")));
    let found = utoipa_swagger_ui::serve(name, Arc::clone(config))
        .map_err(|error| Failure::internal(error.to_string()))?;
    let file = found.ok_or_else(|| Failure::not_found("there is no such file"))?;
    Ok(([(CONTENT_TYPE, file.content_type)], file.bytes.into_owned()).into_response())
}

fn document() -> OpenApi {
    let mut document = all(Document::openapi()).into_openapi();
    for access in ACCESS {
        let item = document.paths.paths.get_mut(access.path);
        if let Some(operation) = item.and_then(|item| operation(item, access.method)) {
            complete(operation, access);
        }
    }
    let components = document.components.get_or_insert_default();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("weir_…")
        .build();
    components
        .security_schemes
        .insert("token".to_owned(), RefOr::T(SecurityScheme::Http(bearer)));
    let cookie =
        ApiKeyValue::with_description("weir_session", "Changes need the header X-CSRF-Token besides.");
    components.security_schemes.insert(
        "session".to_owned(),
        RefOr::T(SecurityScheme::ApiKey(ApiKey::Cookie(cookie))),
    );
    document
}

fn operation<'a>(item: &'a mut PathItem, method: &str) -> Option<&'a mut Operation> {
    match method {
        "GET" => item.get.as_mut(),
        "POST" => item.post.as_mut(),
        "PUT" => item.put.as_mut(),
        "PATCH" => item.patch.as_mut(),
        "DELETE" => item.delete.as_mut(),
        _ => None,
    }
}

/// Adds what every route of its kind answers.
fn complete(operation: &mut Operation, access: &Access) {
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            response.description = match status.as_str() {
                "201" => "It was made",
                "204" => "Done; there is nothing to say",
                _ => "Done",
            }
            .to_owned();
        }
    }
    let known = access.need != Need::Open;
    if known {
        operation.security = Some(vec![
            SecurityRequirement::new("token", Vec::<String>::new()),
            SecurityRequirement::new("session", Vec::<String>::new()),
        ]);
        problem(operation, 401, "Nobody is logged in");
    }
    let changes = access.method != "GET";
    if known || changes {
        problem(operation, 403, "The caller may not do this");
    }
    let parameters = operation
        .parameters
        .as_ref()
        .is_some_and(|parameters| !parameters.is_empty());
    // A bulk change names what it changes in its body.
    if access.path.contains('{') || access.path == "/v1/peers/bulk" {
        problem(operation, 404, "There is no such thing");
    }
    if operation.request_body.is_some() {
        problem(operation, 400, "The body is no JSON");
        problem(operation, 413, "The body is too large");
        problem(operation, 415, "The body is of another type");
    }
    if operation.request_body.is_some() || parameters {
        problem(operation, 422, "Fields are wrong");
    }
    if changes {
        problem(operation, 409, "Something else stands against it");
        problem(operation, 412, "It has changed meanwhile, or is there already");
        problem(operation, 429, "There are too many");
        problem(operation, 507, "The store cannot be written");
    }
    if access.path != "/livez" {
        problem(operation, 500, "The program has a fault");
        problem(operation, 503, "What is needed for this does not answer");
    }
}

/// Adds an answer with a problem, unless the route says more about that status itself.
fn problem(operation: &mut Operation, status: u16, description: &str) {
    let content = Content::new(Some(RefOr::Ref(Ref::from_schema_name("Problem"))));
    let response = ResponseBuilder::new()
        .description(description)
        .content(PROBLEM_JSON, content)
        .build();
    operation
        .responses
        .responses
        .entry(status.to_string())
        .or_insert(RefOr::T(response));
}
