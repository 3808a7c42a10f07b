//! The timers on virtual time, to the nanosecond.

use super::*;
use crate::limits::REKEY_TIMEOUT_JITTER_MAX;

const NO_JITTER: Duration = Duration::ZERO;

fn s(seconds: u64) -> Instant {
    Instant::BOOT + Duration::from_secs(seconds)
}

/// Runs to the next deadline and says when it was and what was due.
fn step(timers: &mut Timers) -> Option<(Instant, Due)> {
    let at = timers.deadline()?;
    let just_before = at - Duration::from_nanos(1);
    assert!(
        !timers.clone().expire(just_before, NO_JITTER).any(),
        "due too early"
    );
    Some((at, timers.expire(at, NO_JITTER)))
}

#[test]
fn nothing_is_due_when_nothing_happened() {
    let mut timers = Timers::new(NO_JITTER);
    assert_eq!(timers.deadline(), None);
    assert!(!timers.expire(s(1_000_000), NO_JITTER).any());
    assert!(timers.may_initiate(s(0)));
}

/// Initiations at 0, 5, .. 85 s; at 90 s the attempt ends and at 90 + 540 s
/// the keys go. Catches an attempt that never ends, or one that ends early.
#[test]
fn an_unanswered_handshake_is_retried_then_given_up() {
    let mut timers = Timers::new(NO_JITTER);
    assert!(timers.request_handshake(s(0)));
    assert_eq!(timers.since_initiated(s(0)), None);
    timers.handshake_initiated(s(0), NO_JITTER);
    assert_eq!(timers.since_initiated(s(3)), Some(Duration::from_secs(3)));
    for at in (5..=85).step_by(5) {
        assert!(!timers.may_initiate(s(at) - Duration::from_nanos(1)));
        assert_eq!(
            step(&mut timers),
            Some((
                s(at),
                Due {
                    retransmit: true,
                    ..Due::default()
                }
            ))
        );
        assert!(timers.may_initiate(s(at)));
        timers.handshake_initiated(s(at), NO_JITTER);
    }
    assert_eq!(timers.unanswered_initiations(), 18);
    assert_eq!(
        step(&mut timers),
        Some((
            s(90),
            Due {
                gave_up: true,
                ..Due::default()
            }
        ))
    );
    assert_eq!(
        step(&mut timers),
        Some((
            s(630),
            Due {
                zero: true,
                ..Due::default()
            }
        ))
    );
    assert_eq!(step(&mut timers), None);
}

/// Catches a handshake that stalls because its initiation got lost on the way to the socket.
#[test]
fn a_requested_initiation_that_is_never_sent_is_asked_for_again() {
    let mut timers = Timers::new(NO_JITTER);
    assert!(timers.request_handshake(s(0)));
    for at in [5, 10] {
        assert_eq!(
            step(&mut timers),
            Some((
                s(at),
                Due {
                    retransmit: true,
                    ..Due::default()
                }
            ))
        );
    }
}

#[test]
fn retries_are_spread_by_the_jitter() {
    let mut timers = Timers::new(NO_JITTER);
    timers.handshake_initiated(s(0), REKEY_TIMEOUT_JITTER_MAX);
    assert_eq!(timers.deadline(), Some(s(5) + REKEY_TIMEOUT_JITTER_MAX));
}

/// Data that waits while an attempt runs lengthens it but does not hasten it.
#[test]
fn more_data_lengthens_the_attempt() {
    let mut timers = Timers::new(NO_JITTER);
    timers.handshake_initiated(s(0), NO_JITTER);
    for at in (5..=60).step_by(5) {
        assert!(step(&mut timers).is_some_and(|(_, due)| due.retransmit));
        timers.handshake_initiated(s(at), NO_JITTER);
    }
    assert!(!timers.request_handshake(s(62)));
    let mut last = s(60);
    while let Some((at, Due { retransmit: true, .. })) = step(&mut timers) {
        timers.handshake_initiated(at, NO_JITTER);
        last = at;
    }
    assert_eq!(last, s(150), "given up at the first retry not before 62 + 90 s");
}

/// Catches an attempt that inherits the age of an earlier one, whether that
/// succeeded or failed, and so ends at its first retry.
#[test]
fn each_attempt_has_its_own_ninety_seconds() {
    let mut timers = Timers::new(NO_JITTER);
    timers.handshake_initiated(s(0), NO_JITTER);
    timers.handshake_complete(s(1));
    timers.handshake_initiated(s(200), NO_JITTER);
    assert!(timers.expire(s(205), NO_JITTER).retransmit);
    assert!(timers.expire(s(290), NO_JITTER).gave_up);
    timers.handshake_initiated(s(400), NO_JITTER);
    assert!(timers.expire(s(405), NO_JITTER).retransmit);
}

#[test]
fn completion_ends_the_retries() {
    let mut timers = Timers::new(NO_JITTER);
    timers.handshake_initiated(s(0), NO_JITTER);
    timers.session_derived(s(1));
    timers.handshake_complete(s(1));
    assert_eq!(timers.unanswered_initiations(), 0);
    assert_eq!(timers.deadline(), Some(s(541)));
    timers.session_derived(s(121));
    assert_eq!(
        step(&mut timers),
        Some((
            s(661),
            Due {
                zero: true,
                ..Due::default()
            }
        ))
    );
}

