//! `[[peer]]`: who may connect, and with which addresses.

use crate::key::{self, ReadKey};
use crate::problem::{Problem, Wrong};
use crate::reader::{Reader, Section};
use crate::rule;
use std::collections::HashSet;
use toml::Spanned;
use toml::de::DeValue;
use weir_abi::desired::{Origin, Peer};
use weir_abi::key::{PresharedKey, PublicKey};
use weir_abi::prefix::Prefix;

pub(crate) const KEYS: &[&str] = &[
    "name",
    "public_key",
    "preshared_key",
    "preshared_key_file",
    "endpoint",
    "allowed_ips",
    "persistent_keepalive",
    "groups",
];

/// A peer and where its facts stand, for the checks across peers.
pub(crate) struct Declared {
    pub peer: Peer,
    pub section: String,
    pub key_line: usize,
    pub name_line: usize,
    /// The line of each of the peer's allowed IPs.
    pub allowed_ip_lines: Vec<usize>,
}

/// Whether `name` may name a peer: 1 to 64 letters, digits, spaces and `-_.@+`, beginning and ending in neither space
/// nor dot, so that it is also a file's name.
pub fn is_peer_name(name: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '+' | '@'));
    name.len() <= 64
        && edge(name.chars().next())
        && edge(name.chars().next_back())
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_' | '.' | '@' | '+'))
}

/// Reads one peer; `None` where it has no usable public key, which is reported.
pub(crate) fn read(
    reader: &mut Reader<'_>,
    value: &Spanned<DeValue<'_>>,
    place: usize,
    keys: (&str, ReadKey<'_>),
    warnings: &mut Vec<Problem>,
) -> Option<Declared> {
    let section = Section::open(reader, title(value, place), value, KEYS)?;
    let name = name(reader, &section);
    let public_key = section.parsed::<PublicKey>(reader, "public_key", "a key in base64");
    if !section.has("public_key") {
        let wrong = Wrong::Missing("the peer's public key, 44 characters of base64");
        section.report(reader, section.line, "public_key", wrong);
    }
    let preshared_key = key::read::<PresharedKey>(
        reader,
        &section,
        ["preshared_key", "preshared_key_file"],
        keys,
        warnings,
    );
    if let Some(zero) = preshared_key.as_ref().filter(|k| k.value.is_zero()) {
        section.report(reader, zero.line, "preshared_key", Wrong::ZeroKey);
    }
    let endpoint = section.parsed(reader, "endpoint", "ADDRESS:PORT or NAME:PORT");
    let (allowed_ips, allowed_ip_lines) = allowed_ips(reader, &section);
    let keepalive = section.number(reader, "persistent_keepalive", 0, u64::from(u16::MAX));
    let groups = rule::groups(reader, &section);
    let public_key = public_key?;
    if key::is_weak(&public_key.value) {
        section.report(
            reader,
            public_key.line,
            "public_key",
            Wrong::WeakKey(public_key.value),
        );
        return None;
    }
    Some(Declared {
        section: section.name.clone(),
        key_line: public_key.line,
        name_line: name.as_ref().map_or(section.line, |(_, line)| *line),
        allowed_ip_lines,
        peer: Peer {
            public_key: public_key.value,
            preshared_key: preshared_key.map(|k| k.value),
            endpoint: endpoint.map(|e| e.value),
            allowed_ips,
            persistent_keepalive: keepalive.map(|n| n.value as u16).filter(|s| *s > 0),
            name: name.map(|(name, _)| name),
            groups,
            origin: Origin::File,
        },
    })
}

/// How problems call the peer: by its name, else its key, else its place in the file.
fn title(value: &Spanned<DeValue<'_>>, place: usize) -> String {
    let text = |key| {
        value
            .get_ref()
            .as_table()
            .and_then(|t| t.get(key))
            .and_then(|v| v.get_ref().as_str())
    };
    let key = || text("public_key").filter(|k| k.parse::<PublicKey>().is_ok());
    match text("name").filter(|n| is_peer_name(n)).or_else(key) {
        Some(name) => format!("peer \"{name}\""),
        None => format!("peer {}", place + 1),
    }
}

fn name(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<(String, usize)> {
    const EXPECTED: &str = "1 to 64 letters, digits, spaces and -_.@+, with a letter or digit at either end";
    let name = section.text(reader, "name", EXPECTED)?;
    if !is_peer_name(name.value) {
        let wrong = Wrong::Value {
            value: name.value.to_owned(),
            expected: EXPECTED,
        };
        section.report(reader, name.line, "name", wrong);
    }
    Some((name.value.to_owned(), name.line))
}

fn allowed_ips(reader: &mut Reader<'_>, section: &Section<'_>) -> (Vec<Prefix>, Vec<usize>) {
    let (mut prefixes, mut lines, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for text in section.texts(
        reader,
        "allowed_ips",
        "a list of prefixes such as \"10.77.0.2/32\"",
    ) {
        match text.value.parse::<Prefix>() {
            Ok(prefix) => {
                if seen.insert(prefix) {
                    prefixes.push(prefix);
                    lines.push(text.line);
                }
            }
            Err(error) => section.report(reader, text.line, "allowed_ips", error.into()),
        }
    }
    (prefixes, lines)
}
