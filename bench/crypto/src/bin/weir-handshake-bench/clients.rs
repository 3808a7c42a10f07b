//! Those who begin handshakes, whose messages every contender gets, and who say whether an answer is one.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use weir_abi::key::{PresharedKey, PrivateKey, PublicKey};
use weir_noise::message::{INITIATION_LEN, RESPONSE_LEN};
use weir_noise::{Identity, Index, Initiator, Remote, Tai64n, initiate, public_key};

/// Registered peers, which shake hands in turn.
const PEERS: usize = 64;

/// Between the timestamps of two rounds, in ns.
const ROUND_NS: u64 = 1_000_000_000;

/// An initiation.
pub(crate) type Initiation = [u8; INITIATION_LEN];

/// A response.
pub(crate) type Response = [u8; RESPONSE_LEN];

/// The clients of one responder.
pub(crate) struct Clients {
    all: Vec<(Identity, Remote)>,
    random: ChaCha20Rng,
    unix_ns: u64,
}

/// The initiations of one round, one of each client.
pub(crate) struct Round {
    /// The messages, with mac1 and without mac2.
    pub(crate) initiations: Vec<Initiation>,
    initiators: Vec<Initiator>,
}

/// The responder's private key.
pub(crate) fn responder() -> [u8; 32] {
    [1; 32]
}

impl Clients {
    pub(crate) fn new() -> Self {
        let responder = public_key(&PrivateKey::from_bytes(responder()));
        let mut random = ChaCha20Rng::from_seed([2; 32]);
        let client = |_| {
            let mut private = [0; 32];
            random.fill_bytes(&mut private);
            let identity = Identity::new(&PrivateKey::from_bytes(private));
            let remote = Remote::new(&identity, responder).expect("a public key is not of low order");
            (identity, remote)
        };
        Self {
            all: (0..PEERS).map(client).collect(),
            random,
            unix_ns: ROUND_NS,
        }
    }

    /// Their public keys.
    pub(crate) fn keys(&self) -> Vec<PublicKey> {
        self.all.iter().map(|(identity, _)| *identity.public()).collect()
    }

    /// A handshake of each, later than all before.
    pub(crate) fn round(&mut self) -> Round {
        self.unix_ns += ROUND_NS;
        let timestamp = Tai64n::from_unix_nanos(self.unix_ns);
        let random = &mut self.random;
        let begun = self.all.iter().map(|(identity, remote)| {
            let mut ephemeral = [0; 32];
            random.fill_bytes(&mut ephemeral);
            initiate(identity, remote, Index(random.next_u32()), timestamp, ephemeral)
                .expect("a public key is not of low order")
        });
        let (initiations, initiators) = begun.unzip();
        Round {
            initiations,
            initiators,
        }
    }

    /// Whether each initiation was answered by a response from which its client derives a session.
    pub(crate) fn are_answered(&self, round: &Round, responses: &[Response]) -> bool {
        let none = PresharedKey::from_bytes([0; 32]);
        let mut all = self.all.iter().zip(&round.initiators).zip(responses);
        responses.len() == PEERS
            && all.all(|(((identity, _), initiator), response)| {
                initiator.finish(identity, &none, response).is_ok()
            })
    }
}
