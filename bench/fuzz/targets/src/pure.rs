//! The handshake's computations, each done once: they are pure, and X25519 would leave the fuzzer a thousand runs a
//! second.

use crate::ends::{End, ends, preshared};
use std::collections::HashMap;
use std::rc::Rc;
use weir_abi::key::PresharedKey;
use weir_noise::message::{INITIATION_LEN, MAC_LEN, RESPONSE_LEN};
use weir_noise::{AuthenticInitiation, Index, Initiator, OpenedInitiation, SessionKeys, Tai64n, initiate};

/// Results kept of each kind before all are forgotten.
const KEPT: usize = 1 << 14;

/// An initiation and what its maker keeps.
pub(crate) struct Initiated {
    pub(crate) message: [u8; INITIATION_LEN],
    pub(crate) initiator: Initiator,
}

/// A response and the session that its maker has.
pub(crate) struct Responded {
    pub(crate) message: [u8; RESPONSE_LEN],
    pub(crate) keys: SessionKeys,
}

/// What an initiation depends on: who makes it, the how manieth it is, its timestamp.
pub(crate) type Initiation = (usize, u32, [u8; 12]);
/// What its opening depends on: who does it, and the message without its macs.
type Opening = (usize, [u8; INITIATION_LEN - 2 * MAC_LEN]);

/// Two ends and everything that was ever computed for them.
pub(crate) struct Pure {
    pub(crate) ends: [End; 2],
    preshared: PresharedKey,
    initiated: HashMap<Initiation, Rc<Initiated>>,
    opened: HashMap<Opening, Option<Rc<AuthenticInitiation>>>,
    responded: HashMap<(Opening, u32), Rc<Responded>>,
    finished: HashMap<(Initiation, [u8; RESPONSE_LEN - 2 * MAC_LEN]), Option<Rc<SessionKeys>>>,
}

impl Pure {
    pub(crate) fn new() -> Self {
        Self {
            ends: ends(),
            preshared: preshared(),
            initiated: HashMap::new(),
            opened: HashMap::new(),
            responded: HashMap::new(),
            finished: HashMap::new(),
        }
    }

    /// The `nth` initiation that the end `side` makes; its index and ephemeral key follow from its number.
    pub(crate) fn initiate(
        &mut self,
        side: usize,
        nth: u32,
        timestamp: Tai64n,
    ) -> (Initiation, Rc<Initiated>) {
        let what = (side, nth, *timestamp.as_bytes());
        let end = &self.ends[side];
        let made = entry(&mut self.initiated, what, || {
            let (message, initiator) = initiate(
                &end.identity,
                &end.remote,
                index(side, nth),
                timestamp,
                ephemeral(side, nth),
            )
            .expect("keys of full order");
            Rc::new(Initiated { message, initiator })
        });
        (what, made)
    }

    /// What the end `side` finds in an initiation whose mac1 is right.
    pub(crate) fn open(
        &mut self,
        side: usize,
        message: &[u8; INITIATION_LEN],
    ) -> Option<Rc<AuthenticInitiation>> {
        let end = &self.ends[side];
        entry(&mut self.opened, (side, opening(message)), || {
            let opened = OpenedInitiation::open(&end.identity, message).ok()?;
            opened.authenticate(&end.remote).ok().map(Rc::new)
        })
    }

    /// The answer of the end `side` to the other's `nth` initiation, which it gives once or the keys would be used twice.
    pub(crate) fn respond(
        &mut self,
        side: usize,
        message: &[u8; INITIATION_LEN],
        authentic: &AuthenticInitiation,
        nth: u32,
    ) -> Rc<Responded> {
        let (end, preshared) = (&self.ends[side], &self.preshared);
        entry(&mut self.responded, ((side, opening(message)), nth), || {
            let (message, keys) = authentic
                .respond(
                    &end.remote,
                    preshared,
                    index(side + 2, nth),
                    ephemeral(side + 2, nth),
                )
                .expect("keys of full order");
            Rc::new(Responded { message, keys })
        })
    }

    /// The session that the maker of the initiation `what` has after a response.
    pub(crate) fn finish(
        &mut self,
        what: Initiation,
        initiated: &Initiated,
        message: &[u8; RESPONSE_LEN],
    ) -> Option<Rc<SessionKeys>> {
        let (end, preshared) = (&self.ends[what.0], &self.preshared);
        let covered = *message.first_chunk().expect("a response holds its macs");
        entry(&mut self.finished, (what, covered), || {
            initiated
                .initiator
                .finish(&end.identity, preshared, message)
                .ok()
                .map(Rc::new)
        })
    }
}

/// The index of the `nth` handshake in a role, never used again: the ends as initiators are 0 and 1, as responders
/// 2 and 3.
fn index(role: usize, nth: u32) -> Index {
    Index((role as u32 + 1) << 24 | nth)
}

fn ephemeral(role: usize, nth: u32) -> [u8; 32] {
    let mut bytes = [role as u8 + 1; 32];
    // Not in the first byte, whose low bits clamping clears.
    bytes[8..12].copy_from_slice(&nth.to_le_bytes());
    bytes
}

fn opening(message: &[u8; INITIATION_LEN]) -> [u8; INITIATION_LEN - 2 * MAC_LEN] {
    *message.first_chunk().expect("an initiation holds its macs")
}

/// What is known of `key`, or else computed now.
fn entry<K: Eq + core::hash::Hash, V: Clone>(
    known: &mut HashMap<K, V>,
    key: K,
    compute: impl FnOnce() -> V,
) -> V {
    if known.len() >= KEPT && !known.contains_key(&key) {
        known.clear();
    }
    known.entry(key).or_insert_with(compute).clone()
}
