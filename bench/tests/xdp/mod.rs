//! What tests of a gateway over AF_XDP have in common: a client and a server on both sides of it, what they send each
//! other, and whether it really went by AF_XDP.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test program uses a part of it, and fails by panicking"
)]

use std::sync::Arc;
use std::time::Duration;

use weir_abi::status::PeerStatus;
use weir_bench::device_config::preshared_key;
use weir_bench::gateway_topology::{client_address, client_key, server_address};
use weir_bench::kernel_bytes::KernelBytes;
use weir_bench::transfer::{Running, Transfer, TransferReport};
use weir_bench::tunnel::{Family, Side};
use weir_bench::xdp_lab::{Calls, Setup, XdpLab};
use weir_bench::{Implementation, Namespace, Peer, Ping, Topology, wait};

/// How long a tunnel may take to come up, and a program to do what it is told.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Three times the 2 s that traffic may stand still when the network around it changes.
pub const SILENCE: Duration = Duration::from_secs(6);

/// Bytes per second of a transfer at a pace.
pub const PACE: u64 = 1_000_000;

/// Of the bytes that a transfer carries, the part that the gateway's kernel may have seen: one in so many. Were one of the
/// ports a socket, it would have seen them all.
const SEEN_BY_KERNEL: u64 = 16;

/// A gateway, and a client that has its tunnel to it. The right side is the server.
pub struct Pair {
    /// The client.
    pub client: Peer,
    /// The gateway between its networks.
    pub lab: XdpLab,
    mode: &'static str,
}

impl Pair {
    /// Both, the ports really being of the mode that the setup names.
    pub fn new(client: Implementation, setup: Setup) -> Self {
        let mode = setup.mode;
        let lab = XdpLab::new(Arc::new(Topology::new().unwrap()), setup).unwrap();
        let client = lab.client(client).unwrap();
        let pair = Self { client, lab, mode };
        pair.assert_modes();
        pair
    }

    /// As [`Pair::new`] with two shards and ports of driver mode, the client calling over IPv4; waits for the tunnel.
    pub fn up(client: Implementation) -> Self {
        let pair = Self::new(client, Setup::driver());
        pair.await_answers(Side::Left, LIMIT);
        pair
    }

    /// Kills the client as `kill -9` does, and starts and configures it anew.
    pub fn restart_client(&mut self) {
        self.client.restart(self.lab.topology()).unwrap();
        self.lab.configure(&self.client).unwrap();
    }

    /// Catches a port that fell back to sockets, or to another mode than the one asked for.
    pub fn assert_modes(&self) {
        let status = self.lab.status().unwrap();
        for shard in &status.shards {
            let modes: Vec<_> = shard
                .ports
                .iter()
                .map(|port| (&*port.role, &*port.mode))
                .collect();
            assert_eq!(
                modes,
                [("wan", self.mode), ("host", self.mode)],
                "shard {}: {:?}",
                shard.shard,
                status.warnings
            );
        }
    }

    /// A side's namespace: the client's on the left, the server's on the right.
    pub fn namespace(&self, side: Side) -> &Namespace {
        match side {
            Side::Left => &self.lab.far,
            Side::Right => &self.lab.server,
        }
    }

    /// Has a side ping the other in both IP versions, until it answers.
    pub fn await_answers(&self, from: Side, limit: Duration) {
        for family in Family::BOTH {
            self.await_answer(from, family, limit);
        }
    }

    /// Has a side ping the other until it answers.
    pub fn await_answer(&self, from: Side, family: Family, limit: Duration) {
        let ping = Ping::to(address(from.other(), family));
        if let Err(error) = ping.until_answered(self.namespace(from), limit) {
            panic!("{error}: {:#?}", self.lab.status());
        }
    }

    /// Begins a transfer of bytes from a side, at a pace, to end a minute after its time at most.
    pub fn transfer(&self, from: Side, family: Family, bytes: u64, bytes_per_s: Option<u64>) -> Running {
        let least_s = bytes_per_s.map_or(0, |bytes_per_s| bytes / bytes_per_s);
        let transfer = Transfer {
            destination: (address(from.other(), family), 0).into(),
            bytes,
            bytes_per_s,
            seed: bytes + u64::from(from == Side::Left),
            limit: Duration::from_secs(least_s + 60),
        };
        let running = transfer.start(self.namespace(from), self.namespace(from.other()));
        running.unwrap_or_else(|error| panic!("{error}: {:#?}", self.lab.status()))
    }

    /// Waits until both ports know their ways, and packets to and from both sides pass the gateway's kernel by: what comes
    /// before is the kernel's, which asks who is where.
    pub fn await_bypass(&self) {
        const LONG: u16 = 1200;
        for from in Side::BOTH {
            for family in Family::BOTH {
                let ping = Ping::to(address(from.other(), family))
                    .payload_bytes(LONG)
                    .count(1);
                let what = format!("{family:?} from {from:?} passing the kernel by");
                let passed = wait::until_true(&what, LIMIT, || {
                    let before = self.lab.kernel_bytes().unwrap().all();
                    let answered = ping.run(self.namespace(from)).unwrap().received == 1;
                    answered && self.lab.kernel_bytes().unwrap().all() - before < LONG.into()
                });
                passed.unwrap_or_else(|error| panic!("{error}: {:#?}", self.lab.status()));
            }
        }
    }

