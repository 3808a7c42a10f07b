//! The sliding window that takes each counter once (RFC 6479).

use crate::limits::{REJECT_AFTER_MESSAGES, REPLAY_BITS, REPLAY_WINDOW};

const WORD_BITS: u64 = u64::BITS as u64;
const WORDS: usize = (REPLAY_BITS / WORD_BITS) as usize;

/// Which counters were received, as a ring of words: the greatest and the
/// 8,127 below it (REPLAY_WINDOW in all).
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
    #[inline]
    pub fn check(&self, counter: u64) -> bool {
        if counter >= REJECT_AFTER_MESSAGES || counter.saturating_add(REPLAY_WINDOW) < self.next {
            return false;
        }
        counter >= self.next || self.words[slot(counter)] & bit(counter) == 0
    }

    /// Records `counter`, of a message that proved authentic. False if it was
    /// received before or lies behind the window: the message is to be dropped.
    #[inline]
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    /// What the window must do, without its ring: remember everything.
    #[derive(Default)]
    struct Naive {
        seen: HashSet<u64>,
        next: u64,
    }

    impl Naive {
        fn accept(&mut self, counter: u64) -> bool {
            let behind = counter < self.next.saturating_sub(REPLAY_WINDOW);
            if counter >= REJECT_AFTER_MESSAGES || behind || !self.seen.insert(counter) {
                return false;
            }
            self.next = self.next.max(counter + 1);
            true
        }
    }

    /// Steps relative to the greatest counter, most of them near an edge.
    fn step() -> impl Strategy<Value = i64> {
        let window = REPLAY_WINDOW as i64;
        prop_oneof![
            4 => -70..70i64,
            2 => -window - 70..-window + 70,
            2 => window - 70..window + 200,
            1 => -3 * window..3 * window,
        ]
    }

    fn agree(start: u64, steps: Vec<i64>) {
        let (mut window, mut naive) = (ReplayWindow::new(), Naive::default());
        assert_eq!(window.accept(start), naive.accept(start));
        for step in steps {
            let counter = naive.next.saturating_add_signed(step);
            let checked = window.check(counter);
            let accepted = naive.accept(counter);
            assert_eq!(
                (checked, window.accept(counter)),
                (accepted, accepted),
                "counter {counter}"
            );
        }
    }

    proptest! {
        /// Catches a word that is not cleared, cleared too early, or an edge off by one.
        #[test]
        fn the_ring_agrees_with_a_set(
            start in prop_oneof![0..3u64, any::<u32>().prop_map(u64::from), REJECT_AFTER_MESSAGES - 20_000..=u64::MAX],
            steps in prop::collection::vec(step(), 1..200),
        ) {
            agree(start, steps);
        }
    }

    #[test]
    fn each_counter_in_the_window_is_taken_once_in_any_order() {
        let mut window = ReplayWindow::new();
        assert!((0..REPLAY_WINDOW).rev().all(|counter| window.accept(counter)));
        assert!((0..REPLAY_WINDOW).all(|counter| !window.accept(counter)));
        assert!(window.accept(REPLAY_WINDOW));
        assert!(!window.check(0) && !window.check(1));
    }

    /// Catches a window narrower or wider than REPLAY_WINDOW, wherever in a word the greatest lies.
    #[test]
    fn the_window_is_exact() {
        for greatest in 20_000..20_000 + 2 * WORD_BITS {
            let mut window = ReplayWindow::new();
            assert!(window.accept(greatest));
            assert!(!window.check(greatest - REPLAY_WINDOW));
            assert!(window.accept(greatest - REPLAY_WINDOW + 1));
        }
    }

    /// Catches REJECT_AFTER_MESSAGES unenforced, and a counter that wraps.
    #[test]
    fn the_last_counters_are_refused() {
        let mut window = ReplayWindow::new();
        assert!(window.accept(REJECT_AFTER_MESSAGES - 1));
        assert!(!window.accept(REJECT_AFTER_MESSAGES) && !window.accept(u64::MAX));
        assert!(window.accept(REJECT_AFTER_MESSAGES - 2) && !window.check(0));
    }
}
