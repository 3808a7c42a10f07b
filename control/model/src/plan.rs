//! What changes come to: the next state, what the store is to write, what is logged, what differs.

use crate::change::{Asker, Change, PeerEdit, Placed};
use crate::check;
use crate::gateway::GatewayFacts;
use crate::problem::{Problem, Refused};
use crate::record::{Action, Before, ChangeId, NewAuditEntry, Peer, Rules, TokenId, Write};
use crate::shown::Difference;
use crate::snapshot::Snapshot;
use finish::finish;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_abi::key::PublicKey;
use weir_abi::prefix::Prefix;
use weir_config::allocate::Allocator;

mod access;
mod finish;
mod whole;

/// What a set of changes comes to.
#[derive(Clone, PartialEq, Debug)]
pub struct Planned {
    /// The state after it.
    pub next: Snapshot,
    /// What the store writes.
    pub writes: Vec<Write>,
    /// What the audit log gets.
    pub audit: Vec<NewAuditEntry>,
    /// What differs, for people.
    pub differences: Vec<Difference>,
    /// What undoes it.
    pub before: Before,
    /// The peers that the data plane is to be told of.
    pub peers: BTreeSet<PublicKey>,
    /// Whether it is to be told of the rules.
    pub rules: bool,
    /// Peers that came to be, changed, and went.
    pub counts: [u64; 3],
}

impl Planned {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.audit.is_empty() && self.peers.is_empty()
    }
}

/// Checks changes as a whole and says what they come to: all of them, in their order, or none.
pub fn plan(
    state: &Snapshot,
    facts: &GatewayFacts,
    changes: &[Placed],
    by: &Asker,
) -> Result<Planned, Refused> {
    let mut draft = Draft::new(state, facts, by);
    for placed in changes {
        draft.within.clone_from(&placed.within);
        draft.change(&placed.change)?;
    }
    draft.check()?;
    Ok(finish(state, draft))
}

/// The next state while it is put together.
struct Draft<'a> {
    next: Snapshot,
    facts: &'a GatewayFacts,
    by: &'a Asker,
    within: String,
    problems: Vec<Problem>,
    /// Peers that were touched, and what problems call them.
    peers: BTreeMap<PublicKey, String>,
    /// Peers that are not judged, for they are in force.
    taken: BTreeSet<PublicKey>,
    users: BTreeSet<String>,
    passwords: BTreeSet<String>,
    tokens: BTreeSet<TokenId>,
    rules: bool,
    settings: bool,
    /// Names and prefixes that went from one peer to another, and from whom.
    names_moved: Vec<(String, PublicKey)>,
    prefixes_moved: Vec<(Prefix, PublicKey)>,
    allocator: Option<Allocator>,
    /// Writes that nothing is logged of by itself, and entries that no difference makes.
    quiet: Vec<Write>,
    audit: Vec<NewAuditEntry>,
    expired: BTreeSet<PublicKey>,
}

impl<'a> Draft<'a> {
    fn new(state: &Snapshot, facts: &'a GatewayFacts, by: &'a Asker) -> Self {
        Self {
            next: state.clone(),
            facts,
            by,
            within: String::new(),
            problems: Vec::new(),
            peers: BTreeMap::new(),
            taken: BTreeSet::new(),
            users: BTreeSet::new(),
            passwords: BTreeSet::new(),
            tokens: BTreeSet::new(),
            rules: false,
            settings: false,
            names_moved: Vec::new(),
            prefixes_moved: Vec::new(),
            allocator: None,
            quiet: Vec::new(),
            audit: Vec::new(),
            expired: BTreeSet::new(),
        }
    }

