//! Every way in which two implementations may meet.

use weir_bench::device_config::preshared_key;
use weir_bench::tunnel::{Family, Side, Site, Tunnel, direct};
use weir_bench::{Implementation, Topology};

/// Puts up a tunnel between Weir and a peer for each combination of caller, IP version outside, and preshared key, and
/// has them ping and transfer this many bytes in both directions and both IP versions inside. Catches a combination in
/// which no tunnel comes up, or in which packets are damaged on their way.
///
/// ```text
/// left (Weir) 192.0.2.1, 2001:db8::1 ──veth── 192.0.2.2, 2001:db8::2 right (peer)
/// ```
pub fn speaks_with(peer: Implementation, bytes: u64) {
    for initiator in Side::BOTH {
        for outer in Family::BOTH {
            for psk in [None, Some(preshared_key(7))] {
                let case = format!(
                    "Weir left, {peer} right, initiator {initiator:?}, outer {outer:?}, preshared key: {}",
                    psk.is_some()
                );
                let topology = Topology::new().unwrap();
                let [left, right] = direct(&topology).unwrap();
                let called = initiator.other();
                let site = |side: Side, namespace, implementation| match Site::new(namespace, implementation)
                {
                    site if side == called => site.called_at(side.outer(outer)),
                    site => site,
                };
                let left = site(Side::Left, &left, Implementation::Weir);
                let right = site(Side::Right, &right, peer);
                let tunnel = Tunnel::new(topology, left, right, psk).unwrap();
                tunnel
                    .prove(initiator, bytes)
                    .unwrap_or_else(|error| panic!("{case}: {error}"));
            }
        }
    }
}
