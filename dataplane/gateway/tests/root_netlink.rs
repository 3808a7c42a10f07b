//! The module `netlink` against the kernel, with the `ip` tool as its oracle.

mod common;

use common::tun::tun;
use common::{isolated, network_of_this_thread, output, run, text};
use nix::errno::Errno;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use weir_abi::prefix::Prefix;
use weir_gateway::netlink::{DeviceRoutes, Error, Event, Monitor, Netlink};

fn address(text: &str) -> (IpAddr, u8) {
    weir_abi::prefix::address_and_length(text).expect(text)
}

fn prefixes(list: &[&str]) -> BTreeSet<Prefix> {
    list.iter().map(|p| p.parse().expect(p)).collect()
}

// Catches an order that the kernel takes for another, and an error that does not say what failed.
#[test]
fn links_and_addresses() {
    isolated(|| {
        let device = tun("weir0");
        let (mut netlink, link) = Netlink::of_device(device.as_fd()).expect("the device is here");
        assert_eq!((link.name.as_str(), link.up), ("weir0", false));
        netlink.set_mtu(link.index, 65_456).expect("a TUN takes this MTU");
        netlink.set_up(link.index).expect("set up");
        let link = netlink.link("weir0").expect("still here");
        assert!(link.up && link.mtu == 65_456);
        assert_eq!(netlink.link_of_index(link.index).expect("the same"), link);

        let both = [address("10.9.0.1/24"), address("fd09::1/64")];
        netlink
            .change_addresses(link.index, &[], &both)
            .expect("addresses");
        netlink
            .change_addresses(link.index, &[], &both)
            .expect("twice is the same");
        netlink
            .add_address(link.index, both[0])
            .expect("twice is the same");
        let shown = run("ip -o addr show dev weir0");
        assert!(
            shown.contains("inet 10.9.0.1/24") && shown.contains("inet6 fd09::1/64"),
            "{shown}"
        );
        assert!(!shown.contains("fd09::1/64 scope global tentative"), "{shown}");
        netlink
            .change_addresses(link.index, &both, &both[1..])
            .expect("one address less");
        netlink.remove_address(link.index, both[0]).expect("gone is gone");
        let left = netlink.addresses(link.index).expect("addresses");
        assert!(left.contains(&both[1]) && !left.contains(&both[0]), "{left:?}");

        assert!(matches!(netlink.link("weir1"), Err(Error::NoSuchLink(name)) if name == "weir1"));
        assert!(matches!(netlink.link(&"x".repeat(40)), Err(Error::NoSuchLink(_))));
        let refused = netlink.set_mtu(link.index, 1).expect_err("too small");
        assert_eq!(refused.errno(), Some(Errno::EINVAL));
        assert!(refused.to_string().contains("to 1"), "{refused}");
    });
}

