//! Puts the process together, and takes it apart in order.

use crate::backend::{Parts, Service};
use crate::first::{self, FirstError};
use crate::link::poller::{self, Poller};
use crate::link::watcher;
use crate::options::{Options, OptionsError};
use crate::owner::{self, Ask, Owner};
use crate::sampler::{Sampler, Totals};
use crate::serving::{self, Bound, ServingError};
use crate::world::World;
use crate::{clock, keeper};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use weir_abi::endpoint::Endpoint;
use weir_store::{Found, KeyOrigin, Opened, SealingKey, SealingKeyError, Store, StoreError};

/// Why the process cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Options.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The key of the store.
    #[error(transparent)]
    Key(#[from] SealingKeyError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Serving.
    #[error(transparent)]
    Serving(#[from] ServingError),
    /// The first administrator.
    #[error(transparent)]
    First(#[from] FirstError),
    /// The API's own state.
    #[error("passwords cannot be hashed: {0}")]
    Api(String),
    /// The system.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// A running process: what may be asked of it, and how it ends.
pub struct Running {
    /// The URLs of the page.
    pub urls: Vec<String>,
    /// The store, for reading.
    pub store: Store,
    serving: tokio::task::JoinHandle<()>,
    owner: owner::Asking,
    threads: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    stopping: watch::Sender<bool>,
}

/// Starts everything; serves when this returns.
pub async fn start(options: &Options) -> Result<Running, RunError> {
    // Bound first: a second process ends here and touches nothing.
    let bound = Bound::bind(options).await?;
    let opened = open(options)?;
    let recovered = told(&opened);
    let Opened { store, state, .. } = opened;
    let world = Arc::new(World::new(recovered));
    let (owner, asks) = owner::channel();
    let (polling, polled) = poller::channel();
    let totals = Arc::new(Totals::new(store.clone()));
    let stop = Arc::new(AtomicBool::new(false));
    let dataplane = options.dataplane_socket();
    let owning = Owner::new(
        store.clone(),
        state,
        Arc::clone(&world),
        asks,
        dataplane.clone(),
        endpoint(options),
    );
    let poller = Poller::new(
        dataplane.clone(),
        Arc::clone(&world),
        polled,
        Sampler::new(Arc::clone(&totals)),
        options.sample_interval(),
        Arc::clone(&stop),
    );
    let watched = (
        dataplane.clone(),
        Arc::clone(&world),
        owner.clone(),
        Arc::clone(&stop),
    );
    let kept = (store.clone(), Arc::clone(&world), Arc::clone(&stop));
    let threads = vec![
        named("owner", move || owning.run())?,
        named("poller", move || poller.run())?,
        named("keeper", move || keeper::run(kept.0, kept.1, kept.2))?,
    ];
    // Blocks on what the data plane tells, and ends with the process.
    named("watcher", move || {
        watcher::watch(watched.0, watched.1, watched.2, watched.3)
    })?;
    first::administrator(&world, &owner, options.first_password_file.as_deref()).await?;
    let service = Service::new(Parts {
        world: Arc::clone(&world),
        owner: owner.clone(),
        polling,
        store: store.clone(),
        totals,
        dataplane,
        first_password: options.first_password_file.clone(),
    });
    if let Some(certificate) = bound.certificate.clone() {
        tokio::spawn(keeper::certificate(certificate, Arc::clone(&world)));
    }
    let own_uid = nix::unistd::geteuid().as_raw();
    let api = weir_api::Api::new(Arc::new(service), Arc::new(clock::now), own_uid)
        .map_err(|error| RunError::Api(error.to_string()))?;
    let (stopping, stopped) = watch::channel(false);
    let urls = bound.urls();
    let serving = tokio::spawn(bound.serve(serving::router(Arc::new(api)), stopped));
    Ok(Running {
        urls,
        store,
        serving,
        owner,
        threads,
        stop,
        stopping,
    })
}

impl Running {
    /// Lets what is under way end, writes what is left, and ends. Traffic goes on.
    pub async fn end(self) {
        self.stopping.send_replace(true);
        // Serving bounds its own farewell.
        let _ = self.serving.await;
        self.stop.store(true, Ordering::Relaxed);
        self.owner.tell(Ask::Stop);
        let threads = self.threads;
        let joined = tokio::task::spawn_blocking(move || {
            threads.into_iter().for_each(|thread| drop(thread.join()));
        });
        let _ = joined.await;
        if let Err(error) = self.store.close(clock::now()) {
            tracing::error!("{error}");
        }
    }
}

/// Runs until SIGINT or SIGTERM.
pub async fn run(options: &Options) -> Result<(), RunError> {
    options.check(nix::unistd::geteuid().as_raw())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let running = start(options).await?;
    for url in &running.urls {
        tracing::info!("the page: {url}");
    }
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!("ending; traffic goes on");
    running.end().await;
    Ok(())
}

fn open(options: &Options) -> Result<Opened, RunError> {
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    std::fs::create_dir_all(&options.store)?;
    let (key, origin) = SealingKey::find(
        &options.store,
        options.key_file.as_deref(),
        credentials.as_deref(),
    )?;
    if let KeyOrigin::Created(path) = origin {
        tracing::info!(
            "{}: made; without it the store cannot be read, so keep a copy elsewhere",
            path.display()
        );
    }
    Ok(Store::open(&options.store, key, clock::now())?)
}

/// Says how the store was found; what was recovered is shown until the next start.
fn told(opened: &Opened) -> Option<String> {
    if let Some(lost) = &opened.report.history_lost {
        tracing::error!("{lost}");
    }
    if opened.report.read_only {
        tracing::error!("the store's disk takes no writes: nothing can be changed until it does");
    }
    match &opened.report.found {
        Found::Fresh => {
            tracing::info!("a new store was made");
            None
        }
        Found::Intact => None,
        Found::Recovered(recovery) => {
            tracing::error!("{recovery}");
            Some(recovery.to_string())
        }
    }
}

fn endpoint(options: &Options) -> Option<Endpoint> {
    let text = options.endpoint.as_ref()?;
    weir_config::endpoint_with_default_port(text, weir_config::DEFAULT_PORT).ok()
}

fn named(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(work)
}
