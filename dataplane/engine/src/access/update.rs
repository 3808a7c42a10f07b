//! Compiled rules that follow single peers as they change: what a change does not touch is shared with what was
//! compiled before, so that its cost does not grow with the number of peers.

use super::compile::own_networks;
use super::groups::groups_of;
use super::{Access, bits};
use crate::tables::{PeerFacts, PeerId, Tables};
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

/// Sets of rules that come to be by single changes, beyond as many as there were, before all is compiled anew: those
/// that nobody needs any more go then.
const NEW_CLASSES: usize = 256;

/// What is to be made anew at the end, however many peers touched it.
#[derive(Default)]
struct Touched {
    groups: BTreeSet<String>,
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
            if !next.follow_groups(was, is, &mut touched) || !next.follow_name(was, is, &mut touched) {
                return None;
            }
            next.follow_class(id, is);
        }
        if next.classes.len() > 2 * next.compiled_classes + NEW_CLASSES {
            return None;
        }
        for name in touched.groups {
            let group = &next.groups[&name];
            if group.strict && group.members == 0 {
                return None;
            }
            if let Some(place) = group.place {
                next.networks[place as usize] = Arc::new(group.networks());
            }
        }
        for number in touched.rules {
            let number = usize::from(number);
            if let Some(place) = next.rules[number].own {
                let networks = own_networks(&next.declared.all()[number], after);
                next.networks[place as usize] = Arc::new(networks);
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
            networks: self.networks.clone(),
            groups: Arc::clone(&self.groups),
            named: Arc::clone(&self.named),
            all: Arc::clone(&self.all),
            classes: Arc::clone(&self.classes),
            compiled_classes: self.compiled_classes,
            others: self.others,
            by_peer: self.by_peer.clone(),
        }
    }

    /// Follows a peer that joins or leaves groups, or has other addresses in them. `false` where all must be compiled
    /// anew.
    fn follow_groups(
        &mut self,
        was: Option<&PeerFacts>,
        is: Option<&PeerFacts>,
        touched: &mut Touched,
    ) -> bool {
        let held = |facts: Option<&PeerFacts>, name| facts.is_some_and(|facts| facts.groups.contains(name));
        let same = match (was, is) {
            (Some(was), Some(is)) => was.allowed_ips == is.allowed_ips,
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        for (facts, other, joins) in [(was, is, false), (is, was, true)] {
            let Some(facts) = facts else { continue };
            for name in groups_of(facts) {
                let stays = held(other, name);
                if stays && same || !self.groups.contains_key(name) {
                    continue;
                }
                let Some(group) = Arc::make_mut(&mut self.groups).get_mut(name) else {
                    return false;
                };
                if !stays {
                    group.members = if joins {
                        group.members + 1
                    } else {
                        group.members - 1
                    };
                }
                if group.place.is_some() {
                    if joins {
                        group.add(&facts.allowed_ips);
                    } else {
                        group.remove(&facts.allowed_ips);
                    }
                }
                touched.groups.insert(name.clone());
            }
        }
        true
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
