//! Packets that a gateway on one core seals from a LAN.
//!
//! ```text
//! sender 198.51.100.2 ──veth── 198.51.100.1 gateway 192.0.2.1 ──veth── 192.0.2.2 far end
//!        to 10.77.0.2                    tunnel 10.77.0.1 ═════════════ 10.77.0.2, never read
//! ```
//!
//! The process is held to one core; the sender, and with it the forwarding into the tunnel's device, to another. The
//! far end shakes hands and then leaves its socket unread, so nothing is opened and nothing answers.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};

use super::contender;
use super::counters::{Traffic, traffic};
use super::figures::{Figure, OFFERED_64, OFFERED_512, OFFERED_1420, SEALED_64, SEALED_512, SEALED_1420};
use super::interrupt::Stage;
use super::measure::Sample;
use super::pair::{PORT, TUNNEL_MTU, quiet_namespace};
use super::sessions::{self, Client};
use super::{Settings, cores};
use crate::device_config::{DeviceConfig, KeyPair, PeerConfig};
use crate::{End, Implementation, LabError, Namespace, Peer, Result, Topology, programs};

/// Sizes of inner IPv4 packets, and what their figures are called.
static SIZES: [(usize, &Figure, &Figure); 3] = [
    (64, &SEALED_64, &OFFERED_64),
    (512, &SEALED_512, &OFFERED_512),
    (1420, &SEALED_1420, &OFFERED_1420),
];

/// IPv4 and UDP headers.
const HEADERS: usize = 28;

/// Ethernet, IPv4 and UDP headers: what a frame on the veth has in front of its datagrams.
const FRAME_HEADERS: u64 = 42;

/// Header and tag of a transport message (whitepaper, 5.4.6).
const TRANSPORT_OVERHEAD: usize = 32;

/// Datagrams that one system call hands to the kernel, which cuts them apart before the veth.
const SEGMENTS: usize = 44;

/// The number of the far end among our clients.
const FAR: u32 = 1;

/// Time before a window in which queues fill.
const WARM_UP: Duration = Duration::from_millis(500);

/// A gateway between two veth pairs, removed when dropped.
struct Gateway {
    // Dropped before the topology, which ends its process.
    _peer: Peer,
    _far_end: Client,
    lan: Namespace,
    far: Namespace,
    _topology: Arc<Topology>,
}

/// Thousands of packets per second that left sealed, and that were sent, of each size.
pub(super) fn take(
    stage: &Stage,
    settings: &Settings,
    implementation: Implementation,
) -> Result<Vec<Sample>> {
    let &[process, sender, ..] = settings.cores.as_slice() else {
        return Err(LabError::Missing {
            program: "a second core".into(),
            remedy: "this measure holds process and sender to one each",
        });
    };
    let gateway = Gateway::new(stage, settings, implementation, process)?;
    let mut samples = Vec::new();
    for (bytes, sealed, offered) in SIZES {
        let rates = gateway.flood(bytes, sender, settings.duration())?;
        samples.push(sealed.sample(rates.sealed_pps / 1e3));
        samples.push(offered.sample(rates.offered_pps / 1e3));
    }
    Ok(samples)
}

struct Rates {
    sealed_pps: f64,
    offered_pps: f64,
}

impl Gateway {
    fn new(stage: &Stage, settings: &Settings, implementation: Implementation, core: usize) -> Result<Self> {
        let topology = stage.topology()?;
        let lan = quiet_namespace(&topology, "lan")?;
        let between = quiet_namespace(&topology, "gateway")?;
        let far = quiet_namespace(&topology, "far")?;
        connect(&topology, &lan, &between, &far)?;

        // Programs inherit the cores of the thread that starts them.
        cores::hold(&[core])?;
        let peer = contender::start(&topology, &between, "t", implementation, settings, 1)?;
        let key = KeyPair::seeded(1);
        peer.configure(&DeviceConfig {
            key: key.clone(),
            listen_port: Some(PORT),
            peers: vec![PeerConfig::new(sessions::public_key(FAR), &["10.77.0.2/32"])],
        })?;
        peer.address("10.77.0.1/24")?;
        peer.up(TUNNEL_MTU)?;
        let address = SocketAddr::from(([192, 0, 2, 1], PORT));
        let far_end = Client::connect(&far, FAR, [192, 0, 2, 2].into(), (key.public(), address))?;
        // With it, a sender's segmentation offload is not undone in the middle of the gateway's core.
        setsockopt(far_end.socket(), sockopt::UdpGroSegment, &true)
            .map_err(|errno| LabError::io("let the far end take coalesced datagrams")(errno.into()))?;
        Ok(Self {
            _peer: peer,
            _far_end: far_end,
            lan,
            far,
            _topology: topology,
        })
    }

