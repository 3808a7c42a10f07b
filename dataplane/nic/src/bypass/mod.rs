//! What the kernel does to packets that it forwards between a device and the tunnel, and so does not do to those that
//! AF_XDP carries past it.
//!
//! Bridges' chains are left out, since a bridge's port is no router's; so are programs of tcx and of cgroups, which nothing
//! but BPF's own system calls show, and chains that other namespaces have.

mod chains;
mod iptables;
mod routing;
mod traffic;

pub use chains::forward_drops;

use nix::errno::Errno;

/// What is bypassed, each as a person would look it up.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Bypassed {
    /// What lets packets pass, drops or changes them: `nftables chain ip filter FORWARD`, `iptables-legacy table filter`,
    /// `tc filters of eth2 (ingress)`. What cannot be read is taken to be there, and says why it cannot.
    pub filters: Vec<String>,
    /// What decides by something else than the destination where they go, or when: rules of routing, queueing
    /// disciplines that hold back. `rule 100 of ip -6 rule`, `queueing discipline htb of eth2`.
    pub others: Vec<String>,
}

impl Bypassed {
    /// What is bypassed between two devices of the thread's network namespace, except an nftables table, such as
    /// `inet weir_weir0`. It needs CAP_NET_ADMIN.
    pub fn between(device: &str, tunnel: &str, except: &str) -> Self {
        let devices = [device, tunnel];
        let mut bypassed = Self::default();
        let filters = &mut bypassed.filters;
        add(filters, "nftables", chains::deciding(&devices, except));
        add(filters, "iptables-legacy", iptables::deciding());
        add(filters, "tc filters", traffic::filters(&devices));
        let others = &mut bypassed.others;
        add(others, "rules of routing", routing::beyond_destination(&devices));
        add(others, "queueing disciplines", traffic::disciplines(&devices));
        bypassed
    }
}

fn add(to: &mut Vec<String>, what: &str, found: Result<Vec<String>, Errno>) {
    match found {
        Ok(found) => to.extend(found),
        Err(errno) => to.push(format!("{what}, if there are any ({})", errno.desc())),
    }
}
