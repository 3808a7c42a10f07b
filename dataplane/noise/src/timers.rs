//! A peer's timers (whitepaper section 6), as Linux runs them.
//!
//! The engine reports what happened and asks what is due; nothing here waits.
//! An interface that goes down replaces its peers' timers by new ones.
//! Which events a message makes, in this order:
//!
//! | message | events |
//! |---|---|
//! | initiation sent | `any_authenticated_traversal`, `any_authenticated_sent`, `handshake_initiated` |
//! | response sent | `session_derived`, `any_authenticated_traversal`, `any_authenticated_sent` |
//! | response received | `session_derived`, `handshake_complete`, `any_authenticated_received`, `any_authenticated_traversal` |
//! | first data under the next keypair | `handshake_complete`, then as for data |
//! | data sent | `any_authenticated_traversal`, `any_authenticated_sent`, and unless empty `data_sent` |
//! | data received | `any_authenticated_received`, `any_authenticated_traversal`, and unless empty `data_received` |

use core::time::Duration;

use crate::Instant;
use crate::limits::{KEEPALIVE_TIMEOUT, REKEY_ATTEMPT_TIME, REKEY_TIMEOUT, ZERO_AFTER_TIME};

/// What [`Timers::expire`] found due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// No response came: send a new initiation, the handshake goes on.
    pub retransmit: bool,
    /// Data was sent and nothing came back: begin a new handshake.
    pub initiate: bool,
    /// Data was received and nothing sent: send an empty message.
    pub keepalive: bool,
    /// The persistent interval has passed: send an empty message, or begin a
    /// handshake if there is no session.
    pub persistent_keepalive: bool,
    /// The handshake failed for REKEY_ATTEMPT_TIME: drop the packets that wait for it.
    pub gave_up: bool,
    /// Erase all keypairs and the handshake under way.
    pub zero: bool,
}

impl Due {
    /// Whether there is anything to do.
    pub fn any(self) -> bool {
        self != Self::default()
    }
}

/// A peer's deadlines. [`Instant::NEVER`] marks one that is not set.
#[derive(Clone, Debug)]
pub struct Timers {
    retransmit: Instant,
    new_handshake: Instant,
    keepalive: Instant,
    persistent: Instant,
    zero: Instant,
    /// When the attempt under way began; NEVER if there is none.
    attempt_began: Instant,
    /// When the last initiation was sent; NEVER if none was.
    initiated: Instant,
    /// Random addition to the next handshake timer.
    jitter_ns: u32,
    /// Seconds; 0 is off.
    persistent_interval: u16,
    unanswered: u8,
    need_another_keepalive: bool,
    sent_last_minute: bool,
}

const _: () = assert!(size_of::<Timers>() <= 96);

impl Timers {
    /// Nothing set. `jitter` is random, up to REKEY_TIMEOUT_JITTER_MAX.
    pub fn new(jitter: Duration) -> Self {
        Self {
            retransmit: Instant::NEVER,
            new_handshake: Instant::NEVER,
            keepalive: Instant::NEVER,
            persistent: Instant::NEVER,
            zero: Instant::NEVER,
            attempt_began: Instant::NEVER,
            initiated: Instant::NEVER,
            jitter_ns: jitter_ns(jitter),
            persistent_interval: 0,
            unanswered: 0,
            need_another_keepalive: false,
            sent_last_minute: false,
        }
    }

    /// Data was sent, not an empty message: something should come back. True if that set a deadline: none of the other
    /// events of a message with data makes [`Timers::deadline`] earlier.
    #[inline]
    pub fn data_sent(&mut self, now: Instant) -> bool {
        let unset = self.new_handshake == Instant::NEVER;
        if unset {
            self.new_handshake = now + KEEPALIVE_TIMEOUT + REKEY_TIMEOUT + self.jitter();
        }
        unset
    }

    /// Data was received, not an empty message: something should go back. True if that set a deadline, as with
    /// [`Timers::data_sent`].
    #[inline]
    pub fn data_received(&mut self, now: Instant) -> bool {
        let unset = self.keepalive == Instant::NEVER;
        if unset {
            self.keepalive = now + KEEPALIVE_TIMEOUT;
        } else {
            self.need_another_keepalive = true;
        }
        unset
    }

    /// Anything authenticated was sent: the other side has its sign of life.
    #[inline]
    pub fn any_authenticated_sent(&mut self, _now: Instant) {
        self.keepalive = Instant::NEVER;
    }

    /// Anything authenticated was received: the session works.
    #[inline]
    pub fn any_authenticated_received(&mut self, _now: Instant) {
        self.new_handshake = Instant::NEVER;
    }

    /// Anything authenticated was sent or received: mappings on the way are fresh.
    #[inline]
    pub fn any_authenticated_traversal(&mut self, now: Instant) {
        if self.persistent_interval != 0 {
            self.persistent = now + self.persistent_interval();
        }
    }

    /// Whether an initiation may go out: one each REKEY_TIMEOUT.
    pub fn may_initiate(&self, now: Instant) -> bool {
        self.initiated == Instant::NEVER || now.since(self.initiated) >= REKEY_TIMEOUT
    }

