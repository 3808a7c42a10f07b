//! `weir status`: a running data plane at a glance.

mod control;
mod json;
mod text;

pub use json::drops;

use crate::args::{INTERFACE_NAME, StatusArgs};
use crate::control::Control;
use crate::error::{Failure, Outcome};
use crate::ipc;
use crate::keys::print;
use crate::term;
use jiff::Timestamp;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};
use weir_abi::status::Status;
use weir_config::is_interface_name;

/// Between two pictures with `--watch`.
const WATCH_PAUSE: Duration = Duration::from_secs(2);

/// Prints the status of one interface, or of all that run, and what the control process says of its own and of what is
/// wrong.
pub fn run(options: &StatusArgs, directory: &Path, control: &Control) -> Outcome {
    loop {
        let (statuses, code) = ask(options.interface.as_deref(), directory)?;
        let controlled = control::ask(control);
        if options.json {
            print(&json::render(&statuses, &controlled))?;
            return Ok(code);
        }
        let mut picture = String::new();
        if options.watch {
            // Clears the screen and what has scrolled off it, then starts at its top.
            picture.push_str("\x1b[H\x1b[2J\x1b[3J");
        }
        let now = SystemTime::now();
        for (place, status) in statuses.iter().enumerate() {
            if place > 0 {
                picture.push('\n');
            }
            picture.push_str(&text::render(status, now, term::colours()));
        }
        picture.push_str(&control::text(&controlled, Timestamp::now(), term::colours()));
        print(&picture)?;
        if !options.watch {
            return Ok(code);
        }
        std::thread::sleep(WATCH_PAUSE);
    }
}

/// What answers, and the exit code: of several, those that do not answer as they should are named and hide no others.
fn ask(interface: Option<&str>, directory: &Path) -> Outcome<(Vec<Status>, ExitCode)> {
    if let Some(interface) = interface {
        let interface = interface_name(interface)?;
        return Ok((vec![ipc::status(directory, interface, true)?], ExitCode::SUCCESS));
    }
    let (mut statuses, mut troubles) = (Vec::new(), Vec::new());
    for name in ipc::interfaces(directory) {
        match ipc::status(directory, &name, true) {
            Ok(status) => statuses.push(status),
            // A socket left by a data plane that was killed.
            Err(ipc::IpcError::NotRunning { .. }) => {}
            Err(error) => troubles.push(format!("{name}: {error}")),
        }
    }
    if statuses.is_empty() && !troubles.is_empty() {
        return Err(Failure::Said(troubles.join("\n")));
    }
    if statuses.is_empty() {
        let directory = directory.display();
        return Err(Failure::Said(format!(
            "no data plane runs (nothing answers in {directory}); start one with `weir run`"
        )));
    }
    troubles.iter().for_each(|trouble| term::complain(trouble));
    let code = if troubles.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    };
    Ok((statuses, code))
}

/// An interface's name as a person gives it.
pub fn interface_name(text: &str) -> Outcome<&str> {
    if is_interface_name(text) {
        return Ok(text);
    }
    Err(Failure::Said(format!(
        "interface: {text:?}; expected {INTERFACE_NAME}"
    )))
}
