//! The chain of hashes.
//!
//! An entry's hash is BLAKE3, in its key derivation mode with the context "weir audit entry v1", over: the hash of the
//! entry before it (32 bytes); its number (8 bytes, big endian); then as texts the time (RFC 3339, UTC, as the API shows
//! it), actor, source, action and target, each behind its length in bytes (4 bytes, big endian); then for before and for
//! after the number of facts (4 bytes) and each fact's field and value, as texts, in the order of their fields. So whoever
//! has an exported log can check it without Weir.

use std::fmt;

use weir_model::record::{AuditEntry, AuditHash, Facts, NewAuditEntry};

use crate::records::AuditAnchor;

/// The context of the hash.
const CONTEXT: &str = "weir audit entry v1";

/// The hash of an entry with this number behind the entry with the hash `before`.
pub(crate) fn hash_of(before: AuditHash, number: u64, entry: &NewAuditEntry) -> AuditHash {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    hasher.update(&before.0);
    hasher.update(&number.to_be_bytes());
    text(&mut hasher, &entry.at.to_string());
    text(&mut hasher, &entry.actor.to_string());
    text(&mut hasher, &entry.source.to_string());
    text(&mut hasher, entry.action.name());
    text(&mut hasher, &entry.target);
    facts(&mut hasher, &entry.before);
    facts(&mut hasher, &entry.after);
    AuditHash(*hasher.finalize().as_bytes())
}

fn text(hasher: &mut blake3::Hasher, text: &str) {
    length(hasher, text.len());
    hasher.update(text.as_bytes());
}

fn facts(hasher: &mut blake3::Hasher, facts: &Facts) {
    length(hasher, facts.len());
    for (field, value) in facts {
        text(hasher, field);
        text(hasher, value);
    }
}

fn length(hasher: &mut blake3::Hasher, length: usize) {
    let length = u32::try_from(length).expect("an entry is shorter than 4 GiB");
    hasher.update(&length.to_be_bytes());
}

/// What is wrong with the log, first of all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AuditFault {
    /// Entries are gone.
    Missing {
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
    },
    /// An entry, or one before it, is not what was written, or stands where another did.
    Altered(u64),
    /// The file around an entry is damaged.
    Unreadable {
        /// The first entry that could not be read.
        number: u64,
        /// Why.
        why: String,
    },
}

impl fmt::Display for AuditFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AuditFault::Missing { first, last } if first == last => write!(f, "entry {first} is missing"),
            AuditFault::Missing { first, last } => write!(f, "entries {first} to {last} are missing"),
            AuditFault::Altered(number) => write!(f, "entry {number} is not what was written"),
            AuditFault::Unreadable { number, why } => write!(f, "entry {number} cannot be read: {why}"),
        }
    }
}

/// Follows the chain from its oldest entry to its newest.
pub(crate) struct Chain {
    next: u64,
    before: AuditHash,
}

impl Chain {
    /// At the oldest entry.
    pub(crate) fn new(anchor: &AuditAnchor) -> Self {
        Self {
            next: anchor.first,
            before: anchor.before,
        }
    }

    /// At an entry within the log, whose predecessor's hash is known.
    pub(crate) fn at(number: u64, before: AuditHash) -> Self {
        Self { next: number, before }
    }

    /// Takes the next entry.
    pub(crate) fn follow(&mut self, number: u64, entry: &AuditEntry) -> Result<(), AuditFault> {
        if number > self.next {
            return Err(AuditFault::Missing {
                first: self.next,
                last: number - 1,
            });
        }
        let expected = hash_of(self.before, number, &entry.entry);
        if number < self.next || entry.number != number || entry.hash != expected {
            return Err(AuditFault::Altered(number));
        }
        self.next = number + 1;
        self.before = entry.hash;
        Ok(())
    }

    /// Says whether the newest entry was reached.
    pub(crate) fn end(self, anchor: &AuditAnchor) -> Result<(), AuditFault> {
        if self.next <= anchor.last {
            return Err(AuditFault::Missing {
                first: self.next,
                last: anchor.last,
            });
        }
        if self.next != anchor.last + 1 || self.before != anchor.head {
            return Err(AuditFault::Altered(anchor.last));
        }
        Ok(())
    }

