//! `make bench`: Weir beside wireguard-go, gotatun and boringtun, in network namespaces; see `bench/README.md`. Prints
//! Markdown tables and writes them to `target/bench`, a file for each report, with every round in JSON beside it. Needs root; Ctrl-C removes everything as the end does.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use nix::unistd::geteuid;

use weir_bench::bench::{Settings, run};
use weir_bench::programs;

fn main() -> ExitCode {
    match measure() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<bool, Box<dyn std::error::Error>> {
    if !geteuid().is_root() {
        return Err("network namespaces need root; `make bench` calls sudo".into());
    }
    let reports = run(&Settings::read()?)?;
    print!("{}", reports.markdown());
    for path in reports.write(&programs::target_folder().join("bench"))? {
        eprintln!("written to {}", path.display());
    }
    Ok(reports.are_whole())
}
