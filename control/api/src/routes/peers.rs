//! Peers and groups.

use crate::api::Api;
use crate::auth::By;
use crate::backend::{PeerQuery, PeerSort};
use crate::http::{
    Body, Change, ChangeQuery, ConditionHeaders, Failure, IdempotencyHeader, KeyParam, KeyPath, Query,
    answer, conditional, cursor, part,
};
use crate::limits::{BULK_MAX, QUERY_TEXT_MAX};
use crate::types::{
    BulkDone, BulkEntry, BulkInput, BulkOp, BulkOperation, Diagnosis, DiagnosisInput, Diff, DiffOr,
    FieldProblem, Groups, History, HistoryRange, Key, Owner, Peer, PeerConfig, PeerCreated, PeerInput,
    PeerPatch, PeerState, Peers, Scope,
};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Which peers are asked for.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Where the page begins: what the page before said as `next_cursor`.
    #[param(required = false, value_type = String)]
    cursor: Option<String>,
    /// Peers at most.
    #[param(required = false, value_type = u32, minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// Part of a name, key, allowed IP, endpoint, group or note.
    #[param(required = false, value_type = String, max_length = 256)]
    q: Option<String>,
    /// Of this group.
    #[param(required = false, value_type = String)]
    group: Option<String>,
    /// In this state.
    #[param(required = false, value_type = PeerState)]
    state: Option<PeerState>,
    /// Of this owner.
    #[param(required = false, value_type = Owner)]
    owner: Option<Owner>,
    /// By what they are ordered; a minus puts the greatest first.
    #[param(required = false, value_type = SortName, inline)]
    sort: Option<SortName>,
}

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

/// By what peers are ordered; a minus puts the greatest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub(crate) enum SortName {
    #[serde(rename = "name")]
    Name,
    #[serde(rename = "-name")]
    NameDescending,
    #[serde(rename = "public_key")]
    PublicKey,
    #[serde(rename = "-public_key")]
    PublicKeyDescending,
    #[serde(rename = "state")]
    State,
    #[serde(rename = "-state")]
    StateDescending,
    #[serde(rename = "last_handshake")]
    LastHandshake,
    #[serde(rename = "-last_handshake")]
    LastHandshakeDescending,
    #[serde(rename = "rx_bytes")]
    RxBytes,
    #[serde(rename = "-rx_bytes")]
    RxBytesDescending,
    #[serde(rename = "tx_bytes")]
    TxBytes,
    #[serde(rename = "-tx_bytes")]
    TxBytesDescending,
    #[serde(rename = "created_at")]
    CreatedAt,
    #[serde(rename = "-created_at")]
    CreatedAtDescending,
    #[serde(rename = "allowed_ips")]
    AllowedIps,
    #[serde(rename = "-allowed_ips")]
    AllowedIpsDescending,
}

impl SortName {
    fn order(self) -> (PeerSort, bool) {
        match self {
            Self::Name => (PeerSort::Name, false),
            Self::NameDescending => (PeerSort::Name, true),
            Self::PublicKey => (PeerSort::PublicKey, false),
            Self::PublicKeyDescending => (PeerSort::PublicKey, true),
            Self::State => (PeerSort::State, false),
            Self::StateDescending => (PeerSort::State, true),
            Self::LastHandshake => (PeerSort::LastHandshake, false),
            Self::LastHandshakeDescending => (PeerSort::LastHandshake, true),
            Self::RxBytes => (PeerSort::RxBytes, false),
            Self::RxBytesDescending => (PeerSort::RxBytes, true),
            Self::TxBytes => (PeerSort::TxBytes, false),
            Self::TxBytesDescending => (PeerSort::TxBytes, true),
            Self::CreatedAt => (PeerSort::CreatedAt, false),
            Self::CreatedAtDescending => (PeerSort::CreatedAt, true),
            Self::AllowedIps => (PeerSort::AllowedIps, false),
            Self::AllowedIpsDescending => (PeerSort::AllowedIps, true),
        }
    }
}

/// The peers, page by page. Each is listed once, however many come and go meanwhile.
#[utoipa::path(get, path = "/v1/peers", tag = "peers", params(ListQuery), responses((status = 200, body = Peers)))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Peers>, Failure> {
    let page = cursor::page(query.cursor.as_deref(), query.limit)?;
    let (sort, descending) = query.sort.map_or((PeerSort::Name, false), SortName::order);
    for (field, text) in [("q", &query.q), ("group", &query.group)] {
        if text.as_ref().is_some_and(|text| text.len() > QUERY_TEXT_MAX) {
            let expected = format!("at most {QUERY_TEXT_MAX} bytes");
            return Err(Failure::invalid(vec![FieldProblem::silent(field, expected)]));
        }
    }
    let ListQuery {
        q,
        group,
        state,
        owner,
        ..
    } = query;
    let query = PeerQuery {
        q,
        group,
        state,
        owner,
        sort,
        descending,
    };
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
