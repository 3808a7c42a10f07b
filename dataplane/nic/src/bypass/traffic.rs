//! Traffic control (tc(8), linux/rtnetlink.h): filters at a device's ingress and egress, and queueing disciplines.

use crate::bytes::{text_at, u32_at};
use crate::netlink::{DUMP, Netlink, value_of};
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::SockProtocol;

const GET_DISCIPLINE: u16 = 38;
const GET_FILTER: u16 = 46;

/// Bytes of `struct tcmsg`, and where it has the interface's number.
const MESSAGE_BYTES: usize = 20;
const INTERFACE_AT: usize = 4;

/// The sides on which `clsact` has filters (TC_H_CLSACT with TC_H_MIN_INGRESS and TC_H_MIN_EGRESS), of which `ingress` has
/// the first.
const SIDES: [(&str, u32); 2] = [("ingress", 0xffff_fff2), ("egress", 0xffff_fff3)];

/// Disciplines that only order what waits, and those that only hold filters.
const PLAIN: [&str; 10] = [
    "noop",
    "noqueue",
    "mq",
    "pfifo",
    "bfifo",
    "pfifo_fast",
    "fq",
    "fq_codel",
    "clsact",
    "ingress",
];

/// On which sides of the devices there are filters.
pub(super) fn filters(devices: &[&str]) -> Result<Vec<String>, Errno> {
    let mut socket = Netlink::open(SockProtocol::NetlinkRoute)?;
    let mut found = Vec::new();
    for (device, index, kind) in all(&mut socket, devices)? {
        let sides = match kind.as_str() {
            "clsact" => &SIDES[..],
            "ingress" => &SIDES[..1],
            _ => &[],
        };
        for (side, parent) in sides {
            let words = [0, index, 0, *parent, 0];
            let request = words.map(u32::to_ne_bytes).concat();
            let mut filters = 0;
            socket.ask(GET_FILTER, DUMP, &request, |_| filters += 1)?;
            if filters > 0 {
                found.push(format!("tc filters of {device} ({side})"));
            }
        }
    }
    Ok(found)
}

/// The devices' disciplines that may hold packets back or drop them by plan.
pub(super) fn disciplines(devices: &[&str]) -> Result<Vec<String>, Errno> {
    let mut socket = Netlink::open(SockProtocol::NetlinkRoute)?;
    let mut found: Vec<String> = all(&mut socket, devices)?
        .into_iter()
        .filter(|(_, _, kind)| !PLAIN.contains(&kind.as_str()))
        .map(|(device, _, kind)| format!("queueing discipline {kind} of {device}"))
        .collect();
    found.dedup();
    Ok(found)
}

/// All disciplines of those devices that there are: the device, its number, what the discipline is.
fn all<'a>(socket: &mut Netlink, devices: &[&'a str]) -> Result<Vec<(&'a str, u32, String)>, Errno> {
    // The tunnel's device comes with its gateway.
    let number = |device: &&'a str| Some((*device, if_nametoindex(*device).ok()?));
    let present: Vec<(&str, u32)> = devices.iter().filter_map(number).collect();
    let mut found = Vec::new();
    socket.ask(GET_DISCIPLINE, DUMP, &[0; MESSAGE_BYTES], |message| {
        let Some((index, kind)) = discipline(message) else {
            return;
        };
        if let Some((device, _)) = present.iter().find(|(_, own)| *own == index) {
            found.push((*device, index, kind));
        }
    })?;
    found.sort_unstable();
    Ok(found)
}

/// The interface's number and the discipline's name.
fn discipline(message: &[u8]) -> Option<(u32, String)> {
    const KIND: u16 = 1;
    let kind = value_of(message.get(MESSAGE_BYTES..)?, KIND)?;
    Some((u32_at(message, INTERFACE_AT)?, text_at(kind, 0, kind.len())?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        // Catches a panic on whatever the kernel says.
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = discipline(&bytes);
        }
    }
}
