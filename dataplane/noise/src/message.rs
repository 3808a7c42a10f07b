//! Layouts of the three handshake messages (whitepaper section 5.4).
//!
//! Views for zero-copy access; all are unaligned and any bytes of the right
//! length are one. Whether the contents make sense is for the handshake to say.

use zerocopy::byteorder::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of an initiation.
pub const INITIATION_LEN: usize = 148;

/// Bytes of a response.
pub const RESPONSE_LEN: usize = 92;

/// Bytes of a cookie reply.
pub const COOKIE_REPLY_LEN: usize = 64;

/// Bytes of mac1 and of mac2.
pub const MAC_LEN: usize = 16;

/// Type of an initiation, with the three reserved bytes as zero.
pub const TYPE_INITIATION: u32 = 1;

/// Type of a response, with the three reserved bytes as zero.
pub const TYPE_RESPONSE: u32 = 2;

/// Type of a cookie reply, with the three reserved bytes as zero.
pub const TYPE_COOKIE_REPLY: u32 = 3;

/// First message: initiator to responder.
#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Initiation {
    /// [`TYPE_INITIATION`].
    pub kind: U32,
    /// The initiator's index.
    pub sender: U32,
    /// The initiator's ephemeral public key.
    pub ephemeral: [u8; 32],
    /// The initiator's static public key, encrypted.
    pub static_key: [u8; 48],
    /// TAI64N timestamp, encrypted.
    pub timestamp: [u8; 28],
    /// MAC of all before it, keyed by the responder's public key.
    pub mac1: [u8; MAC_LEN],
    /// MAC of all before it, keyed by a cookie; zero without one.
    pub mac2: [u8; MAC_LEN],
}

/// Second message: responder to initiator.
#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Response {
    /// [`TYPE_RESPONSE`].
    pub kind: U32,
    /// The responder's index.
    pub sender: U32,
    /// The initiator's index.
    pub receiver: U32,
    /// The responder's ephemeral public key.
    pub ephemeral: [u8; 32],
    /// An empty text, encrypted: only its tag.
    pub empty: [u8; 16],
    /// MAC of all before it, keyed by the initiator's public key.
    pub mac1: [u8; MAC_LEN],
    /// MAC of all before it, keyed by a cookie; zero without one.
    pub mac2: [u8; MAC_LEN],
}

/// Sent in place of an answer by a responder under load.
#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct CookieReply {
    /// [`TYPE_COOKIE_REPLY`].
    pub kind: U32,
    /// The index of the one whose message is answered.
    pub receiver: U32,
    /// XChaCha20Poly1305 nonce.
    pub nonce: [u8; 24],
    /// The cookie, encrypted.
    pub cookie: [u8; 32],
}

const _: () = {
    assert!(size_of::<Initiation>() == INITIATION_LEN);
    assert!(size_of::<Response>() == RESPONSE_LEN);
    assert!(size_of::<CookieReply>() == COOKIE_REPLY_LEN);
};
