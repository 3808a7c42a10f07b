//! What redb writes while the disk takes no writes: kept in memory, never synced.

use std::collections::HashMap;

use super::BLOCK;

/// Blocks that are not those of the file.
#[derive(Default)]
pub(super) struct Overlay(HashMap<u64, Box<[u8; BLOCK]>>);

impl Overlay {
    pub(super) fn block(&self, block: u64) -> Option<&[u8; BLOCK]> {
        self.0.get(&block).map(|content| &**content)
    }

    pub(super) fn put(&mut self, block: u64, content: &[u8; BLOCK]) {
        self.0.insert(block, Box::new(*content));
    }
}
