//! Tables of iptables-legacy and ip6tables-legacy (linux/netfilter_ipv4/ip_tables.h, linux/netfilter_ipv6/ip6_tables.h),
//! which nftables does not list.

use crate::bytes::{u16_at, u32_at};
use crate::sys;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use std::os::fd::AsFd as _;
use std::{fs, io};

/// One of the two.
struct Family {
    /// What its tool is called.
    tool: &'static str,
    /// Lists the tables that this network namespace has.
    names: &'static str,
    domain: AddressFamily,
    level: i32,
    /// Where an entry has the place of its target: behind `struct ipt_ip` or `struct ip6t_ip6`, and 4 bytes.
    target_at: usize,
}

const FAMILIES: [Family; 2] = [
    Family {
        tool: "iptables-legacy",
        names: "/proc/thread-self/net/ip_tables_names",
        domain: AddressFamily::Inet,
        level: libc::SOL_IP,
        target_at: 88,
    },
    Family {
        tool: "ip6tables-legacy",
        names: "/proc/thread-self/net/ip6_tables_names",
        domain: AddressFamily::Inet6,
        level: libc::SOL_IPV6,
        target_at: 140,
    },
];

/// Bytes of a table's name.
const NAME_BYTES: usize = 32;

/// The tables whose chains for forwarded packets have a rule, or drop what has none.
pub(super) fn deciding() -> Result<Vec<String>, Errno> {
    let mut found = Vec::new();
    for family in &FAMILIES {
        let names = match fs::read_to_string(family.names) {
            Ok(names) => names,
            // The kernel has none of it, or has not loaded it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))),
        };
        for table in names.lines() {
            if decides(family, table)? {
                found.push(format!("{} table {table}", family.tool));
            }
        }
    }
    Ok(found)
}

fn decides(family: &Family, table: &str) -> Result<bool, Errno> {
    /// IPT_SO_GET_INFO and IPT_SO_GET_ENTRIES, and IPv6's, which have the same numbers.
    const GET_INFO: i32 = 64;
    const GET_ENTRIES: i32 = 65;
    /// `struct ipt_getinfo`, and `struct ipt_get_entries` before its entries.
    const INFO_BYTES: usize = 84;
    const SIZE_AT: usize = 80;
    const ENTRIES_AT: usize = 40;
    let socket = socket(family.domain, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    let mut name = [0; NAME_BYTES];
    for (to, from) in name.iter_mut().zip(table.bytes().take(NAME_BYTES - 1)) {
        *to = from;
    }
    let mut info = [0; INFO_BYTES];
    info[..NAME_BYTES].copy_from_slice(&name);
    sys::socket_option(socket.as_fd(), family.level, GET_INFO, &mut info)?;
    let size = u32_at(&info, SIZE_AT).unwrap_or(0);
    let mut entries = vec![0; ENTRIES_AT + usize::try_from(size).unwrap_or(0)];
    entries[..NAME_BYTES].copy_from_slice(&name);
    entries[NAME_BYTES..][..4].copy_from_slice(&size.to_ne_bytes());
    sys::socket_option(socket.as_fd(), family.level, GET_ENTRIES, &mut entries)?;
    Ok(forwarded_are_judged(
        &info,
        &entries[ENTRIES_AT..],
        family.target_at,
    ))
}

/// Reads `struct ipt_getinfo` and the entries: a chain of forwarded packets has a rule where it does not begin with its
/// last entry, its policy.
fn forwarded_are_judged(info: &[u8], entries: &[u8], target_at: usize) -> bool {
    /// Where the information has the hooks, and where each one's chain begins and ends.
    const HOOKS_AT: usize = 32;
    const BEGINS_AT: usize = 36;
    const ENDS_AT: usize = 56;
    /// NF_INET_PRE_ROUTING, NF_INET_FORWARD and NF_INET_POST_ROUTING.
    const FORWARDED: [usize; 3] = [0, 2, 4];
    let hooks = u32_at(info, HOOKS_AT).unwrap_or(0);
    FORWARDED
        .iter()
        .filter(|hook| hooks >> **hook & 1 != 0)
        .any(|hook| {
            let end = u32_at(info, ENDS_AT + 4 * hook);
            u32_at(info, BEGINS_AT + 4 * hook) != end || end.is_none_or(|end| drops(entries, end, target_at))
        })
}

/// Whether the entry there drops: its target is a verdict, behind `struct xt_entry_target`.
fn drops(entries: &[u8], entry: u32, target_at: usize) -> bool {
    const TARGET_BYTES: usize = 32;
    /// `-NF_DROP - 1`.
    const DROP: i32 = -1;
    let verdict = || {
        let entry = entries.get(usize::try_from(entry).ok()?..)?;
        let target = usize::from(u16_at(entry, target_at)?);
        u32_at(entry, target + TARGET_BYTES).map(u32::cast_signed)
    };
    verdict().is_none_or(|verdict| verdict == DROP)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        // Catches a panic on whatever the kernel says.
        #[test]
        fn any_bytes(info in proptest::collection::vec(any::<u8>(), 0..90), entries in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = forwarded_are_judged(&info, &entries, 88);
        }
    }
}
