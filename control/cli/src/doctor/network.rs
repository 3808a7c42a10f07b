//! Sysctls, ports, routes, addresses, MTU, what filters packets.

use super::Finding;
use crate::files::Loaded;
use crate::ipc;
use crate::net::{self, Route, has_capability};
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use weir_abi::prefix::Prefix;
use weir_config::Config;

/// Capability 12 (capabilities(7)).
const CAP_NET_ADMIN: u32 = 12;

/// Bytes that a tunnel adds to a packet over IPv4 and IPv6: IP, UDP, and 32 of WireGuard (whitepaper section 5.4.6).
const OVERHEAD_V4: u32 = 20 + 8 + 32;
const OVERHEAD_V6: u32 = 40 + 8 + 32;

pub fn findings(loaded: Option<&Loaded>, directory: &Path) -> Vec<Finding> {
    let config = loaded.map(|l| &l.config);
    let mut findings = Vec::new();
    findings.extend(forwarding(config));
    findings.push(reverse_path());
    findings.push(buffers(config));
    findings.extend(mtu(config));
    if let Some(config) = config {
        let runs = ipc::reachable(directory, &config.interface.name).unwrap_or(true);
        findings.push(port(config, runs));
        findings.extend(clashes(config, &net::routes(), &net::addresses()));
    }
    findings.extend(other_wireguard(config));
    findings.extend(filters(config));
    findings.push(firewall(config));
    findings
}

fn sysctl(name: &str) -> Option<u64> {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    fs::read_to_string(path)
        .ok()?
        .split_ascii_whitespace()
        .next()?
        .parse()
        .ok()
}

fn forwarding(config: Option<&Config>) -> Vec<Finding> {
    let by_weir = config.is_some_and(|c| c.gateway.forward);
    let judge = |name: &str| match sysctl(name)? {
        0 if by_weir => Some(Finding::ok(format!(
            "{name} = 0; the gateway switches it on while it runs"
        ))),
        0 => Some(Finding::warn(
            format!("{name} = 0"),
            "clients reach this host and nothing behind it",
            format!("forward = true in [gateway], or: sysctl -w {name}=1"),
        )),
        _ => Some(Finding::ok(format!("{name} = 1"))),
    };
    ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"]
        .into_iter()
        .filter_map(judge)
        .collect()
}

/// Strict reverse path filtering (RFC 3704 section 2.2) drops what arrives elsewhere than it would be answered.
fn reverse_path() -> Finding {
    const NAME: &str = "net.ipv4.conf.all.rp_filter";
    match sysctl(NAME) {
        Some(1) => Finding::warn(
            format!("{NAME} = 1 (strict)"),
            "packets that arrive by another interface than the route back are dropped without a word",
            format!("sysctl -w {NAME}=2"),
        ),
        Some(value) => Finding::ok(format!("{NAME} = {value}")),
        None => Finding::ok(format!("{NAME}: not there")),
    }
}

fn buffers(config: Option<&Config>) -> Finding {
    let wanted = config.map_or(256 * 1024, |c| u64::from(c.dataplane.buffer_bytes));
    let low: Vec<String> = ["net.core.rmem_max", "net.core.wmem_max"]
        .into_iter()
        .filter_map(|name| Some((name, sysctl(name)?)))
        .filter(|(_, value)| *value < wanted)
        .map(|(name, value)| format!("{name} = {value}"))
        .collect();
    if low.is_empty() {
        return Finding::ok(format!("UDP buffers: {wanted} bytes may be had"));
    }
    if has_capability(CAP_NET_ADMIN) {
        return Finding::ok(format!(
            "UDP buffers: {wanted} bytes may be had with CAP_NET_ADMIN, though {}",
            low.join(", ")
        ));
    }
    let mend: Vec<String> = low
        .iter()
        .filter_map(|l| l.split(' ').next())
        .map(|n| format!("sysctl -w {n}={wanted}"))
        .collect();
    Finding::warn(
        format!("UDP buffers: {}", low.join(", ")),
        "bursts of datagrams are dropped by the kernel",
        mend.join("; "),
    )
}

