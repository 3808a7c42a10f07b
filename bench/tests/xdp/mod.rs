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
use weir_bench::gateway_topology::{client_address, client_key, server_address};
use weir_bench::transfer::{Running, Transfer, TransferReport};
use weir_bench::tunnel::{Family, Side};
use weir_bench::xdp_lab::{KernelBytes, Setup, XdpLab};
use weir_bench::{Implementation, Namespace, Peer, Ping, Topology, wait};

/// How long a tunnel may take to come up, and a program to do what it is told.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Three times the 2 s that traffic may stand still when the network around it changes.
pub const SILENCE: Duration = Duration::from_secs(6);

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

    /// Begins a transfer of bytes from a side, at a pace.
    pub fn transfer(&self, from: Side, family: Family, bytes: u64, bytes_per_s: Option<u64>) -> Running {
        let transfer = Transfer {
            destination: (address(from.other(), family), 0).into(),
            bytes,
            bytes_per_s,
            seed: bytes + u64::from(from == Side::Left),
            limit: Duration::from_secs(60),
        };
        let running = transfer.start(self.namespace(from), self.namespace(from.other()));
        running.unwrap_or_else(|error| panic!("{error}: {:#?}", self.lab.status()))
    }

    /// Transfers bytes both ways, in both IP versions, by AF_XDP at both ports.
    pub fn transfer_all(&self, bytes: u64) {
        let before = self.lab.kernel_bytes().unwrap();
        for family in Family::BOTH {
            for from in Side::BOTH {
                let report = self.transfer(from, family, bytes, None).finish();
                report.unwrap_or_else(|error| {
                    panic!("{family:?} from {from:?}: {error}: {:#?}", self.lab.status())
                });
            }
        }
        self.assert_passed_by_kernel(before, 4 * bytes);
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
        const PACE: u64 = 1_000_000;
        let running = [(Side::Left, Family::V4), (Side::Right, Family::V6)]
            .map(|(from, family)| self.transfer(from, family, seconds * PACE, Some(PACE)));
        for transfer in &running {
            transfer.await_bytes(seconds * PACE / 4, LIMIT).unwrap();
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

/// A side's address behind the tunnel: the client's on the left, the server's on the right.
pub fn address(side: Side, family: Family) -> std::net::IpAddr {
    match side {
        Side::Left => client_address(family),
        Side::Right => server_address(family),
    }
}
