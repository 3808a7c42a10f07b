//! The access rules as their owners declared them, in the order in which they are judged.

use std::sync::Arc;
use weir_abi::desired::Origin;
use weir_abi::rule::Rule;

/// The owners in the order in which their rules are judged: what the file says comes before what anybody else does.
const ORDER: [Origin; 3] = [Origin::File, Origin::Control, Origin::Uapi];

/// The rules of all owners. Copies share them.
#[derive(Clone, PartialEq, Debug)]
pub struct RuleList {
    all: Arc<[Rule]>,
    /// How many of them are each owner's, in [`ORDER`].
    counts: [usize; ORDER.len()],
}

impl Default for RuleList {
    fn default() -> Self {
        Self {
            all: Arc::from([]),
            counts: [0; ORDER.len()],
        }
    }
}

impl RuleList {
    /// The rules in the order in which they are judged.
    pub fn all(&self) -> &[Rule] {
        &self.all
    }

    /// The rules of one owner.
    pub fn of(&self, owner: Origin) -> &[Rule] {
        let place = place(owner);
        let before: usize = self.counts[..place].iter().sum();
        &self.all[before..before + self.counts[place]]
    }

    /// Whose the rule of this number is, and which of the owner's; both count from 0. `None` where there is none.
    pub fn owner(&self, number: usize) -> Option<(Origin, usize)> {
        let mut left = number;
        for (owner, count) in ORDER.into_iter().zip(self.counts) {
            if left < count {
                return Some((owner, left));
            }
            left -= count;
        }
        None
    }

    /// The list in which one owner's rules are `rules`.
    pub fn replaced(&self, owner: Origin, rules: &[Rule]) -> Self {
        let parts = ORDER.map(|other| if other == owner { rules } else { self.of(other) });
        Self {
            all: parts.concat().into(),
            counts: parts.map(<[Rule]>::len),
        }
    }
}

fn place(owner: Origin) -> usize {
    match owner {
        Origin::File => 0,
        Origin::Control => 1,
        Origin::Uapi => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_abi::rule::Action;

    // Catches rules judged out of order, one owner's rules lost with another's, and a number counted in another's list.
    #[test]
    fn each_owner_has_its_own_part() {
        let named = |names: &[&str]| -> Vec<Rule> {
            let rule = |name: &&str| Rule {
                name: Some((*name).to_owned()),
                ..Rule::new(Action::Deny)
            };
            names.iter().map(rule).collect()
        };
        for (number, owner) in ORDER.into_iter().enumerate() {
            assert_eq!(place(owner), number);
        }
        let list = RuleList::default()
            .replaced(Origin::Uapi, &named(&["u"]))
            .replaced(Origin::Control, &named(&["x"]))
            .replaced(Origin::File, &named(&["f", "g"]))
            .replaced(Origin::Control, &named(&["c", "d"]));
        assert_eq!(list.all(), named(&["f", "g", "c", "d", "u"]));
        assert_eq!(list.of(Origin::Control), named(&["c", "d"]));
        let owners: Vec<_> = (0..6).map(|number| list.owner(number)).collect();
        assert_eq!(owners[1], Some((Origin::File, 1)));
        assert_eq!(owners[3], Some((Origin::Control, 1)));
        assert_eq!(owners[4], Some((Origin::Uapi, 0)));
        assert_eq!(owners[5], None);
        let list = list.replaced(Origin::Control, &[]);
        assert_eq!(list.all(), named(&["f", "g", "u"]));
    }
}