fn mtu(config: Option<&Config>) -> Option<Finding> {
    let device = net::default_device(true).or_else(|| net::default_device(false))?;
    let path = fs::read_to_string(format!("/sys/class/net/{device}/mtu")).ok()?;
    let outer: u32 = path.trim().parse().ok()?;
    let (over_v4, over_v6) = (
        outer.saturating_sub(OVERHEAD_V4),
        outer.saturating_sub(OVERHEAD_V6),
    );
    match config.and_then(Config::mtu) {
        Some(mtu) if u32::from(mtu) > over_v4 => Some(Finding::warn(
            format!("MTU: {mtu} in the tunnel, {outer} on {device}"),
            format!("packets above {over_v4} bytes do not fit {device} and are lost"),
            format!("mtu = {over_v6} in [interface], which fits over IPv6 too, or leave mtu out"),
        )),
        Some(mtu) => Some(Finding::ok(format!(
            "MTU: {mtu} in the tunnel fits {outer} on {device}"
        ))),
        None => Some(Finding::ok(format!(
            "MTU: {outer} on {device}, so {over_v4} in the tunnel over IPv4 and {over_v6} over IPv6"
        ))),
    }
}

fn port(config: &Config, runs: bool) -> Finding {
    let (port, name) = (config.interface.listen_port, &config.interface.name);
    if runs {
        return Finding::ok(format!("gateway: {name} runs; see weir status {name}"));
    }
    if port == 0 {
        return Finding::ok("port: chosen by the kernel at each start");
    }
    match net::port_free(port) {
        Ok(()) => Finding::ok(format!("port {port}/udp: free")),
        Err(error) => Finding::bad(
            format!("port {port}/udp: {error}"),
            "the gateway cannot receive",
            format!("ss -lunp 'sport = :{port}' says who has it; stop that or choose another listen_port"),
        ),
    }
}

/// Routes and addresses of other interfaces that meet the tunnel's.
fn clashes(config: &Config, routes: &[Route], addresses: &[(String, IpAddr)]) -> Vec<Finding> {
    let device = config.interface.name.as_str();
    let mut findings = Vec::new();
    for own in &config.interface.addresses {
        for (other, _) in addresses.iter().filter(|(d, a)| d != device && *a == own.address) {
            findings.push(Finding::bad(
                format!("address {}: {other} has it too", own.address),
                "answers leave by either interface",
                "give [interface] addresses of its own",
            ));
        }
    }
    let networks = config.interface.addresses.iter().map(|a| a.network());
    let allowed = config.peers.iter().flat_map(|p| p.allowed_ips.iter().copied());
    let mut ours: Vec<Prefix> = networks.chain(allowed).filter(|p| p.length() > 0).collect();
    ours.sort_unstable();
    ours.dedup();
    for route in routes
        .iter()
        .filter(|r| r.device != device && r.prefix.length() > 0)
    {
        // A wider route of another interface leaves the tunnel its more specific ones.
        if let Some(met) = ours
            .iter()
            .find(|p| p.overlaps(&route.prefix) && p.length() <= route.prefix.length())
        {
            findings.push(Finding::warn(
                format!(
                    "route {} by {} lies in {met} of the tunnel",
                    route.prefix, route.device
                ),
                format!("packets to {} do not enter the tunnel", route.prefix),
                "choose other networks for the tunnel, or remove the route",
            ));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok(
            "routes and addresses: none of other interfaces meets the tunnel's",
        ));
    }
    findings
}

fn other_wireguard(config: Option<&Config>) -> Option<Finding> {
    let own = config.map(|c| c.interface.name.as_str());
    let entries = fs::read_dir("/sys/class/net").ok()?;
    let kernel = |entry: &fs::DirEntry| {
        fs::read_to_string(entry.path().join("uevent"))
            .is_ok_and(|text| text.lines().any(|l| l == "DEVTYPE=wireguard"))
    };
    let names: Vec<String> = entries
        .flatten()
        .filter(kernel)
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    if names.iter().any(|n| Some(n.as_str()) == own) {
        let name = own.unwrap_or_default();
        let what = format!("interface {name}: the kernel's WireGuard has this name");
        return Some(Finding::bad(
            what,
            "the gateway cannot make its device",
            format!("wg-quick down {name}, or another name in [interface]"),
        ));
    }
    let what = format!("other WireGuard interfaces: {}", names.join(", "));
    (!names.is_empty()).then(|| Finding::ok(what))
}

