//! Facts of real devices in network namespaces of the test's own, with `ip` and `ethtool` as oracles.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;
use weir_bench::{Namespace, Topology, programs, wait};
use weir_nic::{Nic, NicError, Place, driver};
use weir_xdp_prog::{ArrivalProgram, AttachMode};

/// How long the kernel may take to let go of a program.
const LIMIT: Duration = Duration::from_secs(10);

fn read(namespace: &Namespace, name: &str) -> Nic {
    namespace.enter(|| Nic::read(name)).unwrap()
}

/// What a field of `ip -d link show` says after its name.
fn shown(namespace: &Namespace, device: &str, field: &str) -> Option<String> {
    let text = namespace
        .ip(&format!("-d -oneline link show dev {device}"))
        .unwrap();
    let words: Vec<&str> = text.split_whitespace().collect();
    let at = words.iter().position(|word| *word == field)?;
    Some(words[at + 1].to_owned())
}

fn ethtool(namespace: &Namespace, arguments: &[&str]) -> String {
    namespace
        .run(programs::tool("ethtool").unwrap().args(arguments))
        .unwrap()
}

/// A veth pair that receives on two queues and transmits on three on the left.
fn veth(namespace: &Namespace) {
    let left = "link add v0 mtu 1400 numrxqueues 2 numtxqueues 3";
    let right = "type veth peer name v1 numrxqueues 3 numtxqueues 2";
    namespace.ip(&format!("{left} {right}")).unwrap();
    namespace.ip("link set v0 up").unwrap();
}

// Catches a fact read from the wrong place: each is compared with what the tools say of the same device.
#[test]
fn a_veth_is_what_the_tools_say() {
    let topology = Topology::new().unwrap();
    let namespace = topology.namespace("n").unwrap();
    veth(&namespace);
    let nic = read(&namespace, "v0");
    assert_eq!(nic.link.mtu.to_string(), shown(&namespace, "v0", "mtu").unwrap());
    assert_eq!(
        nic.link.rx_queues.to_string(),
        shown(&namespace, "v0", "numrxqueues").unwrap()
    );
    assert_eq!(
        nic.link.tx_queues.to_string(),
        shown(&namespace, "v0", "numtxqueues").unwrap()
    );
    assert_eq!(
        nic.link.mtu_most.map(|most| most.to_string()),
        shown(&namespace, "v0", "maxmtu")
    );
    let address = nic.link.address.unwrap().map(|byte| format!("{byte:02x}"));
    assert_eq!(Some(address.join(":")), shown(&namespace, "v0", "link/ether"));
    assert_eq!(nic.link.kind.as_deref(), Some("veth"));
    // The other end is down, so there is no signal.
    assert_eq!((nic.link.up, nic.link.carrier), (true, Some(false)));
    assert!(nic.link.ethernet && nic.link.parent.is_none());
    assert_eq!(nic.below.as_deref(), Some("v1"));
    assert_eq!((nic.rx_queues, nic.tx_queues), (2, 3));
    let driver = nic.driver.as_ref().unwrap();
    let information = ethtool(&namespace, &["-i", "v0"]);
    assert!(information.starts_with(&format!("driver: {}\nversion: {}\n", driver.name, driver.version)));
    assert_eq!(nic.known_driver(), driver::of("veth"));
    // veth has neither rings, nor a table, nor rules, nor interrupts.
    assert_eq!(
        (nic.rings, nic.indirection.as_ref(), nic.rules.as_ref()),
        (None, None, None)
    );
    assert!(nic.interrupts.is_empty() && nic.numa_node.is_none());
}

// Catches features under another's name or state: every one that ethtool shows is compared, before and after a change.
#[test]
fn features_are_what_ethtool_says() {
    let topology = Topology::new().unwrap();
    let namespace = topology.namespace("n").unwrap();
    veth(&namespace);
    for change in [None, Some(["-K", "v0", "tx-checksum-ip-generic", "off"])] {
        if let Some(change) = change {
            ethtool(&namespace, &change);
        }
        let nic = read(&namespace, "v0");
        let text = ethtool(&namespace, &["-k", "v0"]);
        let mut compared = 0;
        for line in text.lines() {
            let Some((name, state)) = line.trim().split_once(": ") else {
                continue;
            };
            let Some(on) = nic.features.on(name) else { continue };
            assert_eq!(on, state.starts_with("on"), "{line}");
            let fixed = state.contains("[fixed]");
            assert_eq!(nic.features.can_go_off(name), on && !fixed, "{line}");
            compared += 1;
        }
        assert!(compared > 30, "{compared} of:\n{text}");
        let generic = nic.features.on("tx-checksum-ip-generic");
        assert_eq!(generic, Some(change.is_none()));
    }
}