    fn change(&mut self, change: &Change) -> Result<(), Refused> {
        match change {
            Change::CreatePeer(key, edit) => self.create_peer(*key, edit)?,
            Change::PutPeer(key, edit) => self.put_or_create(*key, edit)?,
            Change::PatchPeer(key, edit) => self.patch_peer(key, edit)?,
            Change::RemovePeer(key) => self.remove_peer(key)?,
            Change::TakePeer(peer) => self.take_peer(peer),
            Change::LosePeer(key) => self.lose_peer(key),
            Change::ExpirePeer(key) => drop(self.expired.insert(*key)),
            Change::Rules(items) => self.put_rules(items),
            Change::CreateUser(user) => self.create_user(user)?,
            Change::PatchUser(name, edit) => self.patch_user(name, edit)?,
            Change::SetPassword {
                name,
                hash,
                must_change,
                keep,
            } => {
                let mut user = self.user(name)?;
                user.password = hash.clone();
                user.must_change_password = *must_change;
                self.passwords.insert(name.clone());
                self.put_user(user);
                self.end_sessions(name, *keep);
            }
            Change::RemoveUser(name) => self.remove_user(name)?,
            Change::Login { name, action, why } => self.login(name, *action, why),
            Change::CreateToken(token) => self.create_token(token)?,
            Change::RemoveToken(id) => self.remove_token(id)?,
            Change::TouchToken(id, at) => {
                if let Some(token) = self.next.tokens.get(id) {
                    let touched = crate::record::Token {
                        last_used_at: Some(*at),
                        ..token.clone()
                    };
                    self.write(Write::Token(touched));
                }
            }
            Change::OpenSession(session) => self.open_session(session),
            Change::CloseSession(id) => self.close_session(id),
            Change::Settings(settings) => {
                let problems = check::settings(settings);
                self.report(problems);
                self.settings = true;
                self.next.settings = Arc::new(settings.clone());
            }
            Change::BackupTaken => self.note(Action::BackupTaken, String::new(), crate::record::Facts::new()),
            Change::Confirm(id) => self.confirm(id)?,
            Change::Revert(id) => self.revert(id)?,
        }
        Ok(())
    }

    /// Writes at once what is not compared at the end.
    fn write(&mut self, write: Write) {
        self.next.apply(&write);
        self.quiet.push(write);
    }

    fn report(&mut self, problems: impl IntoIterator<Item = Problem>) {
        let within = &self.within;
        self.problems
            .extend(problems.into_iter().map(|problem| problem.within(within)));
    }

    /// An entry of the audit log without differences.
    fn note(&mut self, action: Action, target: String, after: crate::record::Facts) {
        self.audit.push(NewAuditEntry {
            at: self.by.now,
            actor: self.by.actor.clone(),
            source: self.by.source,
            action,
            target,
            before: crate::record::Facts::new(),
            after,
        });
    }
}

/// Peers.
impl Draft<'_> {
    fn create_peer(&mut self, key: PublicKey, edit: &PeerEdit) -> Result<(), Refused> {
        self.refuse_file_peer(&key)?;
        if self.next.peers.contains_key(&key) {
            let name = key.to_string();
            return Err(Refused::Exists { what: "peer", name });
        }
        let mut peer = Peer::new(key, self.by.now);
        edit.apply(&mut peer);
        if edit.allowed_ips.is_none() {
            peer.allowed_ips = self.allocate()?;
        }
        self.put_peer(peer, edit);
        Ok(())
    }

    fn put_or_create(&mut self, key: PublicKey, edit: &PeerEdit) -> Result<(), Refused> {
        if self.next.peers.contains_key(&key) {
            self.patch_peer(&key, edit)
        } else {
            self.create_peer(key, edit)
        }
    }

    fn patch_peer(&mut self, key: &PublicKey, edit: &PeerEdit) -> Result<(), Refused> {
        let Some(known) = self.next.peer(key) else {
            self.refuse_file_peer(key)?;
            return Err(Refused::NotFound {
                what: "peer",
                name: key.to_string(),
            });
        };
        let mut peer = Peer::clone(known);
        edit.apply(&mut peer);
        self.put_peer(peer, edit);
        Ok(())
    }

    fn remove_peer(&mut self, key: &PublicKey) -> Result<(), Refused> {
        if !self.next.peers.contains_key(key) {
            self.refuse_file_peer(key)?;
            return Err(Refused::NotFound {
                what: "peer",
                name: key.to_string(),
            });
        }
        self.lose_peer(key);
        Ok(())
    }

    fn lose_peer(&mut self, key: &PublicKey) {
        self.touch(*key);
        self.next.apply(&Write::RemovePeer(*key));
    }

    /// What `wg` did is in force: who had its prefixes there has them no longer.
    fn take_peer(&mut self, peer: &Peer) {
        for prefix in &peer.allowed_ips {
            let owner = self
                .next
                .prefixes
                .get(prefix)
                .filter(|owner| **owner != peer.public_key);
            if let Some(owner) = owner.and_then(|owner| self.next.peer(owner)) {
                let mut loser = Peer::clone(owner);
                loser.allowed_ips.retain(|p| p != prefix);
                self.taken.insert(loser.public_key);
                self.replace(loser);
            }
        }
        self.taken.insert(peer.public_key);
        self.replace(peer.clone());
    }

    fn put_peer(&mut self, peer: Peer, edit: &PeerEdit) {
        if let Some(Some(at)) = edit
            .expires_at
            .filter(|at| at.is_some_and(|at| at <= self.by.now))
        {
            self.report([Problem::new("expires_at", at, "a time to come")]);
        }
        let problems = check::peer(&peer, self.facts);
        self.report(problems);
        let key = peer.public_key;
        if let Some(name) = &peer.name
            && let Some(owner) = self.next.names.get(name).filter(|owner| **owner != key)
        {
            self.names_moved.push((name.clone(), *owner));
        }
        for prefix in &peer.allowed_ips {
            if let Some(owner) = self.next.prefixes.get(prefix).filter(|owner| **owner != key) {
                self.prefixes_moved.push((*prefix, *owner));
            }
        }
        self.replace(peer);
    }

    /// Puts a peer, with the time of its change later than the one before.
    fn replace(&mut self, mut peer: Peer) {
        self.touch(peer.public_key);
        if let Some(known) = self.next.peer(&peer.public_key) {
            peer.updated_at = known.updated_at;
            if **known == peer {
                return;
            }
            let later = known.updated_at.checked_add(jiff::SignedDuration::from_nanos(1));
            peer.updated_at = later.map_or(self.by.now, |later| later.max(self.by.now));
        }
        self.next.apply(&Write::Peer(peer));
    }

    fn touch(&mut self, key: PublicKey) {
        self.peers.insert(key, self.within.clone());
    }

    fn refuse_file_peer(&self, key: &PublicKey) -> Result<(), Refused> {
        if self.facts.file.peers.contains_key(key) {
            return Err(Refused::DeclaredInFile(*key));
        }
        Ok(())
    }

    fn allocate(&mut self) -> Result<Vec<Prefix>, Refused> {
        let refused = |error: weir_config::allocate::AllocateError, within: &str| {
            let expected = format!("networks to be given, for {error}");
            Refused::Invalid(vec![Problem::new("allowed_ips", "", expected).within(within)])
        };
        loop {
            if self.allocator.is_none() {
                let taken = self.next.prefixes.keys().chain(self.facts.file.prefixes.keys());
                let made = Allocator::new(&self.facts.addresses, taken.copied());
                self.allocator = Some(made.map_err(|error| refused(error, &self.within))?);
            }
            let allocator = self.allocator.as_mut().expect("it was just made");
            let given = allocator
                .next_addresses()
                .map_err(|error| refused(error, &self.within))?;
            // What was asked for by name since the allocator looked is taken too.
            if !given.iter().any(|prefix| self.next.prefixes.contains_key(prefix)) {
                return Ok(given);
            }
        }
    }
}

