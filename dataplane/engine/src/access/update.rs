//! Compiled rules that follow single peers as they change: what a change does not touch is shared with what was
//! compiled before, so that its cost does not grow with the number of peers.

use super::compile::own_networks;
use super::groups::groups_of;
use super::{Access, Addresses, bits};
use crate::tables::{PeerFacts, PeerId, Tables};
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

/// Sets of rules that come to be by single changes, beyond as many as there were, before all is compiled anew: those
/// that nobody needs any more go then.
const NEW_CLASSES: usize = 256;

/// What is to be seen to at the end, however many peers touched it.
#[derive(Default)]
struct Touched {
    /// Groups that peers left.
    left: BTreeSet<String>,
    /// Rules whose own targets are others.
    rules: BTreeSet<u16>,
}

impl Access {
    /// The same rules for the peers of `after`, where those of `before` are what this was made for and `changed` are the
    /// peers in which both differ. `None` where all must be compiled anew, if only to tell what is wrong.
    pub(crate) fn updated(&self, before: &Tables, after: &Tables, changed: &[PeerId]) -> Option<Self> {
        let mut next = self.share();
        let mut touched = Touched::default();
        let mut seen = HashSet::with_capacity(changed.len());
        for &id in changed.iter().filter(|&&id| seen.insert(id)) {
            let (was, is) = (before.peer(id), after.peer(id));
            let (was, is) = (was.map(Arc::as_ref), is.map(Arc::as_ref));
            next.follow_groups(was, is, &mut touched);
            if !next.follow_name(was, is, &mut touched) {
                return None;
            }
            next.follow_class(id, is);
        }
        if next.classes.len() > 2 * next.compiled_classes + NEW_CLASSES {
            return None;
        }
        let emptied = |name: &String| {
            let group = &next.groups[name];
            group.strict && next.members[group.number] == 0
        };
        if touched.left.iter().any(emptied) {
            return None;
        }
        for number in touched.rules {
            let number = usize::from(number);
            if let Some(place) = next.rules[number].own {
                let networks = own_networks(&next.declared.all()[number], after);
                next.addresses[place as usize] = Arc::new(Addresses::Listed(networks));
            }
        }
        Some(next)
    }

    fn share(&self) -> Self {
        Self {
            declared: self.declared.clone(),
            serial: self.serial,
            epoch: self.epoch,
            rules: Arc::clone(&self.rules),
            addresses: self.addresses.clone(),
            groups: Arc::clone(&self.groups),
            members: self.members.clone(),
            named: Arc::clone(&self.named),
            all: Arc::clone(&self.all),
            classes: Arc::clone(&self.classes),
            compiled_classes: self.compiled_classes,
            others: self.others,
            by_peer: self.by_peer.clone(),
        }
    }

    /// Follows a peer that joins or leaves groups, or has other addresses in them.
    fn follow_groups(&mut self, was: Option<&PeerFacts>, is: Option<&PeerFacts>, touched: &mut Touched) {
        let same = was.map(|facts| &facts.allowed_ips) == is.map(|facts| &facts.allowed_ips);
        for (facts, other, joins) in [(was, is, false), (is, was, true)] {
            let Some(facts) = facts else { continue };
            for name in groups_of(facts) {
                let Some(group) = self.groups.get(name) else {
                    continue;
                };
                let stays = other.is_some_and(|other| other.groups.contains(name));
                if stays && same {
                    continue;
                }
                match (stays, joins) {
                    (true, _) => {}
                    (false, true) => self.members[group.number] += 1,
                    (false, false) => {
                        self.members[group.number] -= 1;
                        touched.left.insert(name.clone());
                    }
                }
                if let Some(place) = group.place {
                    let addresses = Arc::make_mut(&mut self.addresses[place as usize]);
                    if joins {
                        addresses.add(facts);
                    } else {
                        addresses.remove(facts);
                    }
                }
            }
        }
    }

    /// Follows a peer that rules name. `false` where it is gone and must not be.
    fn follow_name(
        &mut self,
        was: Option<&PeerFacts>,
        is: Option<&PeerFacts>,
        touched: &mut Touched,
    ) -> bool {
        let Some(facts) = is.or(was) else { return true };
        let Some(named) = self.named.get(&facts.public_key) else {
            return true;
        };
        touched.rules.extend(&named.targets);
        is.is_some() || !named.strict
    }

    fn follow_class(&mut self, id: PeerId, is: Option<&PeerFacts>) {
        let Some(facts) = is.filter(|facts| self.concerns(facts)) else {
            self.by_peer.remove(&id);
            return;
        };
        let bits = bits(&self.all, &self.groups, &self.named, facts);
        let class = match self.classes.known(&bits) {
            Some(class) => class,
            None => Arc::make_mut(&mut self.classes).of(self.declared.all(), bits),
        };
        if self.by_peer.get(&id) != Some(&class) {
            self.by_peer.insert(id, class);
        }
    }

    /// Whether the peer has a class of its own account.
    fn concerns(&self, facts: &PeerFacts) -> bool {
        !facts.groups.is_empty() || self.named.contains_key(&facts.public_key)
    }
}