// Catches a program that is not seen, seen in the wrong place, or still seen when it is gone.
#[test]
fn an_xdp_program_is_seen_where_it_runs() {
    let topology = Topology::new().unwrap();
    let namespace = topology.namespace("n").unwrap();
    veth(&namespace);
    assert!(read(&namespace, "v1").link.xdp.is_empty());
    let index = read(&namespace, "v1").link.index;
    let program = ArrivalProgram::load().unwrap();
    for (mode, place) in [
        (AttachMode::Driver, Place::Driver),
        (AttachMode::Generic, Place::Generic),
    ] {
        let attached = namespace.enter(|| program.attach(index, mode)).unwrap();
        let seen = read(&namespace, "v1").link.xdp;
        assert_eq!(seen.len(), 1, "{seen:?}");
        assert_eq!(seen[0].place, place);
        let text = namespace.ip("-d link show dev v1").unwrap();
        assert!(
            text.contains(&format!("prog/xdp id {} ", seen[0].program)),
            "{text}"
        );
        drop(attached);
        // A program that another test starts holds every descriptor until it is executed.
        let gone = || read(&namespace, "v1").link.xdp.is_empty();
        wait::until_true("no program on v1", LIMIT, gone).unwrap();
    }
}

// Catches a kernel that says what a device can do and is not heard: since 6.3 it says so of every veth.
#[test]
fn the_kernel_is_asked_for_xdp_features() {
    let topology = Topology::new().unwrap();
    let namespace = topology.namespace("n").unwrap();
    veth(&namespace);
    let told = read(&namespace, "v0").xdp;
    let kernel = weir_nic::KernelVersion::running().unwrap();
    if kernel < weir_nic::KernelVersion(6, 3) {
        assert_eq!(told, None);
        return;
    }
    let features = told.unwrap();
    assert!(
        features.basic && features.redirect && !features.zero_copy,
        "{features:?}"
    );
}

// Catches a TAP taken for a TUN, whose driver has the same name, and queues counted that nobody opened.
#[test]
fn tun_and_tap_are_told_apart() {
    let topology = Topology::new().unwrap();
    let namespace = topology.namespace("n").unwrap();
    namespace.ip("tuntap add t0 mode tun").unwrap();
    namespace.ip("tuntap add t1 mode tap multi_queue").unwrap();
    let (tun, tap) = (read(&namespace, "t0"), read(&namespace, "t1"));
    assert!(!tun.link.ethernet && tap.link.ethernet);
    assert_eq!(tun.driver.as_ref().unwrap().name, "tun");
    assert_eq!(tap.driver.as_ref().unwrap().name, "tun");
    assert_eq!(tun.known_driver(), driver::of("tun"));
    assert_eq!(tap.known_driver(), driver::of("tap"));
    assert_eq!(
        tap.link.rx_queues.to_string(),
        shown(&namespace, "t1", "numrxqueues").unwrap()
    );
}

// Catches a bridge's port that does not know its bridge, and a bridge that does not know its ports.
#[test]
fn what_lies_on_what_is_seen_from_both_sides() {
    let topology = Topology::new().unwrap();
    let namespace = topology.namespace("n").unwrap();
    veth(&namespace);
    namespace.ip("link add br0 type bridge").unwrap();
    namespace.ip("link set v1 master br0").unwrap();
    let (bridge, port) = (read(&namespace, "br0"), read(&namespace, "v1"));
    assert_eq!(bridge.link.kind.as_deref(), Some("bridge"));
    assert_eq!(bridge.ports, ["v1"]);
    assert_eq!(port.master, Some(("br0".to_owned(), "bridge".to_owned())));
    assert!(!bridge.known_driver().unwrap().native);
    // The other end of a veth in another namespace has a number that means nothing here.
    let other = topology.namespace("o").unwrap();
    namespace
        .ip(&format!("link set v0 netns {}", other.name()))
        .unwrap();
    let port = read(&namespace, "v1");
    assert!(port.link.link_elsewhere && port.below.is_none());
}

// Catches facts made up for a device that is not there, or is in another namespace.
#[test]
fn no_device_is_an_error() {
    let topology = Topology::new().unwrap();
    let (here, there) = (topology.namespace("h").unwrap(), topology.namespace("t").unwrap());
    veth(&there);
    for name in ["v0", "", "a-name-longer-than-any"] {
        let refused = here.enter(|| Nic::read(name));
        assert_eq!(refused, Err(NicError::NoSuchDevice(name.to_owned())));
    }
}

// Catches sysfs of one namespace believed of another: both have a device of the same name, with other queues.
#[test]
fn a_namespace_is_not_judged_by_anothers_sysfs() {
    let topology = Topology::new().unwrap();
    let namespace = topology.namespace("n").unwrap();
    // What the machine's own namespace has, too.
    namespace
        .ip("link add eth0 numrxqueues 5 numtxqueues 5 type veth peer name v1")
        .unwrap();
    let nic = read(&namespace, "eth0");
    assert_eq!((nic.rx_queues, nic.tx_queues), (5, 5));
}
