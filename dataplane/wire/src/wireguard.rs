//! WireGuard's messages as they lie in a UDP datagram (WireGuard whitepaper, section 5.4).

use zerocopy::byteorder::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The type field of a handshake initiation.
pub const TYPE_INITIATION: u8 = 1;
/// The type field of a handshake response.
pub const TYPE_RESPONSE: u8 = 2;
/// The type field of a cookie reply.
pub const TYPE_COOKIE_REPLY: u8 = 3;
/// The type field of transport data.
pub const TYPE_TRANSPORT: u8 = 4;

/// Bytes of a handshake initiation.
pub const INITIATION_LEN: usize = size_of::<Initiation>();
/// Bytes of a handshake response.
pub const RESPONSE_LEN: usize = size_of::<Response>();
/// Bytes of a cookie reply.
pub const COOKIE_REPLY_LEN: usize = size_of::<CookieReply>();
/// Bytes before the ciphertext of transport data.
pub const TRANSPORT_HEADER_LEN: usize = size_of::<TransportHeader>();
/// Bytes of the Poly1305 tag at the end of every ciphertext.
pub const TAG_LEN: usize = 16;
/// Bytes that transport data adds to the (padded) packet inside.
pub const TRANSPORT_OVERHEAD: usize = TRANSPORT_HEADER_LEN + TAG_LEN;
/// The shortest transport message: a keepalive, which is a tag over nothing.
pub const TRANSPORT_MIN_LEN: usize = TRANSPORT_OVERHEAD;

/// Handshake initiation, from initiator to responder (section 5.4.2).
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Initiation {
    /// [`TYPE_INITIATION`].
    pub message_type: u8,
    /// Zero.
    pub reserved: [u8; 3],
    /// The initiator's receiver index for this session.
    pub sender: U32,
    /// The initiator's ephemeral public key, in clear.
    pub ephemeral: [u8; 32],
    /// The initiator's static public key, sealed.
    pub encrypted_static: [u8; 48],
    /// A TAI64N timestamp, sealed.
    pub encrypted_timestamp: [u8; 28],
    /// Proof that the sender knows the responder's public key.
    pub mac1: [u8; 16],
    /// Proof that the sender owns its source address; zero without a cookie.
    pub mac2: [u8; 16],
}

/// Handshake response, from responder to initiator (section 5.4.3).
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Response {
    /// [`TYPE_RESPONSE`].
    pub message_type: u8,
    /// Zero.
    pub reserved: [u8; 3],
    /// The responder's receiver index for this session.
    pub sender: U32,
    /// The `sender` of the initiation that this answers.
    pub receiver: U32,
    /// The responder's ephemeral public key, in clear.
    pub ephemeral: [u8; 32],
    /// A tag over nothing, which proves the responder's keys.
    pub encrypted_nothing: [u8; 16],
    /// Proof that the sender knows the initiator's public key.
    pub mac1: [u8; 16],
    /// Proof that the sender owns its source address; zero without a cookie.
    pub mac2: [u8; 16],
}

/// Cookie reply, to a sender of handshake messages when under load (section 5.4.7).
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct CookieReply {
    /// [`TYPE_COOKIE_REPLY`].
    pub message_type: u8,
    /// Zero.
    pub reserved: [u8; 3],
    /// The `sender` of the message that this answers.
    pub receiver: U32,
    /// The nonce of XChaCha20-Poly1305.
    pub nonce: [u8; 24],
    /// The cookie, sealed.
    pub encrypted_cookie: [u8; 32],
}

/// What stands before the ciphertext of transport data (section 5.4.6).
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct TransportHeader {
    /// [`TYPE_TRANSPORT`].
    pub message_type: u8,
    /// Zero.
    pub reserved: [u8; 3],
    /// The receiver's index of the session.
    pub receiver: U32,
    /// The counter that is the nonce.
    pub counter: U64,
}

impl TransportHeader {
    /// The header of the message with this counter to the session that the receiver calls `receiver`.
    pub fn new(receiver: u32, counter: u64) -> Self {
        Self {
            message_type: TYPE_TRANSPORT,
            reserved: [0; 3],
            receiver: U32::new(receiver),
            counter: U64::new(counter),
        }
    }
}

