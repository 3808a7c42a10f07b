//! How the gateway is.

use crate::api::Api;
use crate::http::Failure;
use crate::types::{Alerts, PortList, Status, Throughput, Topology};
use axum::Json;
use axum::extract::State;
use std::sync::Arc;

/// How the gateway is.
#[utoipa::path(get, path = "/v1/status", tag = "status", responses((status = 200, body = Status)))]
pub(super) async fn status(State(api): State<Arc<Api>>) -> Result<Json<Status>, Failure> {
    Ok(Json(api.backend.status().await?))
}

/// The ports of all shards, with the mode in force on each.
#[utoipa::path(get, path = "/v1/ports", tag = "status", responses((status = 200, body = PortList)))]
pub(super) async fn ports(State(api): State<Arc<Api>>) -> Result<Json<PortList>, Failure> {
    Ok(Json(api.backend.ports().await?))
}

/// Who is connected with whom.
#[utoipa::path(get, path = "/v1/topology", tag = "status", responses((status = 200, body = Topology)))]
pub(super) async fn topology(State(api): State<Arc<Api>>) -> Result<Json<Topology>, Failure> {
    Ok(Json(api.backend.topology().await?))
}

/// What is wrong now.
#[utoipa::path(get, path = "/v1/alerts", tag = "status", responses((status = 200, body = Alerts)))]
pub(super) async fn alerts(State(api): State<Arc<Api>>) -> Result<Json<Alerts>, Failure> {
    Ok(Json(api.backend.alerts().await?))
}

/// What passed in the last 300 s, second by second.
#[utoipa::path(get, path = "/v1/throughput", tag = "status", responses((status = 200, body = Throughput)))]
pub(super) async fn throughput(State(api): State<Arc<Api>>) -> Result<Json<Throughput>, Failure> {
    Ok(Json(api.backend.throughput().await?))
}
