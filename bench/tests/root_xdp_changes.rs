//! The network around a gateway with ports of AF_XDP changes while traffic flows: addresses, next hops, MAC addresses and
//! links. Each time traffic goes on by itself, and by AF_XDP.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod xdp;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use weir_bench::gateway_topology::{PORT, gateway_key};
use weir_bench::transfer::{Running, Transfer};
use weir_bench::tunnel::{Family, Side};
use weir_bench::xdp_lab::{Calls, LAN, Setup, WAN};
use weir_bench::{Implementation, Namespace, wait};
use xdp::{LIMIT, Pair, SILENCE};

/// Bytes a second of each of the two transfers that go on through all changes.
const BYTES_PER_S: u64 = 1_000_000;

/// How long a link is down: TCP hears of nothing for longer, the longer it heard of nothing.
const DOWN: Duration = Duration::from_millis(400);

/// The addresses on the WAN, in one IP version.
struct Outside {
    /// Where the client is, which is not the gateway's neighbour.
    beyond: IpAddr,
    /// Two routers on the way to it.
    routers: [&'static str; 2],
    /// The gateway, and another address that it gets.
    gateway: [&'static str; 2],
    /// Bits of the WAN's prefix, and of an address.
    lengths: [u8; 2],
}

impl Outside {
    fn of(family: Family) -> Self {
        match family {
            Family::V4 => Self {
                beyond: Ipv4Addr::new(203, 0, 113, 2).into(),
                routers: ["192.0.2.2", "192.0.2.3"],
                gateway: ["192.0.2.1", "192.0.2.10"],
                lengths: [24, 32],
            },
            Family::V6 => Self {
                beyond: Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 2).into(),
                routers: ["2001:db8:1::2", "2001:db8:1::3"],
                gateway: ["2001:db8:1::1", "2001:db8:1::10"],
                lengths: [64, 128],
            },
        }
    }

    /// Has the client call an address of the gateway's from where it is.
    fn call(&self, pair: &Pair, gateway: &str) {
        let route = format!(
            "route replace {gateway}/{} dev {WAN} src {}",
            self.lengths[1], self.beyond
        );
        pair.lab.far.ip(&route).unwrap();
        let endpoint = SocketAddr::new(gateway.parse().unwrap(), PORT);
        let (key, interface) = (gateway_key().public(), pair.client.interface());
        let set = format!("set {interface} peer {key} endpoint {endpoint}");
        pair.client.wg(&set).unwrap();
    }
}

/// A pair whose tunnel is behind a router, and the transfers in it.
struct Scene {
    pair: Pair,
    outside: Outside,
    running: [Running; 2],
}

impl Scene {
    /// The client's outer address lies beyond a router, which is the same host, so that the gateway's way to it is the
    /// default route. The other host on each side has a second address and MAC for a second next hop.
    fn new(outer: Family) -> Self {
        let outside = Outside::of(outer);
        let setup = Setup {
            calls: Calls::Client(outer),
            ..Setup::driver()
        };
        let pair = Pair::new(Implementation::Weir, setup);
        let (far, server) = (&pair.lab.far, &pair.lab.server);
        let gateway = pair.lab.gateway.namespace();
        for host in [far, gateway, server] {
            announce(host);
        }
        second(
            far,
            WAN,
            &format!("{}/{}", outside.routers[1], outside.lengths[0]),
        );
        second(server, LAN, "198.51.100.3/24");
        far.ip(&format!(
            "address add {}/{} dev lo",
            outside.beyond, outside.lengths[1]
        ))
        .unwrap();
        gateway
            .ip(&format!("route add default via {}", outside.routers[0]))
            .unwrap();
        // What it sent before came from its other address.
        outside.call(&pair, outside.gateway[0]);
        pair.await_answers(Side::Left, LIMIT);
        assert_eq!(pair.seen().endpoint.unwrap().ip(), outside.beyond);
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
        let scene = Self {
            pair,
            outside,
            running,
        };
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

    /// Gives devices other MAC addresses, of which their hosts tell their neighbours.
    fn macs_change(&self, ends: [(&Namespace, &str); 2]) {
        for (number, (host, device)) in ends.into_iter().enumerate() {
            host.ip(&format!("link set {device} address 02:00:00:00:00:f{number}"))
                .unwrap();
            self.goes_on(&format!("{device} of {} has another MAC", host.name()));
        }
    }

    /// Sets devices down and up again, with the routes that they had.
    fn links_go_down(&self, ends: [(&Namespace, &str); 2]) {
        for (host, device) in ends {
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
            self.goes_on(&format!("{device} of {} was down", host.name()));
        }
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

/// Catches a WAN port that goes on by what it knew: the old source or destination address, next hop, MAC or link; one that
/// does not take what comes to a new address; and one that never finds its way back to AF_XDP.
fn wan_changes(outer: Family) {
    let scene = Scene::new(outer);
    let gateway = scene.gateway();
    let far = &scene.pair.lab.far;
    let Outside {
        routers,
        gateway: [_, new],
        lengths,
        ..
    } = scene.outside;

    // The client calls another address of the gateway's, which was not there before.
    let address = format!("{new}/{} dev {WAN}", lengths[0]);
    gateway.ip(&format!("address add {address}")).unwrap();
    scene.outside.call(&scene.pair, new);
    scene.goes_on("the gateway has another address");
    // And loses it. What it sends comes from one that it has, where the client follows.
    gateway.ip(&format!("address del {address}")).unwrap();
    scene.goes_on("the gateway lost the address that the client calls");

    let before = received(far, "second");
    gateway
        .ip(&format!("route replace default via {}", routers[1]))
        .unwrap();
    scene.goes_on("another router");
    let by_second = received(far, "second") - before;
    assert!(by_second > 100, "{by_second} frames came by the other router");
    gateway
        .ip(&format!("route replace default via {}", routers[0]))
        .unwrap();
    scene.goes_on("the first router again");

    scene.macs_change([(far, WAN), (gateway, WAN)]);
    scene.links_go_down([(far, WAN), (gateway, WAN)]);
    scene.pair.assert_modes();
}

#[test]
fn traffic_goes_on_when_the_wan_changes_v4() {
    wan_changes(Family::V4);
}

#[test]
fn traffic_goes_on_when_the_wan_changes_v6() {
    wan_changes(Family::V6);
}

/// Catches the same of a LAN port.
#[test]
fn traffic_goes_on_when_the_lan_changes() {
    let scene = Scene::new(Family::V4);
    let (gateway, server) = (scene.gateway(), &scene.pair.lab.server);
    scene.macs_change([(server, LAN), (gateway, LAN)]);
    scene.links_go_down([(server, LAN), (gateway, LAN)]);

    // The device has no address for a while: nor has the gateway a route to the server.
    gateway
        .ip(&format!("address flush dev {LAN} scope global"))
        .unwrap();
    thread::sleep(DOWN);
    for address in ["198.51.100.1/24", "2001:db8:2::1/64"] {
        gateway.ip(&format!("address add {address} dev {LAN}")).unwrap();
    }
    scene.goes_on("the LAN's device has an address at last");

    let before = received(server, "second");
    gateway.ip("route add 198.51.100.2/32 via 198.51.100.3").unwrap();
    scene.goes_on("another way to the server");
    let by_second = received(server, "second") - before;
    assert!(by_second > 100, "{by_second} frames came by the other way");
    gateway.ip("route del 198.51.100.2/32").unwrap();
    scene.goes_on("the first way again");
    scene.pair.assert_modes();
}
