//! `weir-noise`: the replay window, beside a list of everything received.

use crate::input::Input;
use std::collections::BTreeSet;
use weir_noise::ReplayWindow;
use weir_noise::limits::{REJECT_AFTER_MESSAGES, REPLAY_WINDOW};

/// A counter is taken exactly if it is new, within the window, and below REJECT_AFTER_MESSAGES.
pub fn window(data: &[u8]) {
    let mut input = Input::new(data);
    let mut window = ReplayWindow::new();
    let mut received: BTreeSet<u64> = BTreeSet::new();
    while !input.is_empty() {
        let op = input.byte();
        let greatest = received.last().copied().unwrap_or(0);
        let counter = match op & 7 {
            0 => greatest.wrapping_add(1),
            1 => greatest.wrapping_add(u64::from(input.byte())),
            2 => greatest.wrapping_sub(u64::from(input.byte())),
            3 => greatest.wrapping_add(u64::from(input.u16())),
            4 => greatest.wrapping_sub(u64::from(input.u16())),
            5 => input.u64(),
            6 => REJECT_AFTER_MESSAGES
                .wrapping_add(u64::from(input.byte()))
                .wrapping_sub(128),
            _ => greatest
                .wrapping_sub(REPLAY_WINDOW - 2)
                .wrapping_add(u64::from(op >> 5)),
        };
        let behind = received
            .last()
            .is_some_and(|greatest| counter < *greatest && greatest - counter >= REPLAY_WINDOW);
        let good = counter < REJECT_AFTER_MESSAGES && !behind && !received.contains(&counter);
        assert_eq!(
            window.check(counter),
            good,
            "counter {counter}, greatest {greatest}"
        );
        if op & 8 == 0 {
            assert_eq!(window.accept(counter), good);
            if good {
                received.insert(counter);
            }
            assert!(!window.check(counter));
        }
    }
}
