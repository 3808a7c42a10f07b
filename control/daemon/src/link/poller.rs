//! Reads the data plane's status: an overview every second while somebody listens, the peers as often as they are sampled,
//! and both when asked for.

use super::PATIENCE;
use super::wire::{Connection, WireError};
use crate::clock;
use crate::sampler::Sampler;
use crate::world::World;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};
use weir_abi::ipc::{Reply, Request};
use weir_abi::key::PublicKey;
use weir_abi::status::{PeerStatus, Status};
use weir_api::types;

/// Between two overviews while somebody listens.
const TICK: Duration = Duration::from_secs(1);

/// For which questions are waited for before the clock is looked at: a second must not become two.
const LOOK: Duration = Duration::from_millis(250);

/// Between two overviews while nobody does: alerts are made of them.
const IDLE_TICK: Duration = Duration::from_secs(10);

/// Questions that wait at most.
const WAITING_MAX: usize = 256;

/// For which who asks for something fresh waits, before what is known must do.
const FRESH_WAIT: Duration = Duration::from_secs(2);

/// What the poller is asked for.
enum Demand {
    /// The overview and all peers, for those who wait on [`Polling::fresh`].
    All,
    /// One peer.
    Peer(PublicKey, oneshot::Sender<Option<Arc<PeerStatus>>>),
}

/// Asks the poller.
#[derive(Clone, Debug)]
pub struct Polling {
    demands: SyncSender<Demand>,
    read: watch::Receiver<u64>,
}

/// The poller's end.
pub struct Polled {
    demands: Receiver<Demand>,
    read: watch::Sender<u64>,
}

/// Both ends.
pub fn channel() -> (Polling, Polled) {
    let (sender, demands) = sync_channel(WAITING_MAX);
    let (written, read) = watch::channel(0);
    let polled = Polled {
        demands,
        read: written,
    };
    (
        Polling {
            demands: sender,
            read,
        },
        polled,
    )
}

impl Polling {
    /// Has what was learnt be no older than `age`, if the data plane answers in time.
    pub async fn fresh(&self, world: &World, age: Duration) {
        let learnt = world.learnt.load();
        let young = |at: Option<Instant>| at.is_some_and(|at| at.elapsed() < age);
        if !learnt.connected || (young(learnt.peers_at) && young(learnt.status_at)) {
            return;
        }
        let mut read = self.read.clone();
        read.mark_unchanged();
        // Where the queue is full, somebody has asked for the same.
        let _ = self.demands.try_send(Demand::All);
        let _ = tokio::time::timeout(FRESH_WAIT, read.changed()).await;
    }

    /// One peer as it is now; `None` where it is not there, or the data plane is away.
    pub async fn peer(&self, key: PublicKey) -> Option<Arc<PeerStatus>> {
        let (sender, answer) = oneshot::channel();
        self.demands.try_send(Demand::Peer(key, sender)).ok()?;
        tokio::time::timeout(FRESH_WAIT, answer).await.ok()?.ok()?
    }
}

/// The thread that polls.
pub struct Poller {
    path: PathBuf,
    world: Arc<World>,
    polled: Polled,
    connection: Option<Connection>,
    sampler: Sampler,
    sample_every: Duration,
    stop: Arc<AtomicBool>,
}

impl Poller {
    /// A poller of the data plane at `path`.
    pub fn new(
        path: PathBuf,
        world: Arc<World>,
        polled: Polled,
        sampler: Sampler,
        sample_every: Duration,
        stop: Arc<AtomicBool>,
    ) -> Self {
        Self {
            path,
            world,
            polled,
            connection: None,
            sampler,
            sample_every,
            stop,
        }
    }

    /// Polls until the process is to end.
    pub fn run(mut self) {
        let (mut sampled, mut ticked) = (None::<Instant>, None::<Instant>);
        while !self.stop.load(Ordering::Relaxed) {
            let (all, singles) = self.demands();
            let due = |last: Option<Instant>, every| last.is_none_or(|last| last.elapsed() >= every);
            let listened = self.world.hub.listeners() > 0;
            let tick = if listened { TICK } else { IDLE_TICK };
            let sample = due(sampled, self.sample_every);
            if !self.world.learnt.load().connected {
                self.connection = None;
                self.sampler.away(&self.world);
                singles
                    .into_iter()
                    .for_each(|(_, sender)| drop(sender.send(None)));
                self.polled.read.send_modify(|version| *version += 1);
                continue;
            }
            let read = self.read(all, sample, all || sample || due(ticked, tick), singles);
            match read {
                Ok(()) => {
                    if sample {
                        sampled = Some(Instant::now());
                    }
                    if due(ticked, tick) {
                        ticked = Some(Instant::now());
                    }
                }
                Err(error) => {
                    tracing::debug!("the status cannot be read: {error}");
                    self.connection = None;
                }
            }
        }
        self.sampler.end();
    }

