//! Groups of changes: each is judged against what those before it come to, all are written by one commit and told to the
//! data plane at once, and each asker is answered.

use super::ask::{ChangeAsk, Done, Reply};
use super::{Owner, Wanted};
use crate::clock;
use crate::world::World;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::oneshot;
use weir_abi::key::PublicKey;
use weir_api::backend::Refusal;
use weir_api::types::{Changed, Event, FieldProblem, Key, Owner as Whose};
use weir_model::record::{Action, Actor, ChangeId, OutboxKey, PendingChange, Write};
use weir_model::{Asker, Planned, Problem, Refused, Snapshot, plan};
use weir_store::Batch;

/// Peers that an event names at most.
const NAMED_MAX: usize = 1000;

/// Several changes on their way into one commit.
struct Group {
    draft: Snapshot,
    batch: Batch,
    peers: BTreeSet<PublicKey>,
    rules: bool,
    events: Vec<Event>,
    waiting: Vec<(oneshot::Sender<Reply>, Done)>,
}

impl Owner {
    /// Makes the changes that can be made.
    pub(super) fn group(&mut self, asks: Vec<ChangeAsk>) {
        if asks.is_empty() {
            return;
        }
        let mut group = Group {
            draft: self.state.clone(),
            batch: Batch::default(),
            peers: BTreeSet::new(),
            rules: false,
            events: Vec::new(),
            waiting: Vec::new(),
        };
        for ask in asks {
            match self.judge(&mut group, &ask) {
                Ok(done) => group.waiting.push((ask.reply, done)),
                // Who asked may have gone.
                Err(refusal) => drop(ask.reply.send(Err(refusal))),
            }
        }
        let outcome = self.write(group.batch, group.draft, &group.peers, group.rules);
        if outcome.is_ok() {
            self.tell_data_plane(&group.peers, group.rules);
            group
                .events
                .into_iter()
                .for_each(|event| self.world.hub.publish(event));
        }
        for (reply, done) in group.waiting {
            let _ = reply.send(match &outcome {
                Ok(()) => Ok(done),
                Err(fault) => Err(Refusal::Storage(*fault)),
            });
        }
    }

    /// Says what a change comes to, and adds it to the group unless it is only asked about.
    fn judge(&self, group: &mut Group, ask: &ChangeAsk) -> Reply {
        if let Some((about, precondition)) = &ask.wanted.expect {
            let current = about.etag(&group.draft, &self.facts);
            if !precondition.holds(current.as_ref()) {
                return Err(Refusal::Precondition { etag: current });
            }
        }
        let now = clock::now();
        let by = Asker {
            actor: ask.actor.clone(),
            source: ask.source,
            now,
        };
        let mut planned = plan(&group.draft, &self.facts, &ask.changes, &by).map_err(refusal)?;
        let pending = self.pending(&mut planned, &by, &ask.wanted)?;
        let done = Done {
            state: planned.next.clone(),
            facts: Arc::clone(&self.facts),
            differences: std::mem::take(&mut planned.differences),
            counts: planned.counts,
            pending,
        };
        if !ask.wanted.dry_run {
            group.take(planned, &by);
        }
        Ok(done)
    }

    /// Has the change revert by itself, where that is wanted and it changes something.
    fn pending(
        &self,
        planned: &mut Planned,
        by: &Asker,
        wanted: &Wanted,
    ) -> Result<Option<PendingChange>, Refusal> {
        let Some(within) = wanted.confirm_within.filter(|_| !planned.differences.is_empty()) else {
            return Ok(None);
        };
        let held = planned.next.pending.len();
        if held >= weir_model::limits::PENDING_MAX {
            return Err(Refusal::TooMany {
                what: "changes that wait for their confirmation",
                retry_after_s: 60,
            });
        }
        let within = SignedDuration::try_from(within).unwrap_or(SignedDuration::MAX);
        let pending = PendingChange {
            id: ChangeId::from_bytes(clock::random()),
            actor: by.actor.clone(),
            summary: summary(planned),
            made_at: by.now,
            reverts_at: by.now.checked_add(within).unwrap_or(Timestamp::MAX),
            before: planned.before.clone(),
        };
        let write = Write::Pending(pending.clone());
        planned.next.apply(&write);
        planned.writes.push(write);
        Ok(Some(pending))
    }

    /// Writes what was planned and makes it the state.
    pub(super) fn write(
        &mut self,
        mut batch: Batch,
        next: Snapshot,
        peers: &BTreeSet<PublicKey>,
        rules: bool,
    ) -> Result<(), weir_api::backend::StorageFault> {
        let keys = peers.iter().copied().map(OutboxKey::Peer);
        batch.outbox.extend(keys.chain(rules.then_some(OutboxKey::Rules)));
        let touched = batch.outbox.clone();
        let Some(committed) = self.commit(batch)? else {
            return Ok(());
        };
        self.state = next;
        for key in touched {
            self.outbox.insert(key, committed.number);
            if let OutboxKey::Peer(key) = key {
                self.refused.remove(&key);
            }
        }
        self.note_expiries(peers);
        if peers
            .iter()
            .any(|key| self.conflicts.contains_key(key) || self.conflicting(key))
        {
            self.find_conflicts();
        }
        self.publish();
        Ok(())
    }

