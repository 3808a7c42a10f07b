//! Peers that the same rules concern share one list of them.

use super::ClassId;
use std::collections::HashMap;
use weir_abi::rule::{Action, Rule};

/// A set of rules, one bit each.
pub(super) type Bits = Vec<u64>;

/// Adds a rule to a set.
pub(super) fn set(bits: &mut Bits, number: usize) {
    bits[number / 64] |= 1 << (number % 64);
}

/// Adds the rules of another set.
pub(super) fn join(bits: &mut Bits, others: &Bits) {
    bits.iter_mut()
        .zip(others)
        .for_each(|(bits, others)| *bits |= others);
}

/// The classes that were needed so far.
#[derive(Clone, Default)]
pub(super) struct Classes {
    /// The rules that concern each class, by number, in their order.
    lists: Vec<Box<[u16]>>,
    by_bits: HashMap<Bits, Option<ClassId>>,
}

impl Classes {
    /// The rules of a class.
    pub fn rules(&self, class: ClassId) -> &[u16] {
        &self.lists[class.0 as usize]
    }

    /// How many sets of rules were asked for.
    pub fn len(&self) -> usize {
        self.by_bits.len()
    }

    /// How many classes there are.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.lists.len()
    }

    /// The class that these rules concern, if it was needed before.
    pub fn known(&self, bits: &Bits) -> Option<Option<ClassId>> {
        self.by_bits.get(bits).copied()
    }

    /// The class that these rules concern. Rules behind one that matches everything are none of its, and without a
    /// denial there is none.
    pub fn of(&mut self, declared: &[Rule], bits: Bits) -> Option<ClassId> {
        if let Some(class) = self.known(&bits) {
            return class;
        }
        let mut rules: Vec<u16> = Vec::new();
        for number in (0..declared.len()).filter(|number| bits[number / 64] >> (number % 64) & 1 == 1) {
            rules.push(number as u16);
            let rule = &declared[number];
            if rule.to.is_empty() && rule.protocol.is_none() {
                break;
            }
        }
        let denies = |&number: &u16| declared[usize::from(number)].action == Action::Deny;
        let class = rules.iter().any(denies).then(|| {
            self.lists.push(rules.into_boxed_slice());
            ClassId(self.lists.len() as u32 - 1)
        });
        self.by_bits.insert(bits, class);
        class
    }
}
