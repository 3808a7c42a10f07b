//! `[[rule]]`: what peers may open, in the order in which it is judged.

use crate::peer::{Declared, is_peer_name};
use crate::problem::{Problem, Wrong};
use crate::reader::{At, Reader, Section, Word};
use std::collections::{HashMap, HashSet};
use toml::Spanned;
use toml::de::DeValue;
use weir_abi::key::PublicKey;
use weir_abi::prefix::{Prefix, PrefixError};
use weir_abi::rule::{Action, ENTRIES_MAX, PortRange, Protocol, RULES_MAX, Rule, Sender, Target};

pub(crate) const KEYS: &[&str] = &["name", "action", "from", "to", "protocol", "ports", "log"];

const NAME: &str = "1 to 64 letters, digits, spaces and -_.@+, with a letter or digit at either end";
const ACTION: &str = "\"accept\" or \"deny\"";
const FROM: &str = "a list of peers' names or public keys, \"group:NAME\" or \"any\"";
const TO: &str = "a list of prefixes such as \"10.0.0.0/24\", \"peer:NAME\", \"group:NAME\" or \"any\"";
const TARGET: &str =
    "a prefix such as \"10.0.0.0/24\" or \"fd00::/64\", \"peer:NAME\", \"group:NAME\" or \"any\"";
const PROTOCOL: &str = "\"tcp\", \"udp\", \"icmp\" or a number from 0 to 255";
const PORTS: &str = "a list of ports from 0 to 65535 and ranges, such as [443, \"8000-8100\"]";

const ANY: &str = "any";

/// The peers of the file, as rules name them.
struct Names<'a> {
    peers: HashMap<&'a str, PublicKey>,
    keys: HashSet<PublicKey>,
    groups: HashSet<&'a str>,
}

/// Reads every rule of `value`; what they name must be among `declared`.
pub(crate) fn read_all(
    reader: &mut Reader<'_>,
    value: Option<&Spanned<DeValue<'_>>>,
    declared: &[Declared],
    warnings: &mut Vec<Problem>,
) -> Vec<Rule> {
    let Some(value) = value else { return Vec::new() };
    let line = reader.line(value.span());
    let DeValue::Array(sections) = value.get_ref() else {
        let wrong = Wrong::Type {
            found: "a single section",
            expected: "[[rule]] in double brackets",
        };
        reader.report(line, "rule", "", wrong);
        return Vec::new();
    };
    bounded(reader, ("rule", ""), line, sections.len(), RULES_MAX);
    let names = Names::of(declared);
    let mut rules = Vec::with_capacity(sections.len());
    let mut last = None;
    for (place, value) in sections.iter().enumerate() {
        let title = title(value, place);
        let Some(section) = Section::open(reader, title, value, KEYS) else {
            continue;
        };
        if let Some(last) = last {
            let wrong = Wrong::Unreachable { line: last };
            warnings.push(reader.problem(section.line, &section.name, "", wrong));
        }
        let rule = read(reader, &section, &names);
        let everything = rule.from.is_empty() && rule.to.is_empty() && rule.protocol.is_none();
        last = last.or(everything.then_some(section.line));
        rules.push(rule);
    }
    rules
}

/// The names of a list of groups, each once.
pub(crate) fn groups(reader: &mut Reader<'_>, section: &Section<'_>) -> Vec<String> {
    let mut groups: Vec<String> = Vec::new();
    for text in section.texts(reader, "groups", "a list of groups' names such as \"staff\"") {
        if !is_peer_name(text.value) {
            let value = text.value.to_owned();
            let wrong = Wrong::Value {
                value,
                expected: NAME,
            };
            section.report(reader, text.line, "groups", wrong);
        } else if !groups.iter().any(|group| group == text.value) {
            groups.push(text.value.to_owned());
        }
    }
    groups
}

fn read(reader: &mut Reader<'_>, section: &Section<'_>, names: &Names<'_>) -> Rule {
    const ACTIONS: &[(&str, Action)] = &[("accept", Action::Accept), ("deny", Action::Deny)];
    if !section.has("action") {
        section.report(reader, section.line, "action", Wrong::Missing(ACTION));
    }
    // Whatever stands in for what is missing or wrong is never used: it has been reported.
    let action = section.choice(reader, "action", ACTION, ACTIONS);
    let protocol = protocol(reader, section);
    Rule {
        name: name(reader, section),
        from: entries(reader, section, "from", FROM, |text| names.sender(text)),
        to: entries(reader, section, "to", TO, |text| names.target(text)),
        ports: ports(reader, section, protocol),
        protocol,
        log: section.flag(reader, "log").unwrap_or(false),
        ..Rule::new(action.unwrap_or(Action::Deny))
    }
}

/// How problems call the rule: by its name, else its place in the file.
fn title(value: &Spanned<DeValue<'_>>, place: usize) -> String {
    let name = value.get_ref().as_table().and_then(|table| table.get("name"));
    let name = name.and_then(|name| name.get_ref().as_str());
    match name.filter(|name| is_peer_name(name)) {
        Some(name) => format!("rule \"{name}\""),
        None => format!("rule {}", place + 1),
    }
}

