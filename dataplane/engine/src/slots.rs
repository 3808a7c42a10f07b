//! Slots: the high ten bits of a receiver index, and which shard answers for each.
//!
//! Indices and homes name slots and not shards, so that the number of shards can change while sessions live.

use crate::limits::{SHARDS_MAX, SLOT_SHIFT, SLOTS};
use crate::tables::PeerId;
use weir_noise::Index;

/// A shard's number.
pub type Shard = u16;

/// A slot's number, below [`SLOTS`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Slot(pub u16);

impl Slot {
    /// The slot in an index's high bits.
    pub fn of(index: Index) -> Self {
        Slot((index.0 >> SLOT_SHIFT) as u16)
    }

    /// Where a peer is at home before any handshake moved it.
    pub fn first_home(peer: PeerId) -> Self {
        // Consecutive peers fall far apart (Knuth's multiplicative hash).
        Slot((peer.0.wrapping_mul(0x9E37_79B1) >> SLOT_SHIFT) as u16)
    }

    /// The index of this slot with these low bits.
    pub fn index(self, low: u32) -> Index {
        Index(u32::from(self.0) << SLOT_SHIFT | low & ((1 << SLOT_SHIFT) - 1))
    }
}

/// Which shard answers for each slot, and which did before the last change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlotTable {
    /// Counts changes of the table.
    pub generation: u64,
    owners: Vec<Shard>,
    previous: Vec<Shard>,
    shards: usize,
}

impl SlotTable {
    /// Equal, contiguous ranges of slots for `shards` shards.
    ///
    /// # Panics
    /// If `shards` is 0 or above [`SHARDS_MAX`].
    pub fn spread(shards: usize) -> Self {
        let owners = ranges(shards);
        Self {
            generation: 0,
            previous: owners.clone(),
            owners,
            shards,
        }
    }

    /// The table for another number of shards, following this one.
    ///
    /// # Panics
    /// As [`SlotTable::spread`].
    pub fn respread(&self, shards: usize) -> Self {
        Self {
            generation: self.generation + 1,
            owners: ranges(shards),
            previous: self.owners.clone(),
            shards,
        }
    }

    /// The shard that answers for `slot`.
    pub fn owner(&self, slot: Slot) -> Shard {
        self.owners[usize::from(slot.0)]
    }

    /// The shard that answered for `slot` before the last change.
    pub fn previous(&self, slot: Slot) -> Shard {
        self.previous[usize::from(slot.0)]
    }

    /// How many shards share the slots.
    pub fn shards(&self) -> usize {
        self.shards
    }

    /// The owners in the order of the slots, as steering programs take them.
    pub fn owners(&self) -> &[Shard] {
        &self.owners
    }

    /// A slot of `shard`, chosen by `random`; `None` if it has none.
    pub fn some_slot(&self, shard: Shard, random: u32) -> Option<Slot> {
        let first = self.owners.partition_point(|&owner| owner < shard);
        let count = self.owners[first..].partition_point(|&owner| owner == shard);
        (count > 0).then(|| Slot((first + random as usize % count) as u16))
    }
}

fn ranges(shards: usize) -> Vec<Shard> {
    assert!(
        (1..=SHARDS_MAX).contains(&shards),
        "{shards} shards; expected 1 to {SHARDS_MAX}"
    );
    (0..SLOTS).map(|slot| (slot * shards / SLOTS) as Shard).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches a shard without slots and a slot chosen from another shard's range.
    #[test]
    fn every_shard_has_its_even_share() {
        for shards in 1..=SHARDS_MAX {
            let table = SlotTable::spread(shards);
            for shard in 0..shards as Shard {
                let share = (0..SLOTS as u16)
                    .filter(|&s| table.owner(Slot(s)) == shard)
                    .count();
                assert!(
                    (SLOTS / shards..=SLOTS / shards + 1).contains(&share),
                    "{shards} shards: {share}"
                );
                for random in 0..50 {
                    let slot = table.some_slot(shard, random * 7).expect("a slot");
                    assert_eq!(table.owner(slot), shard);
                }
            }
            assert_eq!(table.some_slot(shards as Shard, 1), None);
        }
    }

    #[test]
    fn an_index_keeps_its_slot() {
        for slot in [0, 1, 511, 1023] {
            assert_eq!(Slot::of(Slot(slot).index(u32::MAX)), Slot(slot));
        }
    }
}