/// What NAT needs of the kernel, and how full its table is.
fn filters(config: Option<&Config>) -> Vec<Finding> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
    let mut findings = Vec::new();
    if config.is_some_and(|c| c.gateway.nat) {
        let netlink = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkNetFilter,
        );
        findings.push(match netlink {
            Ok(_) => Finding::ok("nftables: the kernel's interface can be opened"),
            Err(error) => Finding::bad(
                format!("nftables: {error}"),
                "nat = true cannot be had: the gateway refuses to start",
                "modprobe nf_tables, or nat = false in [gateway]",
            ),
        });
    }
    if let (Some(count), Some(max)) = (
        sysctl("net.netfilter.nf_conntrack_count"),
        sysctl("net.netfilter.nf_conntrack_max"),
    ) {
        findings.push(if count * 5 > max * 4 {
            Finding::warn(
                format!("connection tracking: {count} of {max} entries in use"),
                "when it is full, new connections through NAT are dropped",
                format!("sysctl -w net.netfilter.nf_conntrack_max={}", max * 4),
            )
        } else {
            Finding::ok(format!("connection tracking: {count} of {max} entries in use"))
        });
    }
    findings
}

/// Rules cannot be judged from here: what must be let through is said.
fn firewall(config: Option<&Config>) -> Finding {
    let (port, name) = config.map_or((weir_config::DEFAULT_PORT, "weir0"), |c| {
        (c.interface.listen_port, c.interface.name.as_str())
    });
    let what = "firewall: whether one drops the gateway's packets cannot be judged from here";
    let cost = "a dropped handshake looks like a silent gateway";
    let mend = format!(
        "where a firewall runs, accept UDP port {port} in, and forwarding from and to {name}, such as: \
         nft add rule inet filter input udp dport {port} accept; nft add rule inet filter forward iifname {name} accept; \
         nft add rule inet filter forward oifname {name} accept"
    );
    if fs::read_to_string("/proc/net/ip_tables_names").is_ok_and(|t| t.lines().any(|l| l == "filter")) {
        let mend = format!(
            "{mend}; iptables -I FORWARD -i {name} -j ACCEPT; iptables -I FORWARD -o {name} -j ACCEPT"
        );
        return Finding::warn(
            format!("{what}; iptables-legacy has a filter table (Docker's drops what is forwarded)"),
            cost,
            mend,
        );
    }
    Finding::warn(what, cost, mend)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    fn config(addresses: &str) -> Config {
        let key = weir_abi::key::PublicKey::from_bytes([9; 32]);
        let text = format!("[interface]\nprivate_key = \"{key}\"\naddresses = [{addresses}]\n");
        Config::parse(&text, "weir.toml", &|_| Err(std::io::ErrorKind::NotFound.into())).unwrap()
    }

    // Catches the tunnel's own routes, default routes and wider ones taken for clashes, and real clashes missed.
    #[test]
    fn clashes_are_told_from_neighbours() {
        let config = config("\"10.77.0.1/24\"");
        let route = |device: &str, prefix: &str| Route {
            device: device.to_owned(),
            prefix: prefix.parse().unwrap(),
        };
        let fine = [
            route("weir0", "10.77.0.0/24"),
            route("eth0", "0.0.0.0/0"),
            route("eth0", "10.0.0.0/8"),
            route("eth1", "10.78.0.0/24"),
        ];
        let levels = |routes: &[Route], addresses: &[(String, IpAddr)]| {
            clashes(&config, routes, addresses)
                .iter()
                .map(|f| f.level)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            levels(&fine, &[("weir0".to_owned(), [10, 77, 0, 1].into())]),
            [Level::Ok]
        );
        assert_eq!(levels(&[route("eth0", "10.77.0.0/24")], &[]), [Level::Warn]);
        assert_eq!(levels(&[route("eth0", "10.77.0.128/25")], &[]), [Level::Warn]);
        assert_eq!(
            levels(&[], &[("eth0".to_owned(), [10, 77, 0, 1].into())]),
            [Level::Bad]
        );
    }
}
