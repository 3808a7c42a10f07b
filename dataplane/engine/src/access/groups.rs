//! The groups that rules name, with what is needed to follow their members as these come and go.

use super::Networks;
use super::classes::Bits;
use crate::tables::PeerFacts;
use std::sync::Arc;
use weir_abi::prefix::Prefix;

/// A group that rules name.
#[derive(Clone, Default)]
pub(super) struct Group {
    /// Peers in it.
    pub members: usize,
    /// Whether a rule that may only name what is there names it.
    pub strict: bool,
    /// The rules that name it as sender.
    pub rules: Option<Arc<Bits>>,
    /// Its place in [`super::Access::networks`], where a rule names it as target.
    pub place: Option<u32>,
    /// The members' allowed IPs in ascending order, where a rule names it as target.
    prefixes: Vec<Prefix>,
}

impl Group {
    /// Takes in a member; [`Group::networks`] needs [`Group::sort`] first.
    pub fn gather(&mut self, facts: &PeerFacts) {
        self.members += 1;
        if self.place.is_some() {
            self.prefixes.extend_from_slice(&facts.allowed_ips);
        }
    }

    /// Puts what was gathered in order.
    pub fn sort(&mut self) {
        self.prefixes.sort_unstable();
    }

    /// Takes a member's allowed IPs in.
    pub fn add(&mut self, prefixes: &[Prefix]) {
        for &prefix in prefixes {
            let place = self.prefixes.partition_point(|&other| other < prefix);
            self.prefixes.insert(place, prefix);
        }
    }

    /// Takes a member's allowed IPs out. One that has moved to another member already is there twice.
    pub fn remove(&mut self, prefixes: &[Prefix]) {
        for prefix in prefixes {
            if let Ok(place) = self.prefixes.binary_search(prefix) {
                self.prefixes.remove(place);
            }
        }
    }

    /// The addresses of its members.
    pub fn networks(&self) -> Networks {
        self.prefixes.iter().copied().collect()
    }
}

/// The groups of a peer, each once.
pub(super) fn groups_of(facts: &PeerFacts) -> impl Iterator<Item = &String> {
    let groups = facts.groups.iter().enumerate();
    groups
        .filter(|(place, group)| !facts.groups[..*place].contains(group))
        .map(|(_, group)| group)
}