/// Catches a keepalive that is sent though data went back, or one per packet.
#[test]
fn received_data_is_acknowledged_after_ten_seconds_of_silence() {
    let mut timers = Timers::new(NO_JITTER);
    timers.data_received(s(0));
    assert_eq!(
        step(&mut timers),
        Some((
            s(10),
            Due {
                keepalive: true,
                ..Due::default()
            }
        ))
    );
    assert_eq!(timers.deadline(), None);

    timers.data_received(s(20));
    timers.any_authenticated_sent(s(22));
    assert_eq!(timers.deadline(), None);
}

#[test]
fn data_during_the_wait_calls_for_one_more_keepalive() {
    let mut timers = Timers::new(NO_JITTER);
    timers.data_received(s(0));
    timers.data_received(s(4));
    timers.data_received(s(9));
    assert_eq!(
        step(&mut timers),
        Some((
            s(10),
            Due {
                keepalive: true,
                ..Due::default()
            }
        ))
    );
    assert_eq!(
        step(&mut timers),
        Some((
            s(20),
            Due {
                keepalive: true,
                ..Due::default()
            }
        ))
    );
    assert_eq!(timers.deadline(), None);
}

/// Data sent and nothing back for 15 s begins a handshake; later data does not put it off.
#[test]
fn a_silent_peer_is_asked_for_a_new_handshake() {
    let mut timers = Timers::new(REKEY_TIMEOUT_JITTER_MAX);
    timers.data_sent(s(0));
    timers.data_sent(s(14));
    let at = s(15) + REKEY_TIMEOUT_JITTER_MAX;
    assert_eq!(
        step(&mut timers),
        Some((
            at,
            Due {
                initiate: true,
                ..Due::default()
            }
        ))
    );

    let mut answered = Timers::new(NO_JITTER);
    answered.data_sent(s(0));
    answered.any_authenticated_received(s(14));
    assert_eq!(answered.deadline(), None);
}

/// Catches two initiations in one instant.
#[test]
fn one_initiation_is_asked_for_when_two_timers_meet() {
    let mut timers = Timers::new(NO_JITTER);
    timers.data_sent(s(0));
    timers.handshake_initiated(s(10), NO_JITTER);
    assert_eq!(
        step(&mut timers),
        Some((
            s(15),
            Due {
                retransmit: true,
                ..Due::default()
            }
        ))
    );

    let mut under_way = Timers::new(NO_JITTER);
    under_way.data_sent(s(0));
    under_way.handshake_initiated(s(12), NO_JITTER);
    assert_eq!(step(&mut under_way), Some((s(15), Due::default())));
    assert_eq!(
        step(&mut under_way),
        Some((
            s(17),
            Due {
                retransmit: true,
                ..Due::default()
            }
        ))
    );
}

#[test]
fn persistent_keepalives_follow_the_last_traversal() {
    let mut timers = Timers::new(NO_JITTER);
    let due = Due {
        persistent_keepalive: true,
        ..Due::default()
    };
    timers.set_persistent_keepalive(Some(25), s(0));
    assert_eq!(timers.expire(s(0), NO_JITTER), due);
    timers.any_authenticated_traversal(s(7));
    assert_eq!(step(&mut timers), Some((s(32), due)));
    // Not sent, for want of a session: the next comes all the same.
    assert_eq!(step(&mut timers), Some((s(57), due)));
    timers.set_persistent_keepalive(Some(10), s(57));
    assert_eq!(timers.deadline(), Some(s(67)));
    timers.set_persistent_keepalive(Some(60), s(57));
    assert_eq!(
        timers.deadline(),
        Some(s(67)),
        "the one that was promised comes first"
    );
    timers.set_persistent_keepalive(None, s(57));
    assert_eq!(timers.deadline(), None);
    timers.any_authenticated_traversal(s(58));
    assert_eq!(timers.deadline(), None);
}

#[test]
fn giving_up_drops_the_keepalive_and_keeps_an_earlier_zeroing() {
    let mut timers = Timers::new(NO_JITTER);
    timers.session_derived(s(0));
    timers.handshake_initiated(s(180), NO_JITTER);
    timers.data_received(s(268));
    let due = timers.expire(s(270), NO_JITTER);
    assert!(due.gave_up && !due.keepalive);
    assert_eq!(timers.deadline(), Some(s(540)));
}

#[test]
fn the_last_minute_handshake_is_had_once_a_session() {
    let mut timers = Timers::new(NO_JITTER);
    assert!(timers.last_minute_handshake());
    assert!(!timers.last_minute_handshake());
    timers.handshake_complete(s(0));
    assert!(timers.last_minute_handshake());
}

/// A shard that slept through several deadlines finds all of them at once.
#[test]
fn late_expiry_finds_everything() {
    let mut timers = Timers::new(NO_JITTER);
    timers.session_derived(s(0));
    timers.data_sent(s(0));
    timers.data_received(s(0));
    timers.set_persistent_keepalive(Some(1), s(0));
    let due = timers.expire(s(1_000), NO_JITTER);
    let all = Due {
        initiate: true,
        keepalive: true,
        persistent_keepalive: true,
        zero: true,
        ..Due::default()
    };
    assert_eq!(due, all);
}
