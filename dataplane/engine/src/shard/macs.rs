//! mac1 of a burst's handshake messages, checked together: in a flood they are most of what arrives, and all that most of
//! them are worth.

use super::{Now, Shard};
use crate::indices::Place;
use crate::limits::BATCH;
use arrayvec::ArrayVec;
use weir_abi::drops::Drop;
use weir_abi::refused::RefusedWhy;
use weir_crypto::blake2s::Check;
use weir_noise::{Index, mac1_check};

/// An initiation or response whose mac1 is about to be checked: `held[frame]` holds it from `start` to `end`.
pub(super) struct Unchecked {
    pub(super) frame: usize,
    pub(super) start: usize,
    pub(super) end: usize,
    /// Of a response, the peer that waits for it, and under which index.
    pub(super) answers: Option<(Place, Index)>,
}

impl Shard {
    /// Has an initiation or response wait for the others of its burst.
    pub(super) fn handshake(&mut self, message: Unchecked, now: Now) {
        self.unchecked.push(message);
        if self.unchecked.len() == BATCH {
            self.check_handshakes(now);
        }
    }

    /// Takes in what waits and has a valid mac1, in the order of its arrival.
    #[inline]
    pub(super) fn check_handshakes(&mut self, now: Now) {
        if !self.unchecked.is_empty() {
            self.check_waiting(now);
        }
    }

    fn check_waiting(&mut self, now: Now) {
        let mut waiting = core::mem::take(&mut self.unchecked);
        let verdicts = self.mac1_verdicts(&waiting);
        for (message, verdict) in waiting.drain(..).zip(verdicts) {
            if let Err(reason) = verdict {
                self.counters.drop(reason);
                if reason == Drop::BadMac1 {
                    self.sample_refused(RefusedWhy::WrongMac1, message.frame, now);
                }
                continue;
            }
            let held = &self.held[message.frame];
            let Some(path) = held.meta().path else {
                continue;
            };
            let bytes = &held.bytes()[message.start..message.end];
            match message.answers {
                None => {
                    let initiation = Box::new(bytes.try_into().expect("an initiation has its length"));
                    self.initiation(initiation, path, now);
                }
                Some((place, index)) => {
                    let response = Box::new(bytes.try_into().expect("a response has its length"));
                    self.response(place, index, response, path, now);
                }
            }
        }
        self.unchecked = waiting;
    }

    /// Which messages were made by somebody who knows our public key.
    fn mac1_verdicts(&self, waiting: &[Unchecked]) -> ArrayVec<Result<(), Drop>, BATCH> {
        let Some(identity) = &self.tables.identity else {
            let reason = |message: &Unchecked| match message.answers {
                None => Drop::NoIdentity,
                Some(_) => Drop::BadMac1,
            };
            return waiting.iter().map(|message| Err(reason(message))).collect();
        };
        let mut checks: ArrayVec<Check<'_>, BATCH> = waiting
            .iter()
            .map(|message| {
                let bytes = &self.held[message.frame].bytes()[message.start..message.end];
                mac1_check(identity, bytes).expect("it was classified by its length")
            })
            .collect();
        self.macs.check(&mut checks);
        let verdict = |check: &Check<'_>| check.valid.then_some(()).ok_or(Drop::BadMac1);
        checks.iter().map(verdict).collect()
    }
}
