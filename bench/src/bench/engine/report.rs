//! What the rounds found: a table for each direction, and every round in JSON.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::super::report::{line, median, write_files};
use super::super::xdp::Direction;
use super::super::{Settings, machine, ticks};
use super::{Case, Round};
use crate::Result;

/// All rounds of all cases, with what they were measured on.
pub struct Report {
    rounds: u32,
    ticks_per_s: f64,
    load_before: f64,
    entries: Vec<(Case, Vec<Round>)>,
}

/// What is told of a round: its name, and how it is had.
type Column = (&'static str, fn(&Round) -> f64);

const COLUMNS: [Column; 6] = [
    ("in all", |round| round.all),
    ("AEAD alone", |round| round.aead),
    ("ports alone", |round| round.ports),
    ("beyond the AEAD", Round::beyond_aead),
    ("beyond AEAD and ports", Round::beyond_both),
    ("with an idle AEAD", |round| round.idle),
];

/// The rounds of one number of one case.
#[derive(Serialize)]
struct Row {
    direction: &'static str,
    bytes: usize,
    sessions: usize,
    burst: usize,
    measure: &'static str,
    value: f64,
    unit: &'static str,
    rounds: Vec<f64>,
}

impl Report {
    pub(super) fn new(settings: &Settings, ticks_per_s: f64) -> Self {
        Self {
            rounds: settings.xdp_rounds,
            ticks_per_s,
            load_before: machine::load(),
            entries: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, case: Case, round: Round) {
        match self.entries.iter_mut().find(|(of, _)| *of == case) {
            Some((_, rounds)) => rounds.push(round),
            None => self.entries.push((case, vec![round])),
        }
    }

    /// The tables, and what the figures were measured on and how.
    pub fn markdown(&self) -> String {
        let mut text = String::from("# One shard over ports in memory\n\n");
        for fact in machine::described() {
            line(&mut text, &format!("- {fact}"));
        }
        line(&mut text, &format!("- AEAD: {}", weir_crypto::best().name()));
        line(
            &mut text,
            &format!("- command: `make bench BENCH=engine ROUNDS={}`", self.rounds),
        );
        let per_second = self.ticks_per_s / 1e6;
        line(
            &mut text,
            &format!("- {} in a second: {per_second:.0} million", ticks::UNIT),
        );
        line(&mut text, &format!("- load before: {:.1}", self.load_before));
        line(
            &mut text,
            "\nMedian of the rounds, in brackets least to greatest. `bench/README.md` says what the columns mean.",
        );
        for direction in [Direction::In, Direction::Out] {
            self.write_table(&mut text, direction);
        }
        text
    }

    /// Writes `engine.md` and `engine.json` into a folder and returns their paths.
    pub fn write(&self, folder: &Path) -> Result<[PathBuf; 2]> {
        write_files(folder, "engine", &self.markdown(), &self.json())
    }

    fn write_table(&self, text: &mut String, direction: Direction) {
        line(
            text,
            &format!("\n## {}, {} a packet\n", direction.name(), ticks::UNIT),
        );
        let names = COLUMNS.map(|(name, _)| name).join(" | ");
        line(text, &format!("| sessions | burst | bytes | {names} |"));
        line(text, &format!("|---|---|---{}|", "|---".repeat(COLUMNS.len())));
        for (case, rounds) in self
            .entries
            .iter()
            .filter(|(case, _)| case.direction == direction)
        {
            let cells = COLUMNS.map(|(_, of)| shown(&rounds.iter().map(of).collect::<Vec<_>>()));
            let Case {
                sessions,
                burst,
                bytes,
                ..
            } = case;
            line(
                text,
                &format!("| {sessions} | {burst} | {bytes} | {} |", cells.join(" | ")),
            );
        }
    }

    /// An array of `{direction, bytes, sessions, burst, measure, value, unit, rounds}`; the value is the rounds' median.
    fn json(&self) -> String {
        let rows: Vec<Row> = self
            .entries
            .iter()
            .flat_map(|(case, rounds)| COLUMNS.map(|column| row(*case, rounds, column)))
            .collect();
        let json = serde_json::to_string_pretty(&rows).expect("rows hold only strings and numbers");
        json + "\n"
    }
}

fn row(case: Case, rounds: &[Round], (measure, of): Column) -> Row {
    let rounds: Vec<f64> = rounds.iter().map(of).collect();
    Row {
        direction: case.direction.name(),
        bytes: case.bytes,
        sessions: case.sessions,
        burst: case.burst,
        measure,
        value: median(&rounds),
        unit: ticks::UNIT,
        rounds,
    }
}

/// The median of the rounds, with the least and the greatest.
fn shown(rounds: &[f64]) -> String {
    let least = rounds.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = rounds.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let median = median(rounds);
    if rounds.len() == 1 {
        return format!("{median:.0}");
    }
    format!("{median:.0} ({least:.0} to {greatest:.0})")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches a difference taken between two rounds' medians instead of within each round, and a case whose rounds are
    /// another's.
    #[test]
    fn differences_are_told_round_by_round() {
        let settings = Settings::parse(&std::collections::HashMap::new(), &[0]).unwrap();
        let mut report = Report::new(&settings, 1e9);
        let case = |direction| Case {
            direction,
            bytes: 64,
            sessions: 1,
            burst: 32,
        };
        for (all, aead) in [(500.0, 100.0), (900.0, 700.0), (600.0, 100.0)] {
            let round = Round {
                all,
                aead,
                ports: 10.0,
                idle: 300.0,
            };
            report.add(case(Direction::In), round);
        }
        let text = report.markdown();
        let row = "| 1 | 32 | 64 | 600 (500 to 900) | 100 (100 to 700) | 10 (10 to 10) | 400 (200 to 500) \
                   | 390 (190 to 490) | 300 (300 to 300) |";
        assert!(text.contains(row), "{text}");
        assert_eq!(text.matches("| 1 | 32 | 64 |").count(), 1, "{text}");
        let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(json.as_array().unwrap().len(), COLUMNS.len());
        assert_eq!(json[3]["measure"], "beyond the AEAD");
        assert_eq!(json[3]["rounds"], serde_json::json!([400.0, 200.0, 500.0]));
    }
}
