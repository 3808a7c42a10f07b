//! A hash map whose copies share what did not change: what generations of tables are made of.
//!
//! The map is cut into parts by hash. Copying it copies one pointer a part; a change copies the part it falls into,
//! and only while an older copy still holds it. A look-up costs one hash, one pointer and one probe.

use core::hash::{BuildHasher, Hash};
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::sync::Arc;

const PARTS: usize = 256;

/// The map. Keys and values are small and cheap to copy.
pub struct SharedMap<K, V> {
    parts: Vec<Arc<HashTable<(K, V)>>>,
    hasher: RandomState,
    len: usize,
}

impl<K, V> Clone for SharedMap<K, V> {
    fn clone(&self) -> Self {
        Self {
            parts: self.parts.clone(),
            hasher: self.hasher.clone(),
            len: self.len,
        }
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Default for SharedMap<K, V> {
    fn default() -> Self {
        let empty = Arc::new(HashTable::new());
        Self {
            parts: vec![empty; PARTS],
            hasher: RandomState::default(),
            len: 0,
        }
    }
}

impl<K: Hash + Eq + Clone, V: Clone> SharedMap<K, V> {
    /// The value of `key`.
    pub fn get(&self, key: &K) -> Option<&V> {
        let hash = self.hasher.hash_one(key);
        self.parts[part(hash)]
            .find(hash, |(k, _)| k == key)
            .map(|(_, v)| v)
    }

    /// Sets the value of `key` and hands back the one before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let hash = self.hasher.hash_one(&key);
        let table = Arc::make_mut(&mut self.parts[part(hash)]);
        if let Some((_, old)) = table.find_mut(hash, |(k, _)| *k == key) {
            return Some(core::mem::replace(old, value));
        }
        let hasher = &self.hasher;
        table.insert_unique(hash, (key, value), |(k, _)| hasher.hash_one(k));
        self.len += 1;
        None
    }

    /// Takes `key` out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let hash = self.hasher.hash_one(key);
        self.parts[part(hash)].find(hash, |(k, _)| k == key)?;
        let table = Arc::make_mut(&mut self.parts[part(hash)]);
        let entry = table.find_entry(hash, |(k, _)| k == key).ok()?;
        self.len -= 1;
        Some(entry.remove().0.1)
    }

    /// Entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Every entry, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.parts
            .iter()
            .flat_map(|part| part.iter().map(|(k, v)| (k, v)))
    }
}

// The table itself uses the low bits to place and the top seven to compare.
fn part(hash: u64) -> usize {
    (hash >> 40) as usize % PARTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    // Catches a change that reaches an older copy, and one that is lost: against the standard map, seeded.
    #[test]
    fn copies_keep_their_state_while_the_map_moves_on() {
        let mut map = SharedMap::default();
        let mut oracle = HashMap::new();
        let mut kept = Vec::new();
        let mut x = 12345u64;
        for step in 0..20_000u64 {
            x = x
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let key = (x >> 33) % 700;
            if x & 1 << 20 == 0 {
                assert_eq!(map.insert(key, step), oracle.insert(key, step));
            } else {
                assert_eq!(map.remove(&key), oracle.remove(&key));
            }
            if step % 4000 == 0 {
                kept.push((map.clone(), oracle.clone()));
            }
        }
        kept.push((map, oracle));
        for (map, oracle) in kept {
            assert_eq!(map.len(), oracle.len());
            assert_eq!(
                map.iter().map(|(k, v)| (*k, *v)).collect::<HashMap<_, _>>(),
                oracle
            );
            assert!((0..700).all(|key| map.get(&key) == oracle.get(&key)));
        }
    }
}
