//! Resident memory of registered peers and of live sessions.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use super::Settings;
use super::contender;
use super::counters::resident_bytes;
use super::figures::{
    MILLION_RSS, MILLION_S, PEER_BYTES, RSS_0, RSS_1000, RSS_10000, RSS_LIVE, SESSION_BYTES,
};
use super::interrupt::Stage;
use super::lone::Lone;
use super::measure::Sample;
use super::pair::{PORT, TUNNEL_MTU, veth_pair};
use super::sessions::{self, Client};
use super::uapi;
use crate::device_config::KeyPair;
use crate::{Implementation, Peer, Result};

/// Sessions that are opened.
const SESSIONS: u32 = 1000;

/// Registered peers, few and many; what one costs is read off between them.
const FEW: u32 = 1000;
const MANY: u32 = 10_000;

/// Peers registered by one operation, which implementations read whole or hold their locks for.
const PER_OPERATION: u32 = 1000;

/// Registered peers of the last table, and how many of them come at once.
const MILLION: u32 = 1_000_000;
const BULK: u32 = 50_000;

/// Time between two handshakes: fewer per second than any implementation takes for an attack.
const HANDSHAKE_INTERVAL: Duration = Duration::from_micros(12_500);

/// Time after which buffers and garbage of what came before are given back, if they ever are.
const SETTLED: Duration = Duration::from_secs(2);

/// Megabytes, as in the aims.
const MB: f64 = 1e6;

/// Resident memory with no, some and many registered peers, and with live sessions in another process.
pub(super) fn take(
    stage: &Stage,
    settings: &Settings,
    implementation: Implementation,
) -> Result<Vec<Sample>> {
    let mut samples = registered(stage, settings, implementation)?;
    samples.extend(live(stage, settings, implementation)?);
    Ok(samples)
}

/// Resident memory with a million registered peers, and the seconds until the last of them was acknowledged.
pub(super) fn take_million(
    stage: &Stage,
    settings: &Settings,
    implementation: Implementation,
) -> Result<Vec<Sample>> {
    let mut peer = Lone::start(stage, settings, implementation)?;
    let start = Instant::now();
    uapi::add_peers(&peer, 0..MILLION, BULK, uapi::silent_key)?;
    let seconds = start.elapsed().as_secs_f64();
    Ok(vec![
        MILLION_RSS.sample(settled(&mut peer)? / MB),
        MILLION_S.sample(seconds),
    ])
}

fn registered(stage: &Stage, settings: &Settings, implementation: Implementation) -> Result<Vec<Sample>> {
    let mut peer = Lone::start(stage, settings, implementation)?;
    let none = settled(&mut peer)?;
    uapi::add_peers(&peer, 0..FEW, PER_OPERATION, uapi::silent_key)?;
    let few = settled(&mut peer)?;
    uapi::add_peers(&peer, FEW..MANY, PER_OPERATION, uapi::silent_key)?;
    let many = settled(&mut peer)?;
    Ok(vec![
        RSS_0.sample(none / MB),
        RSS_1000.sample(few / MB),
        RSS_10000.sample(many / MB),
        PEER_BYTES.sample((many - few) / f64::from(MANY - FEW)),
    ])
}

/// ```text
/// left: the process, 192.0.2.1 ──veth── 192.0.2.2: a thousand clients, a port each
/// ```
fn live(stage: &Stage, settings: &Settings, implementation: Implementation) -> Result<Vec<Sample>> {
    let topology = stage.topology()?;
    let (near, far) = veth_pair(&topology)?;
    let key = KeyPair::seeded(1);
    let mut peer = contender::start(
        &topology,
        &near,
        "t",
        implementation,
        settings,
        settings.cores.len(),
    )?;
    uapi::set_device(&peer, &key)?;
    uapi::add_peers(&peer, 0..SESSIONS, PER_OPERATION, sessions::public_key)?;
    peer.up(TUNNEL_MTU)?;
    let before = settled(&mut peer)?;

    let gateway = (key.public(), SocketAddr::from(([192, 0, 2, 1], PORT)));
    let mut clients = Vec::new();
    for number in 0..SESSIONS {
        clients.push(Client::connect(&far, number, [192, 0, 2, 2].into(), gateway)?);
        thread::sleep(HANDSHAKE_INTERVAL);
    }
    let after = settled(&mut peer)?;
    Ok(vec![
        RSS_LIVE.sample(after / MB),
        SESSION_BYTES.sample((after - before) / f64::from(SESSIONS)),
    ])
}

fn settled(peer: &mut Peer) -> Result<f64> {
    thread::sleep(SETTLED);
    Ok(resident_bytes(contender::pid(peer))? as f64)
}
