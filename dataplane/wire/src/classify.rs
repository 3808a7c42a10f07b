//! Which protocol a datagram on one of Weir's UDP ports belongs to, told by its format alone.
//!
//! WireGuard and STUN cannot be mistaken for each other: a WireGuard message read as STUN states a length of zero,
//! so it would have to be 20 bytes long, and no WireGuard message is that short.

use crate::wireguard::{self, Message};

/// The protocol of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A well-formed WireGuard message.
    WireGuard,
    /// A well-formed STUN header with the magic cookie.
    Stun,
    /// Neither.
    Other,
}

/// Bytes 4 to 8 of every STUN message (RFC 8489, section 5).
pub const STUN_MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// Bytes of a STUN header.
pub const STUN_HEADER_LEN: usize = 20;

/// Tells a datagram's protocol.
#[inline]
pub fn kind(datagram: &[u8]) -> Kind {
    match wireguard::classify(datagram) {
        Message::Initiation(_)
        | Message::Response(_)
        | Message::CookieReply(_)
        | Message::Transport { .. } => Kind::WireGuard,
        Message::Unknown(_) if is_stun(datagram) => Kind::Stun,
        Message::Unknown(_) => Kind::Other,
    }
}

/// Whether the two top bits are zero, the magic cookie is there, and the stated length is a multiple of 4 and the
/// datagram's own (RFC 8489, section 5).
fn is_stun(datagram: &[u8]) -> bool {
    let Some((header, attributes)) = datagram.split_first_chunk::<STUN_HEADER_LEN>() else {
        return false;
    };
    let stated = usize::from(u16::from_be_bytes([header[2], header[3]]));
    header[0] & 0xc0 == 0
        && header[4..8] == STUN_MAGIC_COOKIE
        && stated == attributes.len()
        && stated.is_multiple_of(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding_request() -> [u8; 20] {
        let mut message = [9u8; 20];
        message[..8].copy_from_slice(&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]);
        message
    }

    /// Catches STUN going to the WireGuard code or being dropped.
    #[test]
    fn stun_is_told_by_its_cookie_and_length() {
        let message = binding_request();
        assert_eq!(kind(&message), Kind::Stun);
        assert_eq!(kind(&message[..19]), Kind::Other);
        for (at, value) in [(0, 0x40), (0, 0x80), (3, 4), (4, 0x20), (7, 0x43)] {
            let mut broken = message;
            broken[at] = value;
            assert_eq!(kind(&broken), Kind::Other, "byte {at} set to {value:#x}");
        }
        let mut long = [0u8; 22];
        long[..20].copy_from_slice(&message);
        long[3] = 2;
        assert_eq!(kind(&long), Kind::Other, "a length that is no multiple of 4");
    }

    /// Catches a peer whose receiver index equals the magic cookie being taken for STUN.
    #[test]
    fn an_index_equal_to_the_cookie_is_still_wireguard() {
        for (message_type, len) in [(1u8, 148), (2, 92), (3, 64), (4, 32)] {
            let mut message = [0u8; 148];
            message[0] = message_type;
            message[4..8].copy_from_slice(&STUN_MAGIC_COOKIE);
            assert_eq!(kind(&message[..len]), Kind::WireGuard);
        }
        assert_eq!(kind(&[0; 100]), Kind::Other);
    }
}
