//! What of this machine matters to AF_XDP: its kernel, processors, huge pages, and how much memory may be locked.

use crate::cores;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use std::fs;
use std::path::Path;

/// The machine.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Host {
    /// The kernel; `None` where its release begins with no version.
    pub kernel: Option<KernelVersion>,
    /// The processors that are switched on (/sys/devices/system/cpu/online).
    pub cores: Vec<u32>,
    /// The NUMA nodes and their processors (/sys/devices/system/node); empty where the kernel has none.
    pub nodes: Vec<Node>,
    /// Huge pages by size (/sys/kernel/mm/hugepages).
    pub huge_pages: Vec<HugePages>,
    /// Bytes that a process without CAP_IPC_LOCK may lock (RLIMIT_MEMLOCK); `None` where there is no limit.
    pub locked_memory: Option<u64>,
}

/// A version of the kernel, such as 6.12.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct KernelVersion(pub u32, pub u32);

impl KernelVersion {
    /// From a release such as `6.1.0-37-amd64`.
    pub fn of_release(release: &str) -> Option<Self> {
        let mut numbers = release.trim().split(|c: char| !c.is_ascii_digit());
        Some(Self(numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    }

    /// The one that runs (/proc/sys/kernel/osrelease).
    pub fn running() -> Option<Self> {
        Self::of_release(&fs::read_to_string("/proc/sys/kernel/osrelease").ok()?)
    }
}

impl core::fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// A NUMA node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Its number.
    pub number: u32,
    /// Its processors.
    pub cores: Vec<u32>,
}

/// Huge pages of one size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HugePages {
    /// Their size in KiB.
    pub page_kib: u64,
    /// How many are reserved.
    pub reserved: u64,
    /// How many of these nobody uses.
    pub free: u64,
}

impl Host {
    /// Reads it; what cannot be read is left empty.
    pub fn read() -> Self {
        let online = fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
        let limit = getrlimit(Resource::RLIMIT_MEMLOCK).map(|(soft, _)| soft).ok();
        Self {
            kernel: KernelVersion::running(),
            cores: cores::parse(&online).unwrap_or_default(),
            nodes: nodes(Path::new("/sys/devices/system/node")),
            huge_pages: huge_pages(Path::new("/sys/kernel/mm/hugepages")),
            locked_memory: limit.filter(|limit| *limit != RLIM_INFINITY),
        }
    }

    /// The node that a processor belongs to.
    pub fn node_of(&self, core: u32) -> Option<u32> {
        let node = self.nodes.iter().find(|node| node.cores.contains(&core));
        node.map(|node| node.number)
    }
}

fn nodes(folder: &Path) -> Vec<Node> {
    let node = |name: &str| {
        let number = name.strip_prefix("node")?.parse().ok()?;
        let list = fs::read_to_string(folder.join(name).join("cpulist")).ok()?;
        Some(Node {
            number,
            cores: cores::parse(&list)?,
        })
    };
    let mut nodes: Vec<Node> = names(folder).iter().filter_map(|name| node(name)).collect();
    nodes.sort_unstable_by_key(|node| node.number);
    nodes
}

fn huge_pages(folder: &Path) -> Vec<HugePages> {
    let pages = |name: &str| {
        let number = |file| -> Option<u64> {
            let text = fs::read_to_string(folder.join(name).join(file)).ok()?;
            text.trim().parse().ok()
        };
        Some(HugePages {
            page_kib: name
                .strip_prefix("hugepages-")?
                .strip_suffix("kB")?
                .parse()
                .ok()?,
            reserved: number("nr_hugepages")?,
            free: number("free_hugepages")?,
        })
    };
    let mut sizes: Vec<HugePages> = names(folder).iter().filter_map(|name| pages(name)).collect();
    sizes.sort_unstable_by_key(|pages| pages.page_kib);
    sizes
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches versions compared as text, where 6.12 comes before 6.2.
    #[test]
    fn versions_are_compared_as_numbers() {
        let version = |release| KernelVersion::of_release(release).unwrap();
        assert_eq!(version("6.1.0-37-amd64"), KernelVersion(6, 1));
        assert!(version("6.12.1") > version("6.2.0") && version("7.0-rc1") > version("6.18"));
        assert_eq!(KernelVersion::of_release("linux"), None);
    }

    // Catches facts of the running machine that are not found where the kernel has them.
    #[test]
    fn this_machine_has_a_kernel_and_processors() {
        let host = Host::read();
        assert!(host.kernel.is_some() && !host.cores.is_empty(), "{host:?}");
        for node in &host.nodes {
            for core in &node.cores {
                assert_eq!(host.node_of(*core), Some(node.number));
            }
        }
        let small = host.huge_pages.first();
        assert!(small.is_none_or(|pages| pages.free <= pages.reserved && pages.page_kib >= 64));
    }
}
