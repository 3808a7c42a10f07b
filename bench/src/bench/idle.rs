//! What a process costs that has a thousand peers and nothing to do.

use std::thread;
use std::time::{Duration, Instant};

use super::Settings;
use super::contender;
use super::counters::Usage;
use super::cpu::share;
use super::figures::{IDLE_CPU, IDLE_WAKEUPS};
use super::interrupt::Stage;
use super::lone::Lone;
use super::measure::Sample;
use super::pair::TUNNEL_MTU;
use super::uapi;
use crate::{Implementation, Result};

const PEERS: u32 = 1000;

/// Time after which whatever starting and configuring has set off is over.
const SETTLED: Duration = Duration::from_secs(3);

/// Windows of idleness, as a multiple of others: it takes ten seconds to see what happens every few.
const LONGER: u32 = 5;

/// Time on a core in percent, and voluntary context switches per second, of all threads.
pub(super) fn take(
    stage: &Stage,
    settings: &Settings,
    implementation: Implementation,
) -> Result<Vec<Sample>> {
    let mut peer = Lone::start(stage, settings, implementation)?;
    uapi::add_peers(&peer, 0..PEERS, PEERS, uapi::silent_key)?;
    peer.address("10.0.0.1/8")?;
    peer.up(TUNNEL_MTU)?;
    thread::sleep(SETTLED);

    let pid = contender::pid(&mut peer);
    let (before, start) = (Usage::of(pid)?, Instant::now());
    thread::sleep(settings.duration() * LONGER);
    let (after, window) = (Usage::of(pid)?, start.elapsed());
    Ok(vec![
        // A thread that ended in between takes its time with it.
        IDLE_CPU.sample(share(after.on_core.saturating_sub(before.on_core), window)),
        IDLE_WAKEUPS.sample(after.sleeps.saturating_sub(before.sleeps) as f64 / window.as_secs_f64()),
    ])
}
