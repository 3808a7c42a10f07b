//! How far a peer's session is: its state, what brought it there, and the deadlines by which that changes though nothing
//! arrives. The thresholds are sums of the whitepaper's constants (section 6.1); `docs/12-peer-states.md` says why.
//!
//! [`Life`] is told what happens and decides; it sends nothing and sets no timer of the protocol.

use crate::shard::Now;
use core::time::Duration;
use weir_abi::peer_state::{PeerState, StateReason};
use weir_abi::refused::RefusedHandshake;
use weir_noise::Instant;
use weir_noise::limits::{KEEPALIVE_TIMEOUT, REJECT_AFTER_TIME, REKEY_TIMEOUT};

/// A peer from which nothing authentic came for this long is silent: within that time one that is well would have
/// answered data with a keepalive (whitepaper section 6.5).
pub const SILENCE: Duration = KEEPALIVE_TIMEOUT.saturating_add(REKEY_TIMEOUT);

/// How long the first packet under a session that we answered may take: within that time the peer would have called
/// again, were it still calling.
pub const CONFIRMATION: Duration = REKEY_TIMEOUT.saturating_mul(2);

/// What a peer's keypairs and packets say at the moment of an event.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// Whether there is a session that seals.
    pub session: bool,
    /// Whether anything authentic came within [`SILENCE`].
    pub heard: bool,
}

impl Standing {
    fn well(self) -> bool {
        self.session && self.heard
    }
}

/// What is observed of one active peer's handshakes.
pub struct Life {
    state: PeerState,
    reason: StateReason,
    since_unix_ms: u64,
    /// When the session in use is over; NEVER without one.
    expires: Instant,
    /// When a session that we answered for is no longer waited for; NEVER if none is.
    confirm_by: Instant,
    /// When our last initiation left; NEVER if none did.
    initiated: Instant,
    /// When our last response left.
    responded: Instant,
    initiations_received: u64,
    responses_sent: u64,
    unconfirmed_responses: u64,
    handshake_us: Option<u32>,
    latency_us: Option<u32>,
    /// Whether our last initiation found an answer that was not the one hoped for: a cookie.
    excused: bool,
    /// Whether a response to our last initiation did not open.
    unopened: bool,
    refusal: Option<Box<RefusedHandshake>>,
}

/// What of a [`Life`] the gateway is told.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LifeSnapshot {
    /// How far the session is.
    pub state: PeerState,
    /// What brought it there.
    pub reason: StateReason,
    /// Since when it is in that state: ms since the Unix epoch, 0 for ever.
    pub since_unix_ms: u64,
    /// When our last initiation left.
    pub initiated: Option<Instant>,
    /// Authentic initiations taken.
    pub initiations_received: u64,
    /// Responses sent.
    pub responses_sent: u64,
    /// Responses sent since a handshake last completed.
    pub unconfirmed_responses: u64,
    /// How long the last completed handshake took that we began, in µs.
    pub handshake_us: Option<u32>,
    /// The last round trip that was measured, in µs.
    pub latency_us: Option<u32>,
    /// The last handshake message of it that was refused where it is at home.
    pub refusal: Option<Box<RefusedHandshake>>,
}

const _: () = assert!(size_of::<Life>() <= 128);

impl Default for Life {
    fn default() -> Self {
        Self {
            state: PeerState::Init,
            reason: StateReason::NeverTried,
            since_unix_ms: 0,
            expires: Instant::NEVER,
            confirm_by: Instant::NEVER,
            initiated: Instant::NEVER,
            responded: Instant::NEVER,
            initiations_received: 0,
            responses_sent: 0,
            unconfirmed_responses: 0,
            handshake_us: None,
            latency_us: None,
            excused: false,
            unopened: false,
            refusal: None,
        }
    }
}

impl Life {
    /// The state, and what brought the peer there.
    pub fn state(&self) -> (PeerState, StateReason) {
        (self.state, self.reason)
    }

    /// Whether a packet of the peer changes its state: it was not taken to be there.
    #[inline]
    pub fn is_away(&self) -> bool {
        !matches!(self.state, PeerState::Connected | PeerState::Rekeying)
    }

    /// When [`Life::expire`] has something to do; NEVER if nothing is to come.
    pub fn deadline(&self) -> Instant {
        self.expires.min(self.confirm_by)
    }

    /// All that is told of it.
    pub fn snapshot(&self) -> LifeSnapshot {
        LifeSnapshot {
            state: self.state,
            reason: self.reason,
            since_unix_ms: self.since_unix_ms,
            initiated: Some(self.initiated).filter(|&at| at != Instant::NEVER),
            initiations_received: self.initiations_received,
            responses_sent: self.responses_sent,
            unconfirmed_responses: self.unconfirmed_responses,
            handshake_us: self.handshake_us,
            latency_us: self.latency_us,
            refusal: self.refusal.clone(),
        }
    }