    /// The number of the entry that is to come.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;
    use weir_model::record::{Action, Actor, Source};

    fn log(length: u64) -> (AuditAnchor, Vec<AuditEntry>) {
        let (mut anchor, mut entries) = (AuditAnchor::default(), Vec::new());
        for number in 1..=length {
            let entry = NewAuditEntry {
                at: Timestamp::from_second(number as i64).expect("a time"),
                actor: Actor::User("alice".to_owned()),
                source: Source::UnixSocket,
                action: Action::PeerChanged,
                target: format!("peer {number}"),
                before: Facts::from([("name".to_owned(), "a".to_owned())]),
                after: Facts::from([("name".to_owned(), "b".to_owned())]),
            };
            let hash = hash_of(anchor.head, number, &entry);
            (anchor.last, anchor.head) = (number, hash);
            entries.push(AuditEntry { number, entry, hash });
        }
        (anchor, entries)
    }

    fn check(anchor: &AuditAnchor, entries: &[AuditEntry]) -> Result<(), AuditFault> {
        let mut chain = Chain::new(anchor);
        for entry in entries {
            chain.follow(entry.number, entry)?;
        }
        chain.end(anchor)
    }

    // Catches a field that is not hashed, by changing each: such a field could be altered unnoticed.
    #[test]
    fn every_field_counts() {
        let (_, entries) = log(1);
        let original = &entries[0].entry;
        let changes: [fn(&mut NewAuditEntry); 8] = [
            |entry| entry.at = Timestamp::MAX,
            |entry| entry.actor = Actor::Wg,
            |entry| entry.source = Source::Uapi,
            |entry| entry.action = Action::PeerRemoved,
            |entry| entry.target.push('x'),
            |entry| drop(entry.before.insert("name".to_owned(), "c".to_owned())),
            |entry| drop(entry.after.remove("name")),
            // The same text, cut elsewhere.
            |entry| {
                entry.after = Facts::from([("nam".to_owned(), "eb".to_owned())]);
            },
        ];
        for change in changes {
            let mut changed = original.clone();
            change(&mut changed);
            assert_ne!(
                hash_of(AuditHash::ORIGIN, 1, &changed),
                hash_of(AuditHash::ORIGIN, 1, original),
                "{changed:?}"
            );
        }
        assert_ne!(
            hash_of(AuditHash::ORIGIN, 2, original),
            hash_of(AuditHash::ORIGIN, 1, original)
        );
        assert_ne!(
            hash_of(AuditHash([1; 32]), 1, original),
            hash_of(AuditHash::ORIGIN, 1, original)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(0x7765_6972), failure_persistence: None, cases: 256, ..ProptestConfig::default() })]

        // Catches a log that is taken for whole though an entry was removed, altered, doubled, moved or cut off, also by
        // one who computes the hashes of what follows anew.
        #[test]
        fn whatever_is_done_to_the_log_shows(length in 2u64..20, at in any::<prop::sample::Index>(), kind in 0..6) {
            let (anchor, mut entries) = log(length);
            prop_assert_eq!(check(&anchor, &entries), Ok(()));
            let at = at.index(entries.len());
            match kind {
                0 => drop(entries.remove(at)),
                1 => entries[at].entry.target.push('!'),
                2 => entries.insert(at, entries[at].clone()),
                3 => entries.swap(at, (at + 1) % length as usize),
                4 => entries.truncate(at),
                _ => {
                    entries[at].entry.actor = Actor::Weir;
                    let mut before = if at == 0 { AuditHash::ORIGIN } else { entries[at - 1].hash };
                    for entry in &mut entries[at..] {
                        entry.hash = hash_of(before, entry.number, &entry.entry);
                        before = entry.hash;
                    }
                }
            }
            prop_assert!(check(&anchor, &entries).is_err());
        }
    }
}
