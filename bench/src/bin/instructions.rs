//! Counts the instructions that a shard needs for a packet, the AEAD's aside, by running itself under callgrind, and prints
//! them. What functions they are in lies in `target/bench/callgrind.*`, for `callgrind_annotate`. The test
//! `instructions` holds them to bounds.
#![forbid(unsafe_code)]

use std::env;
use std::process::ExitCode;

use weir_bench::bench::engine::{count, run_windows};
use weir_bench::programs;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let done = if words.is_empty() {
        print_counts()
    } else if run_windows(&words) {
        Ok(())
    } else {
        Err("expected no arguments: counts every case".into())
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

fn print_counts() -> Result<(), Box<dyn std::error::Error>> {
    for count in count(&env::current_exe()?, &programs::target_folder().join("bench"))? {
        println!(
            "{:3}, {:4} B, {:2} sessions: {:.0} instructions a packet",
            count.direction, count.bytes, count.sessions, count.instructions
        );
    }
    Ok(())
}
