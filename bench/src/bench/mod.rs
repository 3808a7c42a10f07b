//! The gateway's benchmark: Weir and the user-space WireGuard implementations it is compared with, measured in turn in
//! one run, on the same cores, in network namespaces joined by veth pairs. `bench/README.md` says how to run it, what
//! each number means, and what cannot be concluded from it. It informs and asserts nothing.
//!
//! The binary `bench` calls [`Settings::read`] and [`run`]; the modules measure one thing each. What only Weir can do,
//! packets over AF_XDP, is measured beside a bare forwarder, by load and by AEAD back end, in `xdp`, and the engine alone
//! in [`engine`], each with a report of its own, as has the process of `control`.

mod changes;
mod contender;
mod control;
mod cores;
mod counters;
mod cpu;
pub mod engine;
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
mod ticks;
mod uapi;
mod udp;
mod xdp;

pub use engine::Report as EngineReport;
pub use measure::Measure;
pub use report::Report;
pub use settings::Settings;
pub use xdp::{Findings, Report as XdpReport};

use interrupt::Stage;
use measure::Sample;

use std::path::{Path, PathBuf};

use crate::Result;

/// What a run found, by kind of measure; nothing of a kind of which none was asked for.
pub struct Reports {
    /// Implementations of WireGuard side by side.
    pub gateway: Option<Report>,
    /// AF_XDP beside a bare forwarder.
    pub xdp: Option<XdpReport>,
    /// The engine over ports in memory.
    pub engine: Option<EngineReport>,
    /// Bursts by load.
    pub bursts: Option<Findings>,
    /// AEAD back ends in a gateway.
    pub backends: Option<Findings>,
    /// The control process.
    pub control: Option<Findings>,
}

impl Reports {
    /// All tables.
    pub fn markdown(&self) -> String {
        let findings = [&self.bursts, &self.backends, &self.control];
        let texts: Vec<String> = [
            self.gateway.as_ref().map(Report::markdown),
            self.xdp.as_ref().map(XdpReport::markdown),
            self.engine.as_ref().map(EngineReport::markdown),
        ]
        .into_iter()
        .flatten()
        .chain(findings.into_iter().flatten().map(Findings::markdown))
        .collect();
        texts.join("\n")
    }

    /// Writes them, and every round in JSON, into a folder and returns the files' paths.
    pub fn write(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let findings = [&self.bursts, &self.backends, &self.control];
        let written: Vec<_> = [
            self.gateway.as_ref().map(|report| report.write(folder)),
            self.xdp.as_ref().map(|report| report.write(folder)),
            self.engine.as_ref().map(|report| report.write(folder)),
        ]
        .into_iter()
        .flatten()
        .chain(findings.into_iter().flatten().map(|found| found.write(folder)))
        .collect::<Result<_>>()?;
        Ok(written.into_iter().flatten().collect())
    }

    /// Whether everything that was asked for could be measured.
    pub fn are_whole(&self) -> bool {
        self.gateway.as_ref().is_none_or(Report::is_whole)
            && self.xdp.as_ref().is_none_or(XdpReport::is_whole)
            && self.bursts.as_ref().is_none_or(Findings::is_whole)
            && self.backends.as_ref().is_none_or(Findings::is_whole)
            && self.control.as_ref().is_none_or(Findings::is_whole)
    }
}

/// Takes every measure that was asked for, saying on standard error what it does.
pub fn run(settings: &Settings) -> Result<Reports> {
    let stage = Stage::new()?;
    let asked = |wanted: fn(&Measure) -> bool| settings.measures.iter().any(wanted);
    let gateway = asked(|&measure| measure.has_contenders())
        .then(|| run_gateway(settings, &stage))
        .transpose()?;
    let xdp = asked(|&measure| measure == Measure::Xdp).then(|| xdp::run(settings, &stage));
    let engine = asked(|&measure| measure == Measure::Engine).then(|| engine::run(settings));
    let bursts = asked(|&measure| measure == Measure::Bursts).then(|| xdp::run_bursts(settings, &stage));
    let backends =
        asked(|&measure| measure == Measure::Backends).then(|| xdp::run_backends(settings, &stage));
    let control = asked(|&measure| measure == Measure::Control).then(|| control::run(settings, &stage));
    Ok(Reports {
        gateway,
        xdp,
        engine,
        bursts,
        backends,
        control,
    })
}

/// Round by round, each implementation in turn. One that fails a measure is reported beside the figures of the others.
fn run_gateway(settings: &Settings, stage: &Stage) -> Result<Report> {
    let mut report = Report::new(settings)?;
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
                let outcome = measure.take(stage, settings, contender);
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
