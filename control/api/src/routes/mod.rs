//! The routes, one file per kind of thing.

mod administration;
mod audit;
mod changes;
mod events;
mod meta;
mod peer_query;
mod peers;
mod rules;
mod session;
mod status;
mod tokens;
mod users;

use crate::api::Api;
use std::sync::Arc;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Every route, and the document of what they take and answer.
pub(crate) fn all(document: utoipa::openapi::OpenApi) -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::with_openapi(document)
        .routes(routes!(meta::livez))
        .routes(routes!(meta::readyz))
        .routes(routes!(meta::metrics))
        .routes(routes!(meta::problems))
        .routes(routes!(meta::openapi))
        .routes(routes!(session::read, session::log_in, session::log_out))
        .routes(routes!(peers::list, peers::create))
        .routes(routes!(peers::bulk))
        .routes(routes!(peers::read, peers::put, peers::patch, peers::delete))
        .routes(routes!(peers::history))
        .routes(routes!(peers::config))
        .routes(routes!(peers::rotate_preshared_key))
        .routes(routes!(peers::diagnose))
        .routes(routes!(peers::groups))
        .routes(routes!(rules::read, rules::put))
        .routes(routes!(status::status))
        .routes(routes!(status::ports))
        .routes(routes!(status::topology))
        .routes(routes!(status::alerts))
        .routes(routes!(status::throughput))
        .routes(routes!(events::listen))
        .routes(routes!(audit::list))
        .routes(routes!(audit::verify))
        .routes(routes!(audit::compliance))
        .routes(routes!(users::list, users::create))
        .routes(routes!(users::read, users::patch, users::delete))
        .routes(routes!(users::set_password))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::delete))
        .routes(routes!(administration::settings, administration::put_settings))
        .routes(routes!(administration::backup))
        .routes(routes!(administration::restore))
        .routes(routes!(changes::list))
        .routes(routes!(changes::confirm))
        .routes(routes!(changes::revert))
        .route("/v1/docs", axum::routing::get(meta::docs_redirect))
        .route("/v1/docs/", axum::routing::get(meta::docs_index))
        .route("/v1/docs/{*file}", axum::routing::get(meta::docs_file))
}

/// What the document says besides its routes.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "Weir",
        description = "Manages a Weir gateway: its peers, access rules, users and tokens; tells how it is.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(
        crate::types::Diff,
        crate::types::Event,
        crate::types::Problem,
    )),
    tags(
        (name = "session", description = "Logging in and out"),
        (name = "peers", description = "Peers and groups"),
        (name = "rules", description = "Access rules"),
        (name = "status", description = "How the gateway is"),
        (name = "audit", description = "The audit log and the compliance report"),
        (name = "access", description = "Users and tokens"),
        (name = "administration", description = "Settings, backups, changes that wait for confirmation"),
        (name = "meta", description = "About the API itself"),
    )
)]
pub(crate) struct Document;