fn name(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<String> {
    let name = section.text(reader, "name", NAME)?;
    let value = name.value.to_owned();
    if !is_peer_name(name.value) {
        let wrong = Wrong::Value {
            value: value.clone(),
            expected: NAME,
        };
        section.report(reader, name.line, "name", wrong);
    }
    Some(value)
}

/// A list of senders or targets; empty where it is left out or says "any".
fn entries<T>(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    key: &'static str,
    expected: &'static str,
    read: impl Fn(&str) -> Result<T, Wrong>,
) -> Vec<T> {
    let texts = section.texts(reader, key, expected);
    refuse_empty(reader, section, key, expected);
    if let [any] = &*texts
        && any.value == ANY
    {
        return Vec::new();
    }
    bounded(
        reader,
        (&section.name, key),
        section.line,
        texts.len(),
        ENTRIES_MAX,
    );
    let mut entries = Vec::with_capacity(texts.len());
    for At { value, line } in texts {
        let entry = if value == ANY {
            Err(Wrong::AnyBesides)
        } else {
            read(value)
        };
        match entry {
            Ok(entry) => entries.push(entry),
            Err(wrong) => section.report(reader, line, key, wrong),
        }
    }
    entries
}

fn protocol(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<Protocol> {
    let word = section.word(reader, "protocol", PROTOCOL)?;
    let found = match &word.value {
        Word::Text("tcp") => Some(Protocol::TCP),
        Word::Text("udp") => Some(Protocol::UDP),
        Word::Text("icmp") => Some(Protocol::Icmp),
        Word::Text(_) => None,
        Word::Number(number) => number.parse().ok().map(Protocol::Number),
    };
    if found.is_none() {
        let wrong = Wrong::Value {
            value: word.value.to_string(),
            expected: PROTOCOL,
        };
        section.report(reader, word.line, "protocol", wrong);
    }
    found
}

fn ports(reader: &mut Reader<'_>, section: &Section<'_>, protocol: Option<Protocol>) -> Vec<PortRange> {
    let words = section.words(reader, "ports", PORTS);
    refuse_empty(reader, section, "ports", PORTS);
    bounded(
        reader,
        (&section.name, "ports"),
        section.line,
        words.len(),
        ENTRIES_MAX,
    );
    let of_other = protocol.is_some_and(|protocol| !protocol.has_ports());
    if section.has("ports") && (of_other || !section.has("protocol")) {
        section.report(reader, section.line, "ports", Wrong::PortsOfOthers);
    }
    let mut ranges = Vec::with_capacity(words.len());
    for word in words {
        match word.value.to_string().parse::<PortRange>() {
            Ok(range) => ranges.push(range),
            Err(error) => section.report(reader, word.line, "ports", error.into()),
        }
    }
    ranges
}

fn refuse_empty(reader: &mut Reader<'_>, section: &Section<'_>, key: &str, expected: &'static str) {
    if section.is_empty_list(key) {
        section.report(reader, section.line, key, Wrong::Empty(expected));
    }
}

fn bounded(reader: &mut Reader<'_>, (section, field): (&str, &str), line: usize, count: usize, most: usize) {
    if count > most {
        reader.report(line, section, field, Wrong::TooMany { count, most });
    }
}

impl<'a> Names<'a> {
    fn of(declared: &'a [Declared]) -> Self {
        let peers = declared.iter().map(|declared| &declared.peer);
        Self {
            peers: peers
                .clone()
                .filter_map(|peer| peer.name.as_deref().map(|name| (name, peer.public_key)))
                .collect(),
            keys: peers.clone().map(|peer| peer.public_key).collect(),
            groups: peers.flat_map(|peer| &peer.groups).map(String::as_str).collect(),
        }
    }

    fn sender(&self, text: &str) -> Result<Sender, Wrong> {
        if let Some(group) = text.strip_prefix("group:") {
            return self.group(group).map(Sender::Group);
        }
        self.peer(text.strip_prefix("peer:").unwrap_or(text))
            .map(Sender::Peer)
    }

    fn target(&self, text: &str) -> Result<Target, Wrong> {
        if let Some(group) = text.strip_prefix("group:") {
            return self.group(group).map(Target::Group);
        }
        if let Some(peer) = text.strip_prefix("peer:") {
            return self.peer(peer).map(Target::Peer);
        }
        match text.parse::<Prefix>() {
            Ok(prefix) => Ok(Target::Prefix(prefix)),
            Err(PrefixError::Address(value)) => Err(Wrong::Value {
                value,
                expected: TARGET,
            }),
            Err(error @ PrefixError::Length { .. }) => Err(error.into()),
        }
    }

    fn peer(&self, name_or_key: &str) -> Result<PublicKey, Wrong> {
        let by_key = || name_or_key.parse().ok().filter(|key| self.keys.contains(key));
        let found = self.peers.get(name_or_key).copied().or_else(by_key);
        found.ok_or_else(|| Wrong::NoSuchPeer(name_or_key.to_owned()))
    }

    fn group(&self, group: &str) -> Result<String, Wrong> {
        if self.groups.contains(group) {
            Ok(group.to_owned())
        } else {
            Err(Wrong::NoSuchGroup(group.to_owned()))
        }
    }
}
