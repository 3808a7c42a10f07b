//! The figures as Markdown and as JSON.

use crate::bound::{Core, Layout};
use crate::measure::Figure;
use crate::work::Size;
use std::fmt::Write;
use std::io;
use std::path::Path;

/// Batches of the tables that stand first, where they were asked for.
const HEADLINES: [usize; 2] = [32, 256];

/// First what it comes to: our back ends beside ring, the best library of each size and the bound of the core. Then a
/// table for each operation and batch: a row a contender, a column a size, the cycles and how many times the first
/// contender's speed.
pub(crate) fn markdown(figures: &[Figure], core: Core) -> String {
    let mut text = format!(
        "Cycles of the time-stamp counter to a byte; {}.\n",
        core.described()
    );
    let tables = tables(figures);
    let asked = |batch| tables.iter().any(|table| table[0].batch == batch);
    let is_first = |table: &&Vec<&Figure>| match HEADLINES.into_iter().any(asked) {
        true => HEADLINES.contains(&table[0].batch),
        false => Some(table[0].batch) == figures.iter().map(|figure| figure.batch).max(),
    };
    tables
        .iter()
        .filter(is_first)
        .for_each(|table| write_headline(&mut text, table, core));
    line(&mut text, "\nIn brackets: how many times the first row's speed.");
    tables.iter().for_each(|table| write_table(&mut text, table));
    text
}

/// Writes the figures as JSON, and makes the folder.
pub(crate) fn write(figures: &[Figure], path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, serde_json::to_vec_pretty(figures)?)
}

/// The figures of each operation and batch.
fn tables(figures: &[Figure]) -> Vec<Vec<&Figure>> {
    let keys = distinct(figures.iter().map(|figure| (figure.operation, figure.batch)));
    keys.into_iter()
        .map(|key| {
            figures
                .iter()
                .filter(|figure| (figure.operation, figure.batch) == key)
                .collect()
        })
        .collect()
}

fn write_headline(text: &mut String, table: &[&Figure], core: Core) {
    let sizes = write_title(text, table);
    let of = |name: &str, size| {
        let mut figures = table.iter().filter(|figure| figure.bytes == size);
        figures.find(|figure| figure.implementation == name).copied()
    };
    let best = |size| {
        let libraries = table.iter().filter(|figure| figure.bytes == size && !figure.own);
        libraries
            .min_by(|a, b| a.tsc_cycles_per_byte.total_cmp(&b.tsc_cycles_per_byte))
            .copied()
    };
    let row = |name: &str, cell: &dyn Fn(Size) -> Option<String>| {
        let cells: Vec<String> = sizes
            .iter()
            .map(|&size| cell(size).unwrap_or_else(|| "–".into()))
            .collect();
        format!("| {name} | {} |", cells.join(" | "))
    };
    line(text, &row("ring", &|size| Some(cycles(of("ring", size)?))));
    line(
        text,
        &row("best library", &|size| {
            let best = best(size)?;
            Some(format!("{} {}", cycles(best), best.implementation))
        }),
    );
    let own = table.iter().filter(|figure| figure.own);
    for name in distinct(own.map(|figure| figure.implementation)) {
        let times = |size, other: Option<&Figure>| Some(format!("{:.2}×", of(name, size)?.times(other?)));
        line(text, &row(name, &|size| Some(cycles(of(name, size)?))));
        line(
            text,
            &row(&format!("{name}, times ring"), &|size| {
                times(size, of("ring", size))
            }),
        );
        line(
            text,
            &row(&format!("{name}, times the best library"), &|size| {
                times(size, best(size))
            }),
        );
    }
    for (name, layout) in [
        ("bound of the vector pipes", Layout::Vectors),
        ("the same with Poly1305 in scalar units", Layout::Beside),
    ] {
        line(
            text,
            &row(name, &|size| Some(format!("{:.2}", core.bound(layout, size)))),
        );
    }
}

fn write_table(text: &mut String, table: &[&Figure]) {
    write_title(text, table);
    let first = |size| table.iter().find(|figure| figure.bytes == size);
    for name in distinct(table.iter().map(|figure| figure.implementation)) {
        let row = table.iter().filter(|figure| figure.implementation == name);
        let cells: Vec<String> = row
            .map(|figure| {
                let times = first(figure.bytes).map_or(1.0, |first| figure.times(first));
                format!("{} ({times:.2}×)", cycles(figure))
            })
            .collect();
        line(text, &format!("| {name} | {} |", cells.join(" | ")));
    }
}

/// The first two lines of a table, whose columns are the sizes that it returns.
fn write_title(text: &mut String, table: &[&Figure]) -> Vec<Size> {
    let sizes = distinct(table.iter().map(|figure| figure.bytes));
    let names: Vec<String> = sizes.iter().map(|size| size.name()).collect();
    let (operation, batch) = (table[0].operation.name(), table[0].batch);
    line(
        text,
        &format!("\n| {operation}, batches of {batch} | {} |", names.join(" | ")),
    );
    line(text, &format!("|---|{}", "---|".repeat(sizes.len())));
    sizes
}

fn cycles(figure: &Figure) -> String {
    format!("{:.2}", figure.tsc_cycles_per_byte)
}

fn line(text: &mut String, words: &str) {
    writeln!(text, "{words}").expect("writing to a String cannot fail");
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::Operation;

    fn figure(implementation: &'static str, own: bool, rounds: [f64; 3]) -> Figure {
        Figure {
            implementation,
            operation: Operation::Seal,
            bytes: Size::Imix,
            batch: 32,
            keys: 64,
            tsc_cycles_per_byte: rounds[1],
            own,
            rounds: rounds.to_vec(),
        }
    }

    /// Catches quotients of medians where those of each round are asked for, one of our back ends taken for the best
    /// library, and JSON that has other fields than it should.
    #[test]
    fn a_headline_compares_with_ring_and_with_the_best() {
        let figures = [
            figure("ring", false, [4.0, 3.0, 2.0]),
            figure("avx2", true, [1.0, 1.5, 2.0]),
            figure("other", false, [2.0, 2.0, 2.0]),
        ];
        let text = markdown(&figures, Core::here());
        for row in [
            "| seal, batches of 32 | IMIX |",
            "| best library | 2.00 other |",
            "| avx2, times ring | 2.00× |",
            "| avx2, times the best library | 1.33× |",
        ] {
            assert!(text.contains(row), "{row} is not in {text}");
        }
        let json = serde_json::to_value(&figures[0]).unwrap();
        let expected = serde_json::json!({
            "implementation": "ring", "operation": "seal", "bytes": "imix", "batch": 32, "keys": 64,
            "tsc_cycles_per_byte": 3.0,
        });
        assert_eq!(json, expected);
    }
}
