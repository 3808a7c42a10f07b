//! One number for all records there are: the sum of their keyed hashes, so that a change costs what it changes.
//!
//! It tells, whatever redb thinks, that no record is missing, doubled or from an earlier time.

use serde::{Deserialize, Serialize};

/// A sum of 256-bit hashes, lane by lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Digest {
    lanes: [u64; 4],
    /// Records in the sum.
    count: u64,
}

impl Digest {
    pub(crate) fn add(&mut self, mac_key: &[u8; 32], key: &[u8], sealed: &[u8]) {
        for (lane, hash) in self.lanes.iter_mut().zip(lanes(mac_key, key, sealed)) {
            *lane = lane.wrapping_add(hash);
        }
        self.count = self.count.wrapping_add(1);
    }

    pub(crate) fn remove(&mut self, mac_key: &[u8; 32], key: &[u8], sealed: &[u8]) {
        for (lane, hash) in self.lanes.iter_mut().zip(lanes(mac_key, key, sealed)) {
            *lane = lane.wrapping_sub(hash);
        }
        self.count = self.count.wrapping_sub(1);
    }

    /// Records in the sum.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }
}

fn lanes(mac_key: &[u8; 32], key: &[u8], sealed: &[u8]) -> [u64; 4] {
    let mut hasher = blake3::Hasher::new_keyed(mac_key);
    hasher.update(&(key.len() as u64).to_le_bytes());
    hasher.update(key);
    hasher.update(sealed);
    let hash = hasher.finalize();
    let words = hash.as_bytes().as_chunks::<8>().0;
    core::array::from_fn(|lane| u64::from_le_bytes(words[lane]))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches a record that is missing, doubled, older, or changed places unnoticed.
    #[test]
    fn the_sum_tells_which_records_there_are() {
        let sum = |records: &[(&[u8], &[u8])]| {
            let mut digest = Digest::default();
            for (key, value) in records {
                digest.add(&[1; 32], key, value);
            }
            digest
        };
        let both = sum(&[(b"a", b"1"), (b"b", b"2")]);
        assert_eq!(both, sum(&[(b"b", b"2"), (b"a", b"1")]));
        for other in [
            sum(&[(b"a", b"1")]),
            sum(&[(b"a", b"1"), (b"b", b"2"), (b"b", b"2")]),
            sum(&[(b"a", b"2"), (b"b", b"1")]),
            sum(&[(b"a1", b""), (b"b", b"2")]),
            sum(&[]),
        ] {
            assert_ne!(both, other);
        }
        let mut undone = both;
        undone.remove(&[1; 32], b"b", b"2");
        assert_eq!(undone, sum(&[(b"a", b"1")]));
        assert_eq!(undone.count(), 1);
    }
}