/// Rules.
impl Draft<'_> {
    fn put_rules(&mut self, items: &[weir_abi::rule::Rule]) {
        self.rules = true;
        if self.next.rules.items != items {
            let rules = Rules {
                items: items.to_vec(),
                updated_at: Some(self.by.now),
            };
            self.next.rules = Arc::new(rules);
        }
    }
}

/// Changes that wait.
impl Draft<'_> {
    fn pending(&self, id: &ChangeId) -> Result<crate::record::PendingChange, Refused> {
        let found = self.next.pending.get(id).cloned();
        found.ok_or_else(|| Refused::NotFound {
            what: "change",
            name: id.to_string(),
        })
    }

    fn confirm(&mut self, id: &ChangeId) -> Result<(), Refused> {
        let pending = self.pending(id)?;
        self.write(Write::RemovePending(*id));
        self.note(
            Action::ChangeConfirmed,
            format!("change/{id}"),
            [("summary".to_owned(), pending.summary)].into(),
        );
        Ok(())
    }

    /// Puts back what was. Records were in order then, so they are not judged again, but that nobody else has their names
    /// and networks by now.
    fn revert(&mut self, id: &ChangeId) -> Result<(), Refused> {
        let pending = self.pending(id)?;
        self.write(Write::RemovePending(*id));
        self.note(
            Action::ChangeReverted,
            format!("change/{id}"),
            [("summary".to_owned(), pending.summary)].into(),
        );
        for (key, peer) in &pending.before.peers {
            match peer {
                Some(peer) => self.take_peer(peer),
                None => self.lose_peer(key),
            }
        }
        if let Some(rules) = &pending.before.rules {
            self.put_rules(&rules.items);
        }
        for (name, user) in pending.before.users {
            match user {
                Some(user) => self.put_user(user),
                None if self.next.users.contains_key(&name) => self.remove_user(&name)?,
                None => {}
            }
        }
        for (id, token) in pending.before.tokens {
            self.tokens.insert(id);
            let write = token.map_or(Write::RemoveToken(id), Write::Token);
            self.next.apply(&write);
        }
        if let Some(settings) = pending.before.settings {
            self.settings = true;
            self.next.settings = Arc::new(settings);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
