//! `weir-control`: the control process of a Weir gateway.
#![forbid(unsafe_code)]

use clap::Parser as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use tracing::level_filters::LevelFilter;
use weir_control::options::Options;
use weir_control::run;

/// Threads that serve requests: enough for a slow one not to hold up the others.
const SERVING_THREADS: usize = 2;

fn main() -> ExitCode {
    let options = Options::parse();
    log_to_stderr();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(SERVING_THREADS)
        .enable_all()
        .build();
    let ended = runtime.map_err(run::RunError::from).and_then(|runtime| {
        let ended = runtime.block_on(run::run(&options));
        // What still runs then is a stream or a probe that nobody waits for.
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where nobody reads it, the exit code says it.
            let _ = writeln!(io::stderr(), "weir-control: {error}");
            ExitCode::FAILURE
        }
    }
}

fn log_to_stderr() {
    let level = std::env::var("LOG_LEVEL").ok();
    let level = match level.as_deref() {
        Some("verbose" | "debug") => LevelFilter::DEBUG,
        Some("error") => LevelFilter::ERROR,
        Some("silent") => LevelFilter::OFF,
        Some(_) | None => LevelFilter::INFO,
    };
    tracing_subscriber::fmt()
        .log_internal_errors(false)
        .with_max_level(level)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .init();
}
