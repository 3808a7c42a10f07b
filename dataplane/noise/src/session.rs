//! Keypairs: the keys of a session with their counters, ages and replay
//! window, and the three of them that a peer can have.

use core::ops::Range;

use crate::limits::{
    REJECT_AFTER_MESSAGES, REJECT_AFTER_TIME, REKEY_AFTER_MESSAGES, REKEY_AFTER_TIME,
    REKEY_ON_RECEIVE_AFTER_TIME,
};
use crate::{Index, Instant, ReplayWindow, SessionKeys};

/// Why a keypair seals no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendRefused {
    /// REJECT_AFTER_MESSAGES would be passed.
    #[error("the keypair's counters are used up")]
    Exhausted,
    /// Older than REJECT_AFTER_TIME.
    #[error("the keypair has expired")]
    Expired,
}

/// The keys of one session. They are erased when it is dropped.
pub struct Keypair {
    keys: SessionKeys,
    created: Instant,
    send_counter: u64,
    /// Which of the peer's counters were received.
    pub replay: ReplayWindow,
}

impl Keypair {
    /// A keypair as the handshake left it.
    pub fn new(keys: SessionKeys, now: Instant) -> Self {
        Self {
            keys,
            created: now,
            send_counter: 0,
            replay: ReplayWindow::new(),
        }
    }

    /// Key of the messages we send.
    #[inline]
    pub fn send_key(&self) -> &[u8; 32] {
        &self.keys.send
    }

    /// Key of the messages we receive.
    #[inline]
    pub fn receive_key(&self) -> &[u8; 32] {
        &self.keys.receive
    }

    /// Our index: the receiver in what we receive.
    #[inline]
    pub fn local(&self) -> Index {
        self.keys.local
    }

    /// The peer's index: the receiver in what we send.
    #[inline]
    pub fn remote(&self) -> Index {
        self.keys.remote
    }

    /// Whether we began the handshake.
    #[inline]
    pub fn initiator(&self) -> bool {
        self.keys.initiator
    }

    /// When the keys were derived.
    #[inline]
    pub fn created(&self) -> Instant {
        self.created
    }

    /// Messages sealed so far, those included that were reserved and never sent.
    pub fn sent(&self) -> u64 {
        self.send_counter
    }

    /// Takes the counter of one message. It is spent from now on, whatever
    /// becomes of the message: no counter is ever given out twice.
    #[inline]
    pub fn reserve(&mut self, now: Instant) -> Result<u64, SendRefused> {
        self.reserve_many(now, 1).map(|counters| counters.start)
    }

    /// Takes the counters of `count` messages, or none if not all are to be had.
    #[inline]
    pub fn reserve_many(&mut self, now: Instant, count: u32) -> Result<Range<u64>, SendRefused> {
        if self.expired(now) {
            return Err(SendRefused::Expired);
        }
        if u64::from(count) > REJECT_AFTER_MESSAGES - self.send_counter {
            return Err(SendRefused::Exhausted);
        }
        let start = self.send_counter;
        self.send_counter += u64::from(count);
        Ok(start..self.send_counter)
    }

    /// Whether messages under this keypair are still taken.
    #[inline]
    pub fn may_receive(&self, now: Instant) -> bool {
        !self.expired(now)
    }

    /// Whether sending calls for a new handshake (whitepaper section 6.2).
    #[inline]
    pub fn needs_rekey_on_send(&self, now: Instant) -> bool {
        self.send_counter >= REKEY_AFTER_MESSAGES
            || (self.keys.initiator && now.is_past(self.created, REKEY_AFTER_TIME))
    }

    /// Whether receiving calls for a new handshake: the initiator's last
    /// chance before the keypair expires (whitepaper section 6.2).
    #[inline]
    pub fn needs_rekey_on_receive(&self, now: Instant) -> bool {
        self.keys.initiator && now.is_past(self.created, REKEY_ON_RECEIVE_AFTER_TIME)
    }

    /// Whether REJECT_AFTER_TIME has passed.
    #[inline]
    pub fn expired(&self, now: Instant) -> bool {
        now.is_past(self.created, REJECT_AFTER_TIME)
    }
}

