//! What a data plane may change on its host, read from outside, so that before and after can be compared.

use std::fs;
use std::path::Path;

use weir_bench::{Namespace, programs};

/// Kernel parameters that a gateway switches.
const SYSCTLS: [&str; 3] = [
    "net/ipv4/ip_forward",
    "net/ipv6/conf/all/forwarding",
    "net/ipv6/conf/default/forwarding",
];

/// Devices, addresses, routes, rules, firewall, sockets and parameters of a namespace, and the files that an interface
/// of one name has in `/run`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostState(Vec<(&'static str, String)>);

impl HostState {
    /// Looks.
    pub fn of(namespace: &Namespace, interface: &str) -> Self {
        let ip = |arguments: &str| namespace.ip(arguments).expect("ip shows what there is");
        let nft = || {
            let mut nft = programs::tool("nft").expect("a Debian package of the tests");
            namespace
                .run(nft.args(["list", "ruleset"]))
                .expect("nft shows what there is")
        };
        let within = |path: String| namespace.enter(|| fs::read_to_string(path).unwrap_or_default());
        let mut state = vec![
            ("links", links(&ip("-oneline link show"))),
            ("addresses", own(&ip("-oneline address show"))),
            ("routes", ip("-4 route show table all")),
            ("IPv6 routes", own(&ip("-6 route show table all"))),
            ("rules", ip("rule show")),
            ("nftables", nft()),
            ("UDP sockets", ports(&within("/proc/thread-self/net/udp".into()))),
            (
                "UDP sockets of IPv6",
                ports(&within("/proc/thread-self/net/udp6".into())),
            ),
            ("files", files(interface)),
        ];
        state.extend(SYSCTLS.map(|sysctl| (sysctl, within(format!("/proc/sys/{sysctl}")))));
        Self(state)
    }

    /// Expects nothing to have changed.
    pub fn unchanged(&self, now: &Self, case: &str) {
        for ((what, before), (_, after)) in self.0.iter().zip(&now.0) {
            assert_eq!(before, after, "{case}: {what} changed");
        }
    }
}

/// Names, switches and MTUs. That a cable is plugged in is told late, and of its own.
fn links(shown: &str) -> String {
    let told = shown.lines().map(|line| {
        let words: Vec<&str> = line.split_whitespace().take(5).collect();
        words
            .join(" ")
            .replace("NO-CARRIER,", "")
            .replace(",LOWER_UP", "")
    });
    told.collect::<Vec<_>>().join("\n")
}

/// What somebody set: the kernel gives link-local, multicast and anycast addresses to devices, in its own time.
fn own(shown: &str) -> String {
    let of_the_kernel = |line: &&str| {
        !["fe80:", "ff00::/8", "anycast "]
            .iter()
            .any(|prefix| line.contains(prefix))
    };
    shown.lines().filter(of_the_kernel).collect::<Vec<_>>().join("\n")
}

/// The local addresses of a table of sockets.
fn ports(table: &str) -> String {
    let mut ports: Vec<&str> = table
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect();
    ports.sort_unstable();
    ports.join(" ")
}

/// The sockets of an interface. Other tests have theirs in the same folders.
fn files(interface: &str) -> String {
    let paths =
        ["/run/wireguard", "/run/weir"].map(|folder| Path::new(folder).join(format!("{interface}.sock")));
    let found = paths.iter().filter(|path| path.exists());
    found
        .map(|path| path.display().to_string())
        .collect::<Vec<_>>()
        .join(" ")
}
