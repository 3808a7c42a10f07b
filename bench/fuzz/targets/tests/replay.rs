//! Every input that was kept, through its target.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use weir_fuzz_targets::TARGETS;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// Catches every panic and broken invariant that fuzzing found before, on the toolchain that ships, and a corpus that
/// was not committed.
#[test]
fn kept_inputs_are_replayed() {
    for (name, target) in TARGETS {
        let folder = fuzz().join("corpus").join(name);
        let inputs = names(&folder);
        assert!(!inputs.is_empty(), "{} is empty", folder.display());
        for input in inputs {
            let data = fs::read(folder.join(&input)).unwrap();
            // The test harness shows this where the target panics.
            println!("corpus/{name}/{input}");
            target(&data);
        }
    }
}

/// Catches a target that is replayed and never fuzzed, or the other way round.
#[test]
fn every_target_has_its_program_and_its_corpus() {
    let expected: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(expected.len(), TARGETS.len(), "a name is taken twice");
    assert_eq!(names(&fuzz().join("corpus")), expected);
    let programs = names(&fuzz().join("fuzz_targets"));
    assert_eq!(
        programs,
        expected.iter().map(|name| format!("{name}.rs")).collect()
    );
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for name in &expected {
        assert!(
            manifest.contains(&format!("name = \"{name}\"")),
            "{name} has no [[bin]]"
        );
    }
}

/// Catches a target that panics on the shortest inputs, and one whose runs depend on those before: a finding would not
/// replay.
#[test]
fn short_inputs_are_taken_in_any_order() {
    for (_, target) in TARGETS {
        for byte in (0..=255).chain((0..=255).rev()) {
            target(&[]);
            target(&[byte]);
            target(&[byte; 9]);
        }
    }
}
