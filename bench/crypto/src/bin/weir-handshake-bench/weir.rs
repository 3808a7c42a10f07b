//! Weir's responder: what a shard does before the worker, the worker itself, and what the peer's home does after it.

use crate::clients::{self, Initiation, Response};
use crate::measure::Responder;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use weir_abi::change::{Change, ChangeSet, PeerChange};
use weir_abi::desired::Origin;
use weir_abi::key::{PrivateKey, PublicKey};
use weir_engine::{Applier, Job, Outcome, PeerId, Stamps, Worker};
use weir_frame::Path;
use weir_noise::{Identity, Index, InitiationGate, Instant, Keypair, Keypairs, Tai64n, mac1_valid};

/// The tunnel's MTU, which no handshake asks for.
const MTU: u16 = 1420;

/// Between two rounds on the peers' clocks, so that none of them initiates too often.
const ROUND: Duration = Duration::from_secs(1);

/// The engine's worker with its tables, and of each peer what its home keeps of handshakes.
pub(crate) struct Weir {
    identity: Identity,
    worker: Worker,
    homes: HashMap<PeerId, Home>,
    now: Instant,
    next: u32,
}

struct Home {
    gate: InitiationGate,
    keypairs: Keypairs,
}

impl Weir {
    pub(crate) fn new(peers: &[PublicKey]) -> Self {
        let private = PrivateKey::from_bytes(clients::responder());
        let identity = Identity::new(&private);
        let mut applier = Applier::new(1, MTU);
        let mut changes = vec![Change::PrivateKey(Some(private))];
        changes.extend(peers.iter().map(|&key| Change::Peer(PeerChange::new(key))));
        let set = ChangeSet {
            base: None,
            origin: Origin::Uapi,
            changes,
        };
        applier.apply(&set).expect("the configuration is sound");
        let stamps = Arc::new(Mutex::new(Stamps::new(0, Box::new(|_| true))));
        Self {
            identity,
            worker: Worker::new(Arc::clone(applier.published()), stamps, [3; 32]),
            homes: HashMap::new(),
            now: Instant::from_nanos(0),
            next: 0,
        }
    }

    fn answer(&mut self, message: &Initiation, path: Path) -> Option<Response> {
        if !mac1_valid(&self.identity, message) {
            return None;
        }
        self.next += 1;
        let job = Job::Respond {
            shard: 0,
            index: Index(self.next),
            message: Box::new(*message),
            path,
            arrived: self.now,
            proved: false,
        };
        let (_, outcome) = self.worker.run(job, 0);
        let Outcome::Responded {
            peer,
            timestamp,
            response,
            keys,
            ..
        } = outcome
        else {
            return None;
        };
        let home = self.homes.entry(peer).or_insert_with(|| Home {
            gate: InitiationGate::new(Tai64n::ZERO),
            keypairs: Keypairs::default(),
        });
        home.gate.take(timestamp, self.now).ok()?;
        let keypair = Box::new(Keypair::new(*keys, self.now));
        // The index that it retires was in no table.
        let _ = home.keypairs.install(keypair);
        Some(*response)
    }
}

impl Responder for Weir {
    fn name(&self) -> &'static str {
        "weir"
    }

    fn respond(&mut self, initiations: &[Initiation], responses: &mut Vec<Response>) {
        self.now = self.now + ROUND;
        let path = Path::to(SocketAddr::from(([192, 0, 2, 2], 51820)));
        for message in initiations {
            responses.extend(self.answer(message, path));
        }
    }
}
