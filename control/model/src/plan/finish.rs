//! Compares the state before with the one after: what is written, logged, told, and what would undo it.

use super::{Draft, Planned};
use crate::record::{Action, Before, NewAuditEntry, Write};
use crate::shown::{self, Difference, Fields};
use crate::snapshot::Snapshot;
use std::collections::BTreeSet;
use weir_abi::key::PublicKey;

/// Puts together what the draft comes to.
pub(super) fn finish(state: &Snapshot, mut draft: Draft<'_>) -> Planned {
    let mut made = Made {
        writes: std::mem::take(&mut draft.quiet),
        audit: std::mem::take(&mut draft.audit),
        differences: Vec::new(),
        before: Before::default(),
        counts: [0; 3],
    };
    let peers = made.peers(state, &draft);
    let rules = made.rules(state, &draft);
    made.users(state, &draft);
    made.tokens(state, &draft);
    made.settings(state, &draft);
    Planned {
        next: draft.next,
        writes: made.writes,
        audit: made.audit,
        differences: made.differences,
        before: made.before,
        peers,
        rules,
        counts: made.counts,
    }
}

struct Made {
    writes: Vec<Write>,
    audit: Vec<NewAuditEntry>,
    differences: Vec<Difference>,
    before: Before,
    counts: [u64; 3],
}

/// One record that may differ.
struct Compared<'a> {
    path: String,
    target: String,
    actions: [Action; 3],
    before: Option<&'a Fields>,
    after: Option<&'a Fields>,
    secret: Option<&'static str>,
}

impl Made {
    /// Logs and shows what differs of a record: as made, changed, or removed.
    fn compare(&mut self, draft: &Draft<'_>, compared: &Compared<'_>) {
        let (before, after, secret) = (compared.before, compared.after, compared.secret);
        let place = match (before, after) {
            (None, _) => 0,
            (Some(_), Some(_)) => 1,
            (Some(_), None) => 2,
        };
        self.differences
            .extend(shown::differences(&compared.path, before, after, secret));
        let (was, is) = shown::facts(before, after, secret);
        self.audit.push(NewAuditEntry {
            at: draft.by.now,
            actor: draft.by.actor.clone(),
            source: draft.by.source,
            action: compared.actions[place],
            target: compared.target.clone(),
            before: was,
            after: is,
        });
    }

    fn peers(&mut self, state: &Snapshot, draft: &Draft<'_>) -> BTreeSet<PublicKey> {
        const ACTIONS: [Action; 3] = [Action::PeerCreated, Action::PeerChanged, Action::PeerRemoved];
        let mut told = draft.expired.clone();
        for key in &draft.expired {
            let target = format!("peer/{key}");
            self.audit.push(NewAuditEntry {
                at: draft.by.now,
                actor: draft.by.actor.clone(),
                source: draft.by.source,
                action: Action::PeerExpired,
                target,
                before: Default::default(),
                after: Default::default(),
            });
        }
        for key in draft.peers.keys() {
            let (old, new) = (state.peer(key), draft.next.peer(key));
            if old == new {
                continue;
            }
            told.insert(*key);
            self.before.peers.push((*key, old.map(|peer| (**peer).clone())));
            self.writes.push(match new {
                Some(peer) => Write::Peer((**peer).clone()),
                None => Write::RemovePeer(*key),
            });
            let secret = old
                .zip(new)
                .is_some_and(|(old, new)| old.preshared_key != new.preshared_key);
            let (before, after) = (old.map(|p| shown::peer(p)), new.map(|p| shown::peer(p)));
            self.counts[usize::from(old.is_some()) + usize::from(old.is_some() && new.is_none())] += 1;
            let compared = Compared {
                path: format!("/peers/{}", shown::escaped(&key.to_string())),
                target: format!("peer/{key}"),
                actions: ACTIONS,
                before: before.as_ref(),
                after: after.as_ref(),
                secret: secret.then_some("preshared_key"),
            };
            self.compare(draft, &compared);
        }
        told
    }

    fn rules(&mut self, state: &Snapshot, draft: &Draft<'_>) -> bool {
        let (old, new) = (&state.rules, &draft.next.rules);
        if !draft.rules || old.items == new.items {
            return false;
        }
        self.before.rules = Some((**old).clone());
        self.writes.push(Write::Rules((**new).clone()));
        self.differences.extend(shown::rule_differences(old, new));
        self.audit.push(NewAuditEntry {
            at: draft.by.now,
            actor: draft.by.actor.clone(),
            source: draft.by.source,
            action: Action::RulesChanged,
            target: "rules".to_owned(),
            before: shown::rule_facts(old),
            after: shown::rule_facts(new),
        });
        true
    }

    fn users(&mut self, state: &Snapshot, draft: &Draft<'_>) {
        for name in &draft.users {
            let (old, new) = (state.users.get(name), draft.next.users.get(name));
            if old == new {
                continue;
            }
            self.before.users.push((name.clone(), old.cloned()));
            self.writes.push(match new {
                Some(user) => Write::User(user.clone()),
                None => Write::RemoveUser(name.clone()),
            });
            let password = draft.passwords.contains(name);
            let changed = if password {
                Action::PasswordChanged
            } else {
                Action::UserChanged
            };
            let (before, after) = (old.map(shown::user), new.map(shown::user));
            let compared = Compared {
                path: format!("/users/{}", shown::escaped(name)),
                target: format!("user/{name}"),
                actions: [Action::UserCreated, changed, Action::UserRemoved],
                before: before.as_ref(),
                after: after.as_ref(),
                secret: (password && old.is_some()).then_some("password"),
            };
            self.compare(draft, &compared);
        }
    }

    fn tokens(&mut self, state: &Snapshot, draft: &Draft<'_>) {
        for id in &draft.tokens {
            let (old, new) = (state.tokens.get(id), draft.next.tokens.get(id));
            if old == new {
                continue;
            }
            self.before.tokens.push((*id, old.cloned()));
            self.writes.push(match new {
                Some(token) => Write::Token(token.clone()),
                None => Write::RemoveToken(*id),
            });
            let (before, after) = (old.map(shown::token), new.map(shown::token));
            let compared = Compared {
                path: format!("/tokens/{id}"),
                target: format!("token/{id}"),
                actions: [Action::TokenCreated, Action::TokenCreated, Action::TokenRevoked],
                before: before.as_ref(),
                after: after.as_ref(),
                secret: None,
            };
            self.compare(draft, &compared);
        }
    }

    fn settings(&mut self, state: &Snapshot, draft: &Draft<'_>) {
        let (old, new) = (&state.settings, &draft.next.settings);
        if !draft.settings || old == new {
            return;
        }
        self.before.settings = Some((**old).clone());
        self.writes.push(Write::Settings((**new).clone()));
        let (before, after) = (shown::settings(old), shown::settings(new));
        let compared = Compared {
            path: "/settings".to_owned(),
            target: "settings".to_owned(),
            actions: [Action::SettingsChanged; 3],
            before: Some(&before),
            after: Some(&after),
            secret: None,
        };
        self.compare(draft, &compared);
    }
}
