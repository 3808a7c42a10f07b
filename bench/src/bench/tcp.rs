//! Throughput of TCP between the two ends of a tunnel.

use std::net::SocketAddr;

use super::Settings;
use super::contender::Contender;
use super::figures::{Figure, TCP_1_BACK, TCP_1_OUT, TCP_4_BACK, TCP_4_OUT};
use super::interrupt::Stage;
use super::measure::Sample;
use super::pair::Pair;
use crate::Result;
use crate::iperf::Iperf;

/// Streams, whether the right end sends, and what it is called.
static RUNS: [(u32, bool, &Figure); 4] = [
    (1, false, &TCP_1_OUT),
    (1, true, &TCP_1_BACK),
    (4, false, &TCP_4_OUT),
    (4, true, &TCP_4_BACK),
];

/// What iperf3 received, one way and the other.
pub(super) fn take(stage: &Stage, settings: &Settings, contender: Contender) -> Result<Vec<Sample>> {
    let pair = Pair::new(stage, settings, contender)?;
    let server = SocketAddr::new(pair.right.inner, 5201);
    let mut samples = Vec::new();
    for (streams, reverse, figure) in RUNS {
        let iperf = Iperf::to(server).seconds(settings.seconds).streams(streams);
        let iperf = if reverse { iperf.reverse() } else { iperf };
        let report = iperf.run(pair.topology(), &pair.left.namespace, &pair.right.namespace)?;
        samples.push(figure.sample(report.received_bits_per_s / 1e9));
    }
    Ok(samples)
}
