//! How far a peer's session is, and what last changed that.

use serde::{Deserialize, Serialize};

/// How far a peer's session is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum PeerState {
    /// Nothing was tried since the data plane started or the peer was declared.
    #[default]
    Init,
    /// A handshake is under way and there is no session.
    Handshaking,
    /// There is a session.
    Connected,
    /// There is a session, and a handshake for the next is under way.
    Rekeying,
    /// There was a session, or a handshake for one, and there is none that works.
    Disconnected,
}

impl PeerState {
    /// Every state.
    pub const ALL: [PeerState; 5] = [
        PeerState::Init,
        PeerState::Handshaking,
        PeerState::Connected,
        PeerState::Rekeying,
        PeerState::Disconnected,
    ];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            PeerState::Init => "init",
            PeerState::Handshaking => "handshaking",
            PeerState::Connected => "connected",
            PeerState::Rekeying => "rekeying",
            PeerState::Disconnected => "disconnected",
        }
    }
}

macro_rules! reasons {
    ($($(#[$default:meta])? $variant:ident $name:literal $text:literal;)*) => {
        /// What brought a peer into its state.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
        pub enum StateReason { $($(#[$default])? #[doc = $text] $variant,)* }

        impl StateReason {
            /// Every reason.
            pub const ALL: &'static [StateReason] = &[$(StateReason::$variant,)*];

            /// The name that the API and metrics use.
            pub fn name(self) -> &'static str {
                match self { $(StateReason::$variant => $name,)* }
            }

            /// One line for people.
            pub fn text(self) -> &'static str {
                match self { $(StateReason::$variant => $text,)* }
            }
        }
    };
}

reasons! {
    #[default] NeverTried "never_tried" "No handshake was tried by either side.";
    InitiationSent "initiation_sent" "An initiation was sent; no answer has come yet.";
    InitiationReceived "initiation_received" "An initiation was received and answered; the session is not confirmed yet.";
    HandshakeCompleted "handshake_completed" "A handshake completed.";
    HeardAgain "heard_again" "It was taken to be gone, and packets of its session came again.";
    RekeyDue "rekey_due" "The session grows old, so the next handshake is under way.";
    NoAnswer "no_answer" "An initiation, or data and then an initiation, found no answer.";
    SessionExpired "session_expired" "The session ended by its age, and nothing asked for another.";
    Removed "removed" "The peer was removed.";
    EndpointUnknown "endpoint_unknown" "There is something to send, but it is not known where to.";
    ResponseUnconfirmed "response_unconfirmed" "Responses were sent, but nothing authentic came back: they may not arrive.";
    WrongPresharedKey "wrong_preshared_key" "A response came that our preshared key does not open.";
    OldTimestamp "old_timestamp" "Its initiations bear a timestamp that is not newer than the last one.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    // Catches two reasons or states behind one name.
    #[test]
    fn names_are_unique() {
        let names: HashSet<_> = StateReason::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), StateReason::ALL.len());
        let names: HashSet<_> = PeerState::ALL.iter().map(|state| state.name()).collect();
        assert_eq!(names.len(), PeerState::ALL.len());
    }
}
