//! `weir doctor` on devices in network namespaces of the test's own: what it says, and that its commands mend it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Place, written};
use serde_json::Value;
use weir_bench::{Namespace, Topology, programs};
use weir_nic::KernelVersion;

/// A pair whose left end has two queues, of which the first alone is used.
fn pair(namespace: &Namespace) {
    let left = "link add v0 numrxqueues 2 numtxqueues 2";
    let right = "type veth peer name v1 numrxqueues 2 numtxqueues 2";
    namespace.ip(&format!("{left} {right}")).unwrap();
    namespace.ip("link set v0 up").unwrap();
    namespace.ip("link set v1 up").unwrap();
    let arguments = ["-L", "v0", "rx", "1", "tx", "1"];
    namespace
        .run(programs::tool("ethtool").unwrap().args(arguments))
        .unwrap();
}

/// The findings on one device: level, what, mend.
fn findings(namespace: &Namespace, place: &Place, device: &str) -> Vec<(String, String, String)> {
    let mut doctor = place.command(&["doctor", "--json", "--config", "weir.toml", "--device", device]);
    let output = namespace.output(&mut doctor).unwrap();
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |finding: &Value, field: &str| finding[field].as_str().unwrap().to_owned();
    let prefixes = [format!("{device}: "), format!("device {device}: ")];
    all.as_array()
        .unwrap()
        .iter()
        .map(|finding| {
            let parts = ["level", "what", "mend"].map(|field| text(finding, field));
            parts.into()
        })
        .filter(|(_, what, _): &(String, String, String)| {
            prefixes.iter().any(|prefix| what.starts_with(prefix))
        })
        .collect()
}

/// A configuration for two shards, and a section more.
fn configured(more: &str) -> Place {
    let text = written().replace("# Ada", &format!("[dataplane]\nshards = 2\n{more}\n# Ada"));
    Place::new(&text)
}

fn strings(all: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
    all.iter()
        .map(|(level, what, mend)| ((*level).into(), (*what).into(), (*mend).into()))
        .collect()
}

// Catches a finding missed, one made up, and a command that does not mend what it is said to: each is run as printed.
#[test]
fn the_commands_mend_what_is_found() {
    let topology = Topology::new().unwrap();
    let namespace = topology.namespace("n").unwrap();
    pair(&namespace);
    let place = configured("");
    let wide = "v0: AF_XDP mode to expect: copying in the driver; veth has no zero-copy";
    // Kernels that say what devices can do say that one queue is too few for the other end's two.
    let narrow = match KernelVersion::running().unwrap() >= KernelVersion(6, 3) {
        true => {
            "v0: AF_XDP mode to expect: generic; the kernel says that veth runs no XDP programs as the device is now"
        }
        false => wide,
    };
    let queues =
        "v0: veth: an XDP program wants as many queues to receive here as the other end transmits on";
    let fits = "v0: packets of MTU 1500 fit a queue's frames";
    let before = findings(&namespace, &place, "v0");
    let expected = [
        (
            "ok",
            "device v0: veth, 1 queue to receive and 1 to transmit, MTU 1500",
            "",
        ),
        ("warn", narrow, ""),
        ("ok", queues, ""),
        ("warn", "v0: 1 queue for 2 cores", "ethtool -L v0 rx 2 tx 2"),
        ("ok", fits, ""),
        (
            "warn",
            "v0: its other end v1 leaves checksums to the device",
            "ethtool -K v1 tx off",
        ),
    ];
    assert_eq!(before, strings(&expected));
    for (_, _, mend) in before.iter().filter(|(_, _, mend)| !mend.is_empty()) {
        let mut words = mend.split(' ');
        let mut command = programs::tool(words.next().unwrap()).unwrap();
        namespace.run(command.args(words)).unwrap();
    }
    let expected = [
        (
            "ok",
            "device v0: veth, 2 queues to receive and 2 to transmit, MTU 1500",
            "",
        ),
        ("warn", wide, ""),
        ("ok", queues, ""),
        ("ok", "v0: 2 queues for 2 cores", ""),
        ("ok", fits, ""),
    ];
    assert_eq!(findings(&namespace, &place, "v0"), strings(&expected));
}

// Catches a configured device that is not judged, a mode that cannot be had not called bad, and a device that is not
// there passed over.
#[test]
fn configured_ports_are_judged_without_being_asked_about() {
    let topology = Topology::new().unwrap();
    let namespace = topology.namespace("n").unwrap();
    pair(&namespace);
    let arguments = ["-L", "v1", "rx", "1", "tx", "1"];
    namespace
        .run(programs::tool("ethtool").unwrap().args(arguments))
        .unwrap();
    let place = configured(
        "[[port]]\ndevice = \"v0\"\nrole = \"wan\"\nmode = \"zero-copy\"\n\n[[port]]\ndevice = \"gone\"\nrole = \"lan\"\n",
    );
    let mut doctor = place.command(&["doctor", "--config", "weir.toml"]);
    let output = namespace.output(&mut doctor).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    for line in [
        "bad  v0: AF_XDP mode to expect: copying in the driver; veth has no zero-copy; mode = \"zero-copy\" is asked for\n     \
         costs: the gateway refuses to start\n     mend: mode = \"auto\" in [[port]]\n",
        "warn v0: 1 queue for 2 cores\n     costs: no more than 1 core can receive; the device can have 2 queues\n     \
         mend: ethtool -L v0 rx 2 tx 2\n",
        "bad  gone: there is no device gone in this network namespace\n     costs: the gateway refuses to start\n",
    ] {
        assert!(text.contains(line), "{line}is not in:\n{text}");
    }
}

// Catches devices that cannot be ports, or only in generic mode, taken for cards.
#[test]
fn devices_that_are_no_cards_are_named() {
    let topology = Topology::new().unwrap();
    let namespace = topology.namespace("n").unwrap();
    namespace.ip("link add br0 type bridge").unwrap();
    namespace.ip("tuntap add t0 mode tun").unwrap();
    let place = configured("");
    let bridge = findings(&namespace, &place, "br0");
    let whats: Vec<&str> = bridge.iter().map(|(_, what, _)| what.as_str()).collect();
    assert!(
        whats.contains(&"br0: is a bridge; its ports: none so far"),
        "{whats:?}"
    );
    let generic = "br0: AF_XDP mode to expect: generic; bridge runs no XDP programs for it";
    assert!(whats.contains(&generic), "{whats:?}");
    let tun = findings(&namespace, &place, "t0");
    assert_eq!(tun.last().unwrap().1, "t0: carries no Ethernet frames");
}