    /// Transfers bytes both ways, in both IP versions, by AF_XDP at both ports.
    pub fn transfer_all(&self, bytes: u64) {
        self.await_bypass();
        let before = self.lab.kernel_bytes().unwrap();
        self.transfer_each(bytes);
        self.assert_passed_by_kernel(before, 4 * bytes);
    }

    /// Transfers bytes both ways, in both IP versions.
    pub fn transfer_each(&self, bytes: u64) {
        for family in Family::BOTH {
            for from in Side::BOTH {
                let report = self.transfer(from, family, bytes, None).finish();
                report.unwrap_or_else(|error| {
                    panic!("{family:?} from {from:?}: {error}: {:#?}", self.lab.status())
                });
            }
        }
    }

    /// Catches packets that went by sockets: what the kernel has seen since it had seen `before`, while `carried` bytes
    /// were transferred.
    pub fn assert_passed_by_kernel(&self, before: KernelBytes, carried: u64) {
        let after = self.lab.kernel_bytes().unwrap();
        assert!(
            after.all() - before.all() <= carried / SEEN_BY_KERNEL,
            "the gateway's kernel saw {before:?}, then {after:?} while {carried} bytes were transferred: {:#?}\n{}",
            self.lab.status(),
            self.lab.gateway.namespace().ip("-s neighbour").unwrap()
        );
    }

    /// Transfers for so many seconds both ways, 1 MB each a second, IPv4 from the client and IPv6 to it; does something
    /// once a quarter has arrived; panics if they then stand still.
    pub fn amid_transfers(&self, case: &str, seconds: u64, meanwhile: impl FnOnce()) -> [TransferReport; 2] {
        let running = [(Side::Left, Family::V4), (Side::Right, Family::V6)]
            .map(|(from, family)| self.transfer(from, family, seconds * PACE, Some(PACE)));
        for transfer in &running {
            let limit = LIMIT + Duration::from_secs(seconds / 4);
            transfer.await_bytes(seconds * PACE / 4, limit).unwrap();
        }
        meanwhile();
        running.map(|transfer| {
            let report = transfer
                .finish()
                .unwrap_or_else(|error| panic!("{case}: {error}: {:#?}", self.lab.status()));
            println!("{case}: {report:?}");
            assert!(report.longest_silence <= SILENCE, "{case}: {report:?}");
            report
        })
    }

    /// What the gateway tells of the client.
    pub fn seen(&self) -> PeerStatus {
        let peers = self.lab.status().unwrap().peers;
        let key = client_key().public();
        peers.into_iter().find(|peer| peer.public_key == key).unwrap()
    }

    /// Waits until no frame is abroad, and checks that each port owns as many as it did.
    pub fn assert_frames_at_home(&self, limit: Duration) {
        let abroad = || -> usize {
            let shards = self.lab.status().unwrap().shards;
            shards
                .iter()
                .flat_map(|shard| &shard.ports)
                .map(|port| port.abroad)
                .sum()
        };
        if wait::until_true("all frames at home", limit, || abroad() == 0).is_err() {
            panic!("frames are lost: {:#?}", self.lab.status());
        }
    }
}

/// Puts up a tunnel, and has client and server ping and transfer in both directions and both IP versions inside. Catches a
/// combination in which no tunnel comes up, in which packets are damaged on their way, or in which segments as long as the
/// server's link are never heard of again.
pub fn speak_over_af_xdp(peer: Implementation, calls: Calls, psk: bool, mode: &'static str, bytes: u64) {
    println!("{peer}, {calls:?}, preshared key: {psk}, {mode}");
    let setup = Setup {
        mode,
        calls,
        preshared_key: psk.then(|| preshared_key(7)),
        ..Setup::default()
    };
    let pair = Pair::new(peer, setup);
    pair.await_answers(calls.from(), LIMIT);
    pair.await_answers(calls.from().other(), LIMIT);
    let outer = calls.outer();
    // Its padding makes the longest packets too long for an Ethernet over IPv6: their fragments are the kernel's.
    if peer == Implementation::Gotatun && outer == Family::V6 {
        pair.transfer_each(bytes);
    } else {
        pair.transfer_all(bytes);
    }
    let endpoint = pair.seen().endpoint.unwrap();
    assert_eq!(endpoint.is_ipv4(), outer == Family::V4, "{endpoint}");
}

/// A side's address behind the tunnel: the client's on the left, the server's on the right.
pub fn address(side: Side, family: Family) -> std::net::IpAddr {
    match side {
        Side::Left => client_address(family),
        Side::Right => server_address(family),
    }
}
