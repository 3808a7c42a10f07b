//! The threads of the handshake workers.

use crate::clock;
use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, Sender, bounded, select_biased};
use std::io;
use std::sync::{Arc, Mutex};
use weir_engine::limits::OWN_JOBS;
use weir_engine::{Alarm, Job, Outcome, Stamps, Tables, Worker};

/// Outcomes that wait for one shard.
const OUTCOMES: usize = 2048;

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
}

impl WorkerThread {
    fn run(mut self) {
        while let Some(job) = self.next() {
            let (shard, outcome) = self.worker.run(job, clock::wall_nanos());
            let shard = usize::from(shard);
            // A shard that is slow to take outcomes slows the worker, and so the queue before it.
            if self.outcomes[shard].send(outcome).is_err() {
                return;
            }
            self.alarms[shard].ring();
        }
    }

    fn next(&self) -> Option<Job> {
        select_biased! {
            recv(self.own) -> job => job.ok(),
            recv(self.strangers) -> job => job.ok(),
        }
    }
}