    /// Sends packets of this size as fast as one core can, and counts those that arrive sealed.
    fn flood(&self, bytes: usize, core: usize, window: Duration) -> Result<Rates> {
        let (sent, ended) = (AtomicU64::new(0), AtomicBool::new(false));
        thread::scope(|scope| {
            let sending = scope.spawn(|| {
                cores::hold(&[core])?;
                self.lan
                    .enter(|| send(bytes - HEADERS, &sent, &ended))
                    .map_err(LabError::io("send packets to the gateway"))
            });
            let counted = self.count(bytes, &sent, window);
            ended.store(true, Ordering::Relaxed);
            sending.join().expect("the sender returns its errors")?;
            counted
        })
    }

    fn count(&self, bytes: usize, sent: &AtomicU64, window: Duration) -> Result<Rates> {
        thread::sleep(WARM_UP);
        let before = (
            traffic(&self.far, "wan")?,
            sent.load(Ordering::Relaxed),
            Instant::now(),
        );
        thread::sleep(window);
        let after = (
            traffic(&self.far, "wan")?,
            sent.load(Ordering::Relaxed),
            Instant::now(),
        );
        let seconds = (after.2 - before.2).as_secs_f64();
        Ok(Rates {
            sealed_pps: datagrams(before.0, after.0, bytes) as f64 / seconds,
            offered_pps: (after.1 - before.1) as f64 / seconds,
        })
    }
}

/// How many transport messages with inner packets of this size arrived. A frame may carry several behind one header.
fn datagrams(before: Traffic, after: Traffic, inner_bytes: usize) -> u64 {
    let frames = after.received_packets - before.received_packets;
    let payload = (after.received_bytes - before.received_bytes).saturating_sub(frames * FRAME_HEADERS);
    let padded = inner_bytes.next_multiple_of(16).min(TUNNEL_MTU.into());
    payload / (padded + TRANSPORT_OVERHEAD) as u64
}

fn connect(topology: &Topology, lan: &Namespace, gateway: &Namespace, far: &Namespace) -> Result<()> {
    topology.veth(
        &End::new(lan, "lan", &["198.51.100.2/24"]),
        &End::new(gateway, "lan", &["198.51.100.1/24"]),
    )?;
    topology.veth(
        &End::new(gateway, "wan", &["192.0.2.1/24"]),
        &End::new(far, "wan", &["192.0.2.2/24"]),
    )?;
    gateway.sysctl("net.ipv4.ip_forward", "1")?;
    lan.ip("route add 10.77.0.0/24 via 198.51.100.1")?;
    // What comes from a LAN is single packets, not what its senders once handed to their kernels.
    lan.run(programs::tool("ethtool")?.args(["-K", "lan", "tx-udp-segmentation", "off"]))
        .map(drop)
}

/// Sends until told to end, counting datagrams.
fn send(payload_bytes: usize, sent: &AtomicU64, ended: &AtomicBool) -> io::Result<()> {
    let socket = UdpSocket::bind(("198.51.100.2", 0))?;
    socket.connect(("10.77.0.2", 9))?;
    let segment = i32::try_from(payload_bytes).expect("an inner packet is below the MTU");
    setsockopt(&socket, sockopt::UdpGsoSegment, &segment)?;
    let payload = vec![0x5a; payload_bytes * SEGMENTS];
    while !ended.load(Ordering::Relaxed) {
        match socket.send(&payload) {
            Ok(_) => {
                sent.fetch_add(SEGMENTS as u64, Ordering::Relaxed);
            }
            // The queue of the interface is full, or an error of an earlier packet came back.
            Err(error) if is_passing(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn is_passing(error: &io::Error) -> bool {
    let passing = [
        nix::errno::Errno::ENOBUFS,
        nix::errno::Errno::EINTR,
        nix::errno::Errno::EHOSTUNREACH,
    ];
    passing
        .into_iter()
        .any(|errno| error.raw_os_error() == Some(errno as i32))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches a super-datagram counted as one packet, and single ones counted as more than they are.
    #[test]
    fn packets_are_counted_however_they_are_framed() {
        let before = Traffic::default();
        let single = Traffic {
            received_bytes: 3 * (42 + 96),
            received_packets: 3,
        };
        assert_eq!(datagrams(before, single, 64), 3);
        let coalesced = Traffic {
            received_bytes: 42 + 20 * 1452,
            received_packets: 1,
        };
        assert_eq!(datagrams(before, coalesced, 1420), 20);
    }
}
