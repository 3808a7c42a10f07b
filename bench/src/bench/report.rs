//! What a run found: Markdown tables to read, JSON to compare.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::contender::{self, Contender};
use super::figures::{Figure, TABLES, Table};
use super::measure::{Measure, Sample};
use super::{Settings, machine};
use crate::{LabError, Result};

/// Load per core above which other work spoils the figures.
const BUSY: f64 = 0.3;

/// All rounds of all figures, with what they were measured on.
pub struct Report {
    settings: Settings,
    /// Contenders with their versions, in the order of the rows.
    contenders: Vec<(Contender, String)>,
    load_before: f64,
    entries: Vec<Entry>,
    failures: Vec<Failure>,
}

/// The rounds of one figure of one contender.
struct Entry {
    contender: Contender,
    figure: &'static Figure,
    rounds: Vec<f64>,
}

struct Failure {
    contender: Contender,
    measure: Measure,
    error: String,
}

/// An entry in JSON.
#[derive(Serialize)]
struct Row<'a> {
    implementation: &'a str,
    version: &'a str,
    measure: &'a str,
    value: f64,
    unit: &'a str,
    rounds: &'a [f64],
}

impl Report {
    pub(super) fn new(settings: &Settings) -> Result<Self> {
        let mut contenders = Vec::new();
        for &implementation in &settings.implementations {
            contenders.push((
                Contender::Tunnel(implementation),
                contender::version(implementation)?,
            ));
        }
        contenders.push((Contender::Veth, String::new()));
        Ok(Self {
            settings: settings.clone(),
            contenders,
            load_before: machine::load(),
            entries: Vec::new(),
            failures: Vec::new(),
        })
    }

    pub(super) fn add(&mut self, contender: Contender, measure: Measure, outcome: Result<Vec<Sample>>) {
        match outcome {
            Ok(samples) => samples
                .into_iter()
                .for_each(|sample| self.add_sample(contender, sample)),
            Err(error) => self.failures.push(Failure {
                contender,
                measure,
                error: error.to_string(),
            }),
        }
    }

    /// Whether every measure of every contender could be taken.
    pub fn is_whole(&self) -> bool {
        self.failures.is_empty()
    }

    /// The tables, and what the figures were measured on, with and how.
    pub fn markdown(&self) -> String {
        let mut text = String::from("# Gateway benchmark\n\n");
        self.write_circumstances(&mut text);
        for table in TABLES {
            self.write_table(&mut text, table);
        }
        if !self.failures.is_empty() {
            text.push_str("\n## What failed\n\n");
        }
        for failure in &self.failures {
            let error = failure.error.replace('\n', " ");
            line(
                &mut text,
                &format!("- {}, {}: {error}", failure.contender.name(), failure.measure),
            );
        }
        text
    }

    /// Writes `gateway.md` and `gateway.json` into a folder and returns their paths.
    pub fn write(&self, folder: &Path) -> Result<[PathBuf; 2]> {
        write_files(folder, "gateway", &self.markdown(), &self.json())
    }

    /// An array of `{implementation, version, measure, value, unit, rounds}`; the value is the median of the rounds.
    fn json(&self) -> String {
        let rows: Vec<Row<'_>> = self
            .entries
            .iter()
            .map(|entry| Row {
                implementation: entry.contender.name(),
                version: self.version(entry.contender),
                measure: entry.figure.name,
                value: entry.median(),
                unit: entry.figure.unit,
                rounds: &entry.rounds,
            })
            .collect();
        let json = serde_json::to_string_pretty(&rows).expect("rows hold only strings and numbers");
        json + "\n"
    }

    fn add_sample(&mut self, contender: Contender, sample: Sample) {
        let known = self
            .entries
            .iter_mut()
            .find(|entry| entry.contender == contender && entry.figure == sample.figure);
        match known {
            Some(entry) => entry.rounds.push(sample.value),
            None => self.entries.push(Entry {
                contender,
                figure: sample.figure,
                rounds: vec![sample.value],
            }),
        }
    }

    fn write_circumstances(&self, text: &mut String) {
        for fact in machine::described() {
            line(text, &format!("- {fact}"));
        }
        let settings = &self.settings;
        let cores = settings
            .cores
            .iter()
            .map(usize::to_string)
            .collect::<Vec<_>>()
            .join(",");
        let measures = settings
            .measures
            .iter()
            .map(|measure| measure.name())
            .collect::<Vec<_>>();
        let implementations = settings
            .implementations
            .iter()
            .map(|known| known.name())
            .collect::<Vec<_>>();
        line(
            text,
            &format!(
                "- command: `make bench BENCH=\"{}\" ROUNDS={} WINDOW_S={} CORES={cores} IMPLEMENTATIONS=\"{}\"`",
                measures.join(" "),
                settings.rounds,
                settings.seconds,
                implementations.join(" ")
            ),
        );
        for (contender, version) in &self.contenders {
            if let Contender::Tunnel(implementation) = contender {
                let command = contender::described(*implementation, settings);
                line(text, &format!("- {}: {version}, `{command}`", contender.name()));
            }
        }
        let per_core = self.load_before / settings.cores.len() as f64;
        if per_core > BUSY {
            let load = self.load_before;
            line(
                text,
                &format!(
                    "- **the machine was busy before the run began (load {load:.1}): take no figure from it**"
                ),
            );
        }
        line(
            text,
            "\nEach cell: median of the rounds (least to greatest). `bench/README.md` says what they mean.",
        );
    }

