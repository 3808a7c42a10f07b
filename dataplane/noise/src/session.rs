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
    pub fn send_key(&self) -> &[u8; 32] {
        &self.keys.send
    }

    /// Key of the messages we receive.
    pub fn receive_key(&self) -> &[u8; 32] {
        &self.keys.receive
    }

    /// Our index: the receiver in what we receive.
    pub fn local(&self) -> Index {
        self.keys.local
    }

    /// The peer's index: the receiver in what we send.
    pub fn remote(&self) -> Index {
        self.keys.remote
    }

    /// Whether we began the handshake.
    pub fn initiator(&self) -> bool {
        self.keys.initiator
    }

    /// When the keys were derived.
    pub fn created(&self) -> Instant {
        self.created
    }

    /// Messages sealed so far, those included that were reserved and never sent.
    pub fn sent(&self) -> u64 {
        self.send_counter
    }

    /// Takes the counter of one message. It is spent from now on, whatever
    /// becomes of the message: no counter is ever given out twice.
    pub fn reserve(&mut self, now: Instant) -> Result<u64, SendRefused> {
        self.reserve_many(now, 1).map(|counters| counters.start)
    }

    /// Takes the counters of `count` messages, or none if not all are to be had.
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
    pub fn may_receive(&self, now: Instant) -> bool {
        !self.expired(now)
    }

    /// Whether sending calls for a new handshake (whitepaper section 6.2).
    pub fn needs_rekey_on_send(&self, now: Instant) -> bool {
        self.send_counter >= REKEY_AFTER_MESSAGES
            || (self.keys.initiator && now.since(self.created) >= REKEY_AFTER_TIME)
    }

    /// Whether receiving calls for a new handshake: the initiator's last
    /// chance before the keypair expires (whitepaper section 6.2).
    pub fn needs_rekey_on_receive(&self, now: Instant) -> bool {
        self.keys.initiator && now.since(self.created) >= REKEY_ON_RECEIVE_AFTER_TIME
    }

    /// Whether REJECT_AFTER_TIME has passed.
    pub fn expired(&self, now: Instant) -> bool {
        now.since(self.created) >= REJECT_AFTER_TIME
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
    pub fn current(&self) -> Option<&Keypair> {
        self.current.as_deref()
    }

    /// The keypair that seals, to reserve counters of it.
    pub fn current_mut(&mut self) -> Option<&mut Keypair> {
        self.current.as_deref_mut()
    }

    /// The keypair with this local index, to open a message under it.
    pub fn by_local(&mut self, local: Index) -> Option<(Slot, &mut Keypair)> {
        let slots = [
            (Slot::Current, &mut self.current),
            (Slot::Previous, &mut self.previous),
            (Slot::Next, &mut self.next),
        ];
        slots
            .into_iter()
            .filter_map(|(slot, keypair)| Some((slot, keypair.as_deref_mut()?)))
            .find(|(_, keypair)| keypair.local() == local)
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
