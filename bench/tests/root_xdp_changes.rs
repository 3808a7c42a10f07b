//! The network around a gateway with ports of AF_XDP changes while traffic flows: addresses, next hops, MAC addresses and
//! links. Each time traffic goes on by itself, and by AF_XDP.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod xdp;

use std::net::{IpAddr, Ipv4Addr};
use std::thread;
use std::time::{Duration, Instant};

use weir_bench::gateway_topology::{PORT, gateway_key};
use weir_bench::transfer::{Running, Transfer};
use weir_bench::tunnel::{Family, Side};
use weir_bench::xdp_lab::{LAN, Setup, WAN};
use weir_bench::{Implementation, Namespace, wait};
use xdp::{LIMIT, Pair, SILENCE};

/// Bytes a second of each of the two transfers that go on through all changes.
const BYTES_PER_S: u64 = 1_000_000;

/// How long a link is down: TCP hears of nothing for longer, the longer it heard of nothing.
const DOWN: Duration = Duration::from_millis(400);

/// Where the client's outer address lies when it is not the gateway's neighbour.
const BEYOND: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);

/// A pair whose tunnel is behind a router, and the transfers in it.
struct Scene {
    pair: Pair,
    running: [Running; 2],
}

impl Scene {
    /// The client's outer address lies beyond a router, which is the same host, so that the gateway's way to it is the
    /// default route. The other host on each side has a second address and MAC for a second next hop.
    fn new() -> Self {
        let pair = Pair::new(Implementation::Weir, Setup::driver());
        let (far, server) = (&pair.lab.far, &pair.lab.server);
        let gateway = pair.lab.gateway.namespace();
        for host in [far, gateway, server] {
            announce(host);
        }
        second(far, WAN, "192.0.2.3/24");
        second(server, LAN, "198.51.100.3/24");
        far.ip(&format!("address add {BEYOND}/32 dev lo")).unwrap();
        far.ip(&format!("route add 192.0.2.1/32 dev {WAN} src {BEYOND}"))
            .unwrap();
        gateway.ip("route add default via 192.0.2.2").unwrap();
        // What it sent before came from its other address.
        call(&pair, "192.0.2.1");
        pair.await_answers(Side::Left, LIMIT);
        assert_eq!(pair.seen().endpoint.unwrap().ip(), IpAddr::from(BEYOND));
        let running = [(Side::Left, Family::V4), (Side::Right, Family::V6)].map(|(from, family)| {
            let transfer = Transfer {
                destination: (xdp::address(from.other(), family), 0).into(),
                bytes: 120 * BYTES_PER_S,
                bytes_per_s: Some(BYTES_PER_S),
                seed: 11,
                limit: Duration::from_secs(240),
            };
            let (from, to) = (pair.namespace(from), pair.namespace(from.other()));
            transfer.start(from, to).unwrap()
        });
        let scene = Self { pair, running };
        scene.goes_on("the beginning");
        scene
    }

    fn gateway(&self) -> &Namespace {
        self.pair.lab.gateway.namespace()
    }

    /// Catches traffic that stands still after a change, or that goes on by sockets.
    fn goes_on(&self, case: &str) {
        const MORE: u64 = BYTES_PER_S / 2;
        let changed = Instant::now();
        for running in &self.running {
            let more = running.received_bytes() + MORE;
            if let Err(error) = running.await_bytes(more, SILENCE) {
                panic!("{case}: {error}: {:#?}", self.pair.lab.status());
            }
        }
        println!("{case}: went on within {:?}", changed.elapsed());
        self.goes_by_afxdp(case);
    }

    /// What is paced goes by sockets until the ports know their new next hops, and by them from then on.
    fn goes_by_afxdp(&self, case: &str) {
        const WATCHED: Duration = Duration::from_millis(200);
        let passed = || {
            let kernel = || self.pair.lab.kernel_bytes().unwrap().all();
            let before = kernel();
            let arrived = || self.running.iter().map(Running::received_bytes).sum::<u64>();
            let began = arrived();
            thread::sleep(WATCHED);
            let (carried, seen) = (arrived() - began, kernel() - before);
            carried > 0 && seen < carried / 8
        };
        if let Err(error) = wait::until_true("traffic by AF_XDP", SILENCE, passed) {
            panic!("{case}: {error}: {:#?}", self.pair.lab.status());
        }
    }
}

/// Tells the client another address of the gateway.
fn call(pair: &Pair, address: &str) {
    let (key, interface) = (gateway_key().public(), pair.client.interface());
    pair.client
        .wg(&format!("set {interface} peer {key} endpoint {address}:{PORT}"))
        .unwrap();
}