    fn write_table(&self, text: &mut String, table: &Table) {
        let rows: Vec<Contender> = self
            .contenders
            .iter()
            .map(|(contender, _)| *contender)
            .filter(|&contender| {
                table
                    .figures
                    .iter()
                    .any(|figure| self.entry(contender, figure).is_some())
            })
            .collect();
        if rows.is_empty() {
            return;
        }
        line(text, &format!("\n## {}\n", table.title));
        let headings = table
            .figures
            .iter()
            .map(|figure| format!("{}, {}", figure.heading, figure.unit));
        line(
            text,
            &format!("| | {} |", headings.collect::<Vec<_>>().join(" | ")),
        );
        line(text, &format!("|---|{}", "---|".repeat(table.figures.len())));
        for contender in rows {
            let cells = table.figures.iter().map(|figure| {
                self.entry(contender, figure)
                    .map_or_else(|| "–".to_owned(), Entry::shown)
            });
            line(
                text,
                &format!(
                    "| {} | {} |",
                    contender.name(),
                    cells.collect::<Vec<_>>().join(" | ")
                ),
            );
        }
    }

    fn entry(&self, contender: Contender, figure: &Figure) -> Option<&Entry> {
        self.entries
            .iter()
            .find(|entry| entry.contender == contender && entry.figure == figure)
    }

    fn version(&self, contender: Contender) -> &str {
        self.contenders
            .iter()
            .find(|(known, _)| *known == contender)
            .map_or("", |(_, version)| version)
    }
}

impl Entry {
    fn median(&self) -> f64 {
        median(&self.rounds)
    }

    fn shown(&self) -> String {
        let median = self.figure.shown(self.median());
        if self.rounds.len() == 1 {
            return median;
        }
        let least = self.rounds.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = self.rounds.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        format!(
            "{median} ({} to {})",
            self.figure.shown(least),
            self.figure.shown(greatest)
        )
    }
}

/// The middle of some rounds; the mean of the middle two where their number is even.
pub(super) fn median(rounds: &[f64]) -> f64 {
    let mut sorted = rounds.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        return sorted[middle];
    }
    f64::midpoint(sorted[middle - 1], sorted[middle])
}

/// Writes `NAME.md` and `NAME.json` into a folder and returns their paths. They belong to whoever owns the folder it
/// lies in: the benchmark runs as root, what it leaves need not be root's.
pub(super) fn write_files(folder: &Path, name: &str, markdown: &str, json: &str) -> Result<[PathBuf; 2]> {
    let paths = [
        folder.join(format!("{name}.md")),
        folder.join(format!("{name}.json")),
    ];
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(&paths[0], markdown)?;
        fs::write(&paths[1], json)?;
        let owner = fs::metadata(folder.parent().unwrap_or(folder))?;
        for path in [folder, &paths[0], &paths[1]] {
            chown(path, Some(owner.uid()), Some(owner.gid()))?;
        }
        Ok(())
    };
    write().map_err(LabError::io(format!("write {}", folder.display())))?;
    Ok(paths)
}

/// Appends a line.
pub(super) fn line(text: &mut String, words: &str) {
    writeln!(text, "{words}").expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use super::super::figures::TCP_1_OUT;
    use super::*;
    use crate::Implementation;

    const WEIR: Contender = Contender::Tunnel(Implementation::Weir);

    fn report() -> Report {
        Report {
            settings: Settings {
                measures: vec![Measure::Tcp],
                rounds: 3,
                xdp_rounds: 5,
                seconds: 2,
                cores: vec![0, 1],
                xdp_cores: vec![0, 1, 2],
                boringtun_threads: None,
                implementations: vec![Implementation::Weir],
            },
            contenders: vec![(WEIR, "1.0".into()), (Contender::Veth, String::new())],
            load_before: 0.0,
            entries: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Catches a mean in place of the median, rounds that are lost, and a table of nothing.
    #[test]
    fn rounds_become_a_median_and_its_range() {
        let mut report = report();
        for value in [9.0, 1.0, 2.0] {
            report.add(WEIR, Measure::Tcp, Ok(vec![TCP_1_OUT.sample(value)]));
        }
        let text = report.markdown();
        assert!(
            text.contains("| weir | 2.00 (1.00 to 9.00) | – | – | – |"),
            "{text}"
        );
        assert!(
            !text.contains("Resident memory") && !text.contains("| bare veth"),
            "{text}"
        );
        let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(json[0]["implementation"], "weir");
        assert_eq!(json[0]["version"], "1.0");
        assert_eq!(json[0]["value"], 2.0);
        assert_eq!(json[0]["rounds"], serde_json::json!([9.0, 1.0, 2.0]));
    }

    /// Catches a failure that leaves no trace beside the figures of others.
    #[test]
    fn failures_are_named() {
        let mut report = report();
        let error = LabError::Missing {
            program: "iperf3".into(),
            remedy: "`make deps` installs it",
        };
        report.add(WEIR, Measure::Tcp, Err(error));
        assert!(!report.is_whole());
        assert!(report.markdown().contains("- weir, tcp: iperf3: not found"));
    }
}
