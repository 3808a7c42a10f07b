//! Settings and backups.

use crate::api::Api;
use crate::auth::By;
use crate::auth::password;
use crate::http::{
    Body, Change, ChangeQuery, ConditionHeaders, DryRunQuery, Failure, Unconfirmed, answer, conditional,
};
use crate::types::{BackupInput, DiffOr, FieldProblem, RestoreInput, Restored, Settings};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use std::sync::Arc;

/// The settings.
#[utoipa::path(
    get, path = "/v1/settings", tag = "administration",
    responses((status = 200, body = Settings, headers(("ETag" = String))), (status = 304, description = "The caller has this version"))
)]
pub(super) async fn settings(State(api): State<Arc<Api>>, headers: HeaderMap) -> Result<Response, Failure> {
    let settings = api.backend.settings().await?;
    conditional(&headers, settings.value, &settings.etag)
}

/// Replaces the settings.
#[utoipa::path(
    put, path = "/v1/settings", tag = "administration", params(ChangeQuery, ConditionHeaders), request_body = Settings,
    responses((status = 200, body = inline(DiffOr<Settings>), description = "The settings, or with dry_run a diff", headers(("ETag" = String), ("Weir-Change" = String))))
)]
pub(super) async fn put_settings(
    State(api): State<Arc<Api>>,
    By(by): By,
    Change(options): Change,
    Body(settings): Body<Settings>,
) -> Result<Response, Failure> {
    let wrong = judge(&settings);
    if !wrong.is_empty() {
        return Err(Failure::invalid(wrong));
    }
    answer(api.backend.put_settings(&by, &options, settings).await?, false)
}

/// An encrypted copy of all that is kept.
#[utoipa::path(
    post, path = "/v1/backup", tag = "administration", request_body = BackupInput,
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"))
)]
pub(super) async fn backup(
    State(api): State<Arc<Api>>,
    By(by): By,
    Body(input): Body<BackupInput>,
) -> Result<Response, Failure> {
    password::judge("passphrase", &input.passphrase, None)
        .map_err(|problem| Failure::invalid(vec![problem]))?;
    let bytes = api.backend.backup(&by, input).await?;
    let headers = [
        (CONTENT_TYPE, "application/octet-stream"),
        (CONTENT_DISPOSITION, "attachment; filename=\"weir.backup\""),
    ];
    Ok((headers, bytes).into_response())
}

/// Replaces all that is kept by a backup.
#[utoipa::path(
    post, path = "/v1/restore", tag = "administration", params(DryRunQuery), request_body = RestoreInput,
    responses((status = 200, body = inline(DiffOr<Restored>), description = "What was restored, or with dry_run a diff"))
)]
pub(super) async fn restore(
    State(api): State<Arc<Api>>,
    By(by): By,
    Unconfirmed(options): Unconfirmed,
    Body(mut input): Body<RestoreInput>,
) -> Result<Response, Failure> {
    let text = core::mem::take(&mut input.backup);
    let backup = STANDARD.decode(text.as_bytes()).map_err(|_| {
        Failure::invalid(vec![FieldProblem::silent(
            "backup",
            "what POST /v1/backup answered, in base64",
        )])
    })?;
    answer(api.backend.restore(&by, &options, input, backup).await?, false)
}

fn judge(settings: &Settings) -> Vec<FieldProblem> {
    let alerts = &settings.alerts;
    let ranges: [(&str, u32, core::ops::RangeInclusive<u32>); 7] = [
        ("session_hours", settings.session_hours.into(), 1..=720),
        (
            "session_idle_minutes",
            settings.session_idle_minutes.into(),
            5..=1440,
        ),
        ("alerts.peer_gone_s", alerts.peer_gone_s, 10..=86400),
        (
            "alerts.refused_handshakes_per_minute",
            alerts.refused_handshakes_per_minute,
            1..=1_000_000,
        ),
        (
            "alerts.cookie_replies_per_minute",
            alerts.cookie_replies_per_minute,
            1..=1_000_000,
        ),
        (
            "alerts.decrypt_failures_per_minute",
            alerts.decrypt_failures_per_minute,
            1..=1_000_000,
        ),
        ("alerts.drops_per_mille", alerts.drops_per_mille, 1..=1000),
    ];
    let outside = ranges
        .into_iter()
        .filter(|(_, value, range)| !range.contains(value));
    outside
        .map(|(field, value, range)| {
            FieldProblem::new(field, value, format!("{} to {}", range.start(), range.end()))
        })
        .collect()
}
