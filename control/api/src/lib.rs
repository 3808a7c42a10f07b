//! The HTTP API: types, routes, authentication, problems and the OpenAPI document.
//!
//! It refuses what is malformed, what is not allowed and what is too much, and asks a [`Backend`] for the rest. It owns
//! no socket, no store and no state beyond what its limits need: weir-control serves its router, and implements the
//! backend.
#![forbid(unsafe_code)]

mod api;
pub mod auth;
pub mod backend;
pub mod caller;
mod csv;
mod document;
pub mod events;
mod http;
pub mod limits;
mod router;
mod routes;
pub mod types;

pub use api::{Api, Clock};
pub use async_trait::async_trait;
pub use backend::Backend;
pub use document::json as openapi_json;
pub use router::router;
