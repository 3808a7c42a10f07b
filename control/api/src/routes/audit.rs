//! The audit log and the compliance report.

use crate::api::Api;
use crate::backend::AuditQuery;
use crate::csv;
use crate::http::{Failure, Query, cursor};
use crate::limits::QUERY_TEXT_MAX;
use crate::types::{AuditPage, AuditVerification, Compliance, FieldProblem};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Days of a report where no beginning is asked for.
const REPORT_DAYS: i64 = 30;

/// Days of a report at most.
const REPORT_DAYS_MAX: i64 = 400;

/// Which entries are asked for.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Where the page begins: what the page before said as `next_cursor`.
    #[param(required = false, value_type = String)]
    cursor: Option<String>,
    /// Entries at most.
    #[param(required = false, value_type = u32, minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// By this actor, such as `user:alice`, or all of a kind, such as `token`.
    #[param(required = false, value_type = String, max_length = 256)]
    actor: Option<String>,
    /// To a target that begins so, such as `peer/`.
    #[param(required = false, value_type = String, max_length = 256)]
    target: Option<String>,
    /// Not before.
    #[param(required = false, value_type = String, format = DateTime)]
    from: Option<Timestamp>,
    /// Before.
    #[param(required = false, value_type = String, format = DateTime)]
    to: Option<Timestamp>,
}

/// Which period a report is of.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ComplianceQuery {
    /// The period's beginning; absent is 30 days before its end.
    #[param(required = false, value_type = String, format = DateTime)]
    from: Option<Timestamp>,
    /// The period's end; absent is now.
    #[param(required = false, value_type = String, format = DateTime)]
    to: Option<Timestamp>,
    /// The report's form; absent is JSON.
    #[serde(default)]
    #[param(required = false, inline)]
    format: Format,
}

/// A report's form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// JSON.
    #[default]
    Json,
    /// CSV (RFC 4180).
    Csv,
}

/// The audit log, the newest entry first.
#[utoipa::path(get, path = "/v1/audit", tag = "audit", params(ListQuery), responses((status = 200, body = AuditPage)))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Query(query): Query<ListQuery>,
) -> Result<Json<AuditPage>, Failure> {
    let page = cursor::page(query.cursor.as_deref(), query.limit)?;
    for (field, text) in [("actor", &query.actor), ("target", &query.target)] {
        if text.as_ref().is_some_and(|text| text.len() > QUERY_TEXT_MAX) {
            let expected = format!("at most {QUERY_TEXT_MAX} bytes");
            return Err(Failure::invalid(vec![FieldProblem::silent(field, expected)]));
        }
    }
    let ListQuery {
        actor,
        target,
        from,
        to,
        ..
    } = query;
    let entries = api
        .backend
        .audit(
            &AuditQuery {
                actor,
                target,
                from,
                to,
            },
            &page,
        )
        .await?;
    Ok(Json(AuditPage {
        next_cursor: entries.page.next.as_ref().map(cursor::encode),
        items: entries.page.items,
        oldest_hash: entries.oldest_hash,
        newest_hash: entries.newest_hash,
    }))
}

/// Reads the whole audit log, and says whether an entry was removed or altered.
#[utoipa::path(get, path = "/v1/audit/verification", tag = "audit", responses((status = 200, body = AuditVerification)))]
pub(super) async fn verify(State(api): State<Arc<Api>>) -> Result<Json<AuditVerification>, Failure> {
    Ok(Json(api.backend.verify_audit().await?))
}

/// What happened in a period, as JSON or CSV.
#[utoipa::path(
    get, path = "/v1/compliance", tag = "audit", params(ComplianceQuery),
    responses((status = 200, content((Compliance = "application/json"), (String = "text/csv"))))
)]
pub(super) async fn compliance(
    State(api): State<Arc<Api>>,
    Query(query): Query<ComplianceQuery>,
) -> Result<Response, Failure> {
    let to = query.to.unwrap_or_else(|| (api.clock)());
    let days = |days: i64| SignedDuration::from_hours(24 * days);
    let from = query
        .from
        .unwrap_or_else(|| to.saturating_sub(days(REPORT_DAYS)).unwrap_or(Timestamp::MIN));
    let length = to.duration_since(from);
    if length <= SignedDuration::ZERO || length > days(REPORT_DAYS_MAX) {
        let expected = format!("a time before {to}, by at most {REPORT_DAYS_MAX} days");
        return Err(Failure::invalid(vec![FieldProblem::new(
            "from",
            from.to_string(),
            expected,
        )]));
    }
    let report = api.backend.compliance(from, to).await?;
    Ok(match query.format {
        Format::Json => Json(report).into_response(),
        Format::Csv => {
            let headers = [
                (CONTENT_TYPE, "text/csv; charset=utf-8; header=present"),
                (
                    CONTENT_DISPOSITION,
                    "attachment; filename=\"weir-compliance.csv\"",
                ),
            ];
            (headers, csv::compliance(&report)).into_response()
        }
    })
}
