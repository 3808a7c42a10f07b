//! Which shard each slot belongs to.

use std::fmt;

/// Slots: the high 10 bits of a receiver index.
pub const SLOTS: usize = weir_xdp_prog::SLOTS;

/// For each slot the shard whose sessions have it in their receiver indices.
#[derive(Clone, PartialEq, Eq)]
pub struct SlotTable {
    shards: Box<[u16; SLOTS]>,
}

impl SlotTable {
    /// The table that gives slot `s` to shard `shard_of(s)`.
    pub fn from_fn(mut shard_of: impl FnMut(u16) -> u16) -> Self {
        let mut shards = Box::new([0; SLOTS]);
        for (slot, shard) in (0..).zip(shards.iter_mut()) {
            *shard = shard_of(slot);
        }
        Self { shards }
    }

    /// Slots dealt out in turn: slot `s` belongs to shard `s % shards`.
    ///
    /// # Panics
    /// If `shards` is 0.
    pub fn interleaved(shards: u16) -> Self {
        assert!(shards > 0, "there is at least one shard");
        Self::from_fn(|slot| slot % shards)
    }

    /// The shard of `slot`.
    ///
    /// # Panics
    /// If `slot` is [`SLOTS`] or more.
    pub fn shard(&self, slot: u16) -> u16 {
        self.shards[usize::from(slot)]
    }

    /// The slot that a receiver index lies in.
    pub fn slot_of(receiver_index: u32) -> u16 {
        (receiver_index >> 22) as u16
    }

    /// All shards, by slot.
    pub fn shards(&self) -> &[u16; SLOTS] {
        &self.shards
    }
}

impl fmt::Debug for SlotTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let highest = self.shards.iter().max().copied().unwrap_or(0);
        write!(f, "SlotTable(shards up to {highest})")
    }
}
