//! `weir changes`: what reverts by itself unless it is confirmed.

use crate::args::ChangesCommand;
use crate::change::{self, print_json};
use crate::control::records::PendingChange;
use crate::control::{Control, Sending, escaped};
use crate::error::Outcome;
use crate::keys::print;
use crate::term::{colours, printable, say};
use crate::times::relative;
use jiff::Timestamp;
use std::process::ExitCode;
use ureq::http::Method;

/// Does what is asked; lists them where nothing is.
pub fn run(control: &Control, command: Option<&ChangesCommand>) -> Outcome {
    match command {
        None => list(control, false)?,
        Some(ChangesCommand::List { json }) => list(control, *json)?,
        Some(ChangesCommand::Confirm { id }) => {
            let path = format!("/v1/changes/{}/confirmation", escaped(id));
            control.send(&Method::POST, &path, &Sending::default())?;
            say(&printable(&format!("change {id} stays")));
        }
        Some(ChangesCommand::Revert { id }) => {
            let path = format!("/v1/changes/{}", escaped(id));
            control.send(&Method::DELETE, &path, &Sending::default())?;
            say(&printable(&format!("change {id} is taken back")));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(control: &Control, as_json: bool) -> Outcome<()> {
    let items = control.items("/v1/changes")?;
    if as_json {
        return print_json(&items.into());
    }
    let changes: Vec<PendingChange> = Control::read_all(&items, "GET /v1/changes")?;
    if changes.is_empty() {
        return print("no change waits for a confirmation\n");
    }
    let now = Timestamp::now();
    for change in changes {
        let head = format!(
            "change {} by {} reverts {}",
            change.id,
            change.made_by,
            relative(change.reverts_at, now)
        );
        let diff = change::text(&change.diff, colours());
        print(&format!("{}\n{diff}", printable(&head)))?;
    }
    Ok(())
}
