//! The OpenAPI document is the code's: what is checked in is what the code makes, and it tells of every route.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use serde_json::Value;
use std::path::Path;
use weir_api::auth::{ACCESS, Need};

fn document() -> Value {
    serde_json::from_str(weir_api::openapi_json()).unwrap()
}

// Catches a document that was not made again after the code changed. `WEIR_UPDATE_OPENAPI=yes` makes it.
#[test]
fn the_document_that_is_checked_in_is_the_codes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    if std::env::var_os("WEIR_UPDATE_OPENAPI").is_some() {
        std::fs::write(&path, weir_api::openapi_json()).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let update = "WEIR_UPDATE_OPENAPI=yes cargo test -p weir-api --test openapi";
    assert!(
        kept == weir_api::openapi_json(),
        "control/api/openapi.json is not what the code makes; run: {update}"
    );
}

// Catches a route that is served and not documented or not in the table of access, and the other way round.
#[test]
fn document_and_table_tell_of_the_same_routes() {
    let document = document();
    let mut documented: Vec<(String, String)> = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            documented.push((path.clone(), method.to_uppercase()));
        }
    }
    let listed: Vec<(String, String)> = ACCESS
        .iter()
        .filter(|access| !access.path.starts_with("/v1/docs"))
        .map(|access| (access.path.to_owned(), access.method.to_owned()))
        .collect();
    for route in &listed {
        assert!(documented.contains(route), "{route:?} is not documented");
    }
    for route in &documented {
        assert!(listed.contains(route), "{route:?} is not in the table of access");
    }
}

// Catches a document of another version, one with dangling references, and routes without a summary, answers without a
// description, and security that differs from the table.
#[test]
fn the_document_is_whole() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let schemas = document["components"]["schemas"].as_object().unwrap();
    references(&document, &mut |name| {
        assert!(schemas.contains_key(name), "{name} is referred to and not there");
    });
    for access in ACCESS
        .iter()
        .filter(|access| !access.path.starts_with("/v1/docs"))
    {
        let operation = &document["paths"][access.path][access.method.to_lowercase()];
        assert!(
            operation["summary"].as_str().is_some_and(|text| !text.is_empty()),
            "{access:?}"
        );
        assert_eq!(
            operation["security"].is_array(),
            access.need != Need::Open,
            "{access:?}"
        );
        for (status, answer) in operation["responses"].as_object().unwrap() {
            assert!(answer["description"].is_string(), "{access:?} {status}");
        }
    }
}

fn references(value: &Value, seen: &mut impl FnMut(&str)) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member
                    .as_str()
                    .and_then(|text| text.strip_prefix("#/components/schemas/"))
                {
                    Some(schema) if name == "$ref" => seen(schema),
                    _ => references(member, seen),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, seen)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