    fn conflicting(&self, key: &PublicKey) -> bool {
        self.state
            .peer(key)
            .is_some_and(|peer| self.facts.conflict(peer).is_some())
    }
}

impl Group {
    fn take(&mut self, planned: Planned, by: &Asker) {
        self.events.extend(told(&planned, by));
        self.draft = planned.next;
        self.batch.writes.extend(planned.writes);
        self.batch.audit.extend(planned.audit);
        self.peers.extend(planned.peers);
        self.rules |= planned.rules;
    }
}

/// What those who listen are told of a change.
pub(super) fn told(planned: &Planned, by: &Asker) -> Option<Event> {
    let administration = planned.audit.iter().any(|entry| {
        matches!(
            entry.action,
            Action::UserCreated
                | Action::UserChanged
                | Action::UserRemoved
                | Action::TokenCreated
                | Action::TokenRevoked
                | Action::SettingsChanged
        )
    });
    if planned.peers.is_empty() && !planned.rules && !administration {
        return None;
    }
    let few = planned.peers.len() <= NAMED_MAX;
    Some(Event::Change(Changed {
        at: by.now,
        actor: by.actor.to_string(),
        owner: Whose::Control,
        peers: few.then(|| planned.peers.iter().copied().map(Key).collect()),
        rules: planned.rules,
        administration,
    }))
}

/// A change in one line.
fn summary(planned: &Planned) -> String {
    let [created, changed, removed] = planned.counts;
    let mut parts: Vec<String> = [(created, "created"), (changed, "changed"), (removed, "removed")]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} peer{} {what}", if count == 1 { "" } else { "s" }))
        .collect();
    if planned.rules {
        parts.push("access rules changed".to_owned());
    }
    if parts.is_empty() {
        let actions = planned
            .audit
            .iter()
            .map(|entry| format!("{} {}", entry.action, entry.target));
        parts.extend(actions.take(3));
    }
    parts.join(", ")
}

/// A refusal of the model as the API tells it.
pub fn refusal(refused: Refused) -> Refusal {
    match refused {
        Refused::Invalid(problems) => Refusal::Invalid(problems.into_iter().map(field_problem).collect()),
        Refused::Conflict(problems) => Refusal::Taken(problems.into_iter().map(field_problem).collect()),
        Refused::NotFound { what, .. } => Refusal::NotFound { what },
        Refused::Exists { what, name } => Refusal::Conflict {
            detail: format!("{what} {name} exists already; change it, or choose another"),
        },
        Refused::Changed { .. } => Refusal::Precondition { etag: None },
        Refused::DeclaredInFile(key) => Refusal::ReadOnly {
            owner: Whose::File,
            detail: format!("peer {key} is declared in weir.toml; change it there"),
        },
    }
}

fn field_problem(problem: Problem) -> FieldProblem {
    if problem.value.is_empty() {
        FieldProblem::silent(problem.field, problem.expected)
    } else {
        FieldProblem::new(problem.field, problem.value, problem.expected)
    }
}

impl Owner {
    /// Makes a change by itself: `wg`'s, an expiry, a revert. `confirmed` peers need not be told to the data plane.
    pub(super) fn by_itself(
        &mut self,
        changes: Vec<weir_model::Change>,
        (actor, source): (Actor, weir_model::record::Source),
        tell: bool,
    ) -> bool {
        let by = Asker {
            actor,
            source,
            now: clock::now(),
        };
        let placed: Vec<_> = changes.into_iter().map(Into::into).collect();
        let planned = match plan(&self.state, &self.facts, &placed, &by) {
            Ok(planned) => planned,
            Err(refused) => {
                tracing::error!("{}: {refused}", by.actor);
                return false;
            }
        };
        if planned.is_empty() {
            return true;
        }
        let event = told(&planned, &by);
        let none = BTreeSet::new();
        let peers = if tell { &planned.peers } else { &none };
        let batch = Batch {
            writes: planned.writes,
            audit: planned.audit,
            ..Batch::default()
        };
        if self
            .write(batch, planned.next, peers, tell && planned.rules)
            .is_err()
        {
            return false;
        }
        if tell {
            self.tell_data_plane(&planned.peers, planned.rules);
        }
        publish(&self.world, event);
        true
    }
}

fn publish(world: &World, event: Option<Event>) {
    if let Some(event) = event {
        world.hub.publish(event);
    }
}
