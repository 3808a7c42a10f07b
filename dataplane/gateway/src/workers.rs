//! The threads of the handshake workers.

use crate::clock;
use arc_swap::ArcSwap;
use core::time::Duration;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, select_biased};
use std::io;
use std::sync::{Arc, Mutex};
use weir_engine::limits::OWN_JOBS;
use weir_engine::{Alarm, Job, Outcome, Stamps, Tables, Worker};

/// Outcomes that wait for one shard.
const OUTCOMES: usize = 2048;

/// How long a shard may take to make room for an outcome.
const PATIENCE: Duration = Duration::from_secs(1);

/// The workers, and the queues between them and the shards.
pub struct Workers {
    /// Initiations of others.
    pub strangers: Sender<Job>,
    /// Our own handshakes, which go first.
    pub own: Sender<Job>,
    outcomes: Vec<Receiver<Outcome>>,
}

impl Workers {
    /// Starts `count` workers for the shards that `alarms` belong to, with room for `waiting` initiations of others.
    /// They end when the queues of jobs are closed.
    pub fn start(
        count: usize,
        waiting: usize,
        tables: &Arc<ArcSwap<Tables>>,
        stamps: Stamps,
        alarms: &[Arc<Alarm>],
        mut seed: impl FnMut() -> [u8; 32],
    ) -> io::Result<Self> {
        let (strangers, stranger_jobs) = bounded(waiting);
        let (own, own_jobs) = bounded(OWN_JOBS);
        let (senders, outcomes): (Vec<_>, Vec<_>) = alarms.iter().map(|_| bounded(OUTCOMES)).unzip();
        let stamps = Arc::new(Mutex::new(stamps));
        for number in 0..count {
            let thread = WorkerThread {
                worker: Worker::new(Arc::clone(tables), Arc::clone(&stamps), seed()),
                strangers: stranger_jobs.clone(),
                own: own_jobs.clone(),
                outcomes: senders.clone(),
                alarms: alarms.to_vec(),
                takes: vec![true; alarms.len()],
            };
            std::thread::Builder::new()
                .name(format!("weir-handshake-{number}"))
                .spawn(move || thread.run())?;
        }
        Ok(Self {
            strangers,
            own,
            outcomes,
        })
    }

    /// Where the outcomes for a shard come out.
    pub fn outcomes(&self, shard: u16) -> Receiver<Outcome> {
        self.outcomes[usize::from(shard)].clone()
    }

    /// Jobs that wait.
    pub fn waiting(&self) -> usize {
        self.strangers.len() + self.own.len()
    }
}

struct WorkerThread {
    worker: Worker,
    strangers: Receiver<Job>,
    own: Receiver<Job>,
    outcomes: Vec<Sender<Outcome>>,
    alarms: Vec<Arc<Alarm>>,
    /// Which shards took the outcome that was for them last.
    takes: Vec<bool>,
}

impl WorkerThread {
    fn run(mut self) {
        while let Some(job) = self.next() {
            let (shard, outcome) = self.worker.run(job, clock::wall_nanos());
            let shard = usize::from(shard);
            self.hand_over(shard, outcome);
            self.alarms[shard].ring();
        }
    }

    /// A shard that is slow to take outcomes slows the worker, and so the queue before it. One that ended takes none: what
    /// it asked for is lost, and who takes its peers over begins those handshakes anew.
    fn hand_over(&mut self, shard: usize, outcome: Outcome) {
        let to = &self.outcomes[shard];
        let handed = match to.try_send(outcome) {
            Err(TrySendError::Full(outcome)) if self.takes[shard] => {
                to.send_timeout(outcome, PATIENCE).is_ok()
            }
            tried => tried.is_ok(),
        };
        self.takes[shard] = handed;
    }

    fn next(&self) -> Option<Job> {
        select_biased! {
            recv(self.own) -> job => job.ok(),
            recv(self.strangers) -> job => job.ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_abi::change::{Change, ChangeSet, PeerChange};
    use weir_abi::desired::Origin;
    use weir_abi::key::PublicKey;
    use weir_engine::{Applier, mesh};
    use weir_noise::Index;

    const LIMIT: Duration = Duration::from_secs(30);

    /// Catches workers that wait for ever for a shard that ended while many of its handshakes were under way: no handshake
    /// of any peer would complete any more.
    #[test]
    fn a_shard_that_ended_stops_no_handshake_of_others() {
        let mut applier = Applier::new(2, 1420);
        let peer = PeerChange::new(PublicKey::from_bytes([7; 32]));
        let set = ChangeSet {
            base: None,
            origin: Origin::Uapi,
            changes: vec![Change::Peer(peer)],
        };
        applier.apply(&set).expect("one peer");
        let facts = applier
            .published()
            .load()
            .peers
            .iter()
            .next()
            .map(|(_, facts)| Arc::clone(facts));
        let facts = facts.expect("the peer");
        let alarms: Vec<Arc<Alarm>> = mesh(2).iter().map(|links| Arc::clone(links.alarm())).collect();
        let stamps = Stamps::new(0, Box::new(|_| true));
        let workers =
            Workers::start(1, 1, applier.published(), stamps, &alarms, || [1; 32]).expect("a thread");
        let ask = |shard, number| {
            let job = Job::Initiate {
                shard,
                peer: Arc::clone(&facts),
                index: Index(number),
            };
            assert!(workers.own.send(job).is_ok(), "the workers run");
        };
        // Nobody takes outcomes for shard 1.
        (0..OUTCOMES as u32 + 10).for_each(|number| ask(1, number));
        ask(0, 0);
        assert!(
            workers.outcomes(0).recv_timeout(LIMIT).is_ok(),
            "no outcome for a shard that runs"
        );
    }
}
