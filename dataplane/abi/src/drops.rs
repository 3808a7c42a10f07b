//! Why packets are dropped. Each reason has one counter that a user can see, and every drop has one reason.

use serde::{Deserialize, Serialize};

macro_rules! drops {
    ($($variant:ident $name:literal $help:literal;)*) => {
        /// A reason for which a packet goes no further.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
        #[repr(u8)]
        pub enum Drop { $(#[doc = $help] $variant,)* }

        impl Drop {
            /// Every reason, in the order of its number.
            pub const ALL: &'static [Drop] = &[$(Drop::$variant,)*];

            /// The name that status, metrics and logs use.
            pub fn name(self) -> &'static str {
                match self { $(Drop::$variant => $name,)* }
            }

            /// One line for people.
            pub fn help(self) -> &'static str {
                match self { $(Drop::$variant => $help,)* }
            }
        }
    };
}

drops! {
    Malformed "malformed" "Outer datagram is no WireGuard message.";
    BadMac1 "bad_mac1" "Handshake message with a wrong mac1: made for another public key.";
    NoIdentity "no_identity" "Handshake message while the interface has no private key.";
    UnderLoad "under_load" "Handshake message above the shard's ceiling for sources that proved nothing.";
    SourceLimited "source_limited" "Handshake message above the limit of its proved source or network.";
    Quarantined "quarantined" "Handshake message of a proved source whose handshakes kept failing.";
    CookieDemanded "cookie_demanded" "Handshake message answered with a cookie reply.";
    WorkerFull "worker_full" "Handshake message while the handshake worker's queue was full.";
    BadHandshake "bad_handshake" "Handshake message that fails authentication.";
    UnknownPeer "unknown_peer" "Initiation of a static key that is no peer's.";
    OldTimestamp "old_timestamp" "Initiation whose timestamp is not newer than the last one.";
    TooManyInitiations "too_many_initiations" "Initiation of a peer less than a fiftieth of a second after its last one.";
    UnknownIndex "unknown_index" "Message for a receiver index of no handshake or keypair.";
    BadCookie "bad_cookie" "Cookie reply that fails authentication.";
    Expired "expired" "Transport data for a keypair past its time or its messages.";
    Replayed "replayed" "Transport data whose counter was seen or is too old.";
    BadTag "bad_tag" "Transport data that fails authentication.";
    InnerMalformed "inner_malformed" "Decrypted packet is no IP packet.";
    SourceNotAllowed "source_not_allowed" "Decrypted packet from an address outside its peer's allowed IPs.";
    RuleDenied "rule_denied" "Packet denied by an access rule.";
    EcnInvalid "ecn_invalid" "Decrypted packet with congestion marks that its inner header cannot carry.";
    NoRoute "no_route" "Packet to an address of no peer's allowed IPs.";
    NoEndpoint "no_endpoint" "Packet to a peer whose endpoint is not known.";
    NotIp "not_ip" "Packet from this host that is no IP packet.";
    TooLarge "too_large" "Packet larger than the tunnel's MTU.";
    QueueFull "queue_full" "Packet waiting for a handshake pushed out by newer ones.";
    HandshakeFailed "handshake_failed" "Packet that waited for a handshake which did not come to be.";
    HandoffFull "handoff_full" "Packet for another shard whose ring was full.";
    HandoffLoop "handoff_loop" "Packet handed from shard to shard too often.";
    NoFrame "no_frame" "Packet for which the sending port had no free frame.";
    PeerRemoved "peer_removed" "Packet of a peer that was removed meanwhile.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    // Catches a counter array indexed by another order than `ALL`, and two reasons behind one name.
    #[test]
    fn numbers_follow_the_list_and_names_are_unique() {
        for (place, drop) in Drop::ALL.iter().enumerate() {
            assert_eq!(*drop as usize, place);
        }
        let names: HashSet<_> = Drop::ALL.iter().map(|d| d.name()).collect();
        assert_eq!(names.len(), Drop::ALL.len());
    }
}
