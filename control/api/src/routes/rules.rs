//! Access rules.

use crate::api::Api;
use crate::auth::By;
use crate::http::{Body, Change, ChangeQuery, ConditionHeaders, Failure, answer, conditional};
use crate::types::{DiffOr, FieldProblem, Owner, RuleInput, Rules, RulesInput};
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use std::sync::Arc;

/// Rules at most, and entries of each list of one: what the data plane takes.
const RULES_MAX: usize = weir_abi::rule::RULES_MAX;
const ENTRIES_MAX: usize = weir_abi::rule::ENTRIES_MAX;

/// The access rules, in the order in which they are judged. The version does not cover counters.
#[utoipa::path(
    get, path = "/v1/rules", tag = "rules",
    responses((status = 200, body = Rules, headers(("ETag" = String))))
)]
pub(super) async fn read(State(api): State<Arc<Api>>) -> Result<Response, Failure> {
    let rules = api.backend.rules().await?;
    conditional(&HeaderMap::new(), rules.value, &rules.etag)
}

/// Replaces the access rules of control; those of `weir.toml` stay in force before them.
#[utoipa::path(
    put, path = "/v1/rules", tag = "rules", params(ChangeQuery, ConditionHeaders), request_body = RulesInput,
    responses((status = 200, body = inline(DiffOr<Rules>), description = "The rules, or with dry_run a diff", headers(("ETag" = String), ("Weir-Change" = String))))
)]
pub(super) async fn put(
    State(api): State<Arc<Api>>,
    By(by): By,
    Change(options): Change,
    Body(input): Body<RulesInput>,
) -> Result<Response, Failure> {
    let wrong = judge(&input.items);
    if !wrong.is_empty() {
        return Err(Failure::invalid(wrong));
    }
    answer(api.backend.put_rules(&by, &options, input.items).await?, false)
}

fn judge(rules: &[RuleInput]) -> Vec<FieldProblem> {
    if rules.len() > RULES_MAX {
        return vec![FieldProblem::new(
            "items",
            rules.len(),
            format!("at most {RULES_MAX} rules"),
        )];
    }
    rules
        .iter()
        .enumerate()
        .flat_map(|(place, rule)| judge_rule(place, rule))
        .collect()
}

fn judge_rule(place: usize, rule: &RuleInput) -> Vec<FieldProblem> {
    let mut wrong = Vec::new();
    if rule.owner == Some(Owner::File) {
        let expected =
            "only rules of control: those of weir.toml are changed there, and stay in force before these";
        wrong.push(FieldProblem::new(
            format!("items[{place}].owner"),
            "file",
            expected,
        ));
    }
    for (field, length) in [
        ("from", rule.from.len()),
        ("to", rule.to.len()),
        ("ports", rule.ports.len()),
    ] {
        if length > ENTRIES_MAX {
            let expected = format!("at most {ENTRIES_MAX} entries");
            wrong.push(FieldProblem::new(
                format!("items[{place}].{field}"),
                length,
                expected,
            ));
        }
    }
    if !rule.ports.is_empty() && !rule.protocol.is_some_and(|protocol| protocol.0.has_ports()) {
        let expected = "none: only tcp and udp have ports";
        wrong.push(FieldProblem::new(
            format!("items[{place}].ports"),
            rule.ports[0].to_string(),
            expected,
        ));
    }
    wrong
}
