//! Probing a peer: a handshake, and echo requests through the tunnel, small and as large as it carries. Without running
//! any program, and within 5 s.

mod echo;

use crate::clock;
use crate::dataplane::DataPlane;
use core::net::{IpAddr, SocketAddr};
use core::sync::atomic::{AtomicUsize, Ordering};
use echo::Echoes;
use std::io;
use std::os::fd::AsFd as _;
use std::thread::sleep;
use std::time::{Duration, Instant};
use weir_abi::key::PublicKey;
use weir_abi::prefix::Prefix;
use weir_abi::probe::{ProbeResult, ProbedEcho, ProbedHandshake};
use weir_abi::refused::RefusedWhy;
use weir_engine::{PeerFacts, PeerId, PeerSnapshot, Wanted};

/// Probes at a time.
const PROBES: usize = 4;

/// How long the response to an initiation is waited for.
const HANDSHAKE_TIME: Duration = Duration::from_millis(2500);

/// How long an initiation may take to leave. One that has not by then was not to be sent: less than REKEY_TIMEOUT before it
/// there was another.
const DEPARTURE_TIME: Duration = Duration::from_millis(300);

/// Between two looks at how far the handshake is.
const LOOK: Duration = Duration::from_millis(20);

/// Requests of each size, and how long each is waited for before the next.
const TRIES: usize = 3;
const TRY_TIME: Duration = Duration::from_millis(700);

/// The bytes of the small request's packet.
const SMALL: u16 = 64;

static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// One of the probes under way.
struct Turn;

