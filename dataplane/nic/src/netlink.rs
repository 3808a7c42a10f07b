//! A netlink socket that asks and reads (netlink(7)): messages and attributes, bounded by what was received.
//!
//! Attributes are read here rather than by a crate: one reader serves rtnetlink and generic netlink, and none of the
//! crates knows the family `netdev`.

use nix::errno::Errno;
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, connect, recv, send, setsockopt,
    socket,
};
use nix::sys::time::TimeVal;
use std::os::fd::{AsRawFd as _, OwnedFd};

use crate::bytes::{u16_at, u32_at};

/// Longer than any datagram that the kernel makes of a dump (32 KiB).
const DATAGRAM_MAX: usize = 64 * 1024;

/// The kernel answers at once; this only keeps a defect from hanging the process.
const PATIENCE_S: i64 = 10;

/// Bytes of `struct nlmsghdr`.
const HEADER_BYTES: usize = 16;

/// Flags and types of messages (linux/netlink.h).
const REQUEST: u16 = 1;
pub(crate) const DUMP: u16 = 0x300;
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// A message's attributes can be nested, which the kernel says in the upper bits of their types.
const TYPE_MASK: u16 = 0x3fff;

/// A socket to one family of the kernel's netlink, in the network namespace of the thread that opened it.
pub(crate) struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

impl Netlink {
    pub(crate) fn open(family: SockProtocol) -> Result<Self, Errno> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            family,
        )?;
        connect(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        setsockopt(&socket, ReceiveTimeout, &TimeVal::new(PATIENCE_S, 0))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Sends a request, and gives each message of the answer to `found`, without its header. One that is no dump is
    /// answered by one message.
    pub(crate) fn ask(
        &mut self,
        kind: u16,
        flags: u16,
        payload: &[u8],
        mut found: impl FnMut(&[u8]),
    ) -> Result<(), Errno> {
        self.sequence = self.sequence.wrapping_add(1);
        let request = message(kind, REQUEST | flags, self.sequence, payload);
        send(self.socket.as_raw_fd(), &request, MsgFlags::empty())?;
        let mut datagram = vec![0; DATAGRAM_MAX];
        loop {
            let length = recv(self.socket.as_raw_fd(), &mut datagram, MsgFlags::empty())?;
            for message in messages(&datagram[..length]) {
                if message.sequence != self.sequence {
                    continue;
                }
                match message.kind {
                    DONE => return Ok(()),
                    ERROR => return refusal(message.payload),
                    _ => found(message.payload),
                }
                if flags & DUMP == 0 {
                    return Ok(());
                }
            }
        }
    }
}

/// `struct nlmsgerr`: a negative error number, or 0 for an acknowledgement.
fn refusal(payload: &[u8]) -> Result<(), Errno> {
    match u32_at(payload, 0).map(u32::cast_signed) {
        Some(0) => Ok(()),
        Some(code) => Err(Errno::from_raw(code.saturating_neg())),
        None => Err(Errno::EBADMSG),
    }
}

fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER_BYTES + payload.len()).expect("requests are short");
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

/// An attribute, padded to four bytes.
pub(crate) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).expect("values are short");
    let mut bytes = Vec::with_capacity(value.len().next_multiple_of(4) + 4);
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

struct Message<'a> {
    kind: u16,
    sequence: u32,
    payload: &'a [u8],
}

/// A datagram's messages, up to the first whose length is wrong.
fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
    core::iter::from_fn(move || {
        let length = usize::try_from(u32_at(datagram, 0)?).ok()?;
        let payload = datagram.get(HEADER_BYTES..length)?;
        let message = Message {
            kind: u16_at(datagram, 4)?,
            sequence: u32_at(datagram, 8)?,
            payload,
        };
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// Attributes, each with its type and value, up to the first whose length is wrong.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    core::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let value = bytes.get(4..length)?;
        let kind = u16_at(bytes, 2)? & TYPE_MASK;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The value of the first attribute of that type.
pub(crate) fn value_of(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes)
        .find(|(own, _)| *own == kind)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // Catches padding counted into a value, flags taken for a type, and a length that leads out of the bytes or nowhere.
    #[test]
    fn attributes_are_read_up_to_the_first_wrong_length() {
        let mut bytes = attribute(3 | 0x8000, b"ab");
        bytes.extend(attribute(4, &7u32.to_ne_bytes()));
        assert_eq!(bytes.len(), 16);
        assert_eq!(value_of(&bytes, 3), Some(&b"ab"[..]));
        assert_eq!(value_of(&bytes, 4), Some(&7u32.to_ne_bytes()[..]));
        assert_eq!(value_of(&bytes[..15], 4), None);
        for length in [0u16, 3] {
            let wrong = [length.to_ne_bytes(), 4u16.to_ne_bytes()].concat();
            assert_eq!(attributes(&wrong).count(), 0, "{length}");
        }
    }

    // Catches an error number read with its sign, and an acknowledgement taken for a refusal.
    #[test]
    fn refusals_are_negative_numbers() {
        assert_eq!(refusal(&(-19i32).to_ne_bytes()), Err(Errno::ENODEV));
        assert_eq!(refusal(&0i32.to_ne_bytes()), Ok(()));
        assert_eq!(refusal(&[0; 3]), Err(Errno::EBADMSG));
    }

    proptest! {
        // Catches a panic or an endless loop on whatever is received.
        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(messages(&bytes).count() <= bytes.len() / HEADER_BYTES + 1);
            prop_assert!(attributes(&bytes).count() <= bytes.len() / 4 + 1);
        }

        // Catches a message that is not read as it was written.
        #[test]
        fn messages_come_back(kind: u16, sequence: u32, payload in proptest::collection::vec(any::<u8>(), 0..50)) {
            let mut bytes = message(kind, 0, sequence, &payload);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes.extend(message(1, 0, 1, b""));
            let read: Vec<_> = messages(&bytes).collect();
            prop_assert_eq!(read.len(), 2);
            prop_assert_eq!((read[0].kind, read[0].sequence, read[0].payload), (kind, sequence, &payload[..]));
        }
    }
}
