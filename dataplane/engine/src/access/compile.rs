//! From declared rules to what shards judge by: peers and groups are looked up, and peers that the same rules concern
//! share one list.

use super::classes::{Bits, set};
use super::groups::groups_of;
use super::{Access, Addresses, Compiled, Group, Named, Networks, RuleList};
use crate::routes::Routes;
use crate::tables::{PeerFacts, Tables};
use std::collections::HashMap;
use std::sync::Arc;
use weir_abi::change::Refusal;
use weir_abi::desired::Origin;
use weir_abi::key::PublicKey;
use weir_abi::prefix::Prefix;
use weir_abi::rule::{ENTRIES_MAX, Protocol, RULES_MAX, Rule, Sender, Target};

struct Compiler<'a> {
    tables: &'a Tables,
    declared: &'a RuleList,
    rules: &'a [Rule],
    groups: HashMap<String, Group>,
    named: HashMap<PublicKey, Named>,
    access: Access,
}

impl Access {
    /// Compiles rules for the peers of `tables`, in place of `before`. Each group's networks and each class are made
    /// once, however many rules and peers share them.
    ///
    /// # Errors
    /// A rule names what is not there though it must be, has ports without their protocol, or there are too many.
    pub(crate) fn compile(declared: RuleList, before: &Access, tables: &Tables) -> Result<Self, Refusal> {
        let others = declared != before.declared;
        let mut compiler = Compiler {
            tables,
            declared: &declared,
            rules: declared.all(),
            groups: HashMap::new(),
            named: HashMap::new(),
            access: Access {
                serial: before.serial + u64::from(others),
                epoch: before.epoch + 1,
                ..Access::default()
            },
        };
        if !declared.all().is_empty() {
            compiler.check()?;
            compiler.find_names()?;
            compiler.find_members()?;
            compiler.compile_rules();
            compiler.classify();
        }
        let mut access = compiler.access;
        access.groups = Arc::new(compiler.groups);
        access.named = Arc::new(compiler.named);
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

    /// Collects the groups and peers that rules name, and how; refuses peers that are not there and must be.
    fn find_names(&mut self) -> Result<(), Refusal> {
        let none: Bits = vec![0; self.rules.len().div_ceil(64)];
        for (number, rule) in self.rules.iter().enumerate() {
            let strict = self.is_strict(number);
            for sender in &rule.from {
                let rules = match sender {
                    Sender::Group(name) => {
                        let group = group(&mut self.groups, name);
                        group.strict |= strict;
                        &mut group.rules
                    }
                    Sender::Peer(key) => &mut self.name(number, strict, key)?.rules,
                };
                set(
                    Arc::make_mut(rules.get_or_insert_with(|| Arc::new(none.clone()))),
                    number,
                );
            }
            for target in &rule.to {
                match target {
                    Target::Group(name) => {
                        let group = group(&mut self.groups, name);
                        group.strict |= strict;
                        let next = self.access.addresses.len() as u32;
                        if *group.place.get_or_insert(next) == next {
                            let none = Addresses::Members(Routes::default());
                            self.access.addresses.push(Arc::new(none));
                        }
                    }
                    Target::Peer(key) => {
                        let targets = &mut self.name(number, strict, key)?.targets;
                        if targets.last() != Some(&(number as u16)) {
                            targets.push(number as u16);
                        }
                    }
                    Target::Prefix(_) => {}
                }
            }
        }
        Ok(())
    }

    fn name(&mut self, number: usize, strict: bool, key: &PublicKey) -> Result<&mut Named, Refusal> {
        if strict && self.tables.peer_by_key(key).is_none() {
            return Err(Refusal::RuleOfUnknownPeer {
                rule: self.place(number),
                key: *key,
            });
        }
        let named = self.named.entry(*key).or_default();
        named.strict |= strict;
        Ok(named)
    }

    /// Gives the groups that rules name their members, and refuses those without any that must have some.
    fn find_members(&mut self) -> Result<(), Refusal> {
        let Access {
            members, addresses, ..
        } = &mut self.access;
        members.resize(self.groups.len(), 0);
        for (_, facts) in self.tables.peers.iter() {
            for group in groups_of(facts).filter_map(|name| self.groups.get(name)) {
                members[group.number] += 1;
                if let Some(place) = group.place {
                    Arc::make_mut(&mut addresses[place as usize]).add(facts);
                }
            }
        }
        let members = &self.access.members;
        for (number, rule) in self.rules.iter().enumerate() {
            if let Some(name) = names(rule).find(|name| members[self.groups[*name].number] == 0)
                && self.is_strict(number)
            {
                return Err(Refusal::RuleOfUnknownGroup {
                    rule: self.place(number),
                    group: name.to_owned(),
                });
            }
        }
        Ok(())
    }

    fn compile_rules(&mut self) {
        let mut compiled = Vec::with_capacity(self.rules.len());
        for rule in self.rules {
            let own = has_own(rule).then(|| {
                let networks = own_networks(rule, self.tables);
                let listed = Addresses::Listed(networks);
                self.access.addresses.push(Arc::new(listed));
                self.access.addresses.len() as u32 - 1
            });
            let groups = rule.to.iter().filter_map(|target| match target {
                Target::Group(name) => self.groups[name].place,
                Target::Prefix(_) | Target::Peer(_) => None,
            });
            let to: Box<[u32]> = own.into_iter().chain(groups).collect();
            compiled.push(Compiled {
                action: rule.action,
                log: rule.log,
                protocol: rule.protocol,
                ports: rule
                    .ports
                    .iter()
                    .map(|range| range.first()..=range.last())
                    .collect(),
                to: Some(to).filter(|_| !rule.to.is_empty()),
                own,
            });
        }
        self.access.rules = compiled.into();
    }

    /// Gives each peer the list of the rules that concern it.
    fn classify(&mut self) {
        let mut all: Bits = vec![0; self.rules.len().div_ceil(64)];
        for (number, rule) in self.rules.iter().enumerate() {
            if rule.from.is_empty() {
                set(&mut all, number);
            }
        }
        let mut classes = super::classes::Classes::default();
        self.access.others = classes.of(self.rules, all.clone());
        self.access.all = Arc::new(all);
        let tables = self.tables;
        let there = self.named.keys().filter_map(|key| tables.peer_by_key(key));
        let grouped = tables.peers.iter().map(|(_, facts)| facts);
        let grouped = grouped.filter(|facts| !facts.groups.is_empty());
        let known: Vec<&Arc<PeerFacts>> = there.chain(grouped).collect();
        for facts in known {
            let bits = super::bits(&self.access.all, &self.groups, &self.named, facts);
            let class = classes.of(self.rules, bits);
            self.access.by_peer.insert(facts.id, class);
        }
        self.access.compiled_classes = classes.len();
        self.access.classes = Arc::new(classes);
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

/// The group of this name, which has the next number where it is new.
fn group<'a>(groups: &'a mut HashMap<String, Group>, name: &str) -> &'a mut Group {
    let number = groups.len();
    groups.entry(name.to_owned()).or_insert_with(|| Group {
        number,
        ..Group::default()
    })
}

/// Whether a rule has targets other than groups.
fn has_own(rule: &Rule) -> bool {
    rule.to.iter().any(|target| match target {
        Target::Prefix(_) | Target::Peer(_) => true,
        Target::Group(_) => false,
    })
}

/// What a rule names as its targets other than groups, as addresses.
pub(super) fn own_networks(rule: &Rule, tables: &Tables) -> Networks {
    let mut own: Vec<Prefix> = Vec::new();
    for target in &rule.to {
        match target {
            Target::Prefix(prefix) => own.push(*prefix),
            Target::Peer(key) => {
                let facts = tables.peer_by_key(key);
                own.extend(facts.iter().flat_map(|facts| &facts.allowed_ips));
            }
            Target::Group(_) => {}
        }
    }
    own.into_iter().collect()
}

/// The groups that a rule names.
fn names(rule: &Rule) -> impl Iterator<Item = &str> {
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
