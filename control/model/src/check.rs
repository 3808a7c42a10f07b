//! What a peer, a rule or a user must be, by itself and beside all others.

use crate::gateway::GatewayFacts;
use crate::limits::{ALLOWED_IPS_MAX, GROUPS_MAX, NOTES_MAX};
use crate::problem::Problem;
use crate::record::{Peer, Role, Settings, User};
use crate::snapshot::Snapshot;
use std::collections::HashSet;
use weir_abi::key::PublicKey;
use weir_abi::rule::{ENTRIES_MAX, RULES_MAX, Rule, Sender, Target};
use weir_config::is_peer_name;
use weir_config::key::is_weak;

const NAME: &str = "1 to 64 letters, digits, spaces and -_.@+, with a letter or digit at either end";

/// What is wrong with a peer by itself.
pub(crate) fn peer(peer: &Peer, facts: &GatewayFacts) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut report = |field: String, value: &dyn core::fmt::Display, expected: &str| {
        problems.push(Problem::new(field, value, expected));
    };
    let key = &peer.public_key;
    if is_weak(key) {
        report(
            "public_key".to_owned(),
            key,
            "a public key that a key pair has; this one is of low order",
        );
    }
    if facts.public_key == Some(*key) {
        report(
            "public_key".to_owned(),
            key,
            "the peer's key; this one is the interface's own",
        );
    }
    if let Some(name) = peer.name.as_ref().filter(|name| !is_peer_name(name)) {
        report("name".to_owned(), name, NAME);
    }
    if peer.groups.len() > GROUPS_MAX {
        report(
            "groups".to_owned(),
            &peer.groups.len(),
            &format!("at most {GROUPS_MAX} of them"),
        );
    }
    let mut seen = HashSet::new();
    for (place, group) in peer.groups.iter().enumerate() {
        if !is_peer_name(group) {
            report(format!("groups[{place}]"), group, NAME);
        } else if !seen.insert(group) {
            report(format!("groups[{place}]"), group, "each group once");
        }
    }
    if peer.allowed_ips.len() > ALLOWED_IPS_MAX {
        let most = format!("at most {ALLOWED_IPS_MAX} of them");
        report("allowed_ips".to_owned(), &peer.allowed_ips.len(), &most);
    }
    let mut seen = HashSet::new();
    for (place, prefix) in peer.allowed_ips.iter().enumerate() {
        let field = format!("allowed_ips[{place}]");
        if !seen.insert(prefix) {
            report(field, prefix, "each network once");
        } else if facts.is_own(prefix) {
            report(field, prefix, "another address; this one is the interface's own");
        }
    }
    let characters = peer.notes.chars().count();
    if characters > NOTES_MAX {
        let most = format!("at most {NOTES_MAX} characters");
        report("notes".to_owned(), &characters, &most);
    }
    problems
}

/// What is wrong with rules: their form, and whom they name.
pub(crate) fn rules(rules: &[Rule], state: &Snapshot, facts: &GatewayFacts) -> Vec<Problem> {
    let mut problems = Vec::new();
    if rules.len() > RULES_MAX {
        problems.push(Problem::new(
            "items",
            rules.len(),
            format!("at most {RULES_MAX} rules"),
        ));
        return problems;
    }
    let groups = groups(state, facts);
    for (place, rule) in rules.iter().enumerate() {
        let within = format!("items[{place}]");
        let found = rule_problems(rule, state, facts, &groups);
        problems.extend(found.into_iter().map(|problem| problem.within(&within)));
    }
    problems
}

/// Every group that a peer is of.
fn groups<'a>(state: &'a Snapshot, facts: &'a GatewayFacts) -> HashSet<&'a str> {
    let own = state.peers.values().flat_map(|peer| &peer.groups);
    own.chain(&facts.file.groups).map(String::as_str).collect()
}

