//! A map of which copies are cheap: a copy and its original share all that neither has changed since.

use core::fmt;
use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Parts of a map. A change copies one part and the list of parts: at 10,000 entries, 40 of them and 256 pointers.
const PARTS: usize = 256;

/// A map in parts, each shared between copies until it is changed. Entries are in no order that means anything, but in
/// the same one for the same entries.
pub struct Shared<K, V> {
    parts: Arc<Vec<Arc<BTreeMap<K, V>>>>,
    len: usize,
}

impl<K: Hash + Ord + Clone, V: Clone> Shared<K, V> {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of a key.
    pub fn get<Q: Hash + Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.parts[part(key)].get(key)
    }

    /// Whether the key has a value.
    pub fn contains_key<Q: Hash + Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get(key).is_some()
    }

    /// Puts a value and returns the one before it.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let parts = Arc::make_mut(&mut self.parts);
        let before = Arc::make_mut(&mut parts[part(&key)]).insert(key, value);
        self.len += usize::from(before.is_none());
        before
    }

    /// Takes a value away.
    pub fn remove<Q: Hash + Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        if !self.contains_key(key) {
            return None;
        }
        let parts = Arc::make_mut(&mut self.parts);
        let before = Arc::make_mut(&mut parts[part(key)]).remove(key);
        self.len -= usize::from(before.is_some());
        before
    }

    /// All entries.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.parts.iter().flat_map(|part| part.iter())
    }

    /// All values.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// All keys.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }
}

fn part<Q: Hash + ?Sized>(key: &Q) -> usize {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish() as usize % PARTS
}

impl<K, V> Default for Shared<K, V> {
    fn default() -> Self {
        let empty = Arc::new(BTreeMap::new());
        Self {
            parts: Arc::new(vec![empty; PARTS]),
            len: 0,
        }
    }
}

impl<K, V> Clone for Shared<K, V> {
    fn clone(&self) -> Self {
        Self {
            parts: Arc::clone(&self.parts),
            len: self.len,
        }
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for Shared<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && (Arc::ptr_eq(&self.parts, &other.parts) || self.parts == other.parts)
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Shared<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.parts.iter().flat_map(|part| part.iter()))
            .finish()
    }
}

impl<K: Hash + Ord + Clone, V: Clone> FromIterator<(K, V)> for Shared<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        for (key, value) in entries {
            map.insert(key, value);
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        // Catches a copy that changes with its original, an entry lost between parts, and a wrong count.
        #[test]
        fn it_is_a_map_and_copies_stay(steps in prop::collection::vec((any::<u8>(), any::<Option<u16>>()), 0..400)) {
            let mut map = Shared::default();
            let mut model = BTreeMap::new();
            let mut copies = Vec::new();
            for (key, value) in steps {
                let (had, has) = match value {
                    Some(value) => (map.insert(key, value), model.insert(key, value)),
                    None => (map.remove(&key), model.remove(&key)),
                };
                prop_assert_eq!(had, has);
                copies.push((map.clone(), model.clone()));
            }
            for (map, model) in copies {
                prop_assert_eq!(map.len(), model.len());
                let entries: BTreeMap<u8, u16> = map.iter().map(|(k, v)| (*k, *v)).collect();
                prop_assert_eq!(entries, model);
            }
        }
    }
}