/// Has a host tell its neighbours of its addresses and MACs when they change, answer ARP for a device's own addresses only,
/// and keep its addresses while a link is down.
fn announce(host: &Namespace) {
    for device in ["all", "default"] {
        for (key, value) in [
            ("arp_notify", "1"),
            ("arp_ignore", "1"),
            ("arp_announce", "2"),
            ("rp_filter", "0"),
            ("promote_secondaries", "1"),
        ] {
            host.sysctl(&format!("net.ipv4.conf.{device}.{key}"), value)
                .unwrap();
        }
        host.sysctl(&format!("net.ipv6.conf.{device}.ndisc_notify"), "1")
            .unwrap();
        host.sysctl(&format!("net.ipv6.conf.{device}.keep_addr_on_down"), "1")
            .unwrap();
    }
}

/// Gives a host a second MAC on its device, with an address of its own.
fn second(host: &Namespace, device: &str, address: &str) {
    host.ip(&format!("link add second link {device} type macvlan mode bridge"))
        .unwrap();
    host.ip(&format!("address add {address} dev second")).unwrap();
    host.ip("link set second up").unwrap();
}

/// Frames that a device has received.
fn received(host: &Namespace, device: &str) -> u64 {
    let shown = host
        .ip(&format!("-statistics -oneline link show dev {device}"))
        .unwrap();
    let (_, numbers) = shown.split_once("RX:").unwrap();
    let (_, numbers) = numbers.split_once('\\').unwrap();
    numbers.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Catches a port that goes on by what it knew: the old source or destination address, next hop, MAC or link; one that does
/// not take what comes to a new address; and one that never finds its way back to AF_XDP.
#[test]
fn traffic_goes_on_when_the_network_changes() {
    let scene = Scene::new();
    let gateway = scene.gateway();
    let (far, server) = (&scene.pair.lab.far, &scene.pair.lab.server);

    // The client calls another address of the gateway's, which was not there before.
    gateway
        .ip(&format!("address add 192.0.2.10/24 dev {WAN}"))
        .unwrap();
    far.ip(&format!("route add 192.0.2.10/32 dev {WAN} src {BEYOND}"))
        .unwrap();
    call(&scene.pair, "192.0.2.10");
    scene.goes_on("the gateway has another address");
    // And loses it. What it sends comes from one that it has, where the client follows.
    gateway
        .ip(&format!("address del 192.0.2.10/24 dev {WAN}"))
        .unwrap();
    scene.goes_on("the gateway lost the address that the client calls");

    let before = received(far, "second");
    gateway.ip("route replace default via 192.0.2.3").unwrap();
    scene.goes_on("another router");
    assert!(
        received(far, "second") > before + 100,
        "nothing came by the other router"
    );
    gateway.ip("route replace default via 192.0.2.2").unwrap();
    scene.goes_on("the first router again");

    for (host, device, mac) in [
        (far, WAN, "02:00:00:00:00:f1"),
        (gateway, WAN, "02:00:00:00:00:91"),
        (server, LAN, "02:00:00:00:00:51"),
        (gateway, LAN, "02:00:00:00:00:92"),
    ] {
        host.ip(&format!("link set {device} address {mac}")).unwrap();
        scene.goes_on(&format!("{} has MAC {mac}", host.name()));
    }

    for (host, device) in [(far, WAN), (gateway, WAN), (server, LAN), (gateway, LAN)] {
        let routes = ["-4", "-6"].map(|version| {
            let shown = host.ip(&format!("{version} route show dev {device}")).unwrap();
            // The kernel brings its own back.
            let own = shown.lines().filter(|line| !line.contains("proto kernel"));
            (version, own.map(str::to_owned).collect::<Vec<_>>())
        });
        host.ip(&format!("link set {device} down")).unwrap();
        thread::sleep(DOWN);
        host.ip(&format!("link set {device} up")).unwrap();
        for (version, routes) in routes {
            for route in routes {
                host.ip(&format!("{version} route replace {route} dev {device}"))
                    .unwrap();
            }
        }
        scene.goes_on(&format!("{device} of {} was down", host.name()));
    }

    // The LAN's device has no address for a while: nor has the gateway a route to the server.
    let addresses = ["198.51.100.1/24", "2001:db8:2::1/64"];
    gateway
        .ip(&format!("address flush dev {LAN} scope global"))
        .unwrap();
    thread::sleep(DOWN);
    for address in addresses {
        gateway.ip(&format!("address add {address} dev {LAN}")).unwrap();
    }
    scene.goes_on("the LAN's device has an address at last");

    // The server is reached by another of its MACs.
    let before = received(server, "second");
    gateway.ip("route add 198.51.100.2/32 via 198.51.100.3").unwrap();
    scene.goes_on("another way to the server");
    assert!(
        received(server, "second") > before + 100,
        "nothing came by the other way"
    );
    gateway.ip("route del 198.51.100.2/32").unwrap();
    scene.goes_on("the first way again");

    scene.pair.assert_modes();
}