    /// Waits for questions, not for long, and takes all that wait.
    #[expect(clippy::type_complexity, reason = "it is used here alone")]
    fn demands(&mut self) -> (bool, Vec<(PublicKey, oneshot::Sender<Option<Arc<PeerStatus>>>)>) {
        let (mut all, mut singles) = (false, Vec::new());
        let mut sort = |demand| match demand {
            Demand::All => all = true,
            Demand::Peer(key, sender) => singles.push((key, sender)),
        };
        match self.polled.demands.recv_timeout(LOOK) {
            Ok(demand) => sort(demand),
            Err(RecvTimeoutError::Timeout) => {}
            // Who could ask is gone, and the process about to end.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(LOOK),
        }
        while let Ok(demand) = self.polled.demands.try_recv() {
            sort(demand);
        }
        (all, singles)
    }

    fn read(
        &mut self,
        all: bool,
        sample: bool,
        overview: bool,
        singles: Vec<(PublicKey, oneshot::Sender<Option<Arc<PeerStatus>>>)>,
    ) -> Result<(), WireError> {
        if overview {
            let status = self.status(all || sample)?;
            self.learn(status, all || sample);
            self.polled.read.send_modify(|version| *version += 1);
            if sample {
                self.sampler.sample(&self.world);
            }
        }
        if !singles.is_empty() {
            self.singles(singles)?;
        }
        Ok(())
    }

    fn status(&mut self, peers: bool) -> Result<Status, WireError> {
        match self.ask(&Request::Status { peers })? {
            Reply::Status(status) => Ok(*status),
            _ => Err(WireError::Unexpected("status")),
        }
    }

    fn singles(
        &mut self,
        singles: Vec<(PublicKey, oneshot::Sender<Option<Arc<PeerStatus>>>)>,
    ) -> Result<(), WireError> {
        let keys = singles.iter().map(|(key, _)| *key).collect();
        let Reply::Peers(found) = self.ask(&Request::Peers(keys))? else {
            return Err(WireError::Unexpected("peers"));
        };
        let found: Vec<Arc<PeerStatus>> = found.into_iter().map(Arc::new).collect();
        self.world.learn(|learnt| {
            for peer in &found {
                learnt.peers.insert(peer.public_key, Arc::clone(peer));
            }
        });
        for (key, sender) in singles {
            let peer = found.iter().find(|peer| peer.public_key == key).cloned();
            // Who asked may have gone.
            let _ = sender.send(peer);
        }
        Ok(())
    }

    fn ask(&mut self, request: &Request) -> Result<Reply, WireError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(&self.path, PATIENCE)?,
        };
        let reply = connection.ask(request)?;
        self.connection = Some(connection);
        Ok(reply)
    }

    /// Publishes a status, and what passed since the one before.
    fn learn(&mut self, mut status: Status, with_peers: bool) {
        let peers = std::mem::take(&mut status.peers);
        let unix_ms = u64::try_from(clock::now().as_millisecond()).unwrap_or(0);
        let point = self.world.throughput().take(&status, unix_ms);
        let status = Arc::new(status);
        let peers = with_peers.then(|| {
            peers
                .into_iter()
                .map(|peer| (peer.public_key, Arc::new(peer)))
                .collect::<weir_model::Shared<_, _>>()
        });
        self.world.learn(|learnt| {
            learnt.status = Some(Arc::clone(&status));
            learnt.status_at = Some(Instant::now());
            if let Some(peers) = &peers {
                learnt.peers = peers.clone();
                learnt.peers_at = Some(Instant::now());
            }
        });
        self.sampler.overview(&self.world, &status);
        if let Some(point) = point.filter(|_| self.world.hub.listeners() > 0) {
            self.tick(point);
        }
    }

    fn tick(&self, [unix_s, rx_bps, tx_bps, rx_pps, tx_pps, handshakes, drops]: [u64; 7]) {
        self.world.hub.publish(types::Event::Status(types::StatusTick {
            unix_s,
            dataplane: true,
            rx_bps,
            tx_bps,
            rx_pps,
            tx_pps,
            handshakes,
            drops,
            peers: crate::backend::present::counts(&self.world),
            alerts: self.world.alerts.len() as u64,
        }));
    }
}
