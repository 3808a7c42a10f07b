//! From declared rules to what shards judge by: peers and groups are looked up, and peers that the same rules concern
//! share one list.

use super::{Access, ClassId, Compiled, RuleList};
use crate::tables::{PeerFacts, Tables};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use weir_abi::change::Refusal;
use weir_abi::desired::Origin;
use weir_abi::key::PublicKey;
use weir_abi::prefix::Prefix;
use weir_abi::rule::{Action, ENTRIES_MAX, Protocol, RULES_MAX, Rule, Sender, Target};

/// A set of rules, one bit each.
type Bits = Vec<u64>;

/// A group that rules name.
#[derive(Default)]
struct Group {
    peers: usize,
    prefixes: Vec<Prefix>,
    /// Its place in [`Access::networks`].
    place: u32,
    /// The rules that name it as sender.
    rules: Option<Bits>,
}

struct Compiler<'a> {
    tables: &'a Tables,
    declared: &'a RuleList,
    rules: &'a [Rule],
    groups: BTreeMap<&'a str, Group>,
    access: Access,
}

impl Access {
    /// Compiles `rules` for the peers of `tables`. Each group's networks and each class are made once, however many
    /// rules and peers share them.
    ///
    /// # Errors
    /// A rule names what is not there though it must be, has ports without their protocol, or there are too many.
    pub(crate) fn compile(declared: RuleList, serial: u64, tables: &Tables) -> Result<Self, Refusal> {
        let mut compiler = Compiler {
            tables,
            declared: &declared,
            rules: declared.all(),
            groups: BTreeMap::new(),
            access: Access {
                serial,
                ..Access::default()
            },
        };
        if !declared.all().is_empty() {
            compiler.check()?;
            compiler.find_groups()?;
            compiler.compile_rules()?;
            compiler.classify()?;
        }
        let mut access = compiler.access;
        access.declared = declared;
        Ok(access)
    }
}

