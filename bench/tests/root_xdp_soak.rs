//! A minute of mixed load with faults, after which every frame is accounted for; as long as `WEIR_SOAK_S` says, in seconds,
//! where it says anything.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod load;
mod soak;
mod xdp;

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use load::amid_load;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use soak::floods::{bursts, garbage, nobody};
use soak::members::{self, MEMBERS};
use soak::relay::Relay;
use weir_abi::status::{PortStatus, Status};
use weir_bench::device_config::KeyPair;
use weir_bench::gateway_topology::{PORT, gateway_key};
use weir_bench::tunnel::Side;
use weir_bench::xdp_lab::{LAN, Setup, WAN};
use weir_bench::{Implementation, Namespace, ipc, wait};
use xdp::{LIMIT, Pair};

/// How long without the variable.
const SECONDS: u64 = 60;

/// Shards, and queues of both devices.
const SHARDS: u16 = 2;

/// Where the gateway is called.
const GATEWAY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), PORT);

/// The server behind the gateway, a peer without an endpoint, and one that never answers.
const SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
const UNKNOWN: Ipv4Addr = Ipv4Addr::new(10, 77, 200, 1);
const SILENT: Ipv4Addr = Ipv4Addr::new(10, 77, 200, 2);

/// How long a link is down, and how long the gateway does not get to run.
const DOWN: Duration = Duration::from_millis(300);
const STOPPED: Duration = Duration::from_millis(600);

/// Between two faults.
const PERIOD: Duration = Duration::from_millis(700);

/// By how much the gateway's memory may grow after the first round of faults, in KiB.
const GROWTH_KIB: u64 = 48 << 10;

/// Catches a frame that is lost or doubled, with the engine, between shards, with the kernel or with a shard that ended;
/// a drop without a name; and a gateway that comes out of it with less than it went in.
#[test]
fn every_frame_is_accounted_for() {
    let seconds = std::env::var("WEIR_SOAK_S").map_or(SECONDS, |seconds| {
        seconds.parse().expect("WEIR_SOAK_S: expected seconds")
    });
    let until = Instant::now() + Duration::from_secs(seconds);
    let pair = Pair::new(Implementation::Weir, setup());
    let (far, server) = (pair.lab.far.clone(), pair.lab.server.clone());
    for host in [&far, &server, pair.lab.gateway.namespace()] {
        for device in ["all", "default", WAN, LAN] {
            // A host has one of the devices, or both.
            let _ = host.sysctl(&format!("net.ipv6.conf.{device}.keep_addr_on_down"), "1");
        }
    }
    let relay = Relay::start(&far, GATEWAY, 1);
    let (key, interface) = (gateway_key().public(), pair.client.interface());
    let set = format!("set {interface} peer {key} endpoint {}", relay.address);
    pair.client.wg(&set).unwrap();
    pair.await_answers(Side::Left, LIMIT);
    let before = ports(&pair.lab.status().unwrap());
    assert_eq!(before.len(), 2 * usize::from(SHARDS));

    let members = members::start(&far, GATEWAY, SERVER);
    let outward = [
        nobody([10, 77, 0, 2]),
        nobody(UNKNOWN),
        nobody(SILENT),
        nobody([10, 77, 0, 1]),
    ];
    let floods = [
        bursts(&server, &outward, 2),
        bursts(&far, &[nobody(SERVER), GATEWAY], 3),
        garbage(&far, GATEWAY, 4),
    ];
    let faults = faults(&pair, until);
    let seen = members.finish();
    let sent = floods.map(soak::Ongoing::finish);
    println!("{faults} faults, {seen:?}, {sent:?} in floods");
    assert!(
        seen.sessions > u64::from(MEMBERS) && seen.answered > seen.asked / 4,
        "{seen:?}"
    );

    settle(&pair, &before);
    let status = pair.lab.status().unwrap();
    println!("{:#?}", counted(&status));
    assert!(
        status.shards.iter().any(|shard| shard.handed_over > 0),
        "nothing was handed over"
    );
    assert!(
        counted(&status).contains_key("host rx_full"),
        "no ring was ever full"
    );
    pair.assert_modes();
    pair.await_answers(Side::Right, LIMIT);
    pair.transfer_all(1 << 20);
    settle(&pair, &before);
}

fn setup() -> Setup {
    Setup {
        shards: SHARDS,
        more: peers(0..MEMBERS),
        ..Setup::driver()
    }
}

/// The peers besides the client: these members, and two that are not there.
fn peers(members: std::ops::Range<u16>) -> String {
    let absent = |seed: u64, address: Ipv4Addr, more: &str| {
        let key = KeyPair::seeded(seed).public();
        format!("\n[[peer]]\npublic_key = \"{key}\"\nallowed_ips = [\"{address}/32\"]\n{more}")
    };
    members::toml(members)
        + &absent(30_000, UNKNOWN, "")
        + &absent(30_001, SILENT, "endpoint = \"192.0.2.77:51820\"\n")
}

