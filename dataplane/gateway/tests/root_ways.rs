//! What the surveyor of AF_XDP ports hears from the kernel: which prefixes lead into the tunnel, which addresses are this
//! host's, and what becomes of neighbours.

mod common;

use common::tun::tun;
use common::{isolated, neighbour, run};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::thread;
use std::time::{Duration, Instant};
use weir_abi::prefix::Prefix;
use weir_gateway::netlink::{Event, Monitor, Netlink};

const LIMIT: Duration = Duration::from_secs(15);

fn address(text: &str) -> IpAddr {
    text.parse().expect(text)
}

/// `weir0`, the tunnel, and `lan0`, another device, both up and with addresses; the tunnel's number.
fn devices() -> u32 {
    for device in ["weir0", "lan0"] {
        run(&format!("ip link add {device} type veth peer name {device}far"));
        run(&format!("ip link set {device} up"));
        run(&format!("ip link set {device}far up"));
    }
    for line in [
        "ip addr add 10.9.0.1/24 dev weir0",
        "ip addr add fd09::1/64 dev weir0 nodad",
        "ip addr add 192.0.2.1/24 dev lan0",
        "ip addr add 2001:db8::1/64 dev lan0 nodad",
    ] {
        run(line);
    }
    Netlink::open()
        .expect("netlink")
        .link("weir0")
        .expect("it was made")
        .index
}

/// Whether the longest prefix that holds the address leads into the tunnel.
fn leads(routes: &BTreeMap<Prefix, bool>, address: IpAddr) -> bool {
    let host = Prefix::host(address).length();
    let found = (0..=host)
        .rev()
        .find_map(|length| routes.get(&Prefix::new(address, length)?));
    found.copied().unwrap_or(false)
}

/// Whether the kernel sends a packet for the address into the tunnel.
fn kernel_leads(netlink: &mut Netlink, tunnel: u32, address: IpAddr) -> bool {
    netlink
        .path(address, 0)
        .is_ok_and(|path| path.link == tunnel && !path.is_broadcast)
}

/// Says of these addresses what the kernel says, route by route.
fn agree(tunnel: u32, addresses: &[(&str, bool)]) {
    let mut netlink = Netlink::open().expect("netlink");
    let routes = netlink.routes_by(tunnel).expect("routes");
    for &(text, expected) in addresses {
        let address = address(text);
        assert_eq!(
            kernel_leads(&mut netlink, tunnel, address),
            expected,
            "the test is wrong about {text}"
        );
        assert_eq!(leads(&routes, address), expected, "{text} in {routes:?}");
    }
}

/// Catches routes of one family only, a narrower route of another device or one that refuses that is overlooked, and the
/// greater of two metrics taken for the one in force.
#[test]
fn the_narrowest_route_decides_and_then_its_metric() {
    isolated(|| {
        let tunnel = devices();
        for line in [
            "ip route add 10.1.0.0/16 dev weir0",
            "ip route add 10.1.2.0/24 dev lan0",
            "ip route add 10.1.2.128/25 dev weir0",
            "ip route add unreachable 10.1.3.0/24",
            "ip route add blackhole 10.1.4.0/24",
            "ip route add 10.2.0.0/16 dev weir0 metric 10",
            "ip route add 10.2.0.0/16 dev lan0 metric 20",
            "ip route add 10.3.0.0/16 dev weir0 metric 20",
            "ip route add 10.3.0.0/16 dev lan0 metric 10",
            "ip route add 10.4.0.0/16 nexthop dev lan0 nexthop via 192.0.2.9",
            "ip route add default via 192.0.2.9",
            "ip -6 route add fd01::/48 dev weir0",
            "ip -6 route add fd01:0:0:1::/64 dev lan0",
            "ip -6 route add unreachable fd01:0:0:2::/64",
            "ip -6 route add fd02::/48 dev weir0 metric 2048",
            "ip -6 route add fd02::/48 dev lan0 metric 10",
            "ip -6 route add default dev weir0",
        ] {
            run(line);
        }
        agree(
            tunnel,
            &[
                ("10.1.9.9", true),
                ("10.1.2.9", false),
                ("10.1.2.200", true),
                ("10.1.3.1", false),
                ("10.1.4.1", false),
                ("10.2.1.1", true),
                ("10.3.1.1", false),
                ("10.4.1.1", false),
                ("198.51.100.1", false),
                ("10.9.0.7", true),
                // This host's own address, and its network's broadcast address.
                ("10.9.0.1", false),
                ("10.9.0.255", false),
                ("192.0.2.7", false),
                ("fd01::7", true),
                ("fd01:0:0:1::7", false),
                ("fd01:0:0:2::7", false),
                ("fd02::7", false),
                ("fd09::7", true),
                ("fd09::1", false),
                ("2001:db8::7", false),
                ("2001:db8:1::7", true),
            ],
        );
    });
}

