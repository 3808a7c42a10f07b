//! Chains of nftables that see forwarded packets (linux/netfilter/nf_tables.h). iptables-nft makes such chains too.

use crate::netlink::{DUMP, Netlink, attributes, value_of};
use nix::errno::Errno;
use nix::sys::socket::SockProtocol;
use std::collections::BTreeSet;

/// NFNL_SUBSYS_NFTABLES, and its questions.
const SUBSYSTEM: u16 = 10 << 8;
const GET_CHAIN: u16 = SUBSYSTEM | 4;
const GET_RULE: u16 = SUBSYSTEM | 7;

/// Bytes of `struct nfgenmsg`, which begins with the family.
const GENERIC_BYTES: usize = 4;

/// NFPROTO_INET, NFPROTO_IPV4, NFPROTO_NETDEV and NFPROTO_IPV6.
const INET: u8 = 1;
const IPV4: u8 = 2;
const NETDEV: u8 = 5;
const IPV6: u8 = 10;

/// A chain's family, table and name.
type Name = (u8, String, String);

/// The chains that do something to packets forwarded between these devices: they have a rule, or drop what has none.
pub(super) fn deciding(devices: &[&str], except: &str) -> Result<Vec<String>, Errno> {
    match listed(devices, except) {
        // A kernel without nftables has no chains: no such protocol, no such subsystem of it.
        Err(Errno::EPROTONOSUPPORT | Errno::EINVAL | Errno::EOPNOTSUPP) => Ok(Vec::new()),
        listed => listed,
    }
}

/// The chains of nftables, in the thread's network namespace, that drop forwarded packets unless a rule of theirs accepts
/// them, as `FAMILY TABLE CHAIN`: where there is one, the operator has to let the tunnel's traffic pass in it.
///
/// # Errors
/// The kernel's, which may have no nftables at all.
pub fn forward_drops() -> Result<Vec<String>, Errno> {
    let found = chains(&mut Netlink::open(SockProtocol::NetlinkNetFilter)?)?;
    let drops = found.iter().filter(|chain| chain.drops && chain.is_forward());
    Ok(drops.map(Chain::full_name).collect())
}

fn chains(socket: &mut Netlink) -> Result<Vec<Chain>, Errno> {
    let mut found = Vec::new();
    socket.ask(GET_CHAIN, DUMP, &[0; GENERIC_BYTES], |message| {
        found.extend(Chain::parse(message));
    })?;
    Ok(found)
}

fn listed(devices: &[&str], except: &str) -> Result<Vec<String>, Errno> {
    const RULE_TABLE: u16 = 1;
    const RULE_CHAIN: u16 = 2;
    let mut socket = Netlink::open(SockProtocol::NetlinkNetFilter)?;
    let mut with_rules = BTreeSet::new();
    socket.ask(GET_RULE, DUMP, &[0; GENERIC_BYTES], |message| {
        with_rules.extend(name(message, RULE_TABLE, RULE_CHAIN));
    })?;
    let found = chains(&mut socket)?;
    let decides = |chain: &&Chain| chain.sees(devices) && (chain.drops || with_rules.contains(&chain.name));
    Ok(found
        .iter()
        .filter(decides)
        .filter(|chain| chain.table() != except)
        .map(|chain| format!("nftables chain {}", chain.full_name()))
        .collect())
}

fn name(message: &[u8], table: u16, chain: u16) -> Option<Name> {
    let bytes = message.get(GENERIC_BYTES..)?;
    Some((
        *message.first()?,
        text(value_of(bytes, table)?),
        text(value_of(bytes, chain)?),
    ))
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned()
}

/// A chain that the kernel sends packets through.
struct Chain {
    name: Name,
    hook: u32,
    /// The devices of a hook that is on devices: names, or how names begin.
    devices: Vec<Device>,
    drops: bool,
}

enum Device {
    Name(String),
    Prefix(String),
}

impl Chain {
    fn parse(message: &[u8]) -> Option<Self> {
        const TABLE: u16 = 1;
        const NAME: u16 = 3;
        const HOOK: u16 = 4;
        const POLICY: u16 = 5;
        const HOOK_NUMBER: u16 = 1;
        /// NF_DROP.
        const DROP: u32 = 0;
        // nftables has its numbers in network order.
        let number = |value: &[u8]| value.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
        let bytes = message.get(GENERIC_BYTES..)?;
        let hook = value_of(bytes, HOOK)?;
        Some(Self {
            name: name(message, TABLE, NAME)?,
            hook: value_of(hook, HOOK_NUMBER).and_then(number)?,
            devices: devices(hook),
            drops: value_of(bytes, POLICY).and_then(number) == Some(DROP),
        })
    }

    /// Whether forwarded packets pass it: at prerouting, forward or postrouting (NF_INET_PRE_ROUTING, NF_INET_FORWARD,
    /// NF_INET_POST_ROUTING), or at ingress or egress of one of the devices.
    fn sees(&self, devices: &[&str]) -> bool {
        let on_devices = || {
            self.devices
                .iter()
                .any(|own| devices.iter().any(|device| own.is(device)))
        };
        match (self.name.0, self.hook) {
            (INET | IPV4 | IPV6, 0 | 2 | 4) => true,
            (INET, 5) | (NETDEV, 0 | 1) => on_devices(),
            _ => false,
        }
    }

    /// Whether it is one of NF_INET_FORWARD.
    fn is_forward(&self) -> bool {
        matches!((self.name.0, self.hook), (INET | IPV4 | IPV6, 2))
    }

    /// Family, table and name.
    fn full_name(&self) -> String {
        format!("{} {}", self.table(), self.name.2)
    }

    /// Family and table.
    fn table(&self) -> String {
        let family = match self.name.0 {
            INET => "inet",
            IPV4 => "ip",
            NETDEV => "netdev",
            _ => "ip6",
        };
        format!("{family} {}", self.name.1)
    }
}

impl Device {
    fn is(&self, device: &str) -> bool {
        match self {
            Self::Name(name) => name == device,
            Self::Prefix(prefix) => device.starts_with(prefix.as_str()),
        }
    }
}

fn devices(hook: &[u8]) -> Vec<Device> {
    const HOOK_DEVICE: u16 = 3;
    const HOOK_DEVICES: u16 = 4;
    const DEVICE_NAME: u16 = 1;
    const DEVICE_PREFIX: u16 = 2;
    let one = value_of(hook, HOOK_DEVICE).map(|value| Device::Name(text(value)));
    let several = attributes(value_of(hook, HOOK_DEVICES).unwrap_or_default());
    let several = several.filter_map(|(kind, value)| match kind {
        DEVICE_NAME => Some(Device::Name(text(value))),
        DEVICE_PREFIX => Some(Device::Prefix(text(value))),
        _ => None,
    });
    one.into_iter().chain(several).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        // Catches a panic on whatever the kernel says.
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            if let Some(chain) = Chain::parse(&bytes) {
                let _ = chain.sees(&["eth0"]);
            }
        }
    }
}
