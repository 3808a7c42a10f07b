//! `weir doctor`: what this machine allows, what is in the way, what it costs, and the command that mends it. It only
//! looks; nothing is changed and nothing is sent.

mod configuration;
mod device;
mod machine;
mod network;

use crate::args::{CONFIG, DoctorArgs};
use crate::error::Outcome;
use crate::files::{self, Loaded};
use crate::keys::print;
use crate::term::{self, Tone, paint};
use serde_json::{Value, json};
use std::path::Path;
use std::process::ExitCode;

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// As it should be.
    Ok,
    /// Works, but worse than it could, or cannot be judged from here.
    Warn,
    /// Keeps a gateway from working.
    Bad,
}

/// One line of the report.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// How bad.
    pub level: Level,
    /// What was looked at, and what was found.
    pub what: String,
    /// What it costs; empty where nothing.
    pub cost: String,
    /// The command or change that mends it; empty where nothing needs to be.
    pub mend: String,
}

impl Finding {
    pub fn ok(what: impl Into<String>) -> Self {
        Self {
            level: Level::Ok,
            what: what.into(),
            cost: String::new(),
            mend: String::new(),
        }
    }

    pub fn warn(what: impl Into<String>, cost: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            level: Level::Warn,
            what: what.into(),
            cost: cost.into(),
            mend: mend.into(),
        }
    }

    pub fn bad(what: impl Into<String>, cost: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            level: Level::Bad,
            ..Self::warn(what, cost, mend)
        }
    }
}

/// Prints the report; exits with 1 where something is bad.
pub fn run(options: &DoctorArgs, directory: &Path) -> Outcome {
    let config = options.config.as_deref().unwrap_or(Path::new(CONFIG));
    let loaded = files::load_if_there(config);
    let usable: Option<&Loaded> = loaded.as_ref().and_then(|l| l.as_ref().ok());
    let mut findings = machine::findings(usable);
    findings.extend(match &loaded {
        Some(loaded) => configuration::findings(config, loaded),
        None => vec![configuration::missing(config, options.config.is_some())],
    });
    findings.extend(network::findings(usable, directory));
    findings.extend(device::findings(&options.devices, usable, directory));
    if options.json {
        let all: Vec<Value> = findings.iter().map(object).collect();
        print(&format!("{:#}\n", Value::Array(all)))?;
    } else {
        print(&render(&findings, term::colours()))?;
    }
    let bad = findings.iter().any(|f| f.level == Level::Bad);
    Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Says on standard error what is to be said of the devices of a gateway that is about to start: everything, or only what
/// is not as it should be.
pub fn say_of_devices(loaded: &Loaded, everything: bool, directory: &Path) {
    let mut findings = device::findings(&[], Some(loaded), directory);
    findings.retain(|finding| everything || finding.level != Level::Ok);
    if !findings.is_empty() {
        term::say(render(&findings, term::colours_of_errors()).trim_end());
    }
}

fn name(level: Level) -> &'static str {
    match level {
        Level::Ok => "ok",
        Level::Warn => "warn",
        Level::Bad => "bad",
    }
}

fn object(finding: &Finding) -> Value {
    json!({
        "level": name(finding.level),
        "what": finding.what,
        "cost": finding.cost,
        "mend": finding.mend,
    })
}

fn render(findings: &[Finding], colours: bool) -> String {
    let mut text = String::new();
    for finding in findings {
        let tone = match finding.level {
            Level::Ok => Tone::Good,
            Level::Warn => Tone::Warn,
            Level::Bad => Tone::Bad,
        };
        let level = paint(&format!("{:<5}", name(finding.level)), tone, colours);
        text.push_str(&format!("{level}{}\n", finding.what));
        for (label, words) in [("costs", &finding.cost), ("mend", &finding.mend)] {
            if !words.is_empty() {
                text.push_str(&format!("     {}: {words}\n", paint(label, Tone::Dim, colours)));
            }
        }
    }
    let count = |level| findings.iter().filter(|f| f.level == level).count();
    text.push_str(&format!(
        "{} ok, {} to consider, {} bad\n",
        count(Level::Ok),
        count(Level::Warn),
        count(Level::Bad)
    ));
    text
}