/// Catches packets taken that the kernel sends elsewhere, because a table that is asked earlier has a wider route, or
/// because no rule asks the table of the tunnel's route for them.
#[test]
fn tables_are_asked_in_the_order_of_their_rules() {
    isolated(|| {
        let tunnel = devices();
        for line in [
            "ip route add 10.1.0.0/16 dev lan0 table 100",
            "ip route add 10.1.2.0/24 dev weir0",
            "ip route add 10.3.0.0/16 dev weir0",
            "ip route add 10.4.0.0/16 dev weir0 table 101",
            "ip route add 10.5.0.0/16 dev weir0 table 102",
            "ip route add 10.5.0.0/16 dev lan0",
            "ip -6 route add fd01::/48 dev lan0 table 100",
            "ip -6 route add fd01:0:0:1::/64 dev weir0",
            "ip -6 route add fd03::/48 dev weir0",
        ] {
            run(line);
        }
        let others: &[(&str, bool)] = &[("10.3.1.1", true), ("10.5.1.1", false), ("fd03::7", true)];
        let both = |more: &[(&str, bool)]| agree(tunnel, &[others, more].concat());
        run("ip rule add priority 100 from 198.51.100.1 table 101");
        both(&[("10.1.2.7", true), ("fd01:0:0:1::7", true), ("10.4.1.1", false)]);
        run("ip rule add priority 99 to 10.0.0.0/8 table 100");
        run("ip -6 rule add priority 99 to fd00::/8 table 100");
        both(&[("10.1.2.7", false), ("fd01:0:0:1::7", false), ("10.4.1.1", false)]);
        run("ip rule del priority 100");
        run("ip rule add priority 100 table 101");
        both(&[("10.4.1.1", true)]);
    });
}

/// Catches a route for certain sources only, of which nobody can say by the destination where it leads, taken for one of
/// all.
#[test]
fn routes_of_some_sources_are_the_kernel_s() {
    isolated(|| {
        let tunnel = devices();
        for line in [
            "ip -6 route add fd01::/48 from fd44::/16 dev weir0",
            "ip -6 route add fd02::/48 from fd44::/16 dev lan0",
            "ip -6 route add fd02::/48 dev weir0",
            "ip -6 route add fd03::/48 dev weir0",
            "ip -6 route add fd03:0:0:1::/64 from fd44::/16 dev lan0",
            "ip route add 10.1.0.0/16 dev weir0",
            "ip route add 10.1.0.0/16 tos 0x10 dev lan0",
        ] {
            run(line);
        }
        let routes = Netlink::open()
            .expect("netlink")
            .routes_by(tunnel)
            .expect("routes");
        for (text, expected) in [
            ("fd01::7", false),
            ("fd02::7", false),
            ("fd03::7", true),
            ("fd03:0:0:1::7", false),
            ("10.1.1.1", false),
        ] {
            assert_eq!(leads(&routes, address(text)), expected, "{text} in {routes:?}");
        }
    });
}

