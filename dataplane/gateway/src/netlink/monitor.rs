//! Word of changes: links, addresses, routes and neighbours of one network namespace.

use super::socket::messages;
use super::{Error, Link, namespace};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use netlink_packet_core::NetlinkPayload;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

/// Changes that wait to be read; what is beyond becomes [`Event::Lost`].
const WAITING: usize = 1024;

/// Longer than any notification.
const DATAGRAM_MAX: usize = 64 * 1024;

/// RTMGRP_IPV4_RULE, and the group RTNLGRP_IPV6_RULE (19) as a bit of the same mask, of which libc has no name.
const RULES: libc::c_int = 0x80 | 1 << (19 - 1);

/// A change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A link is new or changed: up or down, another MTU, another name.
    Link(Link),
    /// The link of that number is gone, or in another network namespace.
    LinkGone(u32),
    /// Some address came or went.
    Addresses,
    /// Some route came or went, be it of Weir's own making, or a rule by which routes are chosen.
    Routes,
    /// A neighbour on the link of that number is found, changed or lost.
    Neighbour(u32, IpAddr),
    /// Changes were lost for there were too many: look at everything again.
    Lost,
}

/// Listens for changes in a thread of its own until dropped.
#[derive(Debug)]
pub struct Monitor {
    events: Receiver<Event>,
    stop: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl Monitor {
    /// Listens in the thread's network namespace, to every change.
    pub fn start() -> Result<Self, Error> {
        let all = libc::RTMGRP_LINK
            | libc::RTMGRP_NEIGH
            | libc::RTMGRP_IPV4_IFADDR
            | libc::RTMGRP_IPV6_IFADDR
            | libc::RTMGRP_IPV4_ROUTE
            | libc::RTMGRP_IPV6_ROUTE
            | RULES;
        Ok(Self::listen(subscribed(all)?)?)
    }

    /// Listens where a TUN device is now, to what becomes of links alone.
    pub fn of_device(tun: BorrowedFd<'_>) -> Result<Self, Error> {
        let links = || subscribed(libc::RTMGRP_LINK);
        let socket = match namespace::elsewhere(tun)? {
            Some(elsewhere) => namespace::within(elsewhere, links)??,
            None => links()?,
        };
        Ok(Self::listen(socket)?)
    }

    /// The changes, from the start on.
    pub fn events(&self) -> &Receiver<Event> {
        &self.events
    }

    fn listen(socket: Socket) -> io::Result<Self> {
        socket.set_non_blocking(true)?;
        let (sender, events) = bounded(WAITING);
        let stop = Arc::new(EventFd::new()?);
        let stopping = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("weir-netlink".into())
            .spawn(move || {
                let mut listener = Listener {
                    socket,
                    outgoing: Outgoing { sender, lost: false },
                    datagram: Vec::with_capacity(DATAGRAM_MAX),
                };
                listener.run(&stopping);
            })?;
        Ok(Self {
            events,
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        // Fails only where the counter is full, and then the thread is awake already.
        let _ = self.stop.write(1);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was told by the panic itself.
            let _ = thread.join();
        }
    }
}

/// A socket that hears of what is in these groups.
fn subscribed(groups: libc::c_int) -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind(&SocketAddr::new(0, groups.cast_unsigned()))?;
    Ok(socket)
}

struct Listener {
    socket: Socket,
    outgoing: Outgoing,
    datagram: Vec<u8>,
}

impl Listener {
    fn run(&mut self, stop: &EventFd) {
        const TELL_AGAIN_MS: u16 = 100;
        loop {
            let timeout = if self.outgoing.lost {
                PollTimeout::from(TELL_AGAIN_MS)
            } else {
                PollTimeout::NONE
            };
            let mut ready = [
                PollFd::new(stop.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.socket.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut ready, timeout) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return tracing::error!("listening for changes of the network: {error}"),
            }
            if ready[0].any() == Some(true) {
                return;
            }
            if let Err(error) = self.drain() {
                return tracing::error!("listening for changes of the network: {error}");
            }
        }
    }

    /// Reads what there is; an error is one that will not go away.
    fn drain(&mut self) -> io::Result<()> {
        self.outgoing.tell_loss();
        loop {
            self.datagram.clear();
            match self.socket.recv(&mut self.datagram, 0) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    self.outgoing.lost = true;
                    self.outgoing.tell_loss();
                    continue;
                }
                Err(error) => return Err(error),
            }
            for message in messages(&self.datagram).flatten() {
                if let NetlinkPayload::InnerMessage(change) = message.payload
                    && let Some(event) = event(change)
                {
                    self.outgoing.send(event);
                }
            }
        }
    }
}

fn event(change: RouteNetlinkMessage) -> Option<Event> {
    match change {
        // A bridge tells of its ports in messages of a family of its own.
        RouteNetlinkMessage::NewLink(link) | RouteNetlinkMessage::DelLink(link)
            if link.header.interface_family != AddressFamily::Unspec =>
        {
            None
        }
        RouteNetlinkMessage::NewLink(link) => Link::from_message(&link).map(Event::Link),
        RouteNetlinkMessage::DelLink(link) => Some(Event::LinkGone(link.header.index)),
        RouteNetlinkMessage::NewAddress(_) | RouteNetlinkMessage::DelAddress(_) => Some(Event::Addresses),
        RouteNetlinkMessage::NewRoute(_)
        | RouteNetlinkMessage::DelRoute(_)
        | RouteNetlinkMessage::NewRule(_)
        | RouteNetlinkMessage::DelRule(_) => Some(Event::Routes),
        RouteNetlinkMessage::NewNeighbour(neighbour) | RouteNetlinkMessage::DelNeighbour(neighbour) => {
            super::neighbour::address(&neighbour)
                .map(|address| Event::Neighbour(neighbour.header.ifindex, address))
        }
        _ => None,
    }
}

/// The channel to whoever reads, which may be slow.
struct Outgoing {
    sender: Sender<Event>,
    lost: bool,
}

impl Outgoing {
    fn tell_loss(&mut self) {
        if self.lost {
            self.lost = self.sender.try_send(Event::Lost).is_err();
        }
    }

    fn send(&mut self, event: Event) {
        self.tell_loss();
        if let Err(TrySendError::Full(_)) = self.sender.try_send(event) {
            self.lost = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches a reader that was too slow and is never told so: after what is lost comes the word of it.
    #[test]
    fn a_slow_reader_is_told_of_its_loss() {
        let (sender, events) = bounded(2);
        let mut outgoing = Outgoing { sender, lost: false };
        for index in 0..5 {
            outgoing.send(Event::LinkGone(index));
        }
        assert_eq!(events.recv(), Ok(Event::LinkGone(0)));
        assert_eq!(events.recv(), Ok(Event::LinkGone(1)));
        outgoing.send(Event::LinkGone(9));
        assert_eq!(
            events.try_iter().collect::<Vec<_>>(),
            [Event::Lost, Event::LinkGone(9)]
        );
    }
}
