//! ICMP echo through a tunnel, with Debian's ping.

use std::net::IpAddr;
use std::time::Duration;

use crate::namespace::failed;
use crate::{LabError, Namespace, Result, programs, wait};

/// ping's status when it ran but got no answer.
const STATUS_UNANSWERED: i32 = 1;

/// A series of echo requests to one address.
#[derive(Clone, Debug)]
pub struct Ping {
    destination: IpAddr,
    count: u32,
    interval_ms: u32,
    answer_limit_s: u32,
    payload_bytes: u16,
    whole: bool,
}

/// What came of a [`Ping`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PingReport {
    /// Requests sent.
    pub sent: u32,
    /// Answers received.
    pub received: u32,
    /// Smallest, mean and greatest round trip in ms, if there was an answer.
    pub round_trip_ms: Option<(f64, f64, f64)>,
}

impl Ping {
    /// Three requests of 56 bytes, 200 ms apart, each answered within 2 s.
    pub fn to(destination: IpAddr) -> Self {
        Self {
            destination,
            count: 3,
            interval_ms: 200,
            answer_limit_s: 2,
            payload_bytes: 56,
            whole: false,
        }
    }

    /// Sends this many requests.
    pub fn count(mut self, count: u32) -> Self {
        self.count = count;
        self
    }

    /// Sends them this far apart; below 2 ms only root may.
    pub fn interval_ms(mut self, interval_ms: u32) -> Self {
        self.interval_ms = interval_ms;
        self
    }

    /// Sends this many bytes behind the ICMP header.
    pub fn payload_bytes(mut self, payload_bytes: u16) -> Self {
        self.payload_bytes = payload_bytes;
        self
    }

    /// Forbids fragments, so that what exceeds the path's MTU is lost.
    pub fn whole(mut self) -> Self {
        self.whole = true;
        self
    }

    /// Sends them from a namespace. That nobody answers is a report, not an error.
    pub fn run(&self, from: &Namespace) -> Result<PingReport> {
        let mut ping = programs::tool("ping")?;
        ping.args(["-n", "-q", "-c", &self.count.to_string()])
            .args(["-i", &format!("{:.3}", f64::from(self.interval_ms) / 1000.0)])
            .args(["-W", &self.answer_limit_s.to_string()])
            .args(["-s", &self.payload_bytes.to_string()]);
        if self.whole {
            ping.args(["-M", "do"]);
        }
        let output = from.output(ping.arg(self.destination.to_string()))?;
        if !output.status.success() && output.status.code() != Some(STATUS_UNANSWERED) {
            return Err(failed(&ping, &output));
        }
        parse(&String::from_utf8_lossy(&output.stdout))
    }

    /// Sends single requests until one is answered; the time a tunnel takes to come up.
    pub fn until_answered(&self, from: &Namespace, limit: Duration) -> Result<()> {
        let once = Self {
            count: 1,
            answer_limit_s: 1,
            ..self.clone()
        };
        let what = format!("an answer to ping {} from {}", self.destination, from.name());
        wait::until(&what, limit, || match once.run(from) {
            Ok(report) if report.received == 0 => None,
            // Until a route or an address stands, ping fails at once.
            Err(LabError::Failed { .. }) => None,
            other => Some(other.map(drop)),
        })?
    }
}

fn parse(output: &str) -> Result<PingReport> {
    let missing = |expected| LabError::Unreadable {
        program: "ping",
        expected,
        output: output.to_owned(),
    };
    let counts = output
        .lines()
        .find(|line| line.contains("packets transmitted"))
        .ok_or_else(|| missing("line of counts"))?;
    let count = |position| -> Option<u32> {
        counts
            .split(',')
            .nth(position)?
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    };
    let times = output
        .lines()
        .find_map(|line| line.strip_prefix("rtt min/avg/max/mdev = "));
    let mut times = times
        .into_iter()
        .flat_map(|times| times.split('/'))
        .map_while(|time| time.parse().ok());
    let mut next_time = || -> Option<f64> { times.next() };
    Ok(PingReport {
        sent: count(0).ok_or_else(|| missing("count of packets sent"))?,
        received: count(1).ok_or_else(|| missing("count of packets received"))?,
        round_trip_ms: (|| Some((next_time()?, next_time()?, next_time()?)))(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_answered_and_unanswered_series() {
        let answered = "--- 10.0.0.1 ping statistics ---\n\
            3 packets transmitted, 2 received, +1 errors, 33% packet loss, time 404ms\n\
            rtt min/avg/max/mdev = 0.020/0.031/0.042/0.008 ms\n";
        let report = parse(answered).unwrap();
        assert_eq!((report.sent, report.received), (3, 2));
        assert_eq!(report.round_trip_ms, Some((0.02, 0.031, 0.042)));
        let silent = "1 packets transmitted, 0 received, 100% packet loss, time 0ms\n";
        assert_eq!(parse(silent).unwrap().round_trip_ms, None);
        assert!(parse("ping: connect: Network is unreachable\n").is_err());
    }
}
