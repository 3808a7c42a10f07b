//! Rules of routing (ip-rule(8), linux/fib_rules.h) that look at more of a forwarded packet than its destination.

use crate::bytes::text_at;
use crate::netlink::{DUMP, Netlink, attributes};
use nix::errno::Errno;
use nix::sys::socket::SockProtocol;

const GET_RULE: u16 = 34;

/// Bytes of `struct fib_rule_hdr`.
const HEADER_BYTES: usize = 12;

/// The rules that may send packets between these devices elsewhere than their destination alone would. Marks are left out:
/// a packet has one only where some filter sets it.
pub(super) fn beyond_destination(devices: &[&str]) -> Result<Vec<String>, Errno> {
    let mut socket = Netlink::open(SockProtocol::NetlinkRoute)?;
    let mut found = Vec::new();
    socket.ask(GET_RULE, DUMP, &[0; HEADER_BYTES], |message| {
        found.extend(chooses(message, devices));
    })?;
    Ok(found)
}

/// How `ip` lists the rule, if it is such a one.
fn chooses(message: &[u8], devices: &[&str]) -> Option<String> {
    const TOS_AT: usize = 3;
    const SOURCE: u16 = 2;
    const ARRIVED_BY: u16 = 3;
    const PRIORITY: u16 = 6;
    const LEAVES_BY: u16 = 17;
    const PROTOCOL: u16 = 22;
    const SOURCE_PORTS: u16 = 23;
    const DESTINATION_PORTS: u16 = 24;
    let (mut chooses, mut priority) = (*message.get(TOS_AT)? != 0, 0);
    for (kind, value) in attributes(message.get(HEADER_BYTES..)?) {
        match kind {
            SOURCE | PROTOCOL | SOURCE_PORTS | DESTINATION_PORTS => chooses = true,
            ARRIVED_BY if devices.iter().any(|device| is_name(value, device)) => chooses = true,
            // What arrives by another device, or is sent by this host, is not forwarded between these.
            ARRIVED_BY | LEAVES_BY => return None,
            PRIORITY => priority = crate::bytes::u32_at(value, 0)?,
            _ => {}
        }
    }
    let tool = match i32::from(*message.first()?) {
        libc::AF_INET => "ip rule",
        libc::AF_INET6 => "ip -6 rule",
        _ => return None,
    };
    chooses.then(|| format!("rule {priority} of {tool}"))
}

fn is_name(value: &[u8], device: &str) -> bool {
    text_at(value, 0, value.len()).as_deref() == Some(device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        // Catches a panic on whatever the kernel says.
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = chooses(&bytes, &["eth0"]);
        }
    }
}
