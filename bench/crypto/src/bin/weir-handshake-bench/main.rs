//! Complete responder handshakes a second on one core: an initiation is checked, opened, its peer found and proved, its
//! timestamp compared, a response made and the session's keys derived. Weir, and with the feature `peers` the libraries
//! boringtun and gotatun, answer the same initiations in turn. Run it with `make bench-handshakes`.
#![forbid(unsafe_code)]

#[cfg(feature = "peers")]
mod boringtun_tunnel;
mod clients;
#[cfg(feature = "peers")]
mod gotatun_tunnel;
mod measure;
mod weir;

use clients::Clients;
use measure::{Figure, Responder};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Rounds unless RUNS says otherwise.
const ROUNDS: usize = 101;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => {
            eprintln!("bench-handshakes: {wrong}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let rounds = match std::env::var("RUNS").ok().filter(|runs| !runs.is_empty()) {
        None => ROUNDS,
        Some(runs) => match runs.parse() {
            Ok(rounds) if rounds > 0 => rounds,
            _ => return Err(format!("RUNS={runs:?}: expected a number from 1 on")),
        },
    };
    let mut clients = Clients::new();
    let keys = clients.keys();
    let mut contenders: Vec<Box<dyn Responder>> = vec![Box::new(weir::Weir::new(&keys))];
    #[cfg(feature = "peers")]
    for looks_up in [true, false] {
        contenders.push(Box::new(boringtun_tunnel::Boringtun::new(&keys, looks_up)));
        contenders.push(Box::new(gotatun_tunnel::Gotatun::new(&keys, looks_up)));
    }
    let figures = measure::all(&mut contenders, &mut clients, rounds)?;
    print!("{}", markdown(&figures));
    let path = std::env::var_os("JSON").map_or("target/bench/handshakes.json".into(), PathBuf::from);
    write(&figures, &path).map_err(|error| format!("{}: {error}", path.display()))
}

fn markdown(figures: &[Figure]) -> String {
    let rows = figures.iter().map(|figure| {
        let Figure {
            implementation,
            handshakes_per_s,
            times_the_first,
            ..
        } = figure;
        let each_us = 1e6 / handshakes_per_s;
        format!("| {implementation} | {handshakes_per_s:.0} | {each_us:.1} | {times_the_first:.2}× |\n")
    });
    let title =
        "| responder | complete handshakes a second | µs each | times the first |\n|---|---|---|---|\n";
    std::iter::once(title.to_owned()).chain(rows).collect()
}

/// Writes an array of `{implementation, handshakes_per_s, times_the_first, rounds}`, and makes the folder.
fn write(figures: &[Figure], path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, serde_json::to_vec_pretty(figures)?)
}
