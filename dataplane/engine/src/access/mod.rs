//! Access rules: which flows peers may open. The [`crate::Applier`] compiles the declared rules with every generation of
//! tables that needs it; shards judge by them what leaves the tunnel and keep what they must remember for it
//! themselves.
//!
//! Rules are judged in their order, the file's before control's, and the first that matches decides; what none matches passes. A rule sees a packet
//! as far as it is known: where ports or protocol are hidden in another fragment, a denial that might match does.

mod addresses;
mod classes;
mod compile;
mod declared;
mod flow;
mod groups;
mod networks;
mod recent;
mod update;
mod verdicts;

pub use declared::RuleList;
pub(crate) use flow::{Flow, fragment_of, opening};
pub(crate) use recent::Recent;
pub(crate) use verdicts::Verdicts;

use crate::map::SharedMap;
use crate::tables::{PeerFacts, PeerId};
use addresses::Addresses;
use classes::{Bits, Classes, join};
use core::net::IpAddr;
use core::ops::RangeInclusive;
use groups::Group;
use networks::Networks;
use std::collections::HashMap;
use std::sync::Arc;
use weir_abi::key::PublicKey;
use weir_abi::rule::{Action, Protocol};
use weir_wire::ip;

/// Rules that are walked for each packet; verdicts of longer lists are remembered.
const WALKED_AT_MOST: usize = 4;

/// A set of peers that the same rules concern.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ClassId(u32);

/// The rules as shards judge by them; immutable.
#[derive(Default)]
pub struct Access {
    declared: RuleList,
    serial: u64,
    /// Counts how often all was compiled anew: a class means the same as long as this is the same.
    epoch: u64,
    rules: Arc<[Compiled]>,
    /// What rules name as their targets, each set once however many rules name it.
    addresses: Vec<Arc<Addresses>>,
    groups: Arc<HashMap<String, Group>>,
    /// How many peers are in each group.
    members: Vec<u32>,
    /// The peers that rules name, there or not.
    named: Arc<HashMap<PublicKey, Named>>,
    /// The rules of any sender.
    all: Arc<Bits>,
    classes: Arc<Classes>,
    /// How many sets of rules were needed when all was compiled.
    compiled_classes: usize,
    /// The class of every peer that is in no group and named by no rule.
    others: Option<ClassId>,
    /// The class of every other.
    by_peer: SharedMap<PeerId, Option<ClassId>>,
}

/// How rules name a peer.
#[derive(Clone, Default)]
struct Named {
    /// Whether a rule that may only name what is there does.
    strict: bool,
    /// The rules that name it as sender.
    rules: Option<Arc<Bits>>,
    /// The rules that name it as target, in their order.
    targets: Vec<u16>,
}

/// A rule without its senders.
struct Compiled {
    action: Action,
    log: bool,
    protocol: Option<Protocol>,
    /// Empty: all.
    ports: Box<[RangeInclusive<u16>]>,
    /// Places in [`Access::addresses`]; `None`: everywhere.
    to: Option<Box<[u32]>>,
    /// The one of them for what is not a group.
    own: Option<u32>,
}

/// What becomes of a flow, and by which rule; rules count from 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// It passes; `None` where no rule matches.
    Accept(Option<u16>),
    /// It is denied, and told if the rule says so.
    Deny { rule: u16, log: bool },
}

/// Whether a rule matches a flow of which not everything is known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Match {
    Yes,
    No,
    Perhaps,
}

impl Access {
    /// The rules as they were declared.
    pub fn declared(&self) -> &RuleList {
        &self.declared
    }

    /// Counts the changes of the rules' list, so that counts by number can be told apart.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// The class of a peer; `None` where no rule can deny it anything.
    pub fn class_of(&self, peer: PeerId) -> Option<ClassId> {
        self.by_peer.get(&peer).copied().unwrap_or(self.others)
    }

    /// Tells apart what classes mean: they mean the same while this is the same.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether to walk the rules of `class` costs more than to look up what they said last.
    pub(crate) fn is_long(&self, class: ClassId) -> bool {
        self.classes.rules(class).len() > WALKED_AT_MOST
    }

    /// Judges a flow that a peer of `class` may be opening.
    pub(crate) fn judge(&self, class: ClassId, flow: &Flow) -> Verdict {
        for &number in self.classes.rules(class) {
            let rule = &self.rules[usize::from(number)];
            match (self.matches(rule, flow), rule.action) {
                (Match::No, Action::Accept | Action::Deny) | (Match::Perhaps, Action::Accept) => {}
                (Match::Yes, Action::Accept) => return Verdict::Accept(Some(number)),
                (Match::Yes | Match::Perhaps, Action::Deny) => {
                    let (rule, log) = (number, rule.log);
                    return Verdict::Deny { rule, log };
                }
            }
        }
        Verdict::Accept(None)
    }

    fn matches(&self, rule: &Compiled, flow: &Flow) -> Match {
        let protocol = match (rule.protocol, flow.protocol) {
            (None, Some(_) | None) => Match::Yes,
            (Some(_), None) => Match::Perhaps,
            (Some(Protocol::Number(wanted)), Some(protocol)) => Match::known(wanted == protocol),
            (Some(Protocol::Icmp), Some(protocol)) => Match::known(match flow.destination {
                IpAddr::V4(_) => protocol == ip::ICMP,
                IpAddr::V6(_) => protocol == ip::ICMPV6,
            }),
        };
        if protocol == Match::No {
            return Match::No;
        }
        let ports = match (&*rule.ports, flow.ports) {
            ([], _) => Match::Yes,
            (_, None) => Match::Perhaps,
            (wanted, Some((_, port))) => Match::known(wanted.iter().any(|range| range.contains(&port))),
        };
        if ports == Match::No {
            return Match::No;
        }
        let inside = |to: &u32| self.addresses[*to as usize].contains(flow.destination);
        if rule.to.as_ref().is_some_and(|to| !to.iter().any(inside)) {
            return Match::No;
        }
        if protocol == Match::Yes { ports } else { protocol }
    }
}

/// The rules that concern a peer.
fn bits(
    all: &Bits,
    groups: &HashMap<String, Group>,
    named: &HashMap<PublicKey, Named>,
    facts: &PeerFacts,
) -> Bits {
    let mut bits = all.clone();
    let of_groups = facts.groups.iter().filter_map(|name| groups.get(name));
    let of_groups = of_groups.filter_map(|group| group.rules.as_ref());
    let of_peer = named
        .get(&facts.public_key)
        .and_then(|named| named.rules.as_ref());
    for others in of_groups.chain(of_peer) {
        join(&mut bits, others);
    }
    bits
}

impl Match {
    fn known(matches: bool) -> Self {
        if matches { Match::Yes } else { Match::No }
    }
}

#[cfg(test)]
mod tests;
