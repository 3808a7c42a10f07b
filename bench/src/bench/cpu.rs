//! Processor time of both processes while TCP passes at a paced 1 Gb/s.

use std::net::SocketAddr;
use std::time::Duration;

use super::Settings;
use super::contender::Contender;
use super::counters::Usage;
use super::figures::{CPU_RATE, CPU_RECEIVER, CPU_SENDER};
use super::interrupt::Stage;
use super::measure::Sample;
use super::pair::Pair;
use crate::Result;
use crate::iperf::Iperf;

const BITS_PER_S: u64 = 1_000_000_000;

/// Longer than other windows, by this factor: processor time comes in steps of 10 ms.
const LONGER: u32 = 2;

/// CPU of the sealing and of the opening end in percent of a core, and the rate that was reached.
pub(super) fn take(stage: &Stage, settings: &Settings, contender: Contender) -> Result<Vec<Sample>> {
    let mut pair = Pair::new(stage, settings, contender)?;
    let pids = [pair.left.pid()?, pair.right.pid()?];
    let seconds = settings.seconds * LONGER;
    let iperf = Iperf::to(SocketAddr::new(pair.right.inner, 5201))
        .seconds(seconds)
        .paced(BITS_PER_S);
    let before = [Usage::of(pids[0])?, Usage::of(pids[1])?];
    let report = iperf.run(pair.topology(), &pair.left.namespace, &pair.right.namespace)?;
    let after = [Usage::of(pids[0])?, Usage::of(pids[1])?];
    // Before and after the stream the processes sleep, so what they used belongs to its seconds.
    let percent = |end: usize| {
        share(
            after[end].cpu - before[end].cpu,
            Duration::from_secs(seconds.into()),
        )
    };
    Ok(vec![
        CPU_SENDER.sample(percent(0)),
        CPU_RECEIVER.sample(percent(1)),
        CPU_RATE.sample(report.received_bits_per_s / 1e9),
    ])
}

/// Processor time as percent of a core over some time.
pub(super) fn share(used: Duration, window: Duration) -> f64 {
    100.0 * used.as_secs_f64() / window.as_secs_f64()
}