/// Which of a peer's keypairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// The one before the current; packets under it may still be on their way.
    Previous,
    /// The one that seals.
    Current,
    /// Derived as responder and not yet confirmed by the initiator's first data.
    Next,
}

/// Local indices that no longer lead to a keypair, to be taken out of the
/// index table: at most three.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retired([Option<Index>; 3]);

impl Retired {
    fn push(&mut self, keypair: Option<Box<Keypair>>) {
        if let Some(keypair) = keypair {
            let free = self.0.iter_mut().find(|index| index.is_none());
            *free.expect("a peer has three keypairs at most") = Some(keypair.local());
        }
    }
}

impl IntoIterator for Retired {
    type Item = Index;
    type IntoIter = core::iter::Flatten<core::array::IntoIter<Option<Index>, 3>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter().flatten()
    }
}

/// A peer's keypairs, rotated as Linux does, with one exception that
/// [`Keypairs::install`] names.
#[derive(Default)]
pub struct Keypairs {
    previous: Option<Box<Keypair>>,
    current: Option<Box<Keypair>>,
    next: Option<Box<Keypair>>,
}

impl Keypairs {
    /// Takes in the keypair of a completed handshake.
    ///
    /// As initiator we may use it at once: it becomes current, and what was
    /// next or else current becomes previous. As responder we wait until the
    /// initiator has shown that it has the keys: it becomes next. Linux drops
    /// the previous keypair then; here an initiation alone displaces nothing
    /// that carries data.
    #[must_use]
    pub fn install(&mut self, keypair: Box<Keypair>) -> Retired {
        let mut retired = Retired::default();
        if keypair.initiator() {
            retired.push(self.previous.take());
            let current = self.current.replace(keypair);
            match self.next.take() {
                Some(next) => {
                    self.previous = Some(next);
                    retired.push(current);
                }
                None => self.previous = current,
            }
        } else {
            retired.push(self.next.replace(keypair));
        }
        retired
    }

    /// Called for authentic data under the keypair `local`: if that is next it
    /// becomes current, and Some says so. The handshake is then complete.
    #[must_use]
    pub fn confirm(&mut self, local: Index) -> Option<Retired> {
        let next = self.next.take_if(|next| next.local() == local)?;
        let mut retired = Retired::default();
        retired.push(self.previous.take());
        self.previous = self.current.replace(next);
        Some(retired)
    }

    /// The keypair that seals, if there is one; it may have expired.
    #[inline]
    pub fn current(&self) -> Option<&Keypair> {
        self.current.as_deref()
    }

    /// The keypair that seals, to reserve counters of it.
    #[inline]
    pub fn current_mut(&mut self) -> Option<&mut Keypair> {
        self.current.as_deref_mut()
    }

    /// The keypair with this local index, to open a message under it.
    #[inline]
    pub fn by_local(&mut self, local: Index) -> Option<(Slot, &mut Keypair)> {
        let slot = self.slot_of(local)?;
        let keypair = match slot {
            Slot::Current => &mut self.current,
            Slot::Previous => &mut self.previous,
            Slot::Next => &mut self.next,
        };
        Some((slot, keypair.as_deref_mut()?))
    }

    /// The keypair with this local index, for its keys.
    #[inline]
    pub fn find(&self, local: Index) -> Option<&Keypair> {
        match self.slot_of(local)? {
            Slot::Current => self.current.as_deref(),
            Slot::Previous => self.previous.as_deref(),
            Slot::Next => self.next.as_deref(),
        }
    }

    /// Whether the keypair with this local index waits for its [`Keypairs::confirm`].
    #[inline]
    pub fn is_next(&self, local: Index) -> bool {
        self.next.as_deref().is_some_and(|next| next.local() == local)
    }

    /// Where the keypair with this local index is. Nearly every message is under the current one.
    #[inline]
    fn slot_of(&self, local: Index) -> Option<Slot> {
        let has = |keypair: &Option<Box<Keypair>>| keypair.as_deref().is_some_and(|it| it.local() == local);
        if has(&self.current) {
            Some(Slot::Current)
        } else if has(&self.previous) {
            Some(Slot::Previous)
        } else if has(&self.next) {
            Some(Slot::Next)
        } else {
            None
        }
    }

