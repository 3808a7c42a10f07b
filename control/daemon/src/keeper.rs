//! What keeps the house in order: last good copies of the store, old entries pruned, sessions that ended, a certificate's
//! end told in time.

use crate::clock;
use crate::sampler::certificate as certificate_alert;
use crate::serving::tls::Certificate;
use crate::world::World;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use weir_store::Store;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// Between two times that old entries are pruned.
const PRUNE: Duration = Duration::from_secs(3600);

/// Between two looks at the certificate.
const CERTIFICATE_LOOK: Duration = Duration::from_secs(60);

/// Keeps copies and prunes, until the process is to end.
pub fn run(store: Store, world: Arc<World>, stop: Arc<AtomicBool>) {
    let mut pruned = Instant::now();
    let mut failing = false;
    while !stop.load(Ordering::Relaxed) {
        thread::sleep(LOOK);
        let now = clock::now();
        if store.is_copy_due(now) {
            match store.keep_copy(now) {
                Ok(()) => failing = false,
                Err(error) if !failing => {
                    tracing::error!("no copy of the store: {error}");
                    failing = true;
                }
                Err(_) => thread::sleep(20 * LOOK),
            }
        }
        if pruned.elapsed() >= PRUNE {
            pruned = Instant::now();
            prune(&store, &world, now);
        }
    }
}

fn prune(store: &Store, world: &World, now: Timestamp) {
    let Some(days) = world.published.load().state.settings.audit_days else {
        return;
    };
    let kept = SignedDuration::from_hours(24 * i64::from(days));
    let before = now.checked_sub(kept).unwrap_or(Timestamp::MIN);
    match store.prune_audit(before) {
        Ok(0) => {}
        Ok(count) => tracing::info!("{count} audit entries older than {days} days were pruned"),
        Err(error) => tracing::error!("the audit log is not pruned: {error}"),
    }
}

/// Tells of a certificate that ends soon, until the process ends.
pub async fn certificate(current: watch::Receiver<Certificate>, world: Arc<World>) {
    loop {
        let now = clock::now();
        let days = world.published.load().state.settings.alerts.expiry_days;
        let ahead = SignedDuration::from_hours(24 * i64::from(days));
        let ends = Timestamp::from_second(current.borrow().not_after_unix_s).unwrap_or(Timestamp::MAX);
        let soon = ends.duration_since(now) <= ahead;
        let observed = soon.then(|| certificate_alert(ends)).into_iter().collect();
        world.alerts.observe("certificate", observed, now, &world.hub);
        tokio::time::sleep(CERTIFICATE_LOOK).await;
    }
}