    /// An initiation of ours left.
    pub fn initiated(&mut self, now: Now, standing: Standing) {
        self.initiated = now.at;
        (self.excused, self.unopened) = (false, false);
        match (self.state, self.reason) {
            (PeerState::Connected, _) if standing.session => {
                self.become_state(PeerState::Rekeying, StateReason::RekeyDue, now);
            }
            // Found gone, it is so until it gives a sign, however often it is called.
            (PeerState::Disconnected, StateReason::NoAnswer | StateReason::WrongPresharedKey)
            | (PeerState::Handshaking | PeerState::Rekeying, _) => {}
            (PeerState::Init | PeerState::Disconnected | PeerState::Connected, _) => {
                self.become_state(PeerState::Handshaking, StateReason::InitiationSent, now);
            }
        }
    }

    /// Data was sent, nothing came back for [`SILENCE`], and a handshake is to tell whether the peer is there.
    pub fn unanswered_data(&mut self, now: Now) {
        if self.state == PeerState::Connected {
            self.become_state(PeerState::Rekeying, StateReason::NoAnswer, now);
        }
    }

    /// Our last initiation found no answer in time.
    pub fn unanswered(&mut self, now: Now, standing: Standing) {
        // While the peer calls us, it is there; whether it hears us its confirmation tells.
        if self.excused || standing.well() || self.confirm_by != Instant::NEVER {
            return;
        }
        let reason = if self.unopened {
            StateReason::WrongPresharedKey
        } else {
            StateReason::NoAnswer
        };
        self.become_state(PeerState::Disconnected, reason, now);
    }

    /// A handshake of ours that found no answer is tried no longer.
    pub fn gave_up(&mut self, now: Now, standing: Standing) {
        if standing.well() && self.state == PeerState::Rekeying {
            self.become_state(PeerState::Connected, StateReason::NoAnswer, now);
        }
    }

    /// A cookie came in answer to our initiation: the peer is there, and busy.
    pub fn cookie(&mut self) {
        self.excused = true;
    }

    /// A response came that did not open.
    pub fn unopened(&mut self, now: Now) {
        self.unopened = true;
        match self.state {
            PeerState::Handshaking | PeerState::Disconnected => {
                self.become_state(self.state, StateReason::WrongPresharedKey, now);
            }
            // Whoever saw the initiation can send such a one; the session shows that the peer is there.
            PeerState::Init | PeerState::Connected | PeerState::Rekeying => {}
        }
    }

    /// An initiation of the peer was authentic and new, and our response leaves.
    pub fn responded(&mut self, now: Now, standing: Standing) {
        self.initiations_received += 1;
        self.responses_sent += 1;
        self.unconfirmed_responses += 1;
        self.responded = now.at;
        self.confirm_by = now.at + CONFIRMATION;
        let again = self.unconfirmed_responses > 1;
        match (self.state, self.reason) {
            (PeerState::Connected, _) if standing.session => {
                self.become_state(PeerState::Rekeying, StateReason::InitiationReceived, now);
            }
            (PeerState::Rekeying, _) => {}
            (PeerState::Handshaking | PeerState::Disconnected, StateReason::WrongPresharedKey) => {
                self.become_state(PeerState::Handshaking, StateReason::WrongPresharedKey, now);
            }
            (
                PeerState::Init | PeerState::Handshaking | PeerState::Disconnected | PeerState::Connected,
                _,
            ) => {
                let reason = if again {
                    StateReason::ResponseUnconfirmed
                } else {
                    StateReason::InitiationReceived
                };
                self.become_state(PeerState::Handshaking, reason, now);
            }
        }
    }

    /// An initiation of the peer was authentic and not newer than the last.
    pub fn replayed(&mut self, now: Now) {
        match self.state {
            PeerState::Init | PeerState::Disconnected => {
                self.become_state(PeerState::Disconnected, StateReason::OldTimestamp, now);
            }
            // Anybody can send again what was seen; what goes on shows that the peer is there.
            PeerState::Handshaking | PeerState::Connected | PeerState::Rekeying => {}
        }
    }

    /// The response to our initiation, which arrived at `arrived`, made a session; hands back how long that took.
    pub fn answered(&mut self, now: Now, arrived: Instant) -> Option<Duration> {
        if self.initiated == Instant::NEVER {
            return None;
        }
        let took = now.at.since(self.initiated);
        self.handshake_us = Some(micros(took));
        self.latency_us = Some(micros(arrived.since(self.initiated)));
        Some(took)
    }

