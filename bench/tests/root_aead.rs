//! A gateway whose AEAD back end is asked for by name: it works with each that the CPU has, and says which is the best.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod callers;
mod ground;

use ground::{Ground, program};
use weir_bench::configured::Configured;
use weir_crypto::{VARIABLE, able};

fn start(ground: &Ground, aead: &str) -> Configured {
    Configured::start_by(
        &ground.topology,
        &ground.host,
        &ground.interface,
        &ground.toml(),
        program().env(VARIABLE, aead),
    )
    .unwrap()
}

/// Catches a slower back end than the CPU's that an operator cannot see, in words or in the fields that metrics are made
/// of, one that is complained of without need, and one that is not the one asked for or does not work.
#[test]
fn a_back_end_below_the_best_is_seen_in_status() {
    let ground = Ground::new();
    let best = able()[0].name();
    // Empty is not asked for.
    for asked in able().iter().map(|aead| aead.name()).chain([""]) {
        let gateway = start(&ground, asked);
        let status = gateway.status().unwrap();
        let expected = if asked.is_empty() { best } else { asked };
        assert_eq!(status["aead"], expected, "asked for {asked:?}");
        assert_eq!(status["aead_best"], best, "asked for {asked:?}");
        let warnings = status["warnings"].as_array().unwrap();
        let told: Vec<&str> = warnings.iter().filter_map(|warning| warning.as_str()).collect();
        let warning = format!("AEAD back end {asked} is used, as WEIR_AEAD asks; this CPU's best is {best}");
        assert_eq!(told.contains(&&*warning), expected != best, "{told:?}");
        assert!(
            expected != best || !told.iter().any(|warning| warning.contains("AEAD")),
            "{told:?}"
        );
        // With a session of that back end's making.
        ground.caller(0);
    }
}

/// Catches a name that is silently replaced by what there is.
#[test]
fn an_unknown_back_end_is_refused() {
    let ground = Ground::new();
    ground.write(&ground.toml());
    ground.refuses_by(
        "an unknown back end",
        program().env(VARIABLE, "sse2"),
        &["WEIR_AEAD", "\"sse2\"", "ring"],
    );
}
