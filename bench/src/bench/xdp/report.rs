//! What the rounds found: a table for each mode, and every round in JSON.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use weir_xdp_prog::AttachMode;

use super::super::report::{line, median, write_files};
use super::super::{Settings, machine};
use super::{Case, Direction, Mover, SIZES, Window, mode_name, ticks};
use crate::{LabError, Result};

/// Load per core above which other work spoils the figures.
const BUSY: f64 = 0.3;

/// All windows of all cases, with what they were measured on.
pub struct Report {
    settings: Settings,
    ticks_per_s: f64,
    load_before: f64,
    entries: Vec<(Case, Mover, Vec<Window>)>,
    aead: Vec<(Case, Vec<f64>)>,
    failures: Vec<String>,
}

/// The rounds of one number of one mover.
#[derive(Serialize)]
struct Row {
    mode: &'static str,
    direction: &'static str,
    bytes: usize,
    mover: &'static str,
    measure: &'static str,
    value: f64,
    unit: &'static str,
    rounds: Vec<f64>,
}

impl Report {
    pub(super) fn new(settings: &Settings, ticks_per_s: f64) -> Self {
        Self {
            settings: settings.clone(),
            ticks_per_s,
            load_before: machine::load(),
            entries: Vec::new(),
            aead: Vec::new(),
            failures: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, case: Case, mover: Mover, window: Window) {
        let known = self
            .entries
            .iter_mut()
            .find(|(of, by, _)| (*of, *by) == (case, mover));
        match known {
            Some((_, _, windows)) => windows.push(window),
            None => self.entries.push((case, mover, vec![window])),
        }
    }

    /// Adds what the AEAD alone took for a packet, in [`ticks::UNIT`].
    pub(super) fn add_aead(&mut self, case: Case, each: f64) {
        match self.aead.iter_mut().find(|(of, _)| *of == case) {
            Some((_, rounds)) => rounds.push(each),
            None => self.aead.push((case, vec![each])),
        }
    }

    /// Adds what could not be taken, and why.
    pub(super) fn failed(&mut self, what: &str, error: &LabError) {
        let error = error.to_string().replace('\n', " ");
        self.failures.push(format!("{what}: {error}"));
    }

    /// Whether every case could be taken.
    pub fn is_whole(&self) -> bool {
        self.failures.is_empty()
    }

    /// The tables, and what the figures were measured on, with and how.
    pub fn markdown(&self) -> String {
        let mut text = String::from("# AF_XDP benchmark\n\n");
        self.write_circumstances(&mut text);
        for mode in [AttachMode::Driver, AttachMode::Generic] {
            self.write_table(&mut text, mode);
        }
        if !self.failures.is_empty() {
            text.push_str("\n## What failed\n\n");
        }
        for failure in &self.failures {
            line(&mut text, &format!("- {failure}"));
        }
        text
    }

    /// Writes `xdp.md` and `xdp.json` into a folder and returns their paths.
    pub fn write(&self, folder: &Path) -> Result<[PathBuf; 2]> {
        write_files(folder, "xdp", &self.markdown(), &self.json())
    }

    fn write_circumstances(&self, text: &mut String) {
        for fact in machine::described() {
            line(text, &format!("- {fact}"));
        }
        let settings = &self.settings;
        let cores: Vec<String> = settings.xdp_cores.iter().map(usize::to_string).collect();
        line(
            text,
            &format!(
                "- command: `make bench BENCH=xdp ROUNDS={} WINDOW_S={} CORES={}`",
                settings.xdp_rounds,
                settings.seconds,
                cores.join(",")
            ),
        );
        line(
            text,
            &format!(
                "- {} in a second: {:.0} million",
                ticks::UNIT,
                self.ticks_per_s / 1e6
            ),
        );
        line(text, &format!("- load before: {:.1}", self.load_before));
        if self.load_before / settings.xdp_cores.len() as f64 > BUSY {
            line(
                text,
                "- **the machine was busy before the run began: read the cycles with care, and no rate**",
            );
        }
        line(
            text,
            "\nMedian of the rounds; \"beyond\" is the median of each round's difference to the forwarder, least to \
             greatest. `bench/README.md` says what the columns mean.",
        );
    }

    fn write_table(&self, text: &mut String, mode: AttachMode) {
        line(
            text,
            &format!(
                "\n## {} mode, kpps and {} a packet\n",
                mode_name(mode),
                ticks::UNIT
            ),
        );
        line(
            text,
            "| | bare | | AEAD | Weir | | | | | handed over | | | | | |\n\
             |---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n\
             | | kpps | cycles | cycles | kpps | offered | cycles | **beyond** | without AEAD \
             | kpps | offered | home | receiving | **beyond, both** | without AEAD |",
        );
        for direction in [Direction::Out, Direction::In] {
            for bytes in SIZES {
                let case = Case {
                    mode,
                    direction,
                    bytes,
                };
                let mut row = format!("| {}, {bytes} B", direction.name());
                self.write_cells(&mut row, case);
                line(text, &format!("{row} |"));
            }
        }
    }

    fn write_cells(&self, row: &mut String, case: Case) {
        let mut cell = |value: String| write!(row, " | {value}").expect("writing to a String cannot fail");
        let aead = self.aead(case);
        for mover in [Mover::Bare, Mover::Weir, Mover::HandedOver] {
            let all = |of: fn(&Window) -> f64| self.windows(case, mover).iter().map(of).collect::<Vec<_>>();
            cell(shown(&all(|window| window.carried_pps / 1e3)));
            if mover != Mover::Bare {
                cell(shown(&all(|window| window.offered_pps / 1e3)));
            }
            cell(shown(&all(|window| window.home)));
            match mover {
                Mover::Bare => {
                    cell(shown(aead));
                    continue;
                }
                Mover::Weir => {}
                Mover::HandedOver => cell(shown(&all(|window| window.other.unwrap_or(0.0)))),
            }
            let beyond = self.beyond(case, mover);
            let without: Vec<f64> = beyond.iter().zip(aead).map(|(all, aead)| all - aead).collect();
            cell(shown_in_bold(&beyond));
            cell(shown(&without));
        }
    }

    /// What all shards of a mover spent for a packet beyond the forwarder, round by round.
    fn beyond(&self, case: Case, mover: Mover) -> Vec<f64> {
        let bare = self.windows(case, Mover::Bare);
        let pairs = self.windows(case, mover).iter().zip(bare);
        pairs
            .map(|(window, bare)| window.home + window.other.unwrap_or(0.0) - bare.home)
            .collect()
    }

    fn aead(&self, case: Case) -> &[f64] {
        self.aead
            .iter()
            .find(|(of, _)| *of == case)
            .map_or(&[], |(_, rounds)| rounds)
    }

    fn windows(&self, case: Case, mover: Mover) -> &[Window] {
        self.entries
            .iter()
            .find(|(of, by, _)| (*of, *by) == (case, mover))
            .map_or(&[], |(_, _, windows)| windows)
    }

    /// An array of `{mode, direction, bytes, mover, measure, value, unit, rounds}`; the value is the rounds' median.
    fn json(&self) -> String {
        let mut rows = Vec::new();
        let mut add = |case: Case, mover, measure, unit, rounds: Vec<f64>| {
            if rounds.is_empty() {
                return;
            }
            rows.push(Row {
                mode: mode_name(case.mode),
                direction: case.direction.name(),
                bytes: case.bytes,
                mover,
                measure,
                value: median(&rounds),
                unit,
                rounds,
            });
        };
        for (case, mover, windows) in &self.entries {
            let all = |of: fn(&Window) -> f64| windows.iter().map(of).collect::<Vec<_>>();
            let other: Vec<f64> = windows.iter().filter_map(|window| window.other).collect();
            let name = mover.name();
            add(
                *case,
                name,
                "carried",
                "packets/s",
                all(|window| window.carried_pps),
            );
            add(
                *case,
                name,
                "offered",
                "packets/s",
                all(|window| window.offered_pps),
            );
            add(*case, name, "home", ticks::UNIT, all(|window| window.home));
            add(*case, name, "receiving", ticks::UNIT, other);
            if *mover != Mover::Bare {
                add(*case, name, "beyond", ticks::UNIT, self.beyond(*case, *mover));
            }
        }
        for (case, rounds) in &self.aead {
            add(*case, "AEAD", "each", ticks::UNIT, rounds.clone());
        }
        let json = serde_json::to_string_pretty(&rows).expect("rows hold only strings and numbers");
        json + "\n"
    }
}

/// The median of the rounds.
fn shown(rounds: &[f64]) -> String {
    if rounds.is_empty() {
        return "–".to_owned();
    }
    format!("{:.0}", median(rounds))
}

/// The same in bold, with the least and the greatest.
fn shown_in_bold(rounds: &[f64]) -> String {
    let least = rounds.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = rounds.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    match rounds {
        [] => "–".to_owned(),
        [_] => format!("**{}**", shown(rounds)),
        _ => format!("**{}** ({least:.0} to {greatest:.0})", shown(rounds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASE: Case = Case {
        mode: AttachMode::Driver,
        direction: Direction::In,
        bytes: 64,
    };

    fn window(home: f64, other: Option<f64>) -> Window {
        Window {
            arrived: 1_000_000,
            carried_pps: 1e6,
            offered_pps: 2e6,
            home,
            other,
        }
    }

    /// Catches rounds compared with another round's forwarder, a receiving shard that is forgotten, and a case or a mode
    /// taken for another.
    #[test]
    fn work_beyond_is_told_round_by_round() {
        let settings = Settings::parse(&std::collections::HashMap::new(), &[0, 1, 2]).unwrap();
        let mut report = Report::new(&settings, 1e9);
        let rounds = [
            (100.0, 400.0, 250.0),
            (500.0, 900.0, 550.0),
            (100.0, 600.0, 300.0),
        ];
        for (bare, weir, home) in rounds {
            report.add(CASE, Mover::Bare, window(bare, None));
            report.add(CASE, Mover::Weir, window(weir, None));
            report.add(CASE, Mover::HandedOver, window(home, Some(70.0)));
            report.add_aead(CASE, bare / 2.0);
        }
        let text = report.markdown();
        let row = "| in, 64 B | 1000 | 100 | 50 | 1000 | 2000 | 600 | **400** (300 to 500) | 250 \
                   | 1000 | 2000 | 300 | 70 | **220** (120 to 270) | 170 |";
        assert!(text.contains(row), "{text}");
        assert_eq!(text.matches("| in, 64 B | – |").count(), 1, "{text}");
        let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        let beyond = json
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["measure"] == "beyond");
        assert_eq!(
            beyond.unwrap()["rounds"],
            serde_json::json!([300.0, 400.0, 500.0])
        );
    }
}
