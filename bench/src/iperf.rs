//! Throughput between two namespaces, with Debian's iperf3.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;

use crate::{LabError, Namespace, Result, Topology, programs};

/// How long iperf3's server may take to listen.
const LISTEN_LIMIT: Duration = Duration::from_secs(5);

/// What a measurement may take beyond its own seconds: connecting, and the exchange of results.
const SLACK: Duration = Duration::from_secs(15);

/// A measurement from a client to a server.
#[derive(Clone, Debug)]
pub struct Iperf {
    server: SocketAddr,
    seconds: u32,
    streams: u32,
    reverse: bool,
    udp: Option<Udp>,
    tcp_bits_per_s: Option<u64>,
    cores: Option<(usize, usize)>,
}

#[derive(Clone, Copy, Debug)]
struct Udp {
    bits_per_s: u64,
    payload_bytes: u16,
}

/// What iperf3 measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IperfReport {
    /// Bits per second that the sending side handed over.
    pub sent_bits_per_s: f64,
    /// Bits per second that arrived.
    pub received_bits_per_s: f64,
    /// TCP segments sent again; none for UDP.
    pub retransmits: Option<u64>,
    /// UDP datagrams lost, in percent; none for TCP.
    pub lost_percent: Option<f64>,
}

impl Iperf {
    /// One TCP stream for two seconds, from the client to this address of the server.
    pub fn to(server: SocketAddr) -> Self {
        Self {
            server,
            seconds: 2,
            streams: 1,
            reverse: false,
            udp: None,
            tcp_bits_per_s: None,
            cores: None,
        }
    }

    /// Measures for this long.
    pub fn seconds(mut self, seconds: u32) -> Self {
        self.seconds = seconds;
        self
    }

    /// Runs this many streams at once; their sum is reported.
    pub fn streams(mut self, streams: u32) -> Self {
        self.streams = streams;
        self
    }

    /// Lets the server send and the client receive.
    pub fn reverse(mut self) -> Self {
        self.reverse = true;
        self
    }

    /// Sends UDP datagrams of this payload at this pace instead of TCP.
    pub fn udp(mut self, bits_per_s: u64, payload_bytes: u16) -> Self {
        self.udp = Some(Udp {
            bits_per_s,
            payload_bytes,
        });
        self
    }

    /// Sends TCP no faster than this, all streams together.
    pub fn paced(mut self, bits_per_s: u64) -> Self {
        self.tcp_bits_per_s = Some(bits_per_s);
        self
    }

    /// Holds the client and the server to these cores.
    pub fn cores(mut self, client: usize, server: usize) -> Self {
        self.cores = Some((client, server));
        self
    }

    /// Starts a server that serves once, and measures.
    pub fn run(&self, topology: &Topology, client: &Namespace, server: &Namespace) -> Result<IperfReport> {
        let mut serving = topology.start(
            server,
            "iperf3-server",
            programs::tool("iperf3")?.args(self.server_arguments()),
        )?;
        server.await_listener(self.server, LISTEN_LIMIT)?;
        let mut measuring = topology.start(
            client,
            "iperf3-client",
            programs::tool("iperf3")?.args(self.client_arguments()),
        )?;
        let limit = Duration::from_secs(self.seconds.into()) + SLACK;
        let status = measuring.wait(limit)?;
        let log = measuring.log();
        let output: Output = serde_json::from_str(&log).map_err(|_| unreadable("JSON", &log))?;
        if let Some(error) = output.error {
            return Err(LabError::Failed {
                command: format!("iperf3 -c {}", self.server),
                status,
                output: error,
            });
        }
        serving.wait(limit)?;
        output
            .end
            .and_then(|end| end.report(self.udp.is_some()))
            .ok_or_else(|| unreadable("sum", &log))
    }

    fn server_arguments(&self) -> Vec<String> {
        words(&format!(
            "-s -1 -B {} -p {}",
            self.server.ip(),
            self.server.port()
        ))
    }

    fn client_arguments(&self) -> Vec<String> {
        let mut line = format!(
            "-c {} -p {} -J -t {} -P {}",
            self.server.ip(),
            self.server.port(),
            self.seconds,
            self.streams
        );
        if self.reverse {
            line += " -R";
        }
        if let Some(udp) = self.udp {
            line += &format!(
                " -u -b {} -l {}",
                udp.bits_per_s / u64::from(self.streams),
                udp.payload_bytes
            );
        }
        if let Some(bits_per_s) = self.tcp_bits_per_s {
            line += &format!(" -b {}", bits_per_s / u64::from(self.streams));
        }
        if let Some((client, server)) = self.cores {
            line += &format!(" -A {client},{server}");
        }
        words(&line)
    }
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn unreadable(expected: &'static str, output: &str) -> LabError {
    LabError::Unreadable {
        program: "iperf3",
        expected,
        output: output.to_owned(),
    }
}

/// The part of iperf3's JSON that is read.
#[derive(Deserialize)]
struct Output {
    error: Option<String>,
    end: Option<End>,
}

#[derive(Deserialize)]
struct End {
    sum: Option<Sum>,
    sum_sent: Option<Sum>,
    sum_received: Option<Sum>,
}

#[derive(Deserialize)]
struct Sum {
    bits_per_second: f64,
    retransmits: Option<u64>,
    lost_percent: Option<f64>,
}

impl End {
    fn report(self, udp: bool) -> Option<IperfReport> {
        if udp {
            // The one sum of UDP counts what was sent, and the receiver's losses.
            let sum = self.sum?;
            let lost_percent = sum.lost_percent?;
            return Some(IperfReport {
                sent_bits_per_s: sum.bits_per_second,
                received_bits_per_s: sum.bits_per_second * (1.0 - lost_percent / 100.0),
                retransmits: None,
                lost_percent: Some(lost_percent),
            });
        }
        let sent = self.sum_sent?;
        Some(IperfReport {
            sent_bits_per_s: sent.bits_per_second,
            received_bits_per_s: self.sum_received?.bits_per_second,
            retransmits: sent.retransmits,
            lost_percent: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches what was sent reported as what arrived.
    #[test]
    fn what_arrived_is_told_from_what_was_sent() {
        let tcp = r#"{"end": {"sum_sent": {"bits_per_second": 9.0, "retransmits": 4}, "sum_received": {"bits_per_second": 8.0}}}"#;
        let output: Output = serde_json::from_str(tcp).unwrap();
        let report = output.end.unwrap().report(false).unwrap();
        assert_eq!((report.sent_bits_per_s, report.received_bits_per_s), (9.0, 8.0));
        assert_eq!(report.retransmits, Some(4));
        let udp = r#"{"end": {"sum": {"bits_per_second": 100.0, "lost_percent": 25.0}}}"#;
        let output: Output = serde_json::from_str(udp).unwrap();
        let report = output.end.unwrap().report(true).unwrap();
        assert_eq!(
            (report.sent_bits_per_s, report.received_bits_per_s),
            (100.0, 75.0)
        );
    }

    #[test]
    fn streams_share_the_pace() {
        let iperf = Iperf::to("10.0.0.1:5201".parse().unwrap())
            .streams(4)
            .udp(4000, 1392)
            .reverse();
        let line = iperf.client_arguments().join(" ");
        assert_eq!(line, "-c 10.0.0.1 -p 5201 -J -t 2 -P 4 -R -u -b 1000 -l 1392");
    }
}