    /// Data waits for a session, or a keypair wants to be renewed: the
    /// attempt's REKEY_ATTEMPT_TIME begins anew. True if an initiation is to
    /// be sent now; if not, one was sent within REKEY_TIMEOUT.
    ///
    /// Should that initiation never get out, [`Timers::expire`] asks for it again.
    pub fn request_handshake(&mut self, now: Instant) -> bool {
        self.attempt_began = now;
        if self.retransmit == Instant::NEVER {
            self.retransmit = now + REKEY_TIMEOUT + self.jitter();
        }
        self.may_initiate(now)
    }

    /// Whether the one handshake that receiving on an old keypair may begin
    /// is still to be had (see [`crate::Keypair::needs_rekey_on_receive`]).
    /// Once true, false until a handshake completes.
    pub fn last_minute_handshake(&mut self) -> bool {
        !core::mem::replace(&mut self.sent_last_minute, true)
    }

    /// An initiation was sent.
    pub fn handshake_initiated(&mut self, now: Instant, jitter: Duration) {
        self.jitter_ns = jitter_ns(jitter);
        self.initiated = now;
        self.unanswered = self.unanswered.saturating_add(1);
        if self.attempt_began == Instant::NEVER {
            self.attempt_began = now;
        }
        self.retransmit = now + REKEY_TIMEOUT + self.jitter();
    }

    /// How long ago the last initiation was sent; None if none was.
    pub fn since_initiated(&self, now: Instant) -> Option<Duration> {
        (self.initiated != Instant::NEVER).then(|| now.since(self.initiated))
    }

    /// A session is confirmed by both sides.
    pub fn handshake_complete(&mut self, _now: Instant) {
        self.retransmit = Instant::NEVER;
        self.attempt_began = Instant::NEVER;
        self.unanswered = 0;
        self.sent_last_minute = false;
    }

    /// Initiations sent since a handshake last completed, 255 at most. Unlike
    /// the attempt it does not begin anew with more data, so it tells when an
    /// endpoint's name wants to be resolved again.
    pub fn unanswered_initiations(&self) -> u8 {
        self.unanswered
    }

    /// New session keys exist.
    pub fn session_derived(&mut self, now: Instant) {
        self.zero = now + ZERO_AFTER_TIME;
    }

    /// Sets the persistent keepalive, in seconds; None or 0 switches it off.
    /// Switched on, the first is due at once.
    pub fn set_persistent_keepalive(&mut self, interval: Option<u16>, now: Instant) {
        let before = core::mem::replace(&mut self.persistent_interval, interval.unwrap_or(0));
        self.persistent = match (before, self.persistent_interval) {
            (_, 0) => Instant::NEVER,
            (0, _) => now,
            (_, _) => self.persistent.min(now + self.persistent_interval()),
        };
    }

    /// The earliest point at which [`Timers::expire`] finds something; None if
    /// nothing is set.
    pub fn deadline(&self) -> Option<Instant> {
        let deadlines = [
            self.retransmit,
            self.new_handshake,
            self.keepalive,
            self.persistent,
            self.zero,
        ];
        deadlines
            .into_iter()
            .min()
            .filter(|&deadline| deadline != Instant::NEVER)
    }

    /// Takes what is due at `now`. `jitter` is random, up to REKEY_TIMEOUT_JITTER_MAX.
    pub fn expire(&mut self, now: Instant, jitter: Duration) -> Due {
        self.jitter_ns = jitter_ns(jitter);
        let mut due = Due::default();
        if take(&mut self.retransmit, now) {
            self.retransmit_or_give_up(now, &mut due);
        }
        if take(&mut self.new_handshake, now) {
            due.initiate = self.request_handshake(now) && !due.retransmit;
        }
        if take(&mut self.keepalive, now) {
            due.keepalive = true;
            if core::mem::take(&mut self.need_another_keepalive) {
                self.keepalive = now + KEEPALIVE_TIMEOUT;
            }
        }
        if take(&mut self.persistent, now) {
            due.persistent_keepalive = true;
            self.persistent = now + self.persistent_interval();
        }
        due.zero = take(&mut self.zero, now);
        due
    }

    fn retransmit_or_give_up(&mut self, now: Instant, due: &mut Due) {
        if now.since(self.attempt_began) < REKEY_ATTEMPT_TIME {
            due.retransmit = true;
            // Moved on by `handshake_initiated`; stands if the initiation is lost before it is sent.
            self.retransmit = now + REKEY_TIMEOUT + self.jitter();
            return;
        }
        due.gave_up = true;
        self.attempt_began = Instant::NEVER;
        self.keepalive = Instant::NEVER;
        if self.zero == Instant::NEVER {
            self.zero = now + ZERO_AFTER_TIME;
        }
    }

    fn jitter(&self) -> Duration {
        Duration::from_nanos(self.jitter_ns.into())
    }

    fn persistent_interval(&self) -> Duration {
        Duration::from_secs(self.persistent_interval.into())
    }
}

/// Whether `deadline` has come; if so it is no longer set.
fn take(deadline: &mut Instant, now: Instant) -> bool {
    let due = *deadline <= now && *deadline != Instant::NEVER;
    if due {
        *deadline = Instant::NEVER;
    }
    due
}

fn jitter_ns(jitter: Duration) -> u32 {
    u32::try_from(jitter.as_nanos()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
