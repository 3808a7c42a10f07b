//! The handshake worker: all X25519 and handshake hashing, beside the packet path.
//!
//! Jobs carry everything they need; the worker looks peers up in the published tables and keeps no state of theirs.
//! What it hands back proves nothing yet about freshness: the peer's home checks the timestamp before a keypair is
//! installed and the response leaves.

use crate::slots::Shard;
use crate::tables::{PeerFacts, PeerId, Tables};
use arc_swap::ArcSwap;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use std::sync::{Arc, Mutex, PoisonError};
use weir_abi::drops::Drop;
use weir_abi::key::PublicKey;
use weir_abi::refused::RefusedWhy;
use weir_frame::Path;
use weir_noise::message::{INITIATION_LEN, RESPONSE_LEN};
use weir_noise::{
    HandshakeError, Identity, Index, Initiator, Instant, OpenedInitiation, SessionKeys, Tai64n,
    TimestampSource, initiate,
};
use zeroize::Zeroizing;

/// One computation.
pub enum Job {
    /// Answer an initiation whose mac1 is right.
    Respond {
        /// Where it arrived, and whose slot `index` is of.
        shard: Shard,
        /// Our index, should a session come of it.
        index: Index,
        /// The message.
        message: Box<[u8; INITIATION_LEN]>,
        /// Where it came from.
        path: Path,
        /// When it came.
        arrived: Instant,
        /// Whether mac2 proved its source.
        proved: bool,
    },
    /// Make an initiation.
    Initiate {
        /// The peer's home.
        shard: Shard,
        /// The peer.
        peer: Arc<PeerFacts>,
        /// Our index.
        index: Index,
    },
    /// Check the response to our initiation.
    Finish {
        /// Where it arrived.
        shard: Shard,
        /// The peer.
        peer: Arc<PeerFacts>,
        /// What the initiation left.
        initiator: Arc<Initiator>,
        /// The response.
        message: Box<[u8; RESPONSE_LEN]>,
        /// Where it came from.
        path: Path,
        /// When it came.
        arrived: Instant,
    },
}

/// What became of a job.
pub enum Outcome {
    /// An initiation was authentic, and this answers it.
    Responded {
        /// Who sent it.
        peer: PeerId,
        /// Where it arrived.
        shard: Shard,
        /// Where it came from.
        path: Path,
        /// When it came.
        arrived: Instant,
        /// To be greater than every one before.
        timestamp: Tai64n,
        /// The answer, mac2 still zero.
        response: Box<[u8; RESPONSE_LEN]>,
        /// The session. In a box, for what moves through queues leaves copies behind that nobody wipes.
        keys: Box<SessionKeys>,
        /// Whether mac2 proved its source.
        proved: bool,
        /// The serial of the identity that answered.
        identity_serial: u64,
    },
    /// An initiation was not authentic, or of no peer.
    Refused {
        /// The index that was set aside.
        index: Index,
        /// Why.
        reason: Drop,
        /// The static key that it claims, where that could be decrypted.
        claimed: Option<PublicKey>,
        /// Where it came from.
        path: Path,
        /// Whether mac2 proved its source.
        proved: bool,
    },
    /// An initiation of ours, mac2 still zero.
    Initiated {
        /// To whom.
        peer: PeerId,
        /// What to keep for the response.
        initiator: Arc<Initiator>,
        /// The message.
        message: Box<[u8; INITIATION_LEN]>,
    },
    /// No initiation can be made: no identity, a key of low order, or no timestamp to be had.
    NotInitiated {
        /// To whom.
        peer: PeerId,
        /// The index that was set aside.
        index: Index,
    },
    /// A response was authentic.
    Finished {
        /// Whose it is.
        peer: PeerId,
        /// Where it arrived.
        shard: Shard,
        /// Where it came from.
        path: Path,
        /// When it came.
        arrived: Instant,
        /// The session, in a box as above.
        keys: Box<SessionKeys>,
    },
    /// A response was not authentic; the handshake waits on.
    NotFinished {
        /// Whose it claimed to be.
        peer: PeerId,
        /// The index that it was for.
        index: Index,
        /// Where it came from.
        path: Path,
        /// What was wrong with it.
        why: RefusedWhy,
    },
}

