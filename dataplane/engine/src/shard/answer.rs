//! ICMP errors to this host and those it forwards for, about packets that cannot enter the tunnel.

use super::{Now, Shard};
use crate::limits::ICMP_ERRORS_PER_S;
use weir_wire::icmp::{self, MAX_LEN_V4, MAX_LEN_V6, Reason};
use weir_wire::ip;

impl Shard {
    /// Tells the sender of `packet` why it goes no further, a bounded number of times a second (RFC 4443, 2.4 f).
    ///
    /// The error comes from the address that was to be reached: the engine knows none of this host's, and by strict
    /// reverse path filtering only an address behind the tunnel may speak from the tunnel.
    pub(super) fn answer(&mut self, packet: &[u8], reason: Reason, now: Now) {
        let Some(source) = ip::destination(packet) else {
            return;
        };
        if !self.icmp_errors.take(now.at, ICMP_ERRORS_PER_S) {
            return;
        }
        let most = if source.is_ipv4() { MAX_LEN_V4 } else { MAX_LEN_V6 };
        let Some(mut out) = self.fresh_host(most) else {
            return;
        };
        match icmp::write_error(packet, source, reason, out.room_mut()) {
            Some(len) => {
                out.set_len(len);
                self.send_packet(out);
            }
            None => self.give_back(out),
        }
    }
}
