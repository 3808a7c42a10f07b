//! Many peers declared through the API, and many changes of them a second, from several connections at once.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weir_abi::key::PublicKey;

use crate::api::{Api, peer_path};
use crate::{LabError, Result};

/// Operations of one bulk request at most.
const BULK: u32 = 1000;

/// What came of changes.
#[derive(Clone, Debug)]
pub struct ChurnReport {
    /// How long each change took until it was answered, the shortest first.
    pub latencies: Vec<Duration>,
    /// From the first request to the last answer.
    pub duration: Duration,
}

impl ChurnReport {
    /// Changes a second.
    pub fn per_s(&self) -> f64 {
        self.latencies.len() as f64 / self.duration.as_secs_f64()
    }

    /// The time within which this share of the changes was answered; 0.99 for the 99th percentile.
    pub fn percentile(&self, share: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        let at = ((self.latencies.len() as f64 * share) as usize).min(last);
        self.latencies.get(at).copied().unwrap_or_default()
    }
}

/// The key of the peer with this number, which never speaks: any 32 bytes are a key.
pub fn key(number: u32) -> PublicKey {
    let mut key = [0x55; 32];
    key[..4].copy_from_slice(&number.to_be_bytes());
    PublicKey::from_bytes(key)
}

/// What the peer with a number below 2^17 is to be: its address lies in 10.80.0.0/15.
pub fn peer(number: u32, notes: &str) -> Value {
    let address = std::net::Ipv4Addr::from_bits(std::net::Ipv4Addr::new(10, 80, 0, 0).to_bits() + number);
    json!({ "name": format!("peer {number}"), "allowed_ips": [format!("{address}/32")], "notes": notes })
}

/// Declares the peers of these numbers, so many in one request as the API takes.
pub fn declare(api: &mut Api, numbers: std::ops::Range<u32>) -> Result<()> {
    let mut next = numbers.start;
    while next < numbers.end {
        let end = numbers.end.min(next + BULK);
        let operations: Vec<Value> = (next..end)
            .map(|number| json!({ "op": "put", "public_key": key(number).to_string(), "peer": peer(number, "") }))
            .collect();
        api.change("POST", "/v1/peers/bulk", &json!({ "operations": operations }))?;
        next = end;
    }
    Ok(())
}

/// Changes `count` peers of `peers`, `per_s` in a second over all connections, each by a request of its own. In turn it
/// changes a peer that is there, declares one beyond them, and removes that one. Every request must succeed.
pub fn churn(
    api: impl Fn() -> Api + Sync,
    peers: u32,
    count: u32,
    per_s: u32,
    connections: u32,
) -> Result<ChurnReport> {
    let started = Instant::now();
    let worker = |worker: u32| -> Result<Vec<Duration>> {
        let mut api = api();
        let mut latencies = Vec::new();
        for (turn, number) in (worker..count).step_by(connections as usize).enumerate() {
            let due = Duration::from_secs(1) * number / per_s;
            thread::sleep(due.saturating_sub(started.elapsed()));
            let begun = Instant::now();
            change(&mut api, turn as u32, number, worker, peers)?;
            latencies.push(begun.elapsed());
        }
        Ok(latencies)
    };
    let all = thread::scope(|scope| -> Result<Vec<Duration>> {
        let workers: Vec<_> = (0..connections)
            .map(|number| scope.spawn(move || worker(number)))
            .collect();
        let mut all = Vec::new();
        for worker in workers {
            all.extend(worker.join().expect("a worker returns its errors")?);
        }
        Ok(all)
    });
    let duration = started.elapsed();
    let mut latencies = all?;
    latencies.sort_unstable();
    Ok(ChurnReport { latencies, duration })
}

fn change(api: &mut Api, turn: u32, number: u32, worker: u32, peers: u32) -> Result<()> {
    // The one beyond is the worker's own.
    let beyond = peers + worker;
    let (method, number, body) = match turn % 3 {
        0 => (
            "PUT",
            number % peers,
            Some(peer(number % peers, &format!("change {number}"))),
        ),
        1 => ("PUT", beyond, Some(peer(beyond, ""))),
        _ => ("DELETE", beyond, None),
    };
    let answer = api.send(method, &peer_path(&key(number)), &[], body.as_ref())?;
    match answer.status {
        200 | 201 | 204 => Ok(()),
        status => Err(LabError::Answered {
            request: method.to_owned(),
            status,
            body: String::from_utf8_lossy(&answer.body).into_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches a percentile read beyond the end, or from the wrong end.
    #[test]
    fn percentiles_are_of_all() {
        let report = ChurnReport {
            latencies: (1..=100).map(Duration::from_millis).collect(),
            duration: Duration::from_secs(10),
        };
        assert_eq!(report.percentile(0.5), Duration::from_millis(51));
        assert_eq!(report.percentile(0.99), Duration::from_millis(100));
        assert!((report.per_s() - 10.0).abs() < f64::EPSILON);
    }
}
