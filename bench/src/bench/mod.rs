//! The gateway's benchmark: Weir and the user-space WireGuard implementations it is compared with, measured in turn in
//! one run, on the same cores, in network namespaces joined by veth pairs. `bench/README.md` says how to run it, what
//! each number means, and what cannot be concluded from it. It informs and asserts nothing.
//!
//! The binary `bench` calls [`Settings::read`] and [`run`]; the modules measure one thing each.

mod contender;
mod cores;
mod counters;
mod cpu;
mod figures;
mod forwarding;
mod idle;
mod interrupt;
mod latency;
mod lone;
mod machine;
mod measure;
mod memory;
mod paced;
mod pair;
mod report;
mod sessions;
mod settings;
mod tcp;
mod uapi;
mod udp;

pub use measure::Measure;
pub use report::Report;
pub use settings::Settings;

use interrupt::Stage;
use measure::Sample;

use crate::Result;

/// Takes every measure that was asked for, round by round, each implementation in turn, saying on standard error what
/// it does. An implementation that fails one is reported beside the figures of the others.
pub fn run(settings: &Settings) -> Result<Report> {
    let mut report = Report::new(settings)?;
    let stage = Stage::new()?;
    for round in 1..=settings.rounds {
        for &measure in settings
            .measures
            .iter()
            .filter(|measure| round == 1 || !measure.once())
        {
            for contender in settings.contenders(measure) {
                eprint!(
                    "round {round} of {}, {measure}, {}: ",
                    settings.rounds,
                    contender.name()
                );
                // Whatever the last measure changed.
                cores::hold(&settings.cores)?;
                let outcome = measure.take(&stage, settings, contender);
                match &outcome {
                    Ok(samples) => eprintln!("{}", described(samples)),
                    Err(error) => eprintln!("{error}"),
                }
                report.add(contender, measure, outcome);
            }
        }
    }
    Ok(report)
}

fn described(samples: &[Sample]) -> String {
    let words = samples
        .iter()
        .map(|sample| format!("{} {}", sample.figure.name, sample.figure.shown(sample.value)));
    words.collect::<Vec<_>>().join(", ")
}