// Catches routes left behind, made twice, or made over those of others.
#[test]
fn routes_follow_the_allowed_ips() {
    isolated(|| {
        let device = tun("weir0");
        let (mut netlink, link) = Netlink::of_device(device.as_fd()).expect("the device is here");
        netlink.set_up(link.index).expect("set up");
        netlink
            .add_address(link.index, address("10.9.0.1/24"))
            .expect("an address");
        run("ip link add weirother type bridge");
        run("ip link set weirother up");
        run("ip route add 10.3.0.0/16 dev weirother");
        let connected = ["10.9.0.0/24".parse().expect("a prefix")];
        let mut routes = DeviceRoutes::find(&mut netlink, link.index).expect("none yet");

        let allowed = prefixes(&[
            "10.1.0.0/16",
            "10.2.0.0/16",
            "10.3.0.0/16",
            "10.9.0.7/32",
            "fd01::/64",
            "0.0.0.0/0",
            "::/0",
        ]);
        let routed = routes.set(&mut netlink, &allowed, &connected).expect("routes");
        assert_eq!((routed.added, routed.removed), (3, 0));
        assert_eq!(routed.notes.len(), 3, "{:?}", routed.notes);
        assert!(
            routed
                .notes
                .iter()
                .any(|n| n.contains("10.3.0.0/16") && n.contains("has one"))
        );
        let own = |family: &str| {
            run(&format!("ip {family} route show proto 87 dev weir0"))
                .lines()
                .map(|l| l.split(' ').next().expect("a prefix").to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(own("-4"), ["10.1.0.0/16", "10.2.0.0/16"]);
        assert_eq!(own("-6"), ["fd01::/64"]);
        assert!(run("ip route show 10.3.0.0/16").contains("weirother"));

        // A new process finds what is there, takes away what is no longer wanted, and leaves the rest alone.
        let mut routes = DeviceRoutes::find(&mut netlink, link.index).expect("those of before");
        let fewer = prefixes(&["10.2.0.0/16", "fd02::/64"]);
        let routed = routes.set(&mut netlink, &fewer, &connected).expect("routes");
        assert_eq!((routed.added, routed.removed), (1, 2));
        assert_eq!(own("-4"), ["10.2.0.0/16"]);
        assert_eq!(own("-6"), ["fd02::/64"]);

        // The kernel drops IPv4 routes with the link; somebody deletes another one.
        run("ip link set weir0 down");
        run("ip link set weir0 up");
        assert_eq!(own("-4"), Vec::<String>::new());
        routes.restore(&mut netlink, &fewer, &connected).expect("routes");
        assert_eq!(own("-4"), ["10.2.0.0/16"]);
        assert_eq!(own("-6"), ["fd02::/64"]);
        run("ip route del 10.2.0.0/16");
        let routed = routes
            .set(&mut netlink, &BTreeSet::new(), &connected)
            .expect("what is gone is no error");
        assert_eq!((routed.added, routed.removed), (0, 2));
        assert!(run("ip route show 10.3.0.0/16").contains("weirother"));
    });
}

// Catches a listing that costs so much that thousands of peers cannot be routed.
#[test]
fn ten_thousand_routes() {
    isolated(|| {
        let device = tun("weir0");
        let (mut netlink, link) = Netlink::of_device(device.as_fd()).expect("the device is here");
        netlink.set_up(link.index).expect("set up");
        let many: BTreeSet<Prefix> = (0..10_000u32)
            .map(|i| Prefix::host(IpAddr::from((0x0a10_0000 + 2 * i).to_be_bytes())))
            .collect();
        let mut routes = DeviceRoutes::find(&mut netlink, link.index).expect("none yet");
        let begun = Instant::now();
        assert_eq!(
            routes.set(&mut netlink, &many, &[]).expect("routes").added,
            10_000
        );
        assert_eq!(netlink.own_routes(link.index).expect("routes"), many);
        assert_eq!(
            routes
                .set(&mut netlink, &BTreeSet::new(), &[])
                .expect("routes")
                .removed,
            10_000
        );
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    });
}

// Catches the MTU of the wrong link, or a route's own MTU that is overlooked.
#[test]
fn a_path_has_the_mtu_of_its_route() {
    isolated(|| {
        run("ip link add weira type bridge");
        run("ip link add weirb type bridge");
        run("ip link set weira mtu 1400 up");
        run("ip link set weirb mtu 9000 up");
        run("ip addr add 192.0.2.1/24 dev weira");
        run("ip addr add 198.51.100.1/24 dev weirb");
        run("ip -6 addr add 2001:db8::1/64 dev weirb nodad");
        run("ip route add 203.0.113.0/24 via 198.51.100.9 mtu 1280");
        run("ip route add 192.0.2.128/25 dev weirb table 77");
        run("ip rule add fwmark 5 table 77");
        let mut netlink = Netlink::open().expect("a socket");
        let mut path = |to: &str, mark| netlink.path(to.parse().expect(to), mark);
        let near = path("192.0.2.200", 0).expect("a path");
        assert_eq!(
            (near.mtu, near.source),
            (1400, "192.0.2.1".parse::<IpAddr>().ok())
        );
        assert_eq!(path("198.51.100.2", 0).expect("a path").mtu, 9000);
        assert_eq!(path("203.0.113.5", 0).expect("a path").mtu, 1280);
        assert_eq!(path("2001:db8::2", 0).expect("a path").mtu, 9000);
        assert_eq!(path("192.0.2.200", 5).expect("a path").mtu, 9000);
        let nowhere = path("10.0.0.1", 0).expect_err("no route");
        assert_eq!(nowhere.errno(), Some(Errno::ENETUNREACH));
    });
}

fn wait_for(monitor: &Monitor, wanted: impl Fn(&Event) -> bool) -> Vec<Event> {
    let mut before = Vec::new();
    loop {
        let event = monitor.events().recv_timeout(Duration::from_secs(10));
        let event = event.unwrap_or_else(|_| panic!("not told; before: {before:?}"));
        if wanted(&event) {
            return before;
        }
        before.push(event);
    }
}

// Catches a change of the network that is not told: a route of Weir's own, by which devices learn what leads into the
// tunnel, and a rule, which chooses between tables without any route that changes.
#[test]
fn changes_are_told() {
    isolated(|| {
        let device = tun("weir0");
        let (mut netlink, link) = Netlink::of_device(device.as_fd()).expect("the device is here");
        let monitor = Monitor::start().expect("a monitor");
        netlink.set_mtu(link.index, 1300).expect("an MTU");
        wait_for(
            &monitor,
            |e| matches!(e, Event::Link(l) if l.name == "weir0" && l.mtu == 1300),
        );
        netlink.set_up(link.index).expect("set up");
        wait_for(&monitor, |e| matches!(e, Event::Link(l) if l.up));
        netlink
            .add_address(link.index, address("10.9.0.1/24"))
            .expect("an address");
        wait_for(&monitor, |e| *e == Event::Addresses);
        wait_for(&monitor, |e| *e == Event::Routes);
        let quiet = || {
            thread::sleep(Duration::from_millis(300));
            monitor.events().try_iter().for_each(drop);
        };
        quiet();
        netlink
            .add_route(link.index, "10.1.0.0/16".parse().expect("a prefix"))
            .expect("a route");
        wait_for(&monitor, |e| *e == Event::Routes);
        for family in ["-4", "-6"] {
            quiet();
            run(&format!("ip {family} rule add fwmark 7 table 100"));
            wait_for(&monitor, |e| *e == Event::Routes);
        }
        drop(device);
        wait_for(&monitor, |e| *e == Event::LinkGone(link.index));
    });
}

// Catches who only follows the device, and is woken by every route that a gateway with many peers makes.
#[test]
fn who_follows_a_device_hears_of_links_alone() {
    isolated(|| {
        let device = tun("weir0");
        let (mut netlink, link) = Netlink::of_device(device.as_fd()).expect("the device is here");
        netlink.set_up(link.index).expect("set up");
        let monitor = Monitor::of_device(device.as_fd()).expect("a monitor");
        netlink
            .add_address(link.index, address("10.9.0.1/24"))
            .expect("an address");
        netlink
            .add_route(link.index, "10.1.0.0/16".parse().expect("a prefix"))
            .expect("a route");
        run("ip link add weirmark type bridge");
        let before = wait_for(&monitor, |e| matches!(e, Event::Link(l) if l.name == "weirmark"));
        assert!(before.iter().all(|e| matches!(e, Event::Link(_))), "{before:?}");
    });
}

// Catches a device that is lost, or mistaken for another of its name, once it was moved and renamed.
#[test]
fn a_device_is_found_in_another_namespace() {
    isolated(|| {
        let device = tun("weir0");
        let (tell, number) = mpsc::channel();
        let (finish, finished) = mpsc::channel::<()>();
        let (checked, check) = mpsc::channel::<()>();
        let other = thread::spawn(move || {
            isolated(move || {
                tell.send(network_of_this_thread()).expect("listens");
                check.recv().expect("listens");
                let shown = run("ip link show weir9");
                assert!(shown.contains("mtu 1333"), "{shown}");
                run("ip link set weir9 mtu 1444");
                let _ = finished.recv();
            });
        });
        let number = number.recv().expect("the other namespace");
        run(&format!("ip link set weir0 netns {number} name weir9"));
        let _decoy = tun("weir0");
        let (mut netlink, link) = Netlink::of_device(device.as_fd()).expect("it is there");
        assert_eq!(link.name, "weir9");
        netlink.set_mtu(link.index, 1333).expect("an MTU");
        let monitor = Monitor::of_device(device.as_fd()).expect("a monitor there");
        checked.send(()).expect("listens");
        wait_for(&monitor, |e| matches!(e, Event::Link(l) if l.mtu == 1444));
        let here = text(&output("ip link show weir0").stdout);
        assert!(here.contains("mtu 1500"), "{here}");
        finish.send(()).expect("listens");
        other.join().expect("the other namespace's checks");
    });
}
