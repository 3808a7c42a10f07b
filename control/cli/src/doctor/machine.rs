//! Kernel, privileges, processor, clock.

use super::Finding;
use crate::files::Loaded;
use crate::net::has_capability;
use std::fs::{self, OpenOptions};
use std::time::SystemTime;
use weir_config::Steering;

/// Numbers of capabilities(7).
const CAP_NET_BIND_SERVICE: u32 = 10;
const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_BPF: u32 = 39;

pub fn findings(loaded: Option<&Loaded>) -> Vec<Finding> {
    let mut findings = vec![tun(), net_admin(), bpf(loaded)];
    findings.extend(low_port(loaded));
    findings.extend(kernel(
        &fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default(),
    ));
    findings.push(processor());
    findings.push(clock());
    findings
}

fn tun() -> Finding {
    const DEVICE: &str = "/dev/net/tun";
    match OpenOptions::new().read(true).write(true).open(DEVICE) {
        Ok(_) => Finding::ok(format!("{DEVICE}: can be opened")),
        Err(error) => Finding::bad(
            format!("{DEVICE}: {error}"),
            "no tunnel device can be made",
            "modprobe tun; in a container, pass the device in; otherwise run as root",
        ),
    }
}

fn net_admin() -> Finding {
    if has_capability(CAP_NET_ADMIN) {
        return Finding::ok("privileges: CAP_NET_ADMIN");
    }
    Finding::bad(
        "privileges: CAP_NET_ADMIN is missing",
        "no device, address or route can be set",
        "run as root",
    )
}

fn bpf(loaded: Option<&Loaded>) -> Finding {
    if has_capability(CAP_BPF) || has_capability(CAP_SYS_ADMIN) {
        return Finding::ok("privileges: eBPF may be loaded");
    }
    let cost = "datagrams are steered to their shards by classic BPF";
    let mend = "run as root, or grant CAP_BPF";
    if loaded.is_some_and(|l| l.config.dataplane.steering == Steering::Ebpf) {
        return Finding::bad(
            "privileges: CAP_BPF is missing and steering = \"ebpf\" is asked for",
            "the gateway refuses to start",
            mend,
        );
    }
    Finding::warn("privileges: CAP_BPF is missing", cost, mend)
}

fn low_port(loaded: Option<&Loaded>) -> Option<Finding> {
    let port = loaded?.config.interface.listen_port;
    let start = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").ok();
    let start: u16 = start.and_then(|s| s.trim().parse().ok()).unwrap_or(1024);
    let refused = port != 0 && port < start && !has_capability(CAP_NET_BIND_SERVICE);
    refused.then(|| {
        let what = format!("privileges: CAP_NET_BIND_SERVICE is missing for port {port}");
        Finding::bad(
            what,
            "the port cannot be opened",
            format!("run as root, or choose a listen_port from {start} on"),
        )
    })
}

/// What the version tells: UDP segmentation (4.18), its receive side (5.0), and UDP segmentation on TUN (6.2).
fn kernel(release: &str) -> Vec<Finding> {
    let release = release.trim();
    let Some(version) = version(release) else {
        return vec![Finding::warn(
            format!("kernel: version \"{release}\" cannot be read"),
            "its abilities are unknown",
            "",
        )];
    };
    let mut findings = Vec::new();
    if version >= (6, 1) {
        findings.push(Finding::ok(format!("kernel: {release}, with UDP GSO and GRO")));
    } else {
        let cost = match version {
            v if v < (4, 18) => "neither UDP GSO nor GRO: a system call for every packet",
            v if v < (5, 0) => "no UDP GRO: a system call for every packet received",
            _ => "Weir is tested from 6.1 on",
        };
        findings.push(Finding::warn(
            format!("kernel: {release}"),
            cost,
            "upgrade to 6.1 or newer",
        ));
    }
    if version < (6, 2) {
        let cost = "UDP from this host enters the tunnel packet by packet; TCP is not affected";
        findings.push(Finding::warn(
            "kernel: no UDP segmentation on TUN devices, which came with 6.2",
            cost,
            "install a newer kernel, such as Debian's backport, if that matters",
        ));
    } else {
        findings.push(Finding::ok("kernel: TUN with TCP and UDP segmentation"));
    }
    findings
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(target_arch = "x86_64")]
fn processor() -> Finding {
    use std::arch::is_x86_feature_detected as has;
    if has!("avx512f") && has!("avx512ifma") {
        Finding::ok("processor: AVX-512 with IFMA, and AVX2")
    } else if has!("avx2") {
        Finding::ok("processor: AVX2, without AVX-512 and IFMA")
    } else {
        Finding::warn(
            "processor: no AVX2",
            "encryption runs at a fraction of the speed",
            "use a machine or a VM type that has AVX2",
        )
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn processor() -> Finding {
    Finding::ok(format!("processor: {}", std::env::consts::ARCH))
}

/// Initiations carry the wall clock (whitepaper section 5.4.2): peers refuse older ones than they have seen.
fn clock() -> Finding {
    let built = std::env::current_exe()
        .and_then(fs::metadata)
        .and_then(|m| m.modified());
    match built {
        Ok(built) if SystemTime::now() < built => Finding::warn(
            "clock: earlier than this program's own file",
            "peers that saw a later time refuse handshakes until it has passed",
            "set the clock, for example with: timedatectl set-ntp true",
        ),
        Ok(_) | Err(_) => Finding::ok("clock: plausible"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn kernels_are_judged_by_their_version() {
        assert_eq!(version("6.1.0-37-amd64"), Some((6, 1)));
        assert_eq!(version("nonsense"), None);
        let levels = |release| kernel(release).iter().map(|f| f.level).collect::<Vec<_>>();
        assert_eq!(levels("6.18.5\n"), [Level::Ok, Level::Ok]);
        assert_eq!(levels("6.1.0-37-amd64"), [Level::Ok, Level::Warn]);
        assert_eq!(levels("5.10.0"), [Level::Warn, Level::Warn]);
    }
}