impl Turn {
    fn take() -> Option<Self> {
        let more = |count| (count < PROBES).then_some(count + 1);
        UNDER_WAY
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more)
            .ok()
            .map(|_| Turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        UNDER_WAY.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Probes a peer, within 5 s.
///
/// # Errors
/// There is no such peer, or so many probes are under way that this one is refused.
pub fn probe(plane: &DataPlane, key: &PublicKey) -> Result<ProbeResult, String> {
    let _turn = Turn::take().ok_or_else(|| format!("{PROBES} probes are under way; try again in 5 s"))?;
    let tables = plane.tables();
    let facts = tables
        .peer_by_key(key)
        .ok_or_else(|| format!("peer {key}: expected one that is declared"))?;
    let handshake = if tables.identity.is_none() {
        ProbedHandshake::NoIdentity
    } else {
        handshake(plane, facts)
    };
    let peer = look(plane, facts.id);
    let endpoint = endpoint(facts, peer.as_ref());
    let mut result = ProbeResult {
        peer: *key,
        endpoint,
        handshake,
        target: facts.allowed_ips.iter().find_map(single_host),
        small: None,
        large: None,
    };
    if let (Some(target), true) = (result.target, peer.is_some_and(|peer| peer.has_session)) {
        match echo(plane, target, tables.mtu) {
            Ok((small, large)) => {
                let latency = small.answered_us.map(Duration::from_micros);
                latency
                    .into_iter()
                    .for_each(|took| plane.measured(facts.id, took));
                (result.small, result.large) = (Some(small), Some(large));
            }
            Err(error) => tracing::warn!("probe of {key}: no echo request to {target} was sent: {error}"),
        }
    }
    Ok(result)
}

/// Begins a handshake, and waits for what comes of it.
fn handshake(plane: &DataPlane, facts: &PeerFacts) -> ProbedHandshake {
    let before = look(plane, facts.id);
    if endpoint(facts, before.as_ref()).is_none() {
        return ProbedHandshake::NoEndpoint;
    }
    let (begun, begun_boot_ns) = (Instant::now(), clock::boot_nanos());
    plane.initiate(&[facts.id]);
    loop {
        sleep(LOOK);
        let elapsed = begun.elapsed();
        let Some(peer) = look(plane, facts.id) else {
            return ProbedHandshake::NoAnswer;
        };
        let completed = before.as_ref().map_or(0, |peer| peer.last_handshake_unix_ns);
        if peer.last_handshake_unix_ns != completed {
            let us = peer.life.handshake_us.or(peer.life.latency_us).unwrap_or(0);
            return ProbedHandshake::Completed { us: us.into() };
        }
        let left = peer.life.initiated.map(weir_noise::Instant::as_nanos);
        let was_sent = left.is_some_and(|at| at >= begun_boot_ns);
        if (was_sent || !peer.has_session) && unopened(&peer) {
            return ProbedHandshake::WrongPresharedKey;
        }
        if !was_sent && peer.has_session && elapsed >= DEPARTURE_TIME {
            return ProbedHandshake::Standing;
        }
        if elapsed >= HANDSHAKE_TIME {
            return ProbedHandshake::NoAnswer;
        }
    }
}

/// Whether a response to the last initiation came and did not open.
fn unopened(peer: &PeerSnapshot) -> bool {
    let (Some(refusal), Some(initiated)) = (&peer.life.refusal, peer.life.initiated) else {
        return false;
    };
    // By the wall clock: both are of this moment, for which the clocks' rates do not matter.
    let ago_ns = clock::boot_nanos().saturating_sub(initiated.as_nanos());
    let initiated_ms = clock::wall_nanos().saturating_sub(ago_ns) / 1_000_000;
    refusal.why == RefusedWhy::WrongPresharedKey && refusal.unix_ms + 1 >= initiated_ms
}

fn look(plane: &DataPlane, id: PeerId) -> Option<PeerSnapshot> {
    let snapshots = plane.snapshots(&Wanted::These([id].into()));
    snapshots.into_iter().flat_map(|shard| shard.peers).next()
}

fn endpoint(facts: &PeerFacts, peer: Option<&PeerSnapshot>) -> Option<SocketAddr> {
    peer.map_or(facts.endpoint, |peer| peer.endpoint)
}

fn single_host(prefix: &Prefix) -> Option<IpAddr> {
    let whole = if prefix.address().is_ipv4() { 32 } else { 128 };
    (prefix.length() == whole).then_some(prefix.address())
}

/// Sends requests of both sizes, some times where no reply comes.
fn echo(plane: &DataPlane, target: IpAddr, mtu: u16) -> io::Result<(ProbedEcho, ProbedEcho)> {
    let mut identifier = [0; 2];
    getrandom::fill(&mut identifier).map_err(io::Error::other)?;
    let identifier = u16::from_ne_bytes(identifier);
    let mut echoes = plane.with_tun(|tun| Echoes::open(tun.as_fd(), target, identifier))?;
    let mut probed = [SMALL, mtu].map(|bytes| ProbedEcho {
        bytes,
        answered_us: None,
    });
    for _ in 0..TRIES {
        let mut sent = [None; 2];
        for (sent, echo) in sent.iter_mut().zip(&probed) {
            if echo.answered_us.is_none() {
                *sent = Some(echoes.send(echo.bytes)?);
            }
        }
        let waited: Vec<usize> = sent.iter().copied().flatten().collect();
        echoes.wait(Instant::now() + TRY_TIME, &waited)?;
        for (sent, echo) in sent.iter().zip(&mut probed) {
            let answered = sent.and_then(|number| echoes.answered(number));
            echo.answered_us = echo.answered_us.or(answered.map(|took| took.as_micros() as u64));
        }
        if probed.iter().all(|echo| echo.answered_us.is_some()) {
            break;
        }
    }
    let [small, large] = probed;
    Ok((small, large))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches a target that is a whole network, whose address answers nothing.
    #[test]
    fn only_a_single_host_is_a_target() {
        let target = |text: &str| single_host(&text.parse().expect("a prefix"));
        assert_eq!(target("10.0.0.0/24"), None);
        assert_eq!(target("fd00::/64"), None);
        assert_eq!(target("10.0.0.7/32"), Some([10, 0, 0, 7].into()));
        assert_eq!(target("fd00::7/128"), "fd00::7".parse().ok());
    }

    // Catches probes without a bound, and a turn that is not given back.
    #[test]
    fn a_few_probes_have_their_turn() {
        let turns: Vec<_> = std::iter::from_fn(Turn::take).take(100).collect();
        assert_eq!(turns.len(), PROBES);
        drop(turns);
        assert!(Turn::take().is_some());
    }
}
