//! What AF_XDP needs of the machine.

use super::{CAP_BPF, CAP_IPC_LOCK, CAP_NET_RAW, CAP_SYS_ADMIN};
use crate::doctor::Finding;
use crate::net::has_capability;
use weir_nic::{Host, KernelVersion};

/// The oldest kernel whose AF_XDP is tested.
const OLDEST: KernelVersion = KernelVersion(6, 1);

/// Bytes of the huge pages that queues' memory is made of.
const HUGE_PAGE_KIB: u64 = 2048;

/// Bytes of a queue's memory, about: some thousand frames of 2 KiB.
const QUEUE_BYTES: u64 = 16 << 20;

pub fn findings(host: &Host) -> Vec<Finding> {
    let mut findings = vec![privileges(&has_capability), huge_pages(host)];
    findings.extend(kernel(host.kernel));
    findings.extend(locked_memory(host.locked_memory, has_capability(CAP_IPC_LOCK)));
    findings
}

fn kernel(kernel: Option<KernelVersion>) -> Option<Finding> {
    let kernel = kernel.filter(|kernel| *kernel < OLDEST)?;
    Some(Finding::bad(
        format!("AF_XDP: kernel {kernel} is older than {OLDEST}"),
        "ports are not tested there, and older verifiers may refuse the XDP program",
        format!("upgrade to {OLDEST} or newer, or leave out [[port]]"),
    ))
}

fn privileges(has: &dyn Fn(u32) -> bool) -> Finding {
    let programs = has(CAP_BPF) || has(CAP_SYS_ADMIN);
    let wanted = [(has(CAP_NET_RAW), "CAP_NET_RAW"), (programs, "CAP_BPF")];
    let missing: Vec<&str> = wanted
        .iter()
        .filter(|(there, _)| !there)
        .map(|(_, name)| *name)
        .collect();
    match missing[..] {
        [] => Finding::ok("AF_XDP: sockets and programs are allowed"),
        _ => Finding::bad(
            format!("AF_XDP: {} missing", missing.join(" and ")),
            "no port can be opened",
            "run as root",
        ),
    }
}

fn huge_pages(host: &Host) -> Finding {
    let pages = host
        .huge_pages
        .iter()
        .find(|pages| pages.page_kib == HUGE_PAGE_KIB);
    match pages {
        Some(pages) if pages.reserved > 0 => Finding::ok(format!(
            "AF_XDP: {} of {} huge pages of 2 MiB are free",
            pages.free, pages.reserved
        )),
        Some(_) => Finding::warn(
            "AF_XDP: no huge pages are reserved",
            "queues' memory lies in small pages, whose addresses the processor looks up more often",
            "sysctl -w vm.nr_hugepages=64, which 8 queues need about; to last, in a file of /etc/sysctl.d",
        ),
        None => Finding::ok("AF_XDP: this machine has no huge pages of 2 MiB; small ones are used"),
    }
}

/// The kernel counts a queue's memory as locked (xdp_umem_account_pages), but not of those with CAP_IPC_LOCK.
fn locked_memory(limit: Option<u64>, exempt: bool) -> Option<Finding> {
    let limit = limit.filter(|limit| !exempt && *limit < QUEUE_BYTES)?;
    Some(Finding::bad(
        format!("AF_XDP: {} KiB of memory may be locked", limit / 1024),
        "the memory of a queue is refused",
        "grant CAP_IPC_LOCK, or LimitMEMLOCK=infinity in the service, or: ulimit -l unlimited",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    // Catches a limit held against those it does not bind, and one that is not seen.
    #[test]
    fn limits_bind_only_the_unprivileged() {
        assert!(locked_memory(Some(8 << 20), true).is_none());
        assert!(locked_memory(None, false).is_none());
        assert!(locked_memory(Some(1 << 30), false).is_none());
        let refused = locked_memory(Some(8 << 20), false).unwrap();
        assert_eq!(refused.what, "AF_XDP: 8192 KiB of memory may be locked");
    }

    #[test]
    fn kernels_and_capabilities_are_judged() {
        assert_eq!(kernel(Some(KernelVersion(6, 1))), None);
        assert_eq!(kernel(Some(KernelVersion(5, 10))).unwrap().level, Level::Bad);
        assert_eq!(privileges(&|_| true).level, Level::Ok);
        assert_eq!(privileges(&|n| n != CAP_BPF).level, Level::Ok);
        let none = privileges(&|_| false);
        assert_eq!(none.what, "AF_XDP: CAP_NET_RAW and CAP_BPF missing");
    }
}
