//! `weir audit`: who changed what, whether the log is whole, and a report on a period.

use crate::args::{AuditArgs, AuditCommand, Period, ReportArgs};
use crate::change::print_json;
use crate::control::records::{AuditEntry, AuditVerification};
use crate::control::{Control, Sending};
use crate::error::Outcome;
use crate::keys::print;
use crate::term::{Table, Tone, colours, paint, printable};
use crate::times::to_the_second;
use serde_json::Value;
use std::process::ExitCode;
use ureq::http::Method;

/// Entries that are shown where nothing else is asked for.
const USUAL: usize = 50;

/// Does what is asked; the newest entries where nothing is.
pub fn run(control: &Control, command: Option<&AuditCommand>) -> Outcome {
    match command {
        None => {
            let usual = AuditArgs {
                limit: USUAL,
                ..AuditArgs::default()
            };
            list(control, &usual)
        }
        Some(AuditCommand::List(options)) => list(control, options),
        Some(AuditCommand::Verify { json }) => verify(control, *json),
        Some(AuditCommand::Report(options)) => report(control, options),
    }
}

/// The period as the API takes it.
fn within(period: &Period) -> impl Iterator<Item = (&str, &str)> {
    let from = period.from.as_deref().map(|from| ("from", from));
    from.into_iter().chain(period.to.as_deref().map(|to| ("to", to)))
}

fn list(control: &Control, options: &AuditArgs) -> Outcome {
    let mut query: Vec<(&str, &str)> = within(&options.period).collect();
    query.extend(options.actor.as_deref().map(|actor| ("actor", actor)));
    query.extend(options.target.as_deref().map(|target| ("target", target)));
    let mut items = control.list("/v1/audit", &query, options.limit)?;
    // The API begins with the newest; who reads a log expects it last.
    items.reverse();
    if options.json {
        print_json(&items.into())?;
        return Ok(ExitCode::SUCCESS);
    }
    let entries: Vec<AuditEntry> = Control::read_all(&items, "GET /v1/audit")?;
    let mut table = Table::new(&["ENTRY", "TIME", "WHO", "FROM", "WHAT", "TO WHAT"]);
    for entry in entries {
        let cells = [
            entry.number.to_string(),
            to_the_second(entry.at),
            entry.actor,
            entry.source,
            entry.action,
            entry.target,
        ];
        table.row(cells.map(|cell| (cell, Tone::Plain)).to_vec());
    }
    let text = table.render(colours());
    print(if text.is_empty() { "no entries\n" } else { &text })?;
    Ok(ExitCode::SUCCESS)
}

fn verify(control: &Control, as_json: bool) -> Outcome {
    let value: Value = control.get("/v1/audit/verification", &[])?;
    let mut read = Control::read_all(std::slice::from_ref(&value), "GET /v1/audit/verification")?;
    let verified: AuditVerification = read.pop().expect("as many as were given");
    if as_json {
        print_json(&value)?;
    } else {
        let (word, tone) = if verified.intact {
            ("whole", Tone::Good)
        } else {
            ("NOT WHOLE", Tone::Bad)
        };
        let word = paint(word, tone, colours());
        let trouble = verified
            .trouble
            .map(|trouble| format!(": {}", printable(&trouble)));
        let newest = verified
            .newest_hash
            .map(|hash| format!(", the newest's hash is {}", printable(&hash)));
        print(&format!(
            "audit log: {word}{}; {} entries{}\n",
            trouble.unwrap_or_default(),
            verified.entries,
            newest.unwrap_or_default()
        ))?;
    }
    Ok(if verified.intact {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn report(control: &Control, options: &ReportArgs) -> Outcome {
    let mut query: Vec<(&str, &str)> = within(&options.period).collect();
    query.push(("format", if options.json { "json" } else { "csv" }));
    let sending = Sending {
        query: &query,
        ..Sending::default()
    };
    let answer = control.send(&Method::GET, "/v1/compliance", &sending)?;
    if options.json {
        print_json(&answer.read()?)?;
    } else {
        print(&String::from_utf8_lossy(&answer.body))?;
    }
    Ok(ExitCode::SUCCESS)
}
