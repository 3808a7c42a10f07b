//! Next hops as the kernel knows them: routers of paths, and neighbours resolved when they are asked for.

mod common;

use common::{isolated, neighbour, run};
use std::net::IpAddr;
use weir_gateway::netlink::Netlink;

fn address(text: &str) -> IpAddr {
    text.parse().expect(text)
}

/// Catches a neighbour that is known and not found, one that is found before anybody knows it, and a kernel that is not
/// really asked to resolve it.
#[test]
fn a_neighbour_is_resolved_when_it_is_asked_for() {
    neighbour::beside_one(|netlink, link| {
        for far in neighbour::ADDRESSES.map(address) {
            assert_eq!(netlink.neighbour(link, far).expect("an answer"), None, "{far}");
            assert_eq!(neighbour::resolve(netlink, link, far), neighbour::MAC, "{far}");
        }
        run("ip neigh replace 192.0.2.3 lladdr 02:00:00:00:00:03 dev near nud permanent");
        let fixed = netlink.neighbour(link, address("192.0.2.3")).expect("an answer");
        assert_eq!(fixed, Some([2, 0, 0, 0, 0, 3]));
    });
}

/// Catches a destination taken for its own next hop, where a router is.
#[test]
fn a_path_tells_its_router() {
    isolated(|| {
        run("ip link add near type veth peer name far");
        run("ip addr add 192.0.2.1/24 dev near");
        run("ip addr add 2001:db8::1/64 dev near nodad");
        run("ip link set near up");
        run("ip link set far up");
        run("ip route add 198.51.100.0/24 via 192.0.2.9");
        run("ip route add 203.0.113.0/24 via inet6 2001:db8::9 dev near");
        run("ip route add 2001:db8:1::/48 via 2001:db8::9");
        let mut netlink = Netlink::open().expect("netlink");
        for (destination, gateway) in [
            ("192.0.2.7", None),
            ("198.51.100.7", Some("192.0.2.9")),
            ("203.0.113.7", Some("2001:db8::9")),
            ("2001:db8::7", None),
            ("2001:db8:1::7", Some("2001:db8::9")),
        ] {
            let path = netlink.path(address(destination), 0).expect("a path");
            assert_eq!(path.gateway, gateway.map(address), "{destination}");
        }
    });
}

/// Catches a link-local address looked for on whichever link has the first route.
#[test]
fn a_link_local_address_is_found_on_its_link() {
    isolated(|| {
        let mut netlink = Netlink::open().expect("netlink");
        for (name, number) in [("one", 1), ("two", 2)] {
            run(&format!("ip link add {name} type veth peer name far{number}"));
            run(&format!("ip link set far{number} up"));
            run(&format!("ip link set {name} up"));
            run(&format!("ip addr add fe80::{number}/64 dev {name} nodad"));
        }
        for name in ["one", "two"] {
            let link = netlink.link(name).expect("it was made").index;
            let path = netlink.path_by(address("fe80::77"), 0, link).expect("a path");
            assert_eq!((path.link, path.gateway), (link, None));
            assert!(
                path.source.is_some_and(|source| source.is_ipv6()),
                "{name}: {path:?}"
            );
        }
    });
}