impl Outcome {
    /// The peer whose home must see this, where that is not simply the shard that asked.
    pub fn peer(&self) -> Option<PeerId> {
        match self {
            Outcome::Responded { peer, .. }
            | Outcome::Initiated { peer, .. }
            | Outcome::NotInitiated { peer, .. }
            | Outcome::Finished { peer, .. }
            | Outcome::NotFinished { peer, .. } => Some(*peer),
            Outcome::Refused { .. } => None,
        }
    }
}

/// Writes a higher ceiling of timestamps to disk, in ns since the Unix epoch, and says whether it is there.
pub type RaiseCeiling = Box<dyn FnMut(u64) -> bool + Send>;

/// The timestamps of our initiations, one source for all workers.
pub struct Stamps {
    source: TimestampSource,
    raise: RaiseCeiling,
}

/// How far above the next timestamp a ceiling is written: a crash costs no more than this.
pub const CEILING_STEP_NS: u64 = 2 * CEILING_RESERVE_NS;

/// How far ahead of use the ceiling is kept: an hour.
const CEILING_RESERVE_NS: u64 = 3_600_000_000_000;

impl Stamps {
    /// Timestamps above the ceiling that the last run left on disk.
    pub fn new(persisted_ceiling_ns: u64, raise: RaiseCeiling) -> Self {
        Self {
            source: TimestampSource::new(persisted_ceiling_ns),
            raise,
        }
    }

    fn next(&mut self, unix_ns: u64) -> Option<Tai64n> {
        if let Some(ceiling) = self.source.ceiling_due(unix_ns, CEILING_RESERVE_NS)
            && (self.raise)(ceiling)
        {
            self.source.raise_ceiling(ceiling);
        }
        self.source.next(unix_ns).ok()
    }
}

/// A worker. Several may share a queue of jobs.
pub struct Worker {
    tables: Arc<ArcSwap<Tables>>,
    stamps: Arc<Mutex<Stamps>>,
    random: ChaCha20Rng,
}

impl Worker {
    /// A worker whose ephemeral keys come from `seed`, of which the caller keeps no copy.
    pub fn new(tables: Arc<ArcSwap<Tables>>, stamps: Arc<Mutex<Stamps>>, seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        Self {
            tables,
            stamps,
            random: ChaCha20Rng::from_seed(*seed),
        }
    }

