//! `weir-dataplane`: a WireGuard gateway in user space.
//!
//! `weir-dataplane IFNAME` is a drop-in for wireguard-go: it makes the device, listens for `wg`, and goes to the
//! background. `weir-dataplane --config FILE` runs a configured gateway in the foreground.

use clap::Parser;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use tracing::level_filters::LevelFilter;
use weir_gateway::background::{Environment, detach};
use weir_gateway::boot;

/// The command line.
#[derive(Parser)]
#[command(name = "weir-dataplane", version, about = "A WireGuard gateway in user space")]
struct Arguments {
    /// Stay in the foreground.
    #[arg(short, long)]
    foreground: bool,
    /// Run the gateway that this file describes, in the foreground.
    #[arg(long, value_name = "FILE", conflicts_with = "interface")]
    config: Option<PathBuf>,
    /// Let the members of this group, of which weir-control is one, use the status socket beside root; by default the
    /// group "weir", where there is one.
    #[arg(long, value_name = "NAME")]
    control_group: Option<String>,
    /// The device to make, configured by `wg` afterwards.
    #[arg(value_name = "IFNAME", required_unless_present = "config")]
    interface: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            for line in error.lines() {
                // Where nobody reads it, the exit code says it.
                let _ = writeln!(io::stderr(), "weir-dataplane: {line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), String> {
    let environment = Environment::read().map_err(|error| error.to_string())?;
    let level = environment.log_level;
    let group = arguments.control_group.as_deref();
    if let Some(file) = arguments.config {
        log_to_stderr(level.unwrap_or(LevelFilter::INFO));
        boot::block_signals().map_err(|error| error.to_string())?;
        let gateway = boot::configured(&file, group)?;
        let (key, port) = gateway.address();
        tracing::info!(
            "listening on UDP port {port} with public key {}",
            key.unwrap_or_default()
        );
        return gateway.run();
    }
    let interface = arguments.interface.unwrap_or_default();
    let foreground = arguments.foreground || environment.foreground;
    let level = level.unwrap_or(if foreground {
        LevelFilter::INFO
    } else {
        LevelFilter::ERROR
    });
    if foreground {
        log_to_stderr(level);
        boot::block_signals().map_err(|error| error.to_string())?;
        return boot::drop_in(&interface, environment, group)?.run();
    }
    let detached = detach(environment.keeps_output()).map_err(|error| error.to_string())?;
    log_to_stderr(level);
    let started = boot::block_signals()
        .map_err(|error| error.to_string())
        .and_then(|()| boot::drop_in(&interface, environment, group));
    match started {
        Ok(gateway) => {
            detached.ready().map_err(|error| error.to_string())?;
            gateway.run()
        }
        Err(error) => detached.failed(&format!("weir-dataplane: {error}\n"), 1),
    }
}

fn log_to_stderr(level: LevelFilter) {
    tracing_subscriber::fmt()
        // It would tell of a line that cannot be written by writing it there too, and end the thread when that fails.
        .log_internal_errors(false)
        .with_max_level(level)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .init();
}
