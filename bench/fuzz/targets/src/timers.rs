//! `weir-noise`: a peer's timers under any order of events.

use crate::input::Input;
use core::time::Duration;
use weir_noise::limits::{REKEY_ATTEMPT_TIME, REKEY_TIMEOUT, REKEY_TIMEOUT_JITTER_MAX};
use weir_noise::{Instant, Timers};

/// What was taken is not due again at once, initiations keep their distance, and an attempt ends in its time.
pub fn timers(data: &[u8]) {
    let mut input = Input::new(data);
    let jitter = |input: &mut Input<'_>| REKEY_TIMEOUT_JITTER_MAX * u32::from(input.byte()) / 255;
    let mut timers = Timers::new(jitter(&mut input));
    let mut now = Instant::BOOT + Duration::from_secs(u64::from(input.byte()));
    let mut persistent = 0;
    let mut initiated: Option<Instant> = None;
    let mut wanted: Option<Instant> = None;
    let mut unanswered = 0u8;
    while !input.is_empty() {
        let op = input.byte();
        let before = timers.deadline();
        // Of the events of a message, only these may make the deadline earlier, and they say so.
        let mut told = !matches!(op & 15, 0..=4);
        match op & 15 {
            0 => told = timers.data_sent(now),
            1 => told = timers.data_received(now),
            2 => timers.any_authenticated_sent(now),
            3 => timers.any_authenticated_received(now),
            4 => timers.any_authenticated_traversal(now),
            5 => timers.session_derived(now),
            6 => {
                timers.handshake_complete(now);
                (wanted, unanswered) = (None, 0);
            }
            7 => {
                persistent = u16::from(input.byte()) << (op >> 4);
                timers.set_persistent_keepalive(Some(persistent), now);
            }
            8 | 9 => {
                wanted = Some(now);
                if timers.request_handshake(now) {
                    send(&mut timers, &mut input, now, &mut initiated, &mut unanswered);
                }
            }
            10 | 11 => now = now + Duration::from_millis(u64::from(input.byte()) * 40),
            12 => now = now + Duration::from_secs(u64::from(input.byte())),
            _ => now = timers.deadline().unwrap_or(now).max(now),
        }
        let earlier = timers
            .deadline()
            .is_some_and(|deadline| before.is_none_or(|before| deadline < before));
        assert!(told || !earlier, "a deadline of which nobody is told");
        let may = initiated.is_none_or(|at| now.since(at) >= REKEY_TIMEOUT);
        assert_eq!(timers.may_initiate(now), may);
        assert_eq!(timers.unanswered_initiations(), unanswered);

        let was_due = timers.deadline().is_some_and(|deadline| deadline <= now);
        let due = timers.expire(now, jitter(&mut input));
        assert!(was_due || !due.any(), "something is due before its deadline");
        assert!(
            timers.deadline().is_none_or(|deadline| deadline > now),
            "due again at once: a busy loop"
        );
        assert!(!due.persistent_keepalive || persistent > 0);
        assert!(!(due.retransmit && (due.initiate || due.gave_up)));
        if due.gave_up
            && let Some(began) = wanted.take()
        {
            // The attempt may have begun anew since, when data found no answer.
            assert!(now.since(began) >= REKEY_ATTEMPT_TIME);
        }
        if due.retransmit || due.initiate {
            assert!(
                timers.may_initiate(now),
                "initiations closer together than REKEY_TIMEOUT"
            );
            send(&mut timers, &mut input, now, &mut initiated, &mut unanswered);
        }
    }
}

/// Sends an initiation, unless it is lost before it leaves.
fn send(
    timers: &mut Timers,
    input: &mut Input<'_>,
    now: Instant,
    initiated: &mut Option<Instant>,
    unanswered: &mut u8,
) {
    let jitter = input.byte();
    if jitter == 0xff {
        return;
    }
    timers.handshake_initiated(now, REKEY_TIMEOUT_JITTER_MAX * u32::from(jitter) / 255);
    *initiated = Some(now);
    *unanswered = unanswered.saturating_add(1);
}