fn rule_problems(
    rule: &Rule,
    state: &Snapshot,
    facts: &GatewayFacts,
    groups: &HashSet<&str>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Some(name) = rule.name.as_ref().filter(|name| !is_peer_name(name)) {
        problems.push(Problem::new("name", name, NAME));
    }
    let known = |key: &PublicKey| state.peers.contains_key(key) || facts.file.peers.contains_key(key);
    let lists = [
        ("from", rule.from.len()),
        ("to", rule.to.len()),
        ("ports", rule.ports.len()),
    ];
    for (field, count) in lists.into_iter().filter(|(_, count)| *count > ENTRIES_MAX) {
        problems.push(Problem::new(
            field,
            count,
            format!("at most {ENTRIES_MAX} of them"),
        ));
    }
    let no_peer = "the key of a peer that is declared";
    let no_group = "a group that a peer is of";
    for (place, sender) in rule.from.iter().enumerate() {
        let field = format!("from[{place}]");
        match sender {
            Sender::Peer(key) if !known(key) => problems.push(Problem::new(field, key, no_peer)),
            Sender::Group(group) if !groups.contains(group.as_str()) => {
                problems.push(Problem::new(field, group, no_group));
            }
            Sender::Peer(_) | Sender::Group(_) => {}
        }
    }
    for (place, target) in rule.to.iter().enumerate() {
        let field = format!("to[{place}]");
        match target {
            Target::Peer(key) if !known(key) => problems.push(Problem::new(field, key, no_peer)),
            Target::Group(group) if !groups.contains(group.as_str()) => {
                problems.push(Problem::new(field, group, no_group));
            }
            Target::Peer(_) | Target::Group(_) | Target::Prefix(_) => {}
        }
    }
    if !rule.ports.is_empty() && !rule.protocol.is_some_and(|protocol| protocol.has_ports()) {
        problems.push(Problem::new(
            "ports",
            "",
            "no ports, or the protocol tcp or udp beside them",
        ));
    }
    problems
}

/// The rules that name this peer by its key, from 1.
pub(crate) fn rules_naming(key: &PublicKey, rules: &[Rule]) -> Vec<usize> {
    let names = |rule: &Rule| {
        rule.from
            .iter()
            .any(|sender| matches!(sender, Sender::Peer(k) if k == key))
            || rule
                .to
                .iter()
                .any(|target| matches!(target, Target::Peer(k) if k == key))
    };
    let numbered = rules.iter().enumerate().filter(|(_, rule)| names(rule));
    numbered.map(|(place, _)| place + 1).collect()
}

/// Whether somebody is left who may do everything.
pub(crate) fn has_administrator<'a>(users: impl IntoIterator<Item = &'a User>) -> bool {
    users
        .into_iter()
        .any(|user| user.role == Role::Administrator && !user.disabled)
}

/// What is wrong with settings.
pub(crate) fn settings(settings: &Settings) -> Vec<Problem> {
    let alerts = &settings.alerts;
    let ranges = [
        ("session_hours", u32::from(settings.session_hours), 1, 720),
        (
            "session_idle_minutes",
            u32::from(settings.session_idle_minutes),
            5,
            1440,
        ),
        ("alerts.peer_gone_s", alerts.peer_gone_s, 10, 86_400),
        (
            "alerts.refused_handshakes_per_minute",
            alerts.refused_handshakes_per_minute,
            1,
            1_000_000,
        ),
        (
            "alerts.cookie_replies_per_minute",
            alerts.cookie_replies_per_minute,
            1,
            1_000_000,
        ),
        (
            "alerts.decrypt_failures_per_minute",
            alerts.decrypt_failures_per_minute,
            1,
            1_000_000,
        ),
        ("alerts.drops_per_mille", alerts.drops_per_mille, 1, 1000),
        ("alerts.expiry_days", u32::from(alerts.expiry_days), 1, 365),
    ];
    let wrong = ranges
        .into_iter()
        .filter(|(_, value, least, most)| !(*least..=*most).contains(value));
    wrong
        .map(|(field, value, least, most)| Problem::new(field, value, format!("{least} to {most}")))
        .collect()
}
