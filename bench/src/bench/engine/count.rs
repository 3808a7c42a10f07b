//! The same windows for callgrind, which counts the instructions of [`Rig::polls`]: they tell the work for a packet to the
//! instruction, on whatever else the machine does.

use std::path::Path;

use super::idle::Idle;
use super::rig::Rig;
use super::{Case, Direction, MTU, SESSIONS, WARM_UP, WINDOW};
use crate::{LabError, Result, programs};

/// Windows that are counted.
const COUNTED: usize = 4;

/// What callgrind counts in.
const FUNCTION: &str = "*Rig*polls*";

/// Packets that the shard takes at a time.
const BURST: usize = 64;

/// Sizes of inner packets: beyond the AEAD's work and one copy, no other should cost more or less.
const SIZES: [usize; 2] = [64, MTU];

/// Instructions of one case for a packet, those of the ports included and those of an AEAD not.
#[derive(Clone, Debug, PartialEq)]
pub struct Count {
    /// `in` or `out`.
    pub direction: &'static str,
    /// Bytes of an inner packet.
    pub bytes: usize,
    /// Sessions that have a packet in turn.
    pub sessions: usize,
    /// Instructions for a packet.
    pub instructions: f64,
}

/// Counts every case under valgrind. `program` calls [`run_windows`] with its arguments; what was counted by function is
/// left in the folder for `callgrind_annotate`.
///
/// # Errors
/// Where valgrind or the program cannot be run, or fail.
pub fn count(program: &Path, folder: &Path) -> Result<Vec<Count>> {
    std::fs::create_dir_all(folder).map_err(|source| LabError::Io {
        doing: format!("making {}", folder.display()),
        source,
    })?;
    cases().map(|case| count_one(program, folder, case)).collect()
}

/// Runs the windows of the case whose [`words`] these are; false if there is none.
pub fn run_windows(words: &[String]) -> bool {
    let Some(case) = cases().find(|&case| self::words(case) == words) else {
        return false;
    };
    let mut rig = Rig::new(case.sessions, case.burst, &Idle);
    for _ in 0..WARM_UP {
        rig.load(case);
        rig.warm_up(case);
    }
    for _ in 0..COUNTED {
        rig.load(case);
        rig.window(case);
    }
    true
}

fn cases() -> impl Iterator<Item = Case> {
    let directions = [Direction::In, Direction::Out].into_iter();
    directions.flat_map(|direction| {
        SESSIONS.into_iter().flat_map(move |sessions| {
            SIZES.map(|bytes| Case {
                direction,
                bytes,
                sessions,
                burst: BURST,
            })
        })
    })
}

fn words(case: Case) -> Vec<String> {
    vec![
        case.direction.name().to_owned(),
        case.bytes.to_string(),
        case.sessions.to_string(),
    ]
}

fn count_one(program: &Path, folder: &Path, case: Case) -> Result<Count> {
    let words = words(case);
    let file = folder.join(format!("callgrind.{}", words.join("-")));
    let mut command = programs::tool("valgrind")?;
    command
        .arg("--tool=callgrind")
        .arg(format!("--toggle-collect={FUNCTION}"))
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(program)
        .args(&words);
    let doing = || format!("running {}", program.display());
    let output = command.output().map_err(|source| LabError::Io {
        doing: doing(),
        source,
    })?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        return Err(LabError::Failed {
            command: doing(),
            status: output.status,
            output: text,
        });
    }
    let collected = collected(&text).ok_or(LabError::Unreadable {
        program: "valgrind",
        expected: "number of collected instructions",
        output: text,
    })?;
    Ok(Count {
        direction: case.direction.name(),
        bytes: case.bytes,
        sessions: case.sessions,
        instructions: collected as f64 / (COUNTED * WINDOW) as f64,
    })
}

/// The instructions that callgrind tells of at its end; `None` where it found none to count.
fn collected(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.split_once("Collected :"))?;
    line.1.trim().parse().ok().filter(|&count| count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches a count read from another line, and a function that callgrind did not find taken for one that costs nothing.
    #[test]
    fn the_count_is_what_callgrind_collected() {
        let text = "==7== Events    : Ir\n==7== Collected : 1234\n==7==\n";
        assert_eq!(collected(text), Some(1234));
        assert_eq!(collected("==7== Collected : 0\n"), None);
        assert_eq!(collected("valgrind: no such program\n"), None);
    }

    /// Catches windows that do not carry their packets, in any case that is counted.
    #[test]
    fn every_case_runs() {
        for case in cases() {
            assert!(run_windows(&words(case)), "{case}");
        }
        assert!(!run_windows(&["up".to_owned()]));
    }
}
