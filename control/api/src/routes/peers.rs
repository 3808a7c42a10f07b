//! Peers and groups.

use super::peer_query::ListQuery;
use crate::api::Api;
use crate::auth::By;
use crate::http::{
    Body, Change, ChangeQuery, ConditionHeaders, Failure, IdempotencyHeader, KeyParam, KeyPath, Query,
    answer, conditional, cursor, part,
};
use crate::limits::BULK_MAX;
use crate::types::{
    BulkDone, BulkEntry, BulkInput, BulkOp, BulkOperation, Diagnosis, DiagnosisInput, Diff, DiffOr,
    FieldProblem, Groups, History, HistoryRange, Key, Peer, PeerConfig, PeerCreated, PeerInput, PeerPatch,
    Peers, Scope,
};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

/// How far back a history reaches.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct HistoryQuery {
    /// How far back; absent is an hour.
    #[serde(default)]
    #[param(required = false, inline)]
    range: HistoryRange,
}

/// The peers, page by page. Each is listed once, however many come and go meanwhile.
#[utoipa::path(get, path = "/v1/peers", tag = "peers", params(ListQuery), responses((status = 200, body = Peers)))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Peers>, Failure> {
    let (query, page) = query.judged()?;
    let page = api.backend.peers(&query, &page).await?;
    Ok(Json(Peers {
        next_cursor: page.next.as_ref().map(cursor::encode),
        items: page.items,
        total: page.total,
    }))
}

/// Creates a peer. Without a public key its keys are made, and its configuration is answered this once.
#[utoipa::path(
    post, path = "/v1/peers", tag = "peers", params(ChangeQuery, IdempotencyHeader), request_body = PeerInput,
    responses((status = 201, body = PeerCreated, headers(("ETag" = String), ("Weir-Change" = String))), (status = 200, body = Diff, description = "With dry_run"))
)]
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    By(by): By,
    Change(options): Change,
    Body(peer): Body<PeerInput>,
) -> Result<Response, Failure> {
    let outcome = api.backend.create_peer(&by, &options, peer).await?;
    answer(outcome.created(), false)
}

/// Makes several changes, all or none.
#[utoipa::path(
    post, path = "/v1/peers/bulk", tag = "peers", params(ChangeQuery, IdempotencyHeader), request_body = BulkInput,
    responses((status = 200, body = inline(DiffOr<BulkDone>), description = "What was done, or with dry_run a diff"))
)]
pub(super) async fn bulk(
    State(api): State<Arc<Api>>,
    By(by): By,
    Change(options): Change,
    Body(input): Body<BulkInput>,
) -> Result<Response, Failure> {
    let count = input.operations.len();
    if count == 0 || count > BULK_MAX {
        let expected = format!("1 to {BULK_MAX} operations");
        return Err(Failure::invalid(vec![FieldProblem::new(
            "operations",
            count,
            expected,
        )]));
    }
    let (mut operations, mut wrong) = (Vec::with_capacity(count), Vec::new());
    for (place, entry) in input.operations.into_iter().enumerate() {
        match operation(&format!("operations[{place}]"), entry) {
            Ok(operation) => operations.push(operation),
            Err(problem) => wrong.push(problem),
        }
    }
    if !wrong.is_empty() {
        return Err(Failure::invalid(wrong));
    }
    answer(api.backend.bulk_peers(&by, &options, operations).await?, false)
}

/// One peer.
#[utoipa::path(
    get, path = "/v1/peers/{public_key}", tag = "peers", params(KeyParam),
    responses((status = 200, body = Peer, headers(("ETag" = String))))
)]
pub(super) async fn read(State(api): State<Arc<Api>>, KeyPath(key): KeyPath) -> Result<Response, Failure> {
    let peer = api.backend.peer(key).await?;
    // The version is that of the configuration: how the peer is now changes without it.
    conditional(&HeaderMap::new(), peer.value, &peer.etag)
}

/// Creates or replaces a peer; doing it again changes nothing.
#[utoipa::path(
    put, path = "/v1/peers/{public_key}", tag = "peers", params(KeyParam, ChangeQuery, ConditionHeaders), request_body = PeerInput,
    responses(
        (status = 200, body = inline(DiffOr<Peer>), description = "The peer, or with dry_run a diff", headers(("ETag" = String), ("Weir-Change" = String))),
        (status = 201, body = Peer, headers(("ETag" = String), ("Weir-Change" = String)))
    )
)]
pub(super) async fn put(
    State(api): State<Arc<Api>>,
    By(by): By,
    KeyPath(key): KeyPath,
    Change(options): Change,
    Body(peer): Body<PeerInput>,
) -> Result<Response, Failure> {
    if let Some(problem) = other_key("public_key", key, peer.public_key) {
        return Err(Failure::invalid(vec![problem]));
    }
    answer(api.backend.put_peer(&by, &options, key, peer).await?, false)
}

