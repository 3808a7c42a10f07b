//! A device of AF_XDP goes and comes back, moves between network namespaces, is down, or gets more queues, under a gateway
//! that goes on: by sockets while it must, by AF_XDP as soon as it can, and without losing a frame.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod xdp;

use weir_bench::gateway_topology::server_address;
use weir_bench::tunnel::{Family, Side};
use weir_bench::xdp_lab::{LAN, Setup, WAN};
use weir_bench::{Implementation, Namespace, Ping, programs, wait};
use xdp::{LIMIT, Pair, SILENCE};

/// Bytes of each transfer.
const BYTES: u64 = 1 << 20;

/// Three times the time in which a device with more queues is noticed.
const NOTICE: std::time::Duration = std::time::Duration::from_secs(60);

/// The role in status of a device's ports.
fn role(device: &str) -> &'static str {
    if device == WAN { "wan" } else { "host" }
}

/// Waits until so many shards' ports on a device work by AF_XDP, the others by sockets.
fn await_queues(pair: &Pair, device: &str, count: usize, limit: std::time::Duration) {
    let queues = || {
        let ports = pair.lab.ports(role(device)).unwrap();
        ports.iter().filter(|port| port.mode == "driver").count()
    };
    wait::until_true(&format!("{count} queues of {device}"), limit, || {
        queues() == count
    })
    .unwrap_or_else(|error| panic!("{error}: {:#?}", pair.lab.status()));
}

/// Waits until a warning of the status has these words.
fn await_warning(pair: &Pair, words: &str) {
    wait::until_true(&format!("a warning of {words:?}"), SILENCE, || {
        let warnings = pair.lab.status().unwrap().warnings;
        warnings.iter().any(|warning| warning.contains(words))
    })
    .unwrap_or_else(|error| panic!("{error}: {:#?}", pair.lab.status().unwrap().warnings));
}

/// Catches frames that went with a socket: every port's are at home once nothing is under way.
fn assert_frames_at_home(pair: &Pair) {
    for role in ["wan", "host"] {
        let at_home = || pair.lab.ports(role).unwrap().iter().all(|port| port.abroad == 0);
        wait::until_true("frames at home", LIMIT, at_home)
            .unwrap_or_else(|error| panic!("{error}: {:#?}", pair.lab.status()));
    }
}

/// Expects traffic both ways by AF_XDP at both ports, with no warning left.
fn assert_whole(pair: &Pair) {
    pair.await_answers(Side::Left, SILENCE);
    pair.await_answers(Side::Right, SILENCE);
    pair.assert_modes();
    pair.transfer_all(BYTES);
    let warnings = pair.lab.status().unwrap().warnings;
    assert!(
        !warnings.iter().any(|warning| warning.contains("port ")),
        "{warnings:?}"
    );
    assert_frames_at_home(pair);
}

/// Catches a port that hangs on a device that is no more, a core that spins on its sockets, and one that never sees that
/// the device is back.
#[test]
fn a_removed_device_is_used_again_when_it_is_back() {
    let pair = Pair::up(Implementation::Weir);
    for device in [WAN, LAN, WAN] {
        println!("{device}");
        pair.lab.unplug(device).unwrap();
        await_warning(&pair, &format!("port {device}: the device is gone"));
        await_queues(&pair, device, 0, SILENCE);
        pair.lab.plug(device).unwrap();
        await_queues(&pair, device, 2, SILENCE);
        assert_whole(&pair);
    }
}

/// Catches a device that comes back under its old number, and whose sockets the kernel has unbound meanwhile.
#[test]
fn a_device_that_was_in_another_namespace_is_used_again() {
    let pair = Pair::up(Implementation::Weir);
    let elsewhere = pair.lab.topology().namespace("else").unwrap();
    let host = pair.lab.gateway.namespace();
    host.ip(&format!("link set {LAN} netns {}", elsewhere.name()))
        .unwrap();
    await_queues(&pair, LAN, 0, SILENCE);
    elsewhere
        .ip(&format!("link set {LAN} netns {}", host.name()))
        .unwrap();
    for address in ["198.51.100.1/24", "2001:db8:2::1/64"] {
        host.ip(&format!("address add {address} dev {LAN} nodad"))
            .unwrap();
    }
    host.ip(&format!("link set {LAN} up")).unwrap();
    await_queues(&pair, LAN, 2, SILENCE);
    assert_whole(&pair);
}

/// Catches a gateway that does not start before its network is up, and one that then stays with sockets.
#[test]
fn a_device_that_is_down_at_the_start_is_used_when_it_is_up() {
    let mut pair = Pair::up(Implementation::Weir);
    let set = |pair: &Pair, state: &str| {
        let host = pair.lab.gateway.namespace();
        // Without it, IPv6 addresses go with the link.
        host.sysctl(&format!("net.ipv6.conf.{WAN}.keep_addr_on_down"), "1")
            .unwrap();
        host.ip(&format!("link set {WAN} {state}")).unwrap();
    };
    set(&pair, "down");
    pair.lab.restart_gateway().unwrap();
    set(&pair, "up");
    // The gateway calls the client again when REKEY_TIMEOUT is over.
    pair.await_answers(Side::Left, LIMIT);
    assert_whole(&pair);
}

/// Catches a shard that never gets the queue that its device had no room for at the start, and a device that is not to be
/// used with fewer queues than there are shards.
#[test]
fn more_queues_are_used_when_there_are_more() {
    let mut pair = Pair::new(Implementation::Weir, Setup::driver());
    let channels = |namespace: &Namespace, count: &str| {
        let mut ethtool = programs::tool("ethtool").unwrap();
        let arguments = ["-L", WAN, "rx", count, "tx", count];
        namespace.run(ethtool.args(arguments)).unwrap();
    };
    let process = pair.lab.gateway.process();
    process.signal(nix::sys::signal::Signal::SIGTERM).unwrap();
    process.wait(LIMIT).unwrap();
    // A veth device's program wants no fewer queues than its other end sends by.
    channels(&pair.lab.far, "1");
    channels(pair.lab.gateway.namespace(), "1");
    pair.lab.restart_gateway().unwrap();
    await_queues(&pair, WAN, 1, SILENCE);
    await_warning(&pair, "shard 1 works by sockets: the device has no queue 1");
    pair.await_answers(Side::Left, LIMIT);
    channels(pair.lab.gateway.namespace(), "2");
    channels(&pair.lab.far, "2");
    let noticed = wait::until_true("a second queue", NOTICE, || {
        Ping::to(server_address(Family::V4)).run(&pair.lab.far).unwrap();
        pair.lab
            .ports("wan")
            .unwrap()
            .iter()
            .all(|port| port.mode == "driver")
    });
    noticed.unwrap_or_else(|error| panic!("{error}: {:#?}", pair.lab.status()));
    // What arrives on it is left to the kernel: veth runs no program on a queue that came after it.
    for from in Side::BOTH {
        pair.transfer(from, Family::V4, BYTES, None).finish().unwrap();
    }
    assert_frames_at_home(&pair);
}
