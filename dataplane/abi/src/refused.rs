//! Handshakes that were refused: from where, why, and of whom, as far as that is known.

use crate::key::PublicKey;
use core::net::SocketAddr;
use serde::{Deserialize, Serialize};

/// Distinct refusals that [`crate::status::Status::refused`] remembers at most.
pub const REFUSED_MAX: usize = 64;

/// Handshake messages refused for one reason, from one source and, where it is known, of one static key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RefusedHandshake {
    /// When the last of them came: milliseconds since 1970.
    pub unix_ms: u64,
    /// From where.
    pub source: SocketAddr,
    /// Why.
    pub why: RefusedWhy,
    /// The static key, where it could be decrypted or is that of the peer who was asked. Nothing proves that an
    /// initiation of an unknown key comes from that key's owner.
    pub peer: Option<PublicKey>,
    /// How many of them came; refusals are looked at closely only so often, so of a flood these are a part.
    pub count: u64,
}

/// Why a handshake message was refused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum RefusedWhy {
    /// Its mac1 was made for another public key than ours.
    WrongMac1,
    /// Its static key is no peer's.
    UnknownPeer,
    /// Its timestamp is not newer than the peer's last one.
    OldTimestamp,
    /// It does not decrypt, or is no answer to what was asked.
    Undecryptable,
    /// It is a response that all but the preshared key opens.
    WrongPresharedKey,
    /// There were too many before it.
    TooMany,
}

impl RefusedWhy {
    /// Every reason.
    pub const ALL: [RefusedWhy; 6] = [
        RefusedWhy::WrongMac1,
        RefusedWhy::UnknownPeer,
        RefusedWhy::OldTimestamp,
        RefusedWhy::Undecryptable,
        RefusedWhy::WrongPresharedKey,
        RefusedWhy::TooMany,
    ];

    /// The name that the API and metrics use.
    pub fn name(self) -> &'static str {
        match self {
            RefusedWhy::WrongMac1 => "wrong_mac1",
            RefusedWhy::UnknownPeer => "unknown_peer",
            RefusedWhy::OldTimestamp => "old_timestamp",
            RefusedWhy::Undecryptable => "undecryptable",
            RefusedWhy::WrongPresharedKey => "wrong_preshared_key",
            RefusedWhy::TooMany => "too_many",
        }
    }

    /// One line for people.
    pub fn text(self) -> &'static str {
        match self {
            RefusedWhy::WrongMac1 => "It was made for another public key than this gateway's.",
            RefusedWhy::UnknownPeer => "Its public key is no peer's.",
            RefusedWhy::OldTimestamp => {
                "Its timestamp is not newer than the last one: a replay, or the peer's clock was set back."
            }
            RefusedWhy::Undecryptable => "It does not decrypt.",
            RefusedWhy::WrongPresharedKey => "Both sides have different preshared keys.",
            RefusedWhy::TooMany => "Too many came before it.",
        }
    }
}
