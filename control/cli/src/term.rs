//! Words, colours and tables for terminals.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write as _};

/// Whether colours are wanted on standard output: it is a terminal, and NO_COLOR is not set.
pub fn colours() -> bool {
    wants_colours(&io::stdout())
}

/// As [`colours`], on standard error.
pub fn colours_of_errors() -> bool {
    wants_colours(&io::stderr())
}

fn wants_colours(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// Says what went wrong, on standard error, each line by the program's name.
pub fn complain(message: &str) {
    for line in message.lines() {
        say(&format!("weir: {}", printable(line)));
    }
}

/// `text` without characters that a terminal takes for commands: names, notes and reasons may come from anywhere.
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) {
        Cow::Owned(text.replace(char::is_control, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// A line on standard error. That nobody reads it is no reason to fail.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// How a text is emphasised.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Bold,
    Good,
    Dim,
    Warn,
    Bad,
}

/// Wraps `text` in the tone's colour where colours are wanted.
pub fn paint(text: &str, tone: Tone, colours: bool) -> String {
    let code = match tone {
        Tone::Plain => return text.to_owned(),
        Tone::Bold => "1",
        Tone::Good => "32",
        Tone::Dim => "2",
        Tone::Warn => "33",
        Tone::Bad => "31",
    };
    if colours {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// Rows of cells, aligned in columns two spaces apart.
pub struct Table {
    rows: Vec<Vec<(String, Tone)>>,
}

impl Table {
    pub fn new(header: &[&str]) -> Self {
        let header = header.iter().map(|h| ((*h).to_owned(), Tone::Dim)).collect();
        Self { rows: vec![header] }
    }

    pub fn row(&mut self, cells: Vec<(String, Tone)>) {
        let printable = cells
            .into_iter()
            .map(|(cell, tone)| (printable(&cell).into_owned(), tone));
        self.rows.push(printable.collect());
    }

    /// The lines, each behind two spaces; nothing where there is only the header.
    pub fn render(&self, colours: bool) -> String {
        if self.rows.len() < 2 {
            return String::new();
        }
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column| {
            let cells = self
                .rows
                .iter()
                .filter_map(|r: &Vec<(String, Tone)>| r.get(column));
            cells
                .map(|(text, _): &(String, Tone)| text.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            for (column, (cell, tone)) in row.iter().enumerate() {
                text.push_str("  ");
                text.push_str(&paint(cell, *tone, colours));
                if column + 1 < row.len() {
                    text.push_str(&" ".repeat(widths[column] - cell.chars().count()));
                }
            }
            text.push('\n');
        }
        text
    }
}

/// `1 peer`, `2 peers`.
pub fn peers(count: usize) -> String {
    format!("{count} {}", if count == 1 { "peer" } else { "peers" })
}

/// `1.5 GiB`, as `wg` counts.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.995 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.2} {}", UNITS[unit])
}

/// The two greatest units of a time: `3 h 12 min`.
pub fn duration(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let Some(greatest) = UNITS.iter().position(|(unit, _)| seconds >= *unit) else {
        return "0 s".to_owned();
    };
    let (unit, name) = UNITS[greatest];
    let first = format!("{} {name}", seconds / unit);
    match UNITS.get(greatest + 1) {
        Some((next, name)) if seconds % unit >= *next => format!("{first} {} {name}", seconds % unit / next),
        Some(_) | None => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_times_read_well() {
        for (count, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (1 << 20, "1.00 MiB"),
            ((1 << 20) - 1, "1.00 MiB"),
        ] {
            assert_eq!(bytes(count), text);
        }
        assert_eq!(bytes(u64::MAX), "16384.00 PiB");
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3_661, "1 h 1 min"),
            (3_605, "1 h"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }

    // Catches a peer's name that clears the screen of whoever lists it, or forges a row.
    #[test]
    fn cells_command_no_terminal() {
        let mut table = Table::new(&["A"]);
        table.row(vec![("x\x1b[2J\ny\u{9b}".to_owned(), Tone::Plain)]);
        assert_eq!(table.render(false), "  A\n  x\u{fffd}[2J\u{fffd}y\u{fffd}\n");
    }

    #[test]
    fn columns_align_with_and_without_colours() {
        let mut table = Table::new(&["A", "B"]);
        table.row(vec![("ä".to_owned(), Tone::Bad), ("x".to_owned(), Tone::Plain)]);
        table.row(vec![
            ("long".to_owned(), Tone::Plain),
            ("y".to_owned(), Tone::Plain),
        ]);
        assert_eq!(table.render(false), "  A     B\n  ä     x\n  long  y\n");
        assert!(table.render(true).contains("\x1b[31mä\x1b[0m     x"));
    }
}
