//! `[gateway]`: what the host is made to do with the packets that leave the tunnel.

use crate::reader::{Reader, Section};

pub(crate) const KEYS: &[&str] = &["forward", "nat"];

/// Forwarding and address translation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Gateway {
    /// IP forwarding is switched on while running.
    pub forward: bool,
    /// What leaves other interfaces from the tunnel's networks is masqueraded, by an nftables table of its own.
    pub nat: bool,
}

pub(crate) fn read(reader: &mut Reader<'_>, section: &Section<'_>) -> Gateway {
    let nat = section.flag(reader, "nat").unwrap_or(false);
    Gateway {
        // Translating what is never forwarded makes no sense, so NAT alone switches forwarding on.
        forward: section.flag(reader, "forward").unwrap_or(nat),
        nat,
    }
}
