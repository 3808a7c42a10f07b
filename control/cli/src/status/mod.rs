//! `weir status`: a running data plane at a glance.

mod json;
mod text;

use crate::args::{INTERFACE_NAME, StatusArgs};
use crate::error::{Failure, Outcome};
use crate::ipc;
use crate::keys::print;
use crate::term;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};
use weir_abi::status::Status;
use weir_config::is_interface_name;

/// Between two pictures with `--watch`.
const WATCH_PAUSE: Duration = Duration::from_secs(2);

/// Prints the status of one interface, or of all that run.
pub fn run(options: &StatusArgs, directory: &Path) -> Outcome {
    loop {
        let statuses = ask(options.interface.as_deref(), directory)?;
        if options.json {
            print(&json::render(&statuses))?;
            return Ok(ExitCode::SUCCESS);
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
        print(&picture)?;
        if !options.watch {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(WATCH_PAUSE);
    }
}

fn ask(interface: Option<&str>, directory: &Path) -> Outcome<Vec<Status>> {
    if let Some(interface) = interface {
        if !is_interface_name(interface) {
            return Err(Failure::Said(format!(
                "interface: {interface:?}; expected {INTERFACE_NAME}"
            )));
        }
        return Ok(vec![ipc::status(directory, interface, true)?]);
    }
    let mut statuses = Vec::new();
    for name in ipc::interfaces(directory) {
        match ipc::status(directory, &name, true) {
            Ok(status) => statuses.push(status),
            // A socket left by a data plane that was killed.
            Err(ipc::IpcError::NotRunning { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if statuses.is_empty() {
        let directory = directory.display();
        return Err(Failure::Said(format!(
            "no data plane runs (nothing answers in {directory}); start one with `weir run`"
        )));
    }
    Ok(statuses)
}
