//! The binary `weir`: starts a gateway, makes keys and clients, verifies and edits `weir.toml`, asks both processes of a
//! running gateway how it is, changes what the control process owns, and says what this machine allows.
//!
//! It speaks to `weir-dataplane` and to `weir-control` over their Unix sockets alone, never invokes a shell, and shows secrets only where they
//! were asked for: on standard output, and in files of mode 0600. Messages go to standard error.
#![forbid(unsafe_code)]

mod access;
mod args;
mod audit;
mod backup;
mod change;
mod changes;
mod check;
mod client;
mod control;
mod doctor;
mod error;
mod events;
mod files;
mod import;
mod ipc;
mod keys;
mod net;
mod peer;
mod qr;
mod rules;
mod run;
mod secret;
mod status;
mod term;
mod terminal;
mod times;
mod top;
mod usage;

use args::{Args, Command, RuleCommand};
use clap::{CommandFactory as _, Parser as _};
use control::Control;
use error::Failure;
use std::io::ErrorKind;
use std::process::ExitCode;

/// What a shell shows of a program that Ctrl-C ended (128 + 2).
const GIVEN_UP: u8 = 130;

/// What a shell shows of a program that SIGPIPE ended (128 + 13): whoever read had enough, which is no failure to be told.
const READER_GONE: u8 = 141;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return usage::refuse(&error),
    };
    let directory = args.run_directory.as_path();
    let control_directory = args.control_directory.as_path();
    let control = Control::at(control_directory);
    let outcome = match args.command {
        Command::Keygen { out } => keys::keygen(out.as_deref()),
        Command::Pubkey => keys::pubkey(),
        Command::Genpsk => keys::genpsk(),
        Command::Check { file } => check::run(&file),
        Command::Status(options) => status::run(&options, directory, &control),
        Command::Doctor(options) => doctor::run(&options, directory),
        Command::Import(options) => import::run(&options),
        Command::Peer { command, owner } => peer::run(&command, &owner, directory, &control),
        Command::Rule { command } => {
            let RuleCommand::List { json } = command;
            rules::list(&control, json)
        }
        Command::Events(options) => events::run(&control, &options),
        Command::Top(options) => top::run(&options, directory, &control),
        Command::Audit { command } => audit::run(&control, command.as_ref()),
        Command::Backup(options) => backup::backup(&control, &options),
        Command::Restore(options) => backup::restore(&control, &options),
        Command::Token { command } => access::token(&control, &command),
        Command::User { command } => access::user(&control, &command),
        Command::Admin { command } => access::admin(&control, &command),
        Command::Changes { command } => changes::run(&control, command.as_ref()),
        Command::Run(options) => run::run(&options, directory, control_directory),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "weir", &mut script);
            keys::print(&String::from_utf8_lossy(&script)).map(|()| ExitCode::SUCCESS)
        }
    };
    outcome.unwrap_or_else(|failure| match failure {
        Failure::Stdio(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::from(READER_GONE),
        failure => {
            term::complain(&failure.to_string());
            let given_up = matches!(failure, Failure::GivenUp);
            ExitCode::from(if given_up { GIVEN_UP } else { 1 })
        }
    })
}
