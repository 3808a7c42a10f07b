//! The compliance report as CSV (RFC 4180): one table, whose first column says what a line is about.

use crate::types::Compliance;
use core::fmt::Display;
use jiff::Timestamp;

const HEADER: [&str; 8] = [
    "kind",
    "subject",
    "name",
    "count",
    "rx_bytes",
    "tx_bytes",
    "first_seen",
    "last_seen",
];

/// The report.
pub(crate) fn compliance(report: &Compliance) -> String {
    let mut text = String::new();
    line(&mut text, HEADER.map(str::to_owned));
    let period = [
        ("from", report.from),
        ("to", report.to),
        ("made_at", report.made_at),
    ];
    for (subject, time) in period {
        line(&mut text, row("period", subject, time, "", ""));
    }
    line(&mut text, row("audit", "intact", report.audit_intact, "", ""));
    for peer in &report.peers {
        let seen = |time: Option<Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
        line(
            &mut text,
            [
                "peer".to_owned(),
                peer.public_key.to_string(),
                peer.name.clone().unwrap_or_default(),
                peer.handshakes.to_string(),
                peer.rx_bytes.to_string(),
                peer.tx_bytes.to_string(),
                seen(peer.first_seen),
                seen(peer.last_seen),
            ],
        );
    }
    let counts = [
        ("changes", &report.changes),
        ("refused_logins", &report.refused_logins),
        ("denied", &report.denied),
    ];
    for (kind, counts) in counts {
        for (subject, count) in counts {
            line(&mut text, row(kind, subject, "", count, ""));
        }
    }
    text
}

fn row(kind: &str, subject: &str, name: impl Display, count: impl Display, rest: &str) -> [String; 8] {
    let rest = || rest.to_owned();
    [
        kind.to_owned(),
        subject.to_owned(),
        name.to_string(),
        count.to_string(),
        rest(),
        rest(),
        rest(),
        rest(),
    ]
}

fn line(text: &mut String, fields: [String; 8]) {
    let fields = fields.map(|field| quoted(&field));
    text.push_str(&fields.join(","));
    text.push_str("\r\n");
}

/// A field. Spreadsheets run what begins like a formula, so such a field begins with an apostrophe.
fn quoted(field: &str) -> String {
    let formula = field.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let field = if formula {
        format!("'{field}")
    } else {
        field.to_owned()
    };
    if field.contains(['"', ',', '\r', '\n']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches a name that a spreadsheet would run, and one that breaks out of its field.
    #[test]
    fn fields_stay_text() {
        assert_eq!(quoted("+cmd|' /C calc'!A0"), "'+cmd|' /C calc'!A0");
        assert_eq!(quoted("@SUM(1,2)"), "\"'@SUM(1,2)\"");
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
        assert_eq!(quoted("plain"), "plain");
    }
}
