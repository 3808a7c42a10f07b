//! What a set of changes comes to is judged as a whole: what two have, and what one needs that goes.

use super::Draft;
use crate::check;
use crate::limits::{PEERS_MAX, PENDING_MAX};
use crate::problem::{Problem, Refused};

impl Draft<'_> {
    pub(super) fn check(&mut self) -> Result<(), Refused> {
        if self.next.peers.len() > PEERS_MAX {
            self.problems.push(Problem::new(
                "public_key",
                "",
                format!("at most {PEERS_MAX} peers"),
            ));
        }
        if self.next.pending.len() > PENDING_MAX {
            let expected = format!("at most {PENDING_MAX} changes that wait for their confirmation");
            self.problems.push(Problem::new("confirm_within_s", "", expected));
        }
        if self.rules {
            let problems = check::rules(&self.next.rules.items, &self.next, self.facts);
            self.within.clear();
            self.report(problems);
        }
        if !self.problems.is_empty() {
            return Err(Refused::Invalid(std::mem::take(&mut self.problems)));
        }
        let mut conflicts = self.file_conflicts();
        conflicts.extend(self.moved_conflicts());
        conflicts.extend(self.rule_conflicts());
        let judged = self.by.actor != crate::record::Actor::Weir && !self.users.is_empty();
        if judged && !check::has_administrator(self.next.users.values()) {
            let expected = "an administrator who is not disabled to remain: this is the last one";
            conflicts.push(Problem::new("role", "", expected));
        }
        if conflicts.is_empty() {
            Ok(())
        } else {
            Err(Refused::Conflict(conflicts))
        }
    }

    /// What the file's peers have already.
    pub(super) fn file_conflicts(&self) -> Vec<Problem> {
        let file = &self.facts.file;
        let mut problems = Vec::new();
        for (key, within) in self.peers.iter().filter(|(key, _)| !self.taken.contains(*key)) {
            let Some(peer) = self.next.peer(key) else { continue };
            if let Some(name) = &peer.name
                && file.names.contains_key(name)
            {
                let expected = "another name; a peer of weir.toml has this one";
                problems.push(Problem::new("name", name, expected).within(within));
            }
            for (place, prefix) in peer.allowed_ips.iter().enumerate() {
                if let Some(owner) = file.prefixes.get(prefix) {
                    let expected = format!("another network; peer {} has this one", file.title(owner));
                    let field = format!("allowed_ips[{place}]");
                    problems.push(Problem::new(field, prefix, expected).within(within));
                }
            }
        }
        problems
    }

    /// Names and networks that went from one peer to another, and that both have now.
    pub(super) fn moved_conflicts(&mut self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (name, before) in std::mem::take(&mut self.names_moved) {
            let Some(peer) = self
                .next
                .peer(&before)
                .filter(|peer| peer.name.as_ref() == Some(&name))
            else {
                continue;
            };
            let now = *self.next.names.get(&name).unwrap_or(&before);
            if now != peer.public_key {
                let within = self.peers.get(&now).map_or("", String::as_str);
                let expected = format!("another name; peer {before} has this one");
                problems.push(Problem::new("name", &name, expected).within(within));
            } else {
                self.next.names.insert(name, before);
            }
        }
        for (prefix, before) in std::mem::take(&mut self.prefixes_moved) {
            let Some(peer) = self
                .next
                .peer(&before)
                .filter(|peer| peer.allowed_ips.contains(&prefix))
            else {
                continue;
            };
            let now = *self.next.prefixes.get(&prefix).unwrap_or(&before);
            if now != before {
                let within = self.peers.get(&now).map_or("", String::as_str);
                let title = peer
                    .name
                    .as_ref()
                    .map_or_else(|| before.to_string(), |name| format!("{name:?}"));
                let expected = format!("another network; peer {title} has this one");
                let wants = self.next.peer(&now);
                let place = wants.and_then(|peer| peer.allowed_ips.iter().position(|has| *has == prefix));
                let field = place.map_or("allowed_ips".to_owned(), |place| format!("allowed_ips[{place}]"));
                problems.push(Problem::new(field, prefix, expected).within(within));
            } else {
                self.next.prefixes.insert(prefix, before);
            }
        }
        problems
    }

    /// Peers that go while a rule names them.
    pub(super) fn rule_conflicts(&self) -> Vec<Problem> {
        let gone = self
            .peers
            .iter()
            .filter(|(key, _)| !self.next.peers.contains_key(*key));
        let judged = gone.filter(|_| {
            !matches!(
                self.by.actor,
                crate::record::Actor::Wg | crate::record::Actor::Weir
            )
        });
        let named = judged.filter_map(|(key, within)| {
            let rules = check::rules_naming(key, &self.next.rules.items);
            let rule = rules.first()?;
            let expected = format!("a peer that no access rule names; rule {rule} does: change it first");
            Some(Problem::new("public_key", key, expected).within(within))
        });
        named.collect()
    }
}