/// Goes round the faults until that time, while client and server transfer, and says how many there were.
fn faults(pair: &Pair, until: Instant) -> usize {
    let mut faults = 0;
    let mut resident = None;
    amid_load(pair, |_| {
        while Instant::now() < until {
            for fault in Fault::ROUND {
                fault.happens(pair);
                faults += 1;
                thread::sleep(PERIOD);
            }
            let now = resident_kib(pair.lab.status().unwrap().pid);
            let before = *resident.get_or_insert(now);
            println!("{faults} faults, {now} KiB resident");
            assert!(
                now < before + GROWTH_KIB,
                "{before} KiB after the first round, {now} KiB now"
            );
        }
    });
    faults
}

/// Something that goes wrong, or is changed, for a moment.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// A device of the gateway's is set down and up.
    LinkDown(&'static str),
    /// The client's device is.
    FarDown,
    /// The gateway does not get to run while packets come in: its rings fill.
    Stopped,
    /// Another number of shards.
    Shards(u16),
    /// The file is read again with so many members in it.
    Reload(u16),
}

impl Fault {
    const ROUND: [Self; 10] = [
        Self::LinkDown(WAN),
        Self::Shards(SHARDS + 1),
        Self::Stopped,
        Self::Reload(MEMBERS / 2),
        Self::LinkDown(LAN),
        Self::Shards(1),
        Self::FarDown,
        Self::Reload(MEMBERS),
        Self::Stopped,
        Self::Shards(SHARDS),
    ];

    fn happens(self, pair: &Pair) {
        let gateway = &pair.lab.gateway;
        match self {
            Self::LinkDown(device) => down(gateway.namespace(), device),
            Self::FarDown => down(&pair.lab.far, WAN),
            Self::Stopped => {
                signal(pair, Signal::SIGSTOP);
                thread::sleep(STOPPED);
                signal(pair, Signal::SIGCONT);
            }
            Self::Shards(shards) => ipc::set_shards(gateway.interface(), shards).unwrap(),
            Self::Reload(members) => reload(pair, &peers(0..members)),
        }
    }
}

fn down(host: &Namespace, device: &str) {
    host.ip(&format!("link set {device} down")).unwrap();
    thread::sleep(DOWN);
    host.ip(&format!("link set {device} up")).unwrap();
}

fn signal(pair: &Pair, signal: Signal) {
    let pid = pair.lab.gateway.pid().unwrap();
    kill(Pid::from_raw(pid as i32), signal).unwrap();
}

/// Has the gateway read its file again with these peers, besides the client.
fn reload(pair: &Pair, more: &str) {
    pair.lab.gateway.write(&pair.lab.toml(more)).unwrap();
    signal(pair, Signal::SIGHUP);
    let expected = 1 + more.matches("[[peer]]").count();
    let peers = || pair.lab.status().unwrap().peers.len() == expected;
    wait::until_true("a reload", LIMIT, peers).unwrap();
}

/// Memory of a process that lies in RAM.
fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn ports(status: &Status) -> Vec<PortStatus> {
    status
        .shards
        .iter()
        .flat_map(|shard| shard.ports.clone())
        .collect()
}

/// Waits until no frame is abroad, and expects each port to have as many as before, and as many of them with the kernel.
fn settle(pair: &Pair, before: &[PortStatus]) {
    // Packets for a peer that does not answer wait as long as it is called.
    reload(pair, &peers(0..0));
    let owned = |ports: &[PortStatus]| -> Vec<_> {
        let owned = ports
            .iter()
            .map(|port| (port.role.clone(), port.frames, port.in_kernel, 0));
        owned.collect()
    };
    let now = || -> Vec<_> {
        let ports = ports(&pair.lab.status().unwrap());
        ports
            .into_iter()
            .map(|port| (port.role, port.frames, port.in_kernel, port.abroad))
            .collect()
    };
    let expected = owned(before);
    let settled = wait::until_true("all frames at home", LIMIT, || now() == expected);
    settled.unwrap_or_else(|error| {
        panic!(
            "{error}: role, frames, with the kernel, abroad: {:?}, expected {expected:?}",
            now()
        )
    });
}

/// What was dropped, by its name.
fn counted(status: &Status) -> BTreeMap<String, u64> {
    let mut counted = BTreeMap::new();
    for shard in &status.shards {
        for (name, count) in &shard.drops {
            *counted.entry(name.clone()).or_default() += count;
        }
        for port in &shard.ports {
            for (name, count) in &port.errors {
                *counted.entry(format!("{} {name}", port.role)).or_default() += count;
            }
        }
    }
    for device in &status.devices {
        for arrival in &device.arrivals {
            counted.insert(
                format!("{} {}, {}", device.device, arrival.kind, arrival.fate),
                arrival.frames,
            );
        }
    }
    counted
}
