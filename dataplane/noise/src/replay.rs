//! The sliding window that takes each counter once (RFC 6479).

use crate::limits::{REJECT_AFTER_MESSAGES, REPLAY_BITS, REPLAY_WINDOW};

const WORD_BITS: u64 = u64::BITS as u64;
const WORDS: usize = (REPLAY_BITS / WORD_BITS) as usize;

/// Which counters were received, as a ring of words: the greatest and the
/// 8,127 below it at least.
#[derive(Clone, Debug)]
pub struct ReplayWindow {
    /// One more than the greatest counter accepted; 0 before the first.
    next: u64,
    words: [u64; WORDS],
}

impl ReplayWindow {
    /// A window that takes every counter below REJECT_AFTER_MESSAGES.
    pub const fn new() -> Self {
        Self {
            next: 0,
            words: [0; WORDS],
        }
    }

    /// Whether `counter` would be accepted: worth decrypting.
    pub fn check(&self, counter: u64) -> bool {
        if counter >= REJECT_AFTER_MESSAGES || counter.saturating_add(REPLAY_WINDOW) < self.next {
            return false;
        }
        counter >= self.next || self.words[slot(counter)] & bit(counter) == 0
    }

    /// Records `counter`, of a message that proved authentic. False if it was
    /// received before or lies behind the window: the message is to be dropped.
    pub fn accept(&mut self, counter: u64) -> bool {
        if !self.check(counter) {
            return false;
        }
        if counter >= self.next {
            self.advance(counter);
        }
        self.words[slot(counter)] |= bit(counter);
        true
    }

    /// Clears the words between the greatest counter so far and `counter`.
    fn advance(&mut self, counter: u64) {
        // Before the first counter word 0 is in place, and clear.
        let held = self.next.saturating_sub(1) / WORD_BITS;
        let wanted = counter / WORD_BITS;
        for word in 1..=(wanted - held).min(WORDS as u64) {
            self.words[((held + word) % WORDS as u64) as usize] = 0;
        }
        self.next = counter + 1;
    }
}

impl Default for ReplayWindow {
    fn default() -> Self {
        Self::new()
    }
}

fn slot(counter: u64) -> usize {
    (counter / WORD_BITS % WORDS as u64) as usize
}

fn bit(counter: u64) -> u64 {
    1 << (counter % WORD_BITS)
}
