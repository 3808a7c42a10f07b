//! Round trips of small UDP datagrams, through the tunnel and beside it.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::Settings;
use super::contender::Contender;
use super::figures::{ADDED_P50, ADDED_P99, LATENCY_P50, LATENCY_P99};
use super::interrupt::Stage;
use super::measure::Sample;
use super::pair::Pair;
use crate::{LabError, Result};

/// Payload of a datagram.
const BYTES: usize = 64;

/// An echo that takes longer counts as lost.
const LOST_AFTER: Duration = Duration::from_millis(100);

/// Time between an answer and the next question: what comes now and then finds everyone asleep, as it does in use.
const PAUSE: Duration = Duration::from_micros(200);

/// Round trips that warm up caches and neighbours and are not counted.
const WARM_UP: usize = 100;

/// Round trips at most.
const COUNT_MAX: usize = 100_000;

/// Percentiles in µs.
struct RoundTrips {
    p50: f64,
    p99: f64,
}

/// p50 and p99 through the contender, and what it adds to the veth pair that lies beneath.
pub(super) fn take(stage: &Stage, settings: &Settings, contender: Contender) -> Result<Vec<Sample>> {
    let pair = Pair::new(stage, settings, contender)?;
    let through = echo(&pair, pair.left.inner, pair.right.inner, settings.duration())?;
    let mut samples = vec![LATENCY_P50.sample(through.p50), LATENCY_P99.sample(through.p99)];
    if contender != Contender::Veth {
        let beside = echo(&pair, pair.left.outer, pair.right.outer, settings.duration())?;
        samples.push(ADDED_P50.sample(through.p50 - beside.p50));
        samples.push(ADDED_P99.sample(through.p99 - beside.p99));
    }
    Ok(samples)
}

fn echo(pair: &Pair, from: IpAddr, to: IpAddr, duration: Duration) -> Result<RoundTrips> {
    let doing = format!("echo datagrams between {from} and {to}");
    let run = || -> io::Result<Vec<Duration>> {
        let answering = pair.right.namespace.enter(|| socket(to))?;
        let destination = answering.local_addr()?;
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            let answers = scope.spawn(|| answer(&answering, &ended));
            let asked = pair
                .left
                .namespace
                .enter(|| ask(&socket(from)?, destination, duration));
            ended.store(true, Ordering::Relaxed);
            answers.join().expect("the echo returns its errors").and(asked)
        })
    };
    let trips = run().map_err(LabError::io(doing.clone()))?;
    percentiles(trips).ok_or(LabError::Late {
        what: doing,
        limit: LOST_AFTER,
    })
}

fn socket(address: IpAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((address, 0))?;
    socket.set_read_timeout(Some(LOST_AFTER))?;
    Ok(socket)
}

fn answer(socket: &UdpSocket, ended: &AtomicBool) -> io::Result<()> {
    let mut datagram = [0; BYTES];
    while !ended.load(Ordering::Relaxed) {
        match socket.recv_from(&mut datagram) {
            Ok((length, from)) => drop(socket.send_to(&datagram[..length], from)?),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Asks one question after the other, and returns the round trips of those that were answered.
fn ask(socket: &UdpSocket, to: SocketAddr, duration: Duration) -> io::Result<Vec<Duration>> {
    socket.connect(to)?;
    let (mut trips, start) = (Vec::new(), Instant::now());
    for number in 0..COUNT_MAX as u64 {
        if start.elapsed() >= duration {
            break;
        }
        let mut datagram = [0; BYTES];
        datagram[..8].copy_from_slice(&number.to_be_bytes());
        let asked = Instant::now();
        socket.send(&datagram)?;
        if answered(socket, number)? {
            trips.push(asked.elapsed());
        }
        thread::sleep(PAUSE);
    }
    Ok(trips)
}

/// Waits for the answer to a question, past late answers to earlier ones.
fn answered(socket: &UdpSocket, number: u64) -> io::Result<bool> {
    let mut datagram = [0; BYTES];
    loop {
        match socket.recv(&mut datagram) {
            Ok(_) if datagram[..8] == number.to_be_bytes() => return Ok(true),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

fn percentiles(mut trips: Vec<Duration>) -> Option<RoundTrips> {
    let mut trips = trips.split_off(WARM_UP.min(trips.len()));
    trips.sort_unstable();
    let at = |percent: usize| -> Option<f64> {
        let trip = trips.get(trips.len() * percent / 100)?;
        Some(trip.as_secs_f64() * 1e6)
    };
    Some(RoundTrips {
        p50: at(50)?,
        p99: at(99)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches a warm-up that is counted, and percentiles of unsorted round trips.
    #[test]
    fn percentiles_leave_the_warm_up_out() {
        let slow = std::iter::repeat_n(Duration::from_secs(1), WARM_UP);
        let trips = slow.chain((0..1000).rev().map(Duration::from_micros)).collect();
        let found = percentiles(trips).unwrap();
        assert_eq!((found.p50.round(), found.p99.round()), (500.0, 990.0));
        assert!(percentiles(vec![Duration::from_secs(1); WARM_UP]).is_none());
    }
}
