//! How many instructions a packet costs in the release build, AEAD aside: a guard against slower packets that asks no
//! clock. `make test` builds the binary `instructions`, which says more.
#![cfg(target_arch = "x86_64")]

use weir_bench::LabError;
use weir_bench::bench::engine::count;
use weir_bench::programs::target_folder;

/// Direction, bytes of an inner packet, sessions in turn, and instructions at most.
const BOUNDS: [(&str, usize, usize, f64); 8] = [
    ("in", 64, 1, 840.0),
    ("in", 1420, 1, 990.0),
    ("in", 64, 64, 840.0),
    ("in", 1420, 64, 990.0),
    ("out", 64, 1, 720.0),
    ("out", 1420, 1, 870.0),
    ("out", 64, 64, 720.0),
    ("out", 1420, 64, 870.0),
];

/// What a count may lie below its bound, in percent: enough for another compiler's or C library's choice of instructions.
const SLACK: f64 = 15.0;

/// Catches work that was added to every packet unnoticed, and a bound that lies so high that it would not.
#[test]
fn a_packet_costs_no_more_instructions_than_it_did() {
    let program = target_folder().join("release/instructions");
    if !program.is_file() {
        let missing = LabError::Missing {
            program: program.display().to_string(),
            remedy: "`make test` builds it",
        };
        panic!("{missing}");
    }
    let folder = std::env::temp_dir().join(format!("weir-instructions-{}", std::process::id()));
    let counts = count(&program, &folder);
    std::fs::remove_dir_all(&folder).expect("the folder was made a moment ago");
    let counts = counts.expect("every case can be counted");
    assert_eq!(counts.len(), BOUNDS.len());
    let mut faults = Vec::new();
    for count in counts {
        let of_case = |&&(direction, bytes, sessions, _): &&(&str, usize, usize, f64)| {
            (direction, bytes, sessions) == (count.direction, count.bytes, count.sessions)
        };
        let (.., most) = BOUNDS.iter().find(of_case).expect("every case has a bound");
        if count.instructions > *most {
            faults.push(format!("{count:?} is above {most}"));
        } else if count.instructions < most * (1.0 - SLACK / 100.0) {
            faults.push(format!(
                "{count:?} is so far below {most} that the bound is to be lowered"
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
