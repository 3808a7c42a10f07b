//! The figures as Markdown and as JSON.

use crate::measure::Figure;
use crate::work::Operation;
use std::fmt::Write;
use std::io;
use std::path::Path;

/// A table for each operation and batch: a row a contender, a column a size, the cycles and how many times the first
/// contender's speed.
pub(crate) fn markdown(figures: &[Figure]) -> String {
    let mut text = String::new();
    for operation in [Operation::Seal, Operation::Open] {
        for batch in distinct(figures.iter().map(|figure| figure.batch)) {
            let table: Vec<&Figure> = figures
                .iter()
                .filter(|figure| figure.operation == operation && figure.batch == batch)
                .collect();
            write_table(
                &mut text,
                &table,
                &format!("{}, batches of {batch}", operation.name()),
            );
        }
    }
    text
}

/// Writes the figures as JSON, and makes the folder.
pub(crate) fn write(figures: &[Figure], path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, serde_json::to_vec_pretty(figures)?)
}

fn write_table(text: &mut String, table: &[&Figure], title: &str) {
    let sizes = distinct(table.iter().map(|figure| figure.bytes));
    let names: Vec<String> = sizes.iter().map(|size| size.name()).collect();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "\n| {title} | {} |", names.join(" | "));
    let _ = writeln!(text, "|---|{}", "---|".repeat(sizes.len()));
    for name in distinct(table.iter().map(|figure| figure.implementation)) {
        let row = table.iter().filter(|figure| figure.implementation == name);
        let cells: Vec<String> = row
            .map(|figure| format!("{:.2} ({:.2}×)", figure.tsc_cycles_per_byte, figure.speed))
            .collect();
        let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
    }
}

fn distinct<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = Vec::new();
    for value in values {
        if !seen.contains(&value) {
            seen.push(value);
        }
    }
    seen
}