/// Changes a peer by a merge patch (RFC 7396).
#[utoipa::path(
    patch, path = "/v1/peers/{public_key}", tag = "peers", params(KeyParam, ChangeQuery, ConditionHeaders),
    request_body(content((PeerPatch = "application/merge-patch+json"), (PeerPatch = "application/json"))),
    responses((status = 200, body = inline(DiffOr<Peer>), description = "The peer, or with dry_run a diff", headers(("ETag" = String), ("Weir-Change" = String))))
)]
pub(super) async fn patch(
    State(api): State<Arc<Api>>,
    By(by): By,
    KeyPath(key): KeyPath,
    Change(options): Change,
    Body(patch): Body<PeerPatch>,
) -> Result<Response, Failure> {
    answer(api.backend.patch_peer(&by, &options, key, patch).await?, false)
}

/// Removes a peer.
#[utoipa::path(
    delete, path = "/v1/peers/{public_key}", tag = "peers", params(KeyParam, ChangeQuery, ConditionHeaders),
    responses((status = 204, headers(("Weir-Change" = String))), (status = 200, body = Diff, description = "With dry_run"))
)]
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    By(by): By,
    KeyPath(key): KeyPath,
    Change(options): Change,
) -> Result<Response, Failure> {
    answer(api.backend.delete_peer(&by, &options, key).await?, true)
}

/// What a peer carried over time.
#[utoipa::path(
    get, path = "/v1/peers/{public_key}/history", tag = "peers", params(KeyParam, HistoryQuery),
    responses((status = 200, body = History))
)]
pub(super) async fn history(
    State(api): State<Arc<Api>>,
    KeyPath(key): KeyPath,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<History>, Failure> {
    Ok(Json(api.backend.peer_history(key, query.range).await?))
}

/// A peer's configuration for wg-quick, without its private and its preshared key.
#[utoipa::path(
    get, path = "/v1/peers/{public_key}/config", tag = "peers", params(KeyParam),
    responses((status = 200, body = String, content_type = "text/plain"))
)]
pub(super) async fn config(State(api): State<Arc<Api>>, KeyPath(key): KeyPath) -> Result<String, Failure> {
    Ok(api.backend.peer_config(key).await?)
}

/// Gives a peer a new preshared key, and shows it in its configuration this once.
#[utoipa::path(
    post, path = "/v1/peers/{public_key}/preshared-key", tag = "peers",
    params(KeyParam, ChangeQuery, ConditionHeaders, IdempotencyHeader),
    responses((status = 200, body = inline(DiffOr<PeerConfig>), description = "The configuration, or with dry_run a diff", headers(("Weir-Change" = String))))
)]
pub(super) async fn rotate_preshared_key(
    State(api): State<Arc<Api>>,
    By(by): By,
    KeyPath(key): KeyPath,
    Change(options): Change,
) -> Result<Response, Failure> {
    answer(api.backend.rotate_preshared_key(&by, &options, key).await?, false)
}

/// Why a peer does not connect. A probe needs the scope peers:write besides.
#[utoipa::path(
    post, path = "/v1/peers/{public_key}/diagnosis", tag = "peers", params(KeyParam), request_body = DiagnosisInput,
    responses((status = 200, body = Diagnosis))
)]
pub(super) async fn diagnose(
    State(api): State<Arc<Api>>,
    By(by): By,
    KeyPath(key): KeyPath,
    Body(input): Body<DiagnosisInput>,
) -> Result<Json<Diagnosis>, Failure> {
    if input.probe && !by.may(Scope::PeersWrite) {
        return Err(Failure::missing_scope(Scope::PeersWrite));
    }
    Ok(Json(api.backend.diagnose(&by, key, input).await?))
}

/// The groups that peers are of.
#[utoipa::path(get, path = "/v1/groups", tag = "peers", responses((status = 200, body = Groups)))]
pub(super) async fn groups(State(api): State<Arc<Api>>) -> Result<Json<Groups>, Failure> {
    Ok(Json(api.backend.groups().await?))
}

/// One change of several, which stands at `place`.
fn operation(place: &str, entry: BulkEntry) -> Result<BulkOperation, FieldProblem> {
    let (public_key, field) = (entry.public_key, format!("{place}.peer"));
    match (entry.op, entry.peer) {
        (BulkOp::Put, Some(peer)) => {
            let peer: PeerInput = part(&field, &peer)?;
            let other = other_key(&format!("{field}.public_key"), public_key, peer.public_key);
            other.map_or(Ok(BulkOperation::Put { public_key, peer }), Err)
        }
        (BulkOp::Patch, Some(peer)) => Ok(BulkOperation::Patch {
            public_key,
            peer: part(&field, &peer)?,
        }),
        (BulkOp::Delete, None) => Ok(BulkOperation::Delete { public_key }),
        (BulkOp::Put | BulkOp::Patch, None) => Err(FieldProblem::silent(field, "a value")),
        (BulkOp::Delete, Some(_)) => Err(FieldProblem::silent(field, "nothing: the peer is removed")),
    }
}

/// The problem of a body that names another key than its path.
fn other_key(field: &str, path: Key, body: Option<Key>) -> Option<FieldProblem> {
    body.filter(|body| *body != path)
        .map(|body| FieldProblem::new(field, body.to_string(), format!("{path}, or nothing")))
}