/// Catches a path MTU that the kernel learnt for one address taken for a route: it stays behind when a route is added that
/// leads the address elsewhere.
#[test]
fn a_learnt_mtu_is_no_route() {
    isolated(|| {
        let mut device = tun("weir0");
        run("ip link set weir0 up");
        run("ip addr add 10.9.0.1/24 dev weir0");
        run("ip link add lan0 type veth peer name far0");
        run("ip link set lan0 up");
        run("ip addr add 192.0.2.1/24 dev lan0");
        run("ip route add 10.0.0.0/8 dev weir0");
        let socket = UdpSocket::bind("10.9.0.1:0").expect("a port");
        socket.connect("10.1.2.3:9").expect("a route");
        let port = socket.local_addr().expect("bound").port().to_be_bytes();
        let mut sent = vec![
            0x45, 0, 0, 28, 0, 1, 0x40, 0, 64, 17, 0, 0, 10, 9, 0, 1, 10, 1, 2, 3,
        ];
        sent.extend([port[0], port[1], 0, 9, 0, 8, 0, 0]);
        assert!(weir_wire::ipv4::write_header_checksum(&mut sent));
        let mut error = [0; 576];
        let reason = weir_wire::icmp::Reason::TooBig { mtu: 1000 };
        let router = IpAddr::from([10, 9, 0, 9]);
        let length = weir_wire::icmp::write_error(&sent, router, reason, &mut error).expect("an answer");
        device.write_all(&error[..length]).expect("the kernel takes it");
        let begun = Instant::now();
        let mut netlink = Netlink::open().expect("netlink");
        while netlink.path(address("10.1.2.3"), 0).expect("a path").mtu != 1000 {
            assert!(begun.elapsed() < LIMIT, "the kernel does not learn");
            thread::sleep(Duration::from_millis(10));
        }
        let tunnel = netlink.link("weir0").expect("it is there").index;
        agree(tunnel, &[("10.1.2.3", true), ("10.1.2.4", true)]);
        run("ip route add 10.1.0.0/16 dev lan0");
        agree(
            tunnel,
            &[("10.1.2.3", false), ("10.1.2.4", false), ("10.2.0.1", true)],
        );
        assert!(device.as_raw_fd() > 0, "the device lives until here");
    });
}

/// Catches whatever the tests above did not think of: many routes of any length, device and metric, in two tables, of which
/// a rule has one asked first for a part of the destinations. What is taken must be what the kernel would send there, and
/// all of it while there are no rules but the kernel's own.
#[test]
fn random_routes_agree_with_the_kernel() {
    for seed in 1..=4u64 {
        isolated(move || {
            let tunnel = devices();
            let mut state = seed;
            let mut random = move |below: u64| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) % below
            };
            let mut near = |v6: bool| -> IpAddr {
                let [a, b, c] = [0, 1, 2].map(|_| random(4) as u8);
                match v6 {
                    false => Ipv4Addr::new(10, a, b, c << 6).into(),
                    true => Ipv6Addr::from_bits(
                        0xfd01 << 112 | u128::from(a) << 96 | u128::from(b) << 64 | u128::from(c) << 62,
                    )
                    .into(),
                }
            };
            let targets: Vec<IpAddr> = (0..160).map(|at| near(at % 2 == 1)).collect();
            for (at, target) in targets[..80].iter().enumerate() {
                let lengths: [u8; 4] = if target.is_ipv4() {
                    [12, 16, 20, 26]
                } else {
                    [28, 32, 64, 66]
                };
                let prefix =
                    Prefix::new(*target, lengths[at / 2 % 4]).expect("it is no longer than the address");
                let device = ["weir0", "weir0", "lan0"][at % 3];
                let table = [254, 254, 254, 100][at / 4 % 4];
                // One that is there already stays as it was.
                let _ = common::output(&format!(
                    "ip route add {prefix} dev {device} metric {} table {table}",
                    1 + at % 7
                ));
            }
            for rules in [
                "",
                "ip rule add to 10.1.0.0/16 table 100",
                "ip -6 rule add to fd01:1::/32 table 100",
            ] {
                if !rules.is_empty() {
                    run(rules);
                }
                let mut netlink = Netlink::open().expect("netlink");
                let routes = netlink.routes_by(tunnel).expect("routes");
                let mut taken = 0;
                for target in &targets {
                    let (ours, kernel) = (
                        leads(&routes, *target),
                        kernel_leads(&mut netlink, tunnel, *target),
                    );
                    assert!(
                        !ours || kernel,
                        "seed {seed}, after {rules:?}: {target} is taken from {routes:?}"
                    );
                    assert!(
                        ours == kernel || !rules.is_empty(),
                        "seed {seed}: {target} is left to the kernel by {routes:?}"
                    );
                    taken += usize::from(ours);
                }
                assert!(taken > 20, "seed {seed}, after {rules:?}: only {taken} are taken");
            }
        });
    }
}

