//! A table of medians whose rows and columns are what a measure found, and every round in JSON.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::super::report::{line, median, write_files};
use super::super::{Settings, machine, ticks};
use crate::{LabError, Result};

/// Load per core above which other work spoils the figures.
const BUSY: f64 = 0.3;

/// What one measure found.
pub struct Findings {
    settings: Settings,
    measure: &'static str,
    title: &'static str,
    load_before: f64,
    entries: Vec<Entry>,
    failures: Vec<String>,
}

/// The rounds of one number, and a row in JSON.
#[derive(Serialize)]
struct Entry {
    /// The row.
    case: String,
    /// The column.
    measure: String,
    unit: &'static str,
    rounds: Vec<f64>,
}

impl Findings {
    pub(in crate::bench) fn new(settings: &Settings, measure: &'static str, title: &'static str) -> Self {
        Self {
            settings: settings.clone(),
            measure,
            title,
            load_before: machine::load(),
            entries: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Adds one round's value to a row and a column.
    pub(in crate::bench) fn add(&mut self, case: &str, measure: &str, unit: &'static str, value: f64) {
        let known = self
            .entries
            .iter_mut()
            .find(|entry| (entry.case.as_str(), entry.measure.as_str()) == (case, measure));
        match known {
            Some(entry) => entry.rounds.push(value),
            None => self.entries.push(Entry {
                case: case.to_owned(),
                measure: measure.to_owned(),
                unit,
                rounds: vec![value],
            }),
        }
    }

    /// Adds what could not be taken, and why.
    pub(in crate::bench) fn failed(&mut self, what: &str, error: &LabError) {
        eprintln!("{}, {what}: {error}", self.measure);
        let error = error.to_string().replace('\n', " ");
        self.failures.push(format!("{what}: {error}"));
    }

    /// Adds what ended the measure early, if anything did.
    pub(in crate::bench) fn end(&mut self, ended: Result<()>) {
        if let Err(error) = ended {
            self.failed(self.measure, &error);
        }
    }

    /// Whether every case could be taken.
    pub fn is_whole(&self) -> bool {
        self.failures.is_empty()
    }

    /// The table, and what the figures were measured on.
    pub fn markdown(&self) -> String {
        let mut text = format!("# {}\n\n", self.title);
        self.write_circumstances(&mut text);
        self.write_table(&mut text);
        if !self.failures.is_empty() {
            text.push_str("\n## What failed\n\n");
        }
        for failure in &self.failures {
            line(&mut text, &format!("- {failure}"));
        }
        text
    }

    /// Writes the measure's `.md` and `.json` into a folder and returns their paths.
    pub fn write(&self, folder: &Path) -> Result<[PathBuf; 2]> {
        let json = serde_json::to_string_pretty(&self.entries).expect("rows hold only strings and numbers");
        write_files(folder, self.measure, &self.markdown(), &(json + "\n"))
    }

    fn write_circumstances(&self, text: &mut String) {
        for fact in machine::described() {
            line(text, &format!("- {fact}"));
        }
        let settings = &self.settings;
        let cores: Vec<String> = settings.xdp_cores.iter().map(usize::to_string).collect();
        let (measure, cores) = (self.measure, cores.join(","));
        let (rounds, seconds) = (settings.xdp_rounds, settings.seconds);
        line(
            text,
            &format!(
                "- command: `make bench BENCH={measure} ROUNDS={rounds} WINDOW_S={seconds} CORES={cores}`"
            ),
        );
        line(text, &format!("- cycles are {}", ticks::UNIT));
        line(text, &format!("- load before: {:.1}", self.load_before));
        if self.load_before / settings.xdp_cores.len() as f64 > BUSY {
            line(
                text,
                "- **the machine was busy before the run began: read no rate**",
            );
        }
        line(
            text,
            "\nMedians of the rounds. `bench/README.md` says what the columns mean.\n",
        );
    }

    fn write_table(&self, text: &mut String) {
        let rows = distinct(self.entries.iter().map(|entry| entry.case.as_str()));
        let columns = distinct(self.entries.iter().map(|entry| entry.measure.as_str()));
        line(text, &format!("| | {} |", columns.join(" | ")));
        line(text, &format!("|---{}|", "|---".repeat(columns.len())));
        for row in rows {
            let cells: Vec<String> = columns.iter().map(|column| self.shown(row, column)).collect();
            line(text, &format!("| {row} | {} |", cells.join(" | ")));
        }
    }

    fn shown(&self, row: &str, column: &str) -> String {
        let mut entries = self.entries.iter();
        let entry = entries.find(|entry| (entry.case.as_str(), entry.measure.as_str()) == (row, column));
        match entry.map(|entry| (median(&entry.rounds), entry.unit)) {
            None => "–".to_owned(),
            Some((value, "%")) => format!("{value:.0} %"),
            Some((value, "packets" | "times" | "% of a core")) => format!("{value:.2}"),
            Some((value, "ms" | "MB")) => format!("{value:.1}"),
            Some((value, _)) => format!("{value:.0}"),
        }
    }
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches a value in another row or column, rounds that replace each other, and a failure that leaves no trace.
    #[test]
    fn cells_are_medians_of_their_own_rounds() {
        let settings = Settings::parse(&std::collections::HashMap::new(), &[0, 1, 2]).unwrap();
        let mut findings = Findings::new(&settings, "bursts", "Bursts");
        for value in [1.0, 9.0, 3.0] {
            findings.add("in", "kpps", "kpps", value);
            findings.add("out", "kpps", "kpps", 10.0 * value);
        }
        findings.add("out", "of 1", "%", 40.0);
        assert!(findings.is_whole());
        let error = LabError::Missing {
            program: "a second core".into(),
            remedy: "CORES=all",
        };
        findings.end(Err(error));
        assert!(!findings.is_whole());
        let text = findings.markdown();
        for row in [
            "| | kpps | of 1 |",
            "| in | 3 | – |",
            "| out | 30 | 40 % |",
            "- bursts: ",
        ] {
            assert!(text.contains(row), "{row} is not in {text}");
        }
    }
}
