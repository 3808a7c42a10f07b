//! The HTTP API: types, routes, authentication, problems and the OpenAPI document. What it asks for is a trait.
#![forbid(unsafe_code)]
