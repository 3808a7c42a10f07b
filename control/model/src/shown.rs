//! Records as people are shown them: field by field, in words, without anything secret.

use crate::record::{Facts, Peer, PendingChange, Rules, Settings, Token, User};
use crate::snapshot::Snapshot;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use weir_abi::rule::{Rule, Sender, Target};

/// What stands for a secret.
const SECRET: &str = "(secret)";

/// What stands, in the audit log, for a secret that became another.
const CHANGED: &str = "(secret, changed)";

/// A record's fields; those without a value are left out.
pub(crate) type Fields = BTreeMap<&'static str, Value>;

/// One difference between two states.
#[derive(Clone, PartialEq, Debug)]
pub struct Difference {
    /// What becomes of it.
    pub kind: DifferenceKind,
    /// Where, as a JSON pointer (RFC 6901) such as `/peers/KEY/allowed_ips`.
    pub path: String,
    /// What it is.
    pub before: Option<Value>,
    /// What it would be.
    pub after: Option<Value>,
}

/// What becomes of a value (RFC 6902 section 4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DifferenceKind {
    /// It comes to be.
    Add,
    /// It goes.
    Remove,
    /// It changes.
    Replace,
}

impl Difference {
    fn new(path: String, before: Option<Value>, after: Option<Value>) -> Self {
        let kind = match (&before, &after) {
            (None, _) => DifferenceKind::Add,
            (Some(_), None) => DifferenceKind::Remove,
            (Some(_), Some(_)) => DifferenceKind::Replace,
        };
        Self {
            kind,
            path,
            before,
            after,
        }
    }
}

/// How a record differs: as a whole where one side has none, else field by field. `secret` names a field whose secret
/// changed, which shows nothing of it.
pub(crate) fn differences(
    path: &str,
    before: Option<&Fields>,
    after: Option<&Fields>,
    secret: Option<&'static str>,
) -> Vec<Difference> {
    let (Some(old), Some(new)) = (before, after) else {
        let whole = |fields: &Fields| {
            Value::Object(
                fields
                    .iter()
                    .map(|(k, v)| ((*k).to_owned(), v.clone()))
                    .collect::<Map<_, _>>(),
            )
        };
        return vec![Difference::new(
            path.to_owned(),
            before.map(whole),
            after.map(whole),
        )];
    };
    changed(old, new, secret)
        .map(|field| {
            let value = |fields: &Fields| fields.get(field).cloned();
            Difference::new(format!("{path}/{field}"), value(old), value(new))
        })
        .collect()
}

/// The same for the audit log: all of what is new or gone, of what changed the changed fields.
pub(crate) fn facts(
    before: Option<&Fields>,
    after: Option<&Fields>,
    secret: Option<&'static str>,
) -> (Facts, Facts) {
    let all = |fields: Option<&Fields>| -> Facts {
        let each = fields.into_iter().flatten();
        each.map(|(field, value)| ((*field).to_owned(), words(value)))
            .collect()
    };
    let (Some(old), Some(new)) = (before, after) else {
        return (all(before), all(after));
    };
    let (mut was, mut is) = (Facts::new(), Facts::new());
    for field in changed(old, new, secret) {
        was.extend(old.get(field).map(|value| (field.to_owned(), words(value))));
        let now = |value: &Value| {
            let same = secret == Some(field) && old.contains_key(field);
            if same { CHANGED.to_owned() } else { words(value) }
        };
        is.extend(new.get(field).map(|value| (field.to_owned(), now(value))));
    }
    (was, is)
}

fn changed<'a>(
    old: &'a Fields,
    new: &'a Fields,
    secret: Option<&'static str>,
) -> impl Iterator<Item = &'static str> + 'a {
    let added = new.keys().filter(|field| !old.contains_key(*field));
    let fields = old.keys().chain(added).copied();
    fields.filter(move |field| old.get(field) != new.get(field) || secret == Some(*field))
}

fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(words).collect::<Vec<_>>().join(", "),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

/// A part of a path (RFC 6901 section 3).
pub(crate) fn escaped(part: &str) -> String {
    part.replace('~', "~0").replace('/', "~1")
}

pub(crate) fn peer(peer: &Peer) -> Fields {
    let texts = |items: &[String]| Value::from(items.to_vec());
    let prefixes: Vec<String> = peer.allowed_ips.iter().map(ToString::to_string).collect();
    let fields = [
        ("name", peer.name.clone().map(Value::from)),
        ("groups", (!peer.groups.is_empty()).then(|| texts(&peer.groups))),
        ("allowed_ips", Some(texts(&prefixes))),
        ("endpoint", peer.endpoint.as_ref().map(|e| e.to_string().into())),
        ("persistent_keepalive", peer.persistent_keepalive.map(Value::from)),
        (
            "preshared_key",
            peer.preshared_key.as_ref().map(|_| SECRET.into()),
        ),
        ("disabled", peer.disabled.then_some(true.into())),
        ("expires_at", peer.expires_at.map(|at| at.to_string().into())),
        (
            "notes",
            (!peer.notes.is_empty()).then(|| peer.notes.clone().into()),
        ),
    ];
    present(fields)
}

pub(crate) fn user(user: &User) -> Fields {
    present([
        ("role", Some(user.role.name().into())),
        ("password", Some(SECRET.into())),
        ("disabled", user.disabled.then_some(true.into())),
        (
            "must_change_password",
            user.must_change_password.then_some(true.into()),
        ),
    ])
}

