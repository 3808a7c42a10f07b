//! Every figure that a measure yields, and the tables they are shown in.

/// One number of an implementation.
#[derive(Debug, PartialEq)]
pub(super) struct Figure {
    /// Its name in JSON.
    pub name: &'static str,
    /// Its column's heading.
    pub heading: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Digits shown behind the point.
    pub decimals: usize,
}

/// Figures shown side by side, a row for each implementation.
pub(super) struct Table {
    /// What they are about.
    pub title: &'static str,
    /// The columns.
    pub figures: &'static [&'static Figure],
}

impl Figure {
    /// A value with as many digits as this figure is worth.
    pub fn shown(&self, value: f64) -> String {
        format!("{value:.*}", self.decimals)
    }
}

const fn figure(name: &'static str, heading: &'static str, unit: &'static str, decimals: usize) -> Figure {
    Figure {
        name,
        heading,
        unit,
        decimals,
    }
}

pub(super) static TCP_1_OUT: Figure = figure("tcp_1_stream_out", "1 stream, out", "Gb/s", 2);
pub(super) static TCP_1_BACK: Figure = figure("tcp_1_stream_back", "1 stream, back", "Gb/s", 2);
pub(super) static TCP_4_OUT: Figure = figure("tcp_4_streams_out", "4 streams, out", "Gb/s", 2);
pub(super) static TCP_4_BACK: Figure = figure("tcp_4_streams_back", "4 streams, back", "Gb/s", 2);

pub(super) static UDP_STEP: Figure = figure("udp_highest_step", "highest step below 1 % loss", "Gb/s", 2);
pub(super) static UDP_MOST: Figure = figure("udp_most_arrived", "most that arrived at any step", "Gb/s", 2);

pub(super) static CPU_SENDER: Figure = figure("cpu_at_1_gbps_sender", "sealing end", "% of a core", 0);
pub(super) static CPU_RECEIVER: Figure = figure("cpu_at_1_gbps_receiver", "opening end", "% of a core", 0);
pub(super) static CPU_RATE: Figure = figure("cpu_at_1_gbps_achieved", "rate achieved", "Gb/s", 2);

pub(super) static IDLE_CPU: Figure = figure("idle_1000_peers_cpu", "CPU", "% of a core", 3);
pub(super) static IDLE_WAKEUPS: Figure = figure("idle_1000_peers_wakeups", "wake-ups", "per s", 1);

pub(super) static LATENCY_P50: Figure = figure("latency_p50", "round trip p50", "µs", 1);
pub(super) static LATENCY_P99: Figure = figure("latency_p99", "round trip p99", "µs", 1);
pub(super) static ADDED_P50: Figure = figure("latency_added_p50", "added p50", "µs", 1);
pub(super) static ADDED_P99: Figure = figure("latency_added_p99", "added p99", "µs", 1);

pub(super) static SEALED_64: Figure = figure("gateway_64", "64 B", "kpps", 0);
pub(super) static SEALED_512: Figure = figure("gateway_512", "512 B", "kpps", 0);
pub(super) static SEALED_1420: Figure = figure("gateway_1420", "1420 B", "kpps", 0);
pub(super) static OFFERED_64: Figure = figure("gateway_64_offered", "offered, 64 B", "kpps", 0);
pub(super) static OFFERED_512: Figure = figure("gateway_512_offered", "offered, 512 B", "kpps", 0);
pub(super) static OFFERED_1420: Figure = figure("gateway_1420_offered", "offered, 1420 B", "kpps", 0);

pub(super) static RSS_0: Figure = figure("rss_0_peers", "no peers", "MB", 1);
pub(super) static RSS_1000: Figure = figure("rss_1000_peers", "1,000 registered", "MB", 1);
pub(super) static RSS_10000: Figure = figure("rss_10000_peers", "10,000 registered", "MB", 1);
pub(super) static PEER_BYTES: Figure = figure("bytes_per_registered_peer", "each registered peer", "B", 0);
pub(super) static RSS_LIVE: Figure = figure("rss_1000_sessions", "1,000 live sessions", "MB", 1);
pub(super) static SESSION_BYTES: Figure = figure("bytes_per_live_session", "each live session", "B", 0);

pub(super) static MILLION_RSS: Figure = figure("rss_1000000_peers", "resident", "MB", 0);
pub(super) static MILLION_S: Figure = figure("registration_1000000_peers", "time to register them", "s", 1);

pub(super) static CHANGE_RATE: Figure = figure("changes_per_s", "changes", "per s", 0);
pub(super) static CHANGE_P50: Figure = figure("change_p50", "a change, p50", "µs", 0);
pub(super) static CHANGE_P99: Figure = figure("change_p99", "p99", "µs", 0);
pub(super) static CHANGE_MAX: Figure = figure("change_max", "longest", "µs", 0);
pub(super) static CHANGE_LOST_BESIDE: Figure = figure("change_lost_without", "lost without changes", "%", 3);
pub(super) static CHANGE_LOST: Figure = figure("change_lost", "lost with them", "%", 3);
pub(super) static STATUS_ALL: Figure = figure("status_10000_peers", "status of all", "ms", 1);
pub(super) static PEERS_ONE: Figure = figure("status_1_peer", "status of one", "µs", 0);

/// All tables, in the order of the report.
pub(super) static TABLES: &[Table] = &[
    Table {
        title: "TCP over TUN, both ends the same implementation",
        figures: &[&TCP_1_OUT, &TCP_1_BACK, &TCP_4_OUT, &TCP_4_BACK],
    },
    Table {
        title: "Paced UDP, datagrams of 1392 B",
        figures: &[&UDP_STEP, &UDP_MOST],
    },
    Table {
        title: "CPU of the process at 1 Gb/s of TCP",
        figures: &[&CPU_SENDER, &CPU_RECEIVER, &CPU_RATE],
    },
    Table {
        title: "Idle with 1,000 registered peers",
        figures: &[&IDLE_CPU, &IDLE_WAKEUPS],
    },
    Table {
        title: "Latency of a UDP echo of 64 B",
        figures: &[&LATENCY_P50, &ADDED_P50, &LATENCY_P99, &ADDED_P99],
    },
    Table {
        title: "As gateway: packets sealed from a LAN, the process on one core",
        figures: &[
            &SEALED_64,
            &SEALED_512,
            &SEALED_1420,
            &OFFERED_64,
            &OFFERED_512,
            &OFFERED_1420,
        ],
    },
    Table {
        title: "Resident memory",
        figures: &[
            &RSS_0,
            &RSS_1000,
            &RSS_10000,
            &PEER_BYTES,
            &RSS_LIVE,
            &SESSION_BYTES,
        ],
    },
    Table {
        title: "10,000 peers in groups under access rules, a change of one of them every millisecond",
        figures: &[
            &CHANGE_RATE,
            &CHANGE_P50,
            &CHANGE_P99,
            &CHANGE_MAX,
            &CHANGE_LOST_BESIDE,
            &CHANGE_LOST,
            &STATUS_ALL,
            &PEERS_ONE,
        ],
    },
    Table {
        title: "A million registered peers",
        figures: &[&MILLION_RSS, &MILLION_S],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// Catches two figures of one name, whose rounds would be mixed.
    #[test]
    fn every_figure_has_its_own_name() {
        let mut names = HashSet::new();
        for figure in TABLES.iter().flat_map(|table| table.figures) {
            assert!(names.insert(figure.name), "{} is there twice", figure.name);
        }
    }
}