/// Catches an address of this host that is not known as its own, on whatever device and of whatever scope, and the far
/// end's address of a point-to-point link taken for it.
#[test]
fn all_addresses_of_this_host_are_its_own() {
    isolated(|| {
        devices();
        run("ip addr add 198.51.100.1 peer 198.51.100.2/32 dev lan0");
        run("ip addr add 203.0.113.5/32 dev lo");
        run("ip link add down0 type veth peer name down1");
        run("ip addr add 203.0.113.6/32 dev down0");
        let own: BTreeSet<IpAddr> = Netlink::open()
            .expect("netlink")
            .own_addresses()
            .expect("addresses")
            .into_iter()
            .collect();
        let expected = [
            "127.0.0.1",
            "::1",
            "10.9.0.1",
            "fd09::1",
            "192.0.2.1",
            "2001:db8::1",
            "198.51.100.1",
            "203.0.113.5",
            "203.0.113.6",
        ];
        for text in expected {
            assert!(own.contains(&address(text)), "{text} is not in {own:?}");
        }
        // Beside them only what the kernel gave each link that is up itself.
        let given = own
            .iter()
            .filter(|own| matches!(own, IpAddr::V6(v6) if v6.is_unicast_link_local()));
        assert_eq!(own.len(), expected.len() + given.count(), "{own:?}");
    });
}

/// Waits for an event and gives those before it.
fn wait_for(monitor: &Monitor, wanted: &Event) -> Vec<Event> {
    let mut before = Vec::new();
    loop {
        let event = monitor.events().recv_timeout(LIMIT);
        let event = event.unwrap_or_else(|_| panic!("{wanted:?} is not told; before: {before:?}"));
        if event == *wanted {
            return before;
        }
        before.push(event);
    }
}

/// Catches a neighbour that is found, changes its address, fails or is removed without a word of it, and one told of on the
/// wrong link or of another address: frames would go to a MAC address that nobody has any more.
#[test]
fn what_becomes_of_neighbours_is_told() {
    neighbour::beside_one(|netlink, link| {
        let monitor = Monitor::start().expect("a monitor");
        for far in neighbour::ADDRESSES.map(address) {
            neighbour::resolve(netlink, link, far);
            wait_for(&monitor, &Event::Neighbour(link, far));
            thread::sleep(Duration::from_millis(300));
            monitor.events().try_iter().for_each(drop);
            for change in [
                format!("ip neigh replace {far} lladdr 02:00:00:00:00:09 dev near nud reachable"),
                format!("ip neigh change {far} dev near nud failed"),
                format!("ip neigh replace {far} lladdr 02:00:00:00:00:09 dev near nud permanent"),
                format!("ip neigh del {far} dev near"),
            ] {
                run(&change);
                let before = wait_for(&monitor, &Event::Neighbour(link, far));
                assert!(
                    before.iter().all(|event| matches!(event, Event::Neighbour(..))),
                    "{change}: {before:?}"
                );
            }
        }
    });
}

/// Catches a rule of routing added or removed without a word: it may lead packets elsewhere as a route does.
#[test]
fn changes_of_rules_are_told_as_changes_of_routes() {
    isolated(|| {
        let monitor = Monitor::start().expect("a monitor");
        for rule in ["ip rule", "ip -6 rule"] {
            run(&format!("{rule} add priority 99 table 100"));
            wait_for(&monitor, &Event::Routes);
            run(&format!("{rule} del priority 99"));
            wait_for(&monitor, &Event::Routes);
        }
    });
}