pub(crate) fn token(token: &Token) -> Fields {
    let scopes: Vec<&str> = token.scopes.iter().map(|scope| scope.name()).collect();
    present([
        ("name", Some(token.name.clone().into())),
        ("role", Some(token.role.name().into())),
        ("scopes", Some(scopes.into())),
        ("expires_at", token.expires_at.map(|at| at.to_string().into())),
    ])
}

pub(crate) fn settings(settings: &Settings) -> Fields {
    let alerts = &settings.alerts;
    let names = match settings.metrics_names {
        crate::record::MetricsNames::Dashboard12177 => "12177",
        crate::record::MetricsNames::MindFlavor => "mindflavor",
    };
    present([
        ("session_hours", Some(settings.session_hours.into())),
        ("session_idle_minutes", Some(settings.session_idle_minutes.into())),
        ("audit_days", settings.audit_days.map(Value::from)),
        ("metrics_names", Some(names.into())),
        ("alerts.peer_gone_s", Some(alerts.peer_gone_s.into())),
        (
            "alerts.refused_handshakes_per_minute",
            Some(alerts.refused_handshakes_per_minute.into()),
        ),
        (
            "alerts.cookie_replies_per_minute",
            Some(alerts.cookie_replies_per_minute.into()),
        ),
        (
            "alerts.decrypt_failures_per_minute",
            Some(alerts.decrypt_failures_per_minute.into()),
        ),
        ("alerts.drops_per_mille", Some(alerts.drops_per_mille.into())),
        ("alerts.expiry_days", Some(alerts.expiry_days.into())),
    ])
}

/// What a change that waits did: from what was before it to what is now.
pub fn undone(change: &PendingChange, state: &Snapshot) -> Vec<Difference> {
    let mut all = Vec::new();
    for (key, before) in &change.before.peers {
        let (old, new) = (before.as_ref(), state.peer(key));
        let secret = old
            .zip(new)
            .is_some_and(|(old, new)| old.preshared_key != new.preshared_key);
        let (was, is) = (old.map(peer), new.map(|new| peer(new)));
        if was.is_some() || is.is_some() {
            let path = format!("/peers/{}", escaped(&key.to_string()));
            let secret = secret.then_some("preshared_key");
            all.extend(differences(&path, was.as_ref(), is.as_ref(), secret));
        }
    }
    for (name, before) in &change.before.users {
        let (was, is) = (before.as_ref().map(user), state.users.get(name).map(user));
        if was.is_some() || is.is_some() {
            let path = format!("/users/{}", escaped(name));
            all.extend(differences(&path, was.as_ref(), is.as_ref(), None));
        }
    }
    for (id, before) in &change.before.tokens {
        let (was, is) = (before.as_ref().map(token), state.tokens.get(id).map(token));
        if was.is_some() || is.is_some() {
            all.extend(differences(
                &format!("/tokens/{id}"),
                was.as_ref(),
                is.as_ref(),
                None,
            ));
        }
    }
    if let Some(before) = &change.before.rules {
        all.extend(rule_differences(before, &state.rules));
    }
    if let Some(before) = &change.before.settings {
        let (was, is) = (settings(before), settings(&state.settings));
        all.extend(differences("/settings", Some(&was), Some(&is), None));
    }
    all
}

/// How two lists of rules differ, rule by rule in their order.
pub(crate) fn rule_differences(before: &Rules, after: &Rules) -> Vec<Difference> {
    let most = before.items.len().max(after.items.len());
    let at = |rules: &Rules, place: usize| rules.items.get(place).map(rule_value);
    (0..most)
        .map(|place| (place, at(before, place), at(after, place)))
        .filter(|(_, was, is)| was != is)
        .map(|(place, was, is)| Difference::new(format!("/rules/{place}"), was, is))
        .collect()
}

/// The rules as the audit log has them, one line each.
pub(crate) fn rule_facts(rules: &Rules) -> Facts {
    let line = |(place, rule): (usize, &Rule)| (format!("{:04}", place + 1), rule_value(rule).to_string());
    rules.items.iter().enumerate().map(line).collect()
}

/// A rule as the API has it.
pub fn rule_value(rule: &Rule) -> Value {
    let from: Vec<String> = rule.from.iter().map(sender).collect();
    let to: Vec<String> = rule.to.iter().map(target).collect();
    let ports: Vec<String> = rule.ports.iter().map(ToString::to_string).collect();
    json!({
        "name": rule.name,
        "action": rule.action.name(),
        "from": from,
        "to": to,
        "protocol": rule.protocol.map(|p| p.to_string()),
        "ports": ports,
        "log": rule.log,
    })
}

fn sender(sender: &Sender) -> String {
    match sender {
        Sender::Peer(key) => format!("peer:{key}"),
        Sender::Group(name) => format!("group:{name}"),
    }
}

fn target(target: &Target) -> String {
    match target {
        Target::Prefix(prefix) => prefix.to_string(),
        Target::Peer(key) => format!("peer:{key}"),
        Target::Group(name) => format!("group:{name}"),
    }
}

fn present<const N: usize>(fields: [(&'static str, Option<Value>); N]) -> Fields {
    fields
        .into_iter()
        .filter_map(|(field, value)| Some((field, value?)))
        .collect()
}
