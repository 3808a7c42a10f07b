//! The binary `weir`: makes keys and clients, verifies and edits `weir.toml`, asks a running data plane how it is, and
//! says what this machine allows.
//!
//! It speaks to `weir-dataplane` over its Unix socket alone, never invokes a shell, and shows secrets only where they
//! were asked for: on standard output, and in files of mode 0600. Messages go to standard error.
#![forbid(unsafe_code)]

mod args;
mod check;
mod client;
mod doctor;
mod error;
mod files;
mod import;
mod ipc;
mod keys;
mod net;
mod peer;
mod qr;
mod run;
mod status;
mod term;
mod usage;

use args::{Args, Command, PeerCommand};
use clap::{CommandFactory as _, Parser as _};
use error::Failure;
use std::io::ErrorKind;
use std::process::ExitCode;

/// What a shell shows of a program that SIGPIPE ended (128 + 13): whoever read had enough, which is no failure to be told.
const READER_GONE: u8 = 141;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return usage::refuse(&error),
    };
    let directory = args.run_directory.as_path();
    let outcome = match args.command {
        Command::Keygen { out } => keys::keygen(out.as_deref()),
        Command::Pubkey => keys::pubkey(),
        Command::Genpsk => keys::genpsk(),
        Command::Check { file } => check::run(&file),
        Command::Status(options) => status::run(&options, directory),
        Command::Doctor(options) => doctor::run(&options, directory),
        Command::Import(options) => import::run(&options),
        Command::Peer { command, config } => match command {
            PeerCommand::Add(options) => peer::add(&options, &config, directory),
            PeerCommand::Remove { peer } => peer::remove(&peer, &config, directory),
            PeerCommand::List { json } => peer::list(&config, json),
        },
        Command::Run(options) => run::run(&options, directory),
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
            ExitCode::FAILURE
        }
    })
}
