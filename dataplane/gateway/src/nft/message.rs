//! Messages of nfnetlink (linux/netfilter/nfnetlink.h): attributes, batches, and the socket.

use super::NftError;
use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt::ReceiveTimeout};
use nix::sys::time::TimeVal;
use std::io;

/// NFNL_SUBSYS_NFTABLES.
const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;

const NLMSG_ERROR: u16 = 2;

/// `struct nlmsghdr`, and behind it `struct nfgenmsg`.
const HEADER: usize = 16;
const GENERIC: usize = 4;

const NLA_F_NESTED: u16 = 1 << 15;

const DATAGRAM_MAX: usize = 64 * 1024;

/// The kernel answers at once; this only keeps a defect from hanging the process.
const PATIENCE_S: i64 = 10;

/// Attributes, one behind the other, each padded to four bytes (netlink(7)).
#[derive(Clone, Default)]
pub(super) struct Attributes(Vec<u8>);

impl Attributes {
    /// Appends bytes.
    pub(super) fn bytes(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(4 + value.len()).expect("attributes here are short");
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// Appends a number in network order, as nftables has all of them.
    pub(super) fn number(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// Appends a text with its terminating zero.
    pub(super) fn text(self, kind: u16, value: &str) -> Self {
        self.bytes(kind, &[value.as_bytes(), &[0]].concat())
    }

    /// Appends attributes within one.
    pub(super) fn nested(self, kind: u16, inner: Attributes) -> Self {
        self.bytes(kind | NLA_F_NESTED, &inner.0)
    }
}

/// Orders that take effect together or not at all.
pub(super) struct Batch {
    bytes: Vec<u8>,
    /// What each message asks for, by its sequence number.
    asked: Vec<String>,
}

impl Batch {
    pub(super) fn new() -> Self {
        let mut batch = Self {
            bytes: Vec::new(),
            asked: Vec::new(),
        };
        batch.message(
            BATCH_BEGIN,
            0,
            0,
            SUBSYSTEM,
            &Attributes::default(),
            "beginning".to_owned(),
        );
        batch
    }

    /// Appends an order of nftables in a family (NFPROTO_*).
    pub(super) fn order(&mut self, kind: u16, flags: u16, family: u8, body: &Attributes, what: String) {
        self.message(SUBSYSTEM << 8 | kind, flags, family, 0, body, what);
    }

    fn message(&mut self, kind: u16, flags: u16, family: u8, resource: u16, body: &Attributes, what: String) {
        let sequence = u32::try_from(self.asked.len()).expect("a batch is short");
        let length = u32::try_from(HEADER + GENERIC + body.0.len()).expect("a message is short");
        let to = &mut self.bytes;
        to.extend(length.to_ne_bytes());
        to.extend(kind.to_ne_bytes());
        to.extend((NLM_F_REQUEST | flags).to_ne_bytes());
        to.extend(sequence.to_ne_bytes());
        to.extend([0; 4]);
        to.extend([family, 0]);
        to.extend(resource.to_be_bytes());
        to.extend(&body.0);
        self.asked.push(what);
    }
}

/// A connection to nftables in the thread's network namespace.
#[derive(Debug)]
pub(super) struct Nfnetlink(Socket);

/// One message of an answer.
struct Answer<'a> {
    kind: u16,
    sequence: u32,
    body: &'a [u8],
}

impl Nfnetlink {
    pub(super) fn open() -> Result<Self, NftError> {
        let open = || -> io::Result<Socket> {
            let mut socket = Socket::new(NETLINK_NETFILTER)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            setsockopt(&socket, ReceiveTimeout, &TimeVal::new(PATIENCE_S, 0))?;
            Ok(socket)
        };
        open().map(Self).map_err(|error| match error.raw_os_error() {
            Some(libc::EPROTONOSUPPORT) => NftError::Unsupported("anything".to_owned()),
            _ => error.into(),
        })
    }

    /// Sends a batch, and waits until all of it is done, or nothing.
    pub(super) fn commit(&mut self, mut batch: Batch) -> Result<(), NftError> {
        let last = batch.asked.len() - 1;
        batch.acknowledge_last();
        batch.message(
            BATCH_END,
            0,
            0,
            SUBSYSTEM,
            &Attributes::default(),
            "ending".to_owned(),
        );
        self.discard()?;
        self.0.send(&batch.bytes, 0)?;
        loop {
            let mut datagram = Vec::with_capacity(DATAGRAM_MAX);
            self.0.recv(&mut datagram, 0)?;
            for answer in answers(&datagram).filter(|a| a.kind == NLMSG_ERROR) {
                let place = answer.sequence as usize;
                match (answer.errno(), batch.asked.get_mut(place)) {
                    (None, _) if place == last => return Ok(()),
                    (Some(errno), Some(what)) => {
                        return Err(NftError::refused(core::mem::take(what), errno));
                    }
                    _ => {}
                }
            }
        }
    }

    /// Throws away what is left of earlier answers: after an error, more of them may have come.
    fn discard(&self) -> io::Result<()> {
        loop {
            let mut datagram = Vec::with_capacity(DATAGRAM_MAX);
            match self.0.recv(&mut datagram, libc::MSG_DONTWAIT) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

impl Batch {
    /// Asks for a word on the last order: by then every other has either been refused or taken.
    fn acknowledge_last(&mut self) {
        const FLAGS: usize = 6;
        let mut start = 0;
        let mut last = 0;
        while let Some(length) = self.bytes[start..].first_chunk::<4>() {
            last = start;
            start += u32::from_ne_bytes(*length) as usize;
        }
        let flags = (NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes();
        for (byte, more) in self.bytes[last + FLAGS..].iter_mut().zip(flags) {
            *byte |= more;
        }
    }
}

impl Answer<'_> {
    /// The error's number; `None` is an acknowledgement.
    fn errno(&self) -> Option<Errno> {
        let code = self.body.first_chunk::<4>().map(|c| i32::from_ne_bytes(*c))?;
        (code != 0).then(|| Errno::from_raw(-code))
    }
}

fn answers(mut datagram: &[u8]) -> impl Iterator<Item = Answer<'_>> {
    core::iter::from_fn(move || {
        let header = datagram.first_chunk::<HEADER>()?;
        let word =
            |at: usize| u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let length = word(0) as usize;
        let body = datagram.get(HEADER..length)?;
        let answer = Answer {
            kind: u16::from_ne_bytes([header[4], header[5]]),
            sequence: word(8),
            body,
        };
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some(answer)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches lengths that count the padding or leave out the header, and values that the kernel would read past their end.
    #[test]
    fn attributes_are_as_the_kernel_reads_them() {
        let written = Attributes::default()
            .text(1, "weir")
            .nested(2, Attributes::default().number(3, 4))
            .bytes(5, &[6]);
        let header = |length: u16, kind: u16| [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        let expected = [
            &header(9, 1)[..],
            b"weir\0\0\0\0",
            &header(12, 2 | NLA_F_NESTED),
            &header(8, 3),
            &[0, 0, 0, 4],
            &header(5, 5),
            &[6, 0, 0, 0],
        ];
        assert_eq!(written.0, expected.concat());
        assert_eq!(answers(&[0; 40]).count(), 0);
    }
}