impl Compiler<'_> {
    fn check(&self) -> Result<(), Refusal> {
        bounded("access rules", self.rules.len(), RULES_MAX)?;
        for (number, rule) in self.rules.iter().enumerate() {
            for count in [rule.from.len(), rule.to.len(), rule.ports.len()] {
                bounded("entries of an access rule", count, ENTRIES_MAX)?;
            }
            if !rule.ports.is_empty() && !rule.protocol.is_some_and(Protocol::has_ports) {
                return Err(Refusal::RulePorts(self.place(number)));
            }
        }
        Ok(())
    }

    /// Collects the groups that rules name, whose members they have, and refuses those without any that must have some.
    fn find_groups(&mut self) -> Result<(), Refusal> {
        for rule in self.rules {
            for group in groups(rule) {
                self.groups.entry(group).or_default();
            }
        }
        for (_, facts) in self.tables.peers.iter() {
            for group in &facts.groups {
                if let Some(group) = self.groups.get_mut(group.as_str()) {
                    group.peers += 1;
                    group.prefixes.extend_from_slice(&facts.allowed_ips);
                }
            }
        }
        for (number, rule) in self.rules.iter().enumerate() {
            if let Some(group) = groups(rule).find(|group| self.groups[group].peers == 0)
                && self.is_strict(number)
            {
                return Err(Refusal::RuleOfUnknownGroup {
                    rule: self.place(number),
                    group: group.to_owned(),
                });
            }
        }
        for (place, group) in self.groups.values_mut().enumerate() {
            group.place = place as u32;
            let prefixes = core::mem::take(&mut group.prefixes);
            self.access.networks.push(prefixes.into_iter().collect());
        }
        Ok(())
    }

    fn compile_rules(&mut self) -> Result<(), Refusal> {
        for (number, rule) in self.rules.iter().enumerate() {
            let to = self.targets(number, rule)?;
            self.access.rules.push(Compiled {
                action: rule.action,
                log: rule.log,
                protocol: rule.protocol,
                ports: rule
                    .ports
                    .iter()
                    .map(|range| range.first()..=range.last())
                    .collect(),
                to,
            });
        }
        Ok(())
    }

    /// Groups by their shared networks, all else of the rule as networks of its own.
    fn targets(&mut self, number: usize, rule: &Rule) -> Result<Option<Box<[u32]>>, Refusal> {
        if rule.to.is_empty() {
            return Ok(None);
        }
        let (mut places, mut own) = (Vec::new(), Vec::new());
        for target in &rule.to {
            match target {
                Target::Group(group) => places.push(self.groups[group.as_str()].place),
                Target::Prefix(prefix) => own.push(*prefix),
                Target::Peer(key) => {
                    let facts = self.peer(number, key)?;
                    own.extend(facts.iter().flat_map(|facts| &facts.allowed_ips));
                }
            }
        }
        if !own.is_empty() {
            places.insert(0, self.access.networks.len() as u32);
            self.access.networks.push(own.into_iter().collect());
        }
        Ok(Some(places.into_boxed_slice()))
    }

    /// Gives each peer the list of the rules that concern it.
    fn classify(&mut self) -> Result<(), Refusal> {
        let none: Bits = vec![0; self.rules.len().div_ceil(64)];
        let mut all = none.clone();
        let mut peers: HashMap<PublicKey, Bits> = HashMap::new();
        for (number, rule) in self.rules.iter().enumerate() {
            if rule.from.is_empty() {
                set(&mut all, number);
            }
            for sender in &rule.from {
                match sender {
                    Sender::Group(group) => {
                        let group = self.groups.get_mut(group.as_str()).expect("it was collected");
                        set(group.rules.get_or_insert_with(|| none.clone()), number);
                    }
                    Sender::Peer(key) => {
                        self.peer(number, key)?;
                        set(peers.entry(*key).or_insert_with(|| none.clone()), number);
                    }
                }
            }
        }
        let mut classes = HashMap::new();
        self.access.others = self.class(&mut classes, all.clone());
        let as_targets: Vec<&PublicKey> = self
            .rules
            .iter()
            .flat_map(|rule| &rule.to)
            .filter_map(|target| match target {
                Target::Peer(key) => Some(key),
                Target::Prefix(_) | Target::Group(_) => None,
            })
            .collect();
        let tables = self.tables;
        let named: HashSet<PublicKey> = peers.keys().chain(as_targets).copied().collect();
        let there = named.iter().filter_map(|key| tables.peer_by_key(key));
        let grouped = tables.peers.iter().map(|(_, facts)| facts);
        let grouped = grouped.filter(|facts| !facts.groups.is_empty());
        let known: Vec<&Arc<PeerFacts>> = there.chain(grouped).collect();
        for facts in known {
            let mut bits = all.clone();
            let of_groups = facts
                .groups
                .iter()
                .filter_map(|group| self.groups.get(group.as_str()));
            let of_groups = of_groups.filter_map(|group| group.rules.as_ref());
            for others in of_groups.chain(peers.get(&facts.public_key)) {
                bits.iter_mut()
                    .zip(others)
                    .for_each(|(bits, others)| *bits |= others);
            }
            let class = self.class(&mut classes, bits);
            self.access.by_peer.insert(facts.id, class);
        }
        self.access.named = named;
        Ok(())
    }

    /// The class that these rules concern. Rules behind one that matches everything are none of its, and without a
    /// denial there is none.
    fn class(&mut self, classes: &mut HashMap<Bits, Option<ClassId>>, bits: Bits) -> Option<ClassId> {
        if let Some(&class) = classes.get(&bits) {
            return class;
        }
        let mut rules: Vec<u16> = Vec::new();
        for number in (0..self.rules.len()).filter(|number| bits[number / 64] >> (number % 64) & 1 == 1) {
            rules.push(number as u16);
            let rule = &self.rules[number];
            if rule.to.is_empty() && rule.protocol.is_none() {
                break;
            }
        }
        let denies = |&number: &u16| self.rules[usize::from(number)].action == Action::Deny;
        let class = rules.iter().any(denies).then(|| {
            self.access.classes.push(rules.into_boxed_slice());
            ClassId(self.access.classes.len() as u32 - 1)
        });
        classes.insert(bits, class);
        class
    }

    /// A peer that a rule names; `None` where it is not there and need not be.
    fn peer(&self, number: usize, key: &PublicKey) -> Result<Option<&Arc<PeerFacts>>, Refusal> {
        match self.tables.peer_by_key(key) {
            None if self.is_strict(number) => Err(Refusal::RuleOfUnknownPeer {
                rule: self.place(number),
                key: *key,
            }),
            found => Ok(found),
        }
    }

    /// Whether a rule may name only what is there. Control's may name peers that it has disabled: such a name matches
    /// nothing, and a rule of none but such names matches nothing at all.
    fn is_strict(&self, number: usize) -> bool {
        self.declared.owner(number).map(|(owner, _)| owner) != Some(Origin::Control)
    }

    /// The rule's number for people: among its owner's, from 1.
    fn place(&self, number: usize) -> usize {
        self.declared.owner(number).map_or(number, |(_, place)| place) + 1
    }
}

fn set(bits: &mut Bits, number: usize) {
    bits[number / 64] |= 1 << (number % 64);
}

/// The groups that a rule names.
fn groups(rule: &Rule) -> impl Iterator<Item = &str> {
    let from = rule.from.iter().filter_map(|sender| match sender {
        Sender::Group(group) => Some(group.as_str()),
        Sender::Peer(_) => None,
    });
    let to = rule.to.iter().filter_map(|target| match target {
        Target::Group(group) => Some(group.as_str()),
        Target::Prefix(_) | Target::Peer(_) => None,
    });
    from.chain(to)
}

fn bounded(what: &str, count: usize, most: usize) -> Result<(), Refusal> {
    if count <= most {
        return Ok(());
    }
    Err(Refusal::TooMany {
        what: what.to_owned(),
        count,
        most,
    })
}