    /// All local indices that lead to a keypair.
    pub fn locals(&self) -> impl Iterator<Item = Index> + '_ {
        [&self.current, &self.previous, &self.next]
            .into_iter()
            .filter_map(|keypair| Some(keypair.as_deref()?.local()))
    }

    /// Erases the keypairs that have expired.
    #[must_use]
    pub fn expire(&mut self, now: Instant) -> Retired {
        self.erase_if(|keypair| keypair.expired(now))
    }

    /// Erases all keypairs: after ZERO_AFTER_TIME, or when the peer goes.
    #[must_use]
    pub fn clear(&mut self) -> Retired {
        self.erase_if(|_| true)
    }

    fn erase_if(&mut self, condition: impl Fn(&Keypair) -> bool) -> Retired {
        let mut retired = Retired::default();
        for slot in [&mut self.previous, &mut self.current, &mut self.next] {
            retired.push(slot.take_if(|keypair| condition(keypair)));
        }
        retired
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    fn s(seconds: u64) -> Instant {
        Instant::BOOT + Duration::from_secs(seconds)
    }

    fn keypair(local: u32, initiator: bool) -> Box<Keypair> {
        let keys = SessionKeys {
            send: [1; 32],
            receive: [local as u8; 32],
            local: Index(local),
            remote: Index(0),
            initiator,
        };
        Box::new(Keypair::new(keys, s(0)))
    }

    fn slots(keypairs: &Keypairs) -> [Option<u32>; 3] {
        [&keypairs.previous, &keypairs.current, &keypairs.next].map(|slot| Some(slot.as_ref()?.local().0))
    }

    fn sorted(retired: Retired) -> Vec<u32> {
        let mut indices: Vec<_> = retired.into_iter().map(|index| index.0).collect();
        indices.sort_unstable();
        indices
    }

    #[test]
    fn counters_are_given_out_once() {
        let mut keypair = keypair(1, true);
        assert_eq!(keypair.reserve(s(0)), Ok(0));
        assert_eq!(keypair.reserve_many(s(0), 10), Ok(1..11));
        assert_eq!(keypair.reserve(s(0)), Ok(11));
        assert_eq!(keypair.sent(), 12);
    }

    /// Catches a nonce that wraps (boringtun 0.7.1), and a block that passes the limit.
    #[test]
    fn counters_end_at_reject_after_messages() {
        let mut keypair = keypair(1, true);
        keypair.send_counter = REJECT_AFTER_MESSAGES - 2;
        assert_eq!(keypair.reserve_many(s(0), 3), Err(SendRefused::Exhausted));
        assert_eq!(keypair.reserve(s(0)), Ok(REJECT_AFTER_MESSAGES - 2));
        assert_eq!(keypair.reserve(s(0)), Ok(REJECT_AFTER_MESSAGES - 1));
        assert_eq!(keypair.reserve(s(0)), Err(SendRefused::Exhausted));
        assert_eq!(
            keypair.reserve_many(s(0), 0),
            Ok(REJECT_AFTER_MESSAGES..REJECT_AFTER_MESSAGES)
        );
    }

    #[test]
    fn ages_are_exact() {
        let (mut initiator, responder) = (keypair(1, true), keypair(2, false));
        let ns = Duration::from_nanos(1);
        assert!(!initiator.needs_rekey_on_send(s(120) - ns) && initiator.needs_rekey_on_send(s(120)));
        assert!(!initiator.needs_rekey_on_receive(s(165) - ns) && initiator.needs_rekey_on_receive(s(165)));
        assert!(!responder.needs_rekey_on_send(s(179)) && !responder.needs_rekey_on_receive(s(179)));
        assert!(initiator.may_receive(s(180) - ns) && !initiator.may_receive(s(180)));
        assert_eq!(initiator.reserve(s(180)), Err(SendRefused::Expired));
    }

    /// Both roles renew a keypair that was used too often.
    #[test]
    fn rekey_after_messages() {
        let mut responder = keypair(1, false);
        responder.send_counter = REKEY_AFTER_MESSAGES - 1;
        assert!(!responder.needs_rekey_on_send(s(0)));
        assert!(responder.reserve(s(0)).is_ok() && responder.needs_rekey_on_send(s(0)));
    }

    #[test]
    fn the_initiator_uses_its_keypair_at_once() {
        let mut keypairs = Keypairs::default();
        assert_eq!(sorted(keypairs.install(keypair(1, true))), []);
        assert_eq!(sorted(keypairs.install(keypair(2, true))), []);
        assert_eq!(slots(&keypairs), [Some(1), Some(2), None]);
        assert_eq!(sorted(keypairs.install(keypair(3, true))), [1]);
        assert_eq!(slots(&keypairs), [Some(2), Some(3), None]);
    }

    /// Catches an initiation alone that displaces a live session.
    #[test]
    fn the_responder_waits_for_confirmation() {
        let mut keypairs = Keypairs::default();
        let _ = keypairs.install(keypair(1, true));
        let _ = keypairs.install(keypair(2, true));
        assert_eq!(sorted(keypairs.install(keypair(3, false))), []);
        assert_eq!(sorted(keypairs.install(keypair(4, false))), [3]);
        assert_eq!(slots(&keypairs), [Some(1), Some(2), Some(4)]);
        assert_eq!(keypairs.confirm(Index(2)), None);
        assert_eq!(keypairs.confirm(Index(3)), None);
        assert_eq!(keypairs.confirm(Index(4)).map(sorted), Some(vec![1]));
        assert_eq!(slots(&keypairs), [Some(2), Some(4), None]);
        assert_eq!(keypairs.confirm(Index(4)), None);
    }

    /// When both sides began at once, the keypair the other may already use stays reachable.
    #[test]
    fn an_unconfirmed_next_becomes_previous_under_a_new_current() {
        let mut keypairs = Keypairs::default();
        let _ = keypairs.install(keypair(1, true));
        let _ = keypairs.install(keypair(2, true));
        let _ = keypairs.install(keypair(3, false));
        assert_eq!(sorted(keypairs.install(keypair(4, true))), [1, 2]);
        assert_eq!(slots(&keypairs), [Some(3), Some(4), None]);
    }

    #[test]
    fn keypairs_are_found_by_their_local_index() {
        let mut keypairs = Keypairs::default();
        let _ = keypairs.install(keypair(1, true));
        let _ = keypairs.install(keypair(2, true));
        let _ = keypairs.install(keypair(3, false));
        for (local, slot) in [(1, Slot::Previous), (2, Slot::Current), (3, Slot::Next)] {
            let found = keypairs
                .by_local(Index(local))
                .map(|(slot, keypair)| (slot, keypair.local()));
            assert_eq!(found, Some((slot, Index(local))));
            let key = keypairs
                .by_local(Index(local))
                .map(|(_, keypair)| *keypair.receive_key());
            assert_eq!(keypairs.is_next(Index(local)), slot == Slot::Next);
            assert_eq!(
                keypairs.find(Index(local)).map(|keypair| *keypair.receive_key()),
                key
            );
        }
        assert!(keypairs.by_local(Index(4)).is_none());
        assert!(keypairs.find(Index(4)).is_none());
        assert_eq!(keypairs.locals().count(), 3);
        assert_eq!(keypairs.current().map(Keypair::local), Some(Index(2)));
    }

    #[test]
    fn expiry_and_clearing_name_what_they_erased() {
        let mut keypairs = Keypairs::default();
        let _ = keypairs.install(keypair(1, true));
        let mut young = keypair(2, true);
        young.created = s(100);
        let _ = keypairs.install(young);
        assert_eq!(sorted(keypairs.expire(s(180))), [1]);
        assert_eq!(slots(&keypairs), [None, Some(2), None]);
        let _ = keypairs.install(keypair(3, true));
        let _ = keypairs.install(keypair(4, false));
        assert_eq!(sorted(keypairs.clear()), [2, 3, 4]);
        assert_eq!(slots(&keypairs), [None; 3]);
    }
}
