//! `weir rule`: what the access rules are and how often each decided.

use crate::change::print_json;
use crate::control::Control;
use crate::control::records::Rule;
use crate::error::Outcome;
use crate::keys::print;
use crate::term::{Table, Tone, colours};
use serde_json::Value;
use std::process::ExitCode;

/// Prints the rules in the order in which they are judged.
pub fn list(control: &Control, as_json: bool) -> Outcome {
    let items = control.items("/v1/rules")?;
    if as_json {
        print_json(&items.into())?;
        return Ok(ExitCode::SUCCESS);
    }
    let rules: Vec<Rule> = Control::read_all(&items, "GET /v1/rules")?;
    if rules.is_empty() {
        print("no access rules: peers reach what is routed\n")?;
    } else {
        print(&table(&rules).render(colours()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn table(rules: &[Rule]) -> Table {
    let mut table = Table::new(&[
        "RULE", "NAME", "ACTION", "FROM", "TO", "PROTOCOL", "PORTS", "LOG", "PACKETS", "OWNER",
    ]);
    for (place, rule) in rules.iter().enumerate() {
        let or_any = |list: &[String]| {
            if list.is_empty() {
                "any".to_owned()
            } else {
                list.join(" ")
            }
        };
        let protocol = match &rule.protocol {
            None => "any".to_owned(),
            Some(Value::String(name)) => name.clone(),
            Some(number) => number.to_string(),
        };
        let cells = [
            (place + 1).to_string(),
            rule.name.clone().unwrap_or_else(|| "-".to_owned()),
            rule.action.clone(),
            or_any(&rule.from),
            or_any(&rule.to),
            protocol,
            or_any(&rule.ports),
            if rule.log { "yes" } else { "no" }.to_owned(),
            rule.packets
                .map_or_else(|| "-".to_owned(), |packets| packets.to_string()),
            rule.owner.clone(),
        ];
        let mut row = cells.map(|cell| (cell, Tone::Plain)).to_vec();
        row[2].1 = if rule.action == "deny" {
            Tone::Bad
        } else {
            Tone::Good
        };
        table.row(row);
    }
    table
}