    /// The first packet under the session that we answered for came.
    pub fn confirmed(&mut self, now: Now) {
        // Which of several responses it was that arrived is not known.
        if self.unconfirmed_responses == 1 && self.responded != Instant::NEVER {
            self.latency_us = Some(micros(now.at.since(self.responded)));
        }
    }

    /// A handshake completed; the session's keys were made at `created`.
    pub fn completed(&mut self, now: Now, created: Instant) {
        self.expires = created + REJECT_AFTER_TIME;
        self.confirm_by = Instant::NEVER;
        self.unconfirmed_responses = 0;
        (self.excused, self.unopened) = (false, false);
        self.become_state(PeerState::Connected, StateReason::HandshakeCompleted, now);
    }

    /// An authentic packet of a peer came that was not taken to be there.
    pub fn heard(&mut self, now: Now, standing: Standing) {
        if standing.session {
            self.become_state(PeerState::Connected, StateReason::HeardAgain, now);
        }
    }

    /// There is something to send, and nobody knows where to.
    pub fn lost(&mut self, now: Now) {
        if self.state == PeerState::Init {
            self.become_state(PeerState::Init, StateReason::EndpointUnknown, now);
        }
    }

    /// All sessions are void: the private key is another.
    pub fn reset(&mut self, now: Now) {
        (self.expires, self.confirm_by) = (Instant::NEVER, Instant::NEVER);
        (self.initiated, self.responded) = (Instant::NEVER, Instant::NEVER);
        self.unconfirmed_responses = 0;
        (self.excused, self.unopened) = (false, false);
        self.become_state(PeerState::Init, StateReason::NeverTried, now);
    }

    /// A round trip was measured through the tunnel.
    pub fn measured(&mut self, latency: Duration) {
        self.latency_us = Some(micros(latency));
    }

    /// Takes what is due by now.
    pub fn expire(&mut self, now: Now, standing: Standing) {
        if self.expires <= now.at {
            self.expires = Instant::NEVER;
            self.session_ended(now);
        }
        if self.confirm_by <= now.at {
            self.confirm_by = Instant::NEVER;
            self.not_confirmed(now, standing);
        }
    }

    fn session_ended(&mut self, now: Now) {
        match (self.state, self.reason) {
            (PeerState::Connected, _) => {
                self.become_state(PeerState::Disconnected, StateReason::SessionExpired, now);
            }
            (PeerState::Rekeying, _) if self.unopened => {
                self.become_state(PeerState::Disconnected, StateReason::WrongPresharedKey, now);
            }
            (PeerState::Rekeying, StateReason::InitiationReceived) => {
                self.become_state(PeerState::Handshaking, StateReason::InitiationReceived, now);
            }
            (PeerState::Rekeying, _) => {
                self.become_state(PeerState::Handshaking, StateReason::InitiationSent, now);
            }
            (PeerState::Init | PeerState::Handshaking | PeerState::Disconnected, _) => {}
        }
    }

    fn not_confirmed(&mut self, now: Now, standing: Standing) {
        match (self.state, self.reason) {
            (PeerState::Rekeying, StateReason::InitiationReceived) if standing.well() => {
                self.become_state(PeerState::Connected, StateReason::ResponseUnconfirmed, now);
            }
            (PeerState::Handshaking, StateReason::WrongPresharedKey) => {
                self.become_state(PeerState::Disconnected, StateReason::WrongPresharedKey, now);
            }
            (PeerState::Handshaking, _) | (PeerState::Rekeying, StateReason::InitiationReceived) => {
                self.become_state(PeerState::Disconnected, StateReason::ResponseUnconfirmed, now);
            }
            (PeerState::Init | PeerState::Connected | PeerState::Rekeying | PeerState::Disconnected, _) => {}
        }
    }

    fn become_state(&mut self, state: PeerState, reason: StateReason, now: Now) {
        if self.state != state {
            self.since_unix_ms = now.unix_ns / 1_000_000;
        }
        (self.state, self.reason) = (state, reason);
    }

    /// Keeps the last refused message of the peer, and counts those alike in a row.
    pub fn refused(&mut self, refused: RefusedHandshake) {
        let alike = |before: &RefusedHandshake| before.source == refused.source && before.why == refused.why;
        match &mut self.refusal {
            Some(before) if alike(before) => {
                (before.unix_ms, before.count) = (refused.unix_ms, before.count + 1);
            }
            Some(before) => **before = refused,
            None => self.refusal = Some(Box::new(refused)),
        }
    }
}

/// Whole µs, 71 minutes at most.
fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}