    /// Does one job, at wall clock `unix_ns`, and says which shard is to hear of it.
    pub fn run(&mut self, job: Job, unix_ns: u64) -> (Shard, Outcome) {
        let tables = self.tables.load_full();
        let identity = tables.identity.as_deref();
        match job {
            Job::Respond {
                shard,
                index,
                message,
                path,
                arrived,
                proved,
            } => {
                let outcome = self.respond(&tables, identity, shard, index, &message, path, arrived, proved);
                let refused = |(reason, claimed)| Outcome::Refused {
                    index,
                    reason,
                    claimed,
                    path,
                    proved,
                };
                (shard, outcome.unwrap_or_else(refused))
            }
            Job::Initiate { shard, peer, index } => {
                let outcome = identity.and_then(|identity| self.initiate(identity, &peer, index, unix_ns));
                (
                    shard,
                    outcome.unwrap_or(Outcome::NotInitiated { peer: peer.id, index }),
                )
            }
            Job::Finish {
                shard,
                peer,
                initiator,
                message,
                path,
                arrived,
            } => {
                let finished = identity
                    .ok_or(RefusedWhy::Undecryptable)
                    .and_then(|identity| finish(identity, &initiator, &peer, &message));
                let (peer, index) = (peer.id, initiator.local());
                let outcome = match finished {
                    Ok(keys) => Outcome::Finished {
                        peer,
                        shard,
                        path,
                        arrived,
                        keys: Box::new(keys),
                    },
                    Err(why) => Outcome::NotFinished {
                        peer,
                        index,
                        path,
                        why,
                    },
                };
                (shard, outcome)
            }
        }
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "the fields of one job, taken apart by the caller"
    )]
    fn respond(
        &mut self,
        tables: &Tables,
        identity: Option<&Identity>,
        shard: Shard,
        index: Index,
        message: &[u8; INITIATION_LEN],
        path: Path,
        arrived: Instant,
        proved: bool,
    ) -> Result<Outcome, (Drop, Option<PublicKey>)> {
        let identity = identity.ok_or((Drop::NoIdentity, None))?;
        let opened = OpenedInitiation::open(identity, message).map_err(|_| (Drop::BadHandshake, None))?;
        let claimed = Some(opened.static_key);
        let peer = tables.peer_by_key(&opened.static_key);
        let peer = peer.ok_or((Drop::UnknownPeer, claimed))?;
        let remote = peer.remote(identity).ok_or((Drop::BadHandshake, claimed))?;
        let authentic = opened
            .authenticate(remote)
            .map_err(|_| (Drop::BadHandshake, claimed))?;
        let ephemeral = self.ephemeral();
        let (response, keys) = authentic
            .respond(remote, &peer.preshared_key, index, ephemeral)
            .map_err(|_| (Drop::BadHandshake, claimed))?;
        Ok(Outcome::Responded {
            peer: peer.id,
            shard,
            path,
            arrived,
            timestamp: authentic.timestamp,
            response: Box::new(response),
            keys: Box::new(keys),
            proved,
            identity_serial: tables.identity_serial,
        })
    }

    fn initiate(
        &mut self,
        identity: &Identity,
        peer: &PeerFacts,
        index: Index,
        unix_ns: u64,
    ) -> Option<Outcome> {
        let remote = peer.remote(identity)?;
        let timestamp = self
            .stamps
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .next(unix_ns)?;
        let made = initiate(identity, remote, index, timestamp, self.ephemeral());
        let (message, initiator) = made.ok()?;
        Some(Outcome::Initiated {
            peer: peer.id,
            initiator: Arc::new(initiator),
            message: Box::new(message),
        })
    }

    /// A private key for one handshake. What made it is overwritten at once: a generator that kept its state would
    /// yield every key it ever gave to whoever reads it, and with them all sessions since the start.
    fn ephemeral(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.random.fill_bytes(&mut bytes);
        let mut next = Zeroizing::new([0; 32]);
        self.random.fill_bytes(&mut *next);
        self.random = ChaCha20Rng::from_seed(*next);
        bytes
    }
}

/// The session that a response makes, or what is wrong with it.
fn finish(
    identity: &Identity,
    initiator: &Initiator,
    peer: &PeerFacts,
    message: &[u8; RESPONSE_LEN],
) -> Result<SessionKeys, RefusedWhy> {
    let finished = initiator.finish(identity, &peer.preshared_key, message);
    finished.map_err(|error| match error {
        // Whoever made it knows our index and our public key. The preshared key is what a true one can still lack.
        HandshakeError::Forged => RefusedWhy::WrongPresharedKey,
        HandshakeError::WrongType
        | HandshakeError::WrongReceiver
        | HandshakeError::LowOrderKey
        | HandshakeError::WrongRemote => RefusedWhy::Undecryptable,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches a source of ephemeral keys that can be turned back: whoever reads this memory could then open everything
    // that was ever recorded, which is what ephemeral keys are there to prevent.
    #[test]
    fn what_the_worker_holds_does_not_yield_the_keys_it_made() {
        let tables = Arc::new(ArcSwap::from_pointee(Tables::new(1, 1420)));
        let stamps = Arc::new(Mutex::new(Stamps::new(0, Box::new(|_| true))));
        let mut worker = Worker::new(tables, stamps, [7; 32]);
        let made: Vec<[u8; 32]> = (0..10).map(|_| worker.ephemeral()).collect();
        let mut rewound = ChaCha20Rng::from_seed(worker.random.get_seed());
        let mut stream = [0; 4096];
        rewound.fill_bytes(&mut stream);
        for key in &made {
            assert!(
                !stream.windows(32).any(|window| window == key),
                "the generator's state yields it again"
            );
        }
        assert!(made.windows(2).all(|keys| keys[0] != keys[1]));
    }
}
