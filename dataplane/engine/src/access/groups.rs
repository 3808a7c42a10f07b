//! The groups that rules name.

use super::classes::Bits;
use crate::tables::PeerFacts;
use std::sync::Arc;

/// A group that rules name. What changes as members come and go is elsewhere.
#[derive(Default)]
pub(super) struct Group {
    /// Its place in [`super::Access::members`].
    pub number: usize,
    /// Whether a rule that may only name what is there names it.
    pub strict: bool,
    /// The rules that name it as sender.
    pub rules: Option<Arc<Bits>>,
    /// Its place in [`super::Access::addresses`], where a rule names it as target.
    pub place: Option<u32>,
}

/// The groups of a peer, each once.
pub(super) fn groups_of(facts: &PeerFacts) -> impl Iterator<Item = &String> {
    let groups = facts.groups.iter().enumerate();
    groups
        .filter(|(place, group)| !facts.groups[..*place].contains(group))
        .map(|(_, group)| group)
}
