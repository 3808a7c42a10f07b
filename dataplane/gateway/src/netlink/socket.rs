//! One rtnetlink socket: a request and its answers at a time.

use super::{Error, Link, namespace};
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt::ReceiveTimeout};
use nix::sys::time::TimeVal;
use std::io;
use std::os::fd::BorrowedFd;

/// Longer than any datagram that the kernel makes of a dump (32 KiB).
const DATAGRAM_MAX: usize = 64 * 1024;

/// The kernel answers at once; this only keeps a defect from hanging the process.
const PATIENCE_S: i64 = 10;

/// A connection to the kernel's tables of one network namespace: the one in which it was opened.
#[derive(Debug)]
pub struct Netlink {
    socket: Socket,
    sequence: u32,
    datagram: Vec<u8>,
}

impl Netlink {
    /// Opens it in the thread's network namespace.
    pub fn open() -> Result<Self, Error> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        setsockopt(&socket, ReceiveTimeout, &TimeVal::new(PATIENCE_S, 0)).map_err(io::Error::from)?;
        Ok(Self {
            socket,
            sequence: 0,
            datagram: Vec::with_capacity(DATAGRAM_MAX),
        })
    }

    /// Opens it where a TUN device is now, and finds the device there, under the name that it has now.
    pub fn of_device(tun: BorrowedFd<'_>) -> Result<(Self, Link), Error> {
        let name = namespace::tun_name(tun)?;
        let mut netlink = match namespace::elsewhere(tun)? {
            Some(elsewhere) => namespace::within(elsewhere, Netlink::open)??,
            None => Netlink::open()?,
        };
        let link = netlink.link(&name)?;
        Ok((netlink, link))
    }

    /// Orders something, and waits until it is done or refused. `what` is for people.
    pub(super) fn order(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
        what: impl Fn() -> String,
    ) -> Result<(), Error> {
        self.send(message, NLM_F_REQUEST | NLM_F_ACK | flags)?;
        self.answers(&what, &mut |_| {}).map(drop)
    }

    /// Asks for one thing.
    pub(super) fn ask(
        &mut self,
        message: RouteNetlinkMessage,
        what: impl Fn() -> String,
    ) -> Result<RouteNetlinkMessage, Error> {
        // The acknowledgement ends the answer whatever it is.
        self.send(message, NLM_F_REQUEST | NLM_F_ACK)?;
        let mut answer = None;
        self.answers(&what, &mut |found| answer = Some(found))?;
        answer.ok_or_else(|| Error::Unreadable(what()))
    }

    /// Asks for a whole table.
    pub(super) fn dump(
        &mut self,
        message: RouteNetlinkMessage,
        what: impl Fn() -> String,
    ) -> Result<Vec<RouteNetlinkMessage>, Error> {
        // A table that changes while it is read is read again; one that never stands still is taken as it came.
        const READINGS: usize = 5;
        let mut found = Vec::new();
        for _ in 0..READINGS {
            found.clear();
            self.send(message.clone(), NLM_F_REQUEST | NLM_F_DUMP)?;
            if self.answers(&what, &mut |one| found.push(one))? == Consistent::Yes {
                break;
            }
        }
        Ok(found)
    }

    fn send(&mut self, message: RouteNetlinkMessage, flags: u16) -> Result<(), Error> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        Ok(())
    }

    /// Reads answers to the latest request, up to its acknowledgement or the end of its dump.
    fn answers(
        &mut self,
        what: &dyn Fn() -> String,
        found: &mut dyn FnMut(RouteNetlinkMessage),
    ) -> Result<Consistent, Error> {
        let mut consistent = Consistent::Yes;
        loop {
            self.datagram.clear();
            self.socket.recv(&mut self.datagram, 0)?;
            for message in messages(&self.datagram) {
                // One that cannot be read is of a kind newer than this program, unless it ends the answer.
                let message = match message {
                    Ok(message) if message.header.sequence_number == self.sequence => message,
                    _ => continue,
                };
                if message.header.flags & NLM_F_DUMP_INTR != 0 {
                    consistent = Consistent::No;
                }
                match message.payload {
                    NetlinkPayload::Done(_) => return Ok(consistent),
                    NetlinkPayload::Error(error) => {
                        return match error.code {
                            None => Ok(consistent),
                            Some(code) => Err(Error::Refused {
                                what: what(),
                                errno: Errno::from_raw(-code.get()),
                            }),
                        };
                    }
                    NetlinkPayload::InnerMessage(one) => found(one),
                    _ => {}
                }
            }
        }
    }
}

#[derive(PartialEq, Eq)]
enum Consistent {
    Yes,
    No,
}

/// A datagram's messages, each parsed or not.
pub(super) fn messages(
    mut datagram: &[u8],
) -> impl Iterator<Item = Result<NetlinkMessage<RouteNetlinkMessage>, ()>> {
    const HEADER: usize = 16;
    core::iter::from_fn(move || {
        let length = datagram
            .first_chunk::<4>()
            .map(|l| u32::from_ne_bytes(*l) as usize)?;
        if length < HEADER || length > datagram.len() {
            return None;
        }
        let parsed = NetlinkMessage::deserialize(&datagram[..length]).map_err(drop);
        datagram = &datagram[length.next_multiple_of(4).min(datagram.len())..];
        Some(parsed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches a length field that leads out of the datagram or on the spot.
    #[test]
    fn damaged_lengths_end_the_datagram() {
        for length in [0u32, 15, 21, u32::MAX] {
            let mut datagram = length.to_ne_bytes().to_vec();
            datagram.resize(20, 0);
            assert_eq!(messages(&datagram).count(), 0, "{length}");
        }
        assert_eq!(messages(&[1]).count(), 0);
    }
}