/// A datagram as WireGuard sees it, before anything in it was authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A handshake initiation.
    Initiation(&'a Initiation),
    /// A handshake response.
    Response(&'a Response),
    /// A cookie reply.
    CookieReply(&'a CookieReply),
    /// Transport data, keepalives included.
    Transport {
        /// The receiver's index of the session.
        receiver: u32,
        /// The counter that is the nonce.
        counter: u64,
        /// What follows the header: at least the tag. Its length need not be a multiple of 16, because not every
        /// implementation pads.
        ciphertext: &'a [u8],
    },
    /// Not a WireGuard message.
    Unknown(Malformed),
}

/// Why a datagram is no WireGuard message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// Shorter than the type field and the reserved bytes.
    Short,
    /// A type that the whitepaper does not define.
    Type,
    /// The reserved bytes are not zero.
    Reserved,
    /// The length is not that of the type.
    Length,
}

/// Tells a datagram's type by its type field, reserved bytes and length: handshake messages have exactly their
/// length, transport data has at least [`TRANSPORT_MIN_LEN`] bytes.
#[inline]
pub fn classify(datagram: &[u8]) -> Message<'_> {
    let Some(&[message_type, reserved @ ..]) = datagram.first_chunk::<4>() else {
        return Message::Unknown(Malformed::Short);
    };
    if !(TYPE_INITIATION..=TYPE_TRANSPORT).contains(&message_type) {
        return Message::Unknown(Malformed::Type);
    }
    if reserved != [0; 3] {
        return Message::Unknown(Malformed::Reserved);
    }
    let message = match message_type {
        TYPE_INITIATION => Initiation::ref_from_bytes(datagram).ok().map(Message::Initiation),
        TYPE_RESPONSE => Response::ref_from_bytes(datagram).ok().map(Message::Response),
        TYPE_COOKIE_REPLY => CookieReply::ref_from_bytes(datagram)
            .ok()
            .map(Message::CookieReply),
        _ => transport(datagram),
    };
    message.unwrap_or(Message::Unknown(Malformed::Length))
}

fn transport(datagram: &[u8]) -> Option<Message<'_>> {
    let (header, ciphertext) = TransportHeader::ref_from_prefix(datagram).ok()?;
    (ciphertext.len() >= TAG_LEN).then_some(Message::Transport {
        receiver: header.receiver.get(),
        counter: header.counter.get(),
        ciphertext,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches a field of the wrong width: every peer would refuse our messages.
    #[test]
    fn sizes_are_the_whitepapers() {
        assert_eq!((INITIATION_LEN, RESPONSE_LEN, COOKIE_REPLY_LEN), (148, 92, 64));
        assert_eq!((TRANSPORT_HEADER_LEN, TRANSPORT_MIN_LEN), (16, 32));
    }

    /// Catches indices and counters read in the wrong byte order or at the wrong place.
    #[test]
    fn fields_are_little_endian_and_in_place() {
        let mut datagram = [0u8; 148];
        datagram[0] = 1;
        datagram[4..8].copy_from_slice(&[1, 2, 3, 4]);
        datagram[132..].fill(7);
        let Message::Initiation(initiation) = classify(&datagram) else {
            panic!("not an initiation")
        };
        assert_eq!(initiation.sender.get(), 0x0403_0201);
        assert_eq!(initiation.mac2, [7; 16]);

        let mut datagram = [0u8; 33];
        datagram[..16].copy_from_slice(TransportHeader::new(5, 6).as_bytes());
        assert_eq!(
            classify(&datagram),
            Message::Transport {
                receiver: 5,
                counter: 6,
                ciphertext: &[0; 17]
            }
        );
    }

    /// Catches a length check that is off by one in either direction, for each type.
    #[test]
    fn lengths_are_exact() {
        for (message_type, len) in [(1u8, 148), (2, 92), (3, 64)] {
            for (delta, known) in [(-1i32, false), (0, true), (1, false)] {
                let mut datagram = [0u8; 150];
                datagram[0] = message_type;
                let datagram = &datagram[..(len + delta) as usize];
                let unknown = classify(datagram) == Message::Unknown(Malformed::Length);
                assert_eq!(
                    unknown,
                    !known,
                    "type {message_type} with {} bytes",
                    datagram.len()
                );
            }
        }
        let mut datagram = [0u8; 32];
        datagram[0] = 4;
        assert_eq!(classify(&datagram[..31]), Message::Unknown(Malformed::Length));
        assert!(
            matches!(classify(&datagram), Message::Transport { ciphertext, .. } if ciphertext.len() == 16)
        );
    }

    /// Catches datagrams of other protocols, or of an obfuscated WireGuard, taken for ours.
    #[test]
    fn foreign_bytes_have_their_reason() {
        assert_eq!(classify(&[]), Message::Unknown(Malformed::Short));
        assert_eq!(classify(&[4, 0, 0]), Message::Unknown(Malformed::Short));
        assert_eq!(classify(&[0; 64]), Message::Unknown(Malformed::Type));
        assert_eq!(classify(&[5; 64]), Message::Unknown(Malformed::Type));
        for at in 1..4 {
            let mut datagram = [0u8; 64];
            datagram[0] = 4;
            datagram[at] = 1;
            assert_eq!(classify(&datagram), Message::Unknown(Malformed::Reserved));
        }
    }
}
