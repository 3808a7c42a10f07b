//! Sending: planned batches out of both sockets, and what is done when the kernel refuses one.

use super::batch::{Batch, Message, Part};
use super::plan::Plan;
use super::socket::SocketPair;
use crate::sys;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use weir_frame::{Frame, LocalAddress, PortCounters};

/// Messages in one system call.
const BATCH: usize = 64;
/// Datagrams in one system call.
const DATAGRAMS: usize = 1024;
/// Milliseconds to wait for a full socket to drain, and how often in one call; then datagrams are dropped.
const WAIT_MS: i32 = 10;
const WAITS_MAX: u32 = 3;
/// Remotes remembered until the engine asks for them.
const FORGOTTEN_MAX: usize = 64;

/// The sending half of a port.
pub(crate) struct Sender {
    batch: Batch,
    plan: Plan,
    join: bool,
    waits_left: u32,
    forgotten: VecDeque<SocketAddr>,
    counters: PortCounters,
}

/// What is to be done with a message that the kernel refused.
#[derive(PartialEq, Eq, Debug)]
enum Verdict {
    /// Try again, changed or not.
    Retry,
    /// Send its datagrams one by one.
    Split,
    /// Drop it; it is counted.
    Drop,
}

impl Sender {
    /// A sender that joins datagrams where `offload` says that the kernel cuts them.
    pub fn new(offload: bool) -> Self {
        Self {
            batch: Batch::new(BATCH, DATAGRAMS),
            plan: Plan::default(),
            join: offload,
            waits_left: 0,
            forgotten: VecDeque::with_capacity(FORGOTTEN_MAX),
            counters: PortCounters::default(),
        }
    }

    /// Whether datagrams are joined; stops for good when a device turns out not to cut them.
    pub fn joins(&self) -> bool {
        self.join
    }

    /// What was sent and what was not, the receiving counters being zero.
    pub fn counters(&self) -> &PortCounters {
        &self.counters
    }

    /// The next remote whose source address was forgotten.
    pub fn forgotten_source(&mut self) -> Option<SocketAddr> {
        self.forgotten.pop_front()
    }

    /// Sends `frames`; each is sent or counted as dropped when this returns.
    pub fn transmit(&mut self, sockets: &SocketPair, frames: &[Frame]) {
        let mut plan = std::mem::take(&mut self.plan);
        plan.make(frames, self.join);
        self.counters.tx_errors += plan.senseless;
        self.waits_left = WAITS_MAX;
        self.deliver(sockets.v4(), frames, &plan.parts, &mut plan.v4);
        match sockets.v6() {
            Some(v6) => self.deliver(v6, frames, &plan.parts, &mut plan.v6),
            None => {
                let datagrams: usize = plan.v6.iter().map(|message| message.parts.len()).sum();
                self.counters.tx_errors += datagrams as u64;
            }
        }
        self.plan = plan;
    }

    fn deliver(
        &mut self,
        socket: BorrowedFd<'_>,
        frames: &[Frame],
        parts: &[Part],
        messages: &mut [Message],
    ) {
        let mut at = 0;
        while at < messages.len() {
            match self.batch.send(socket, frames, parts, &messages[at..]) {
                Ok(sent) => {
                    messages[at..at + sent]
                        .iter()
                        .for_each(|message| self.count_sent(message));
                    at += sent;
                }
                // The error is of the first message alone. Trying again also takes the errors off the socket that
                // have nothing to do with it: what ICMP said of an earlier datagram.
                Err(_) => {
                    let (remote, local) = (messages[at].remote, messages[at].sent.local);
                    if !self.deliver_one(socket, frames, parts, messages[at].clone()) {
                        forget(&mut messages[at..], remote, local);
                    }
                    at += 1;
                }
            }
        }
    }

    /// Sends one message in whatever form the kernel takes it; says whether its source address still stands.
    fn deliver_one(
        &mut self,
        socket: BorrowedFd<'_>,
        frames: &[Frame],
        parts: &[Part],
        mut message: Message,
    ) -> bool {
        let source = message.sent.local;
        loop {
            let error = match self
                .batch
                .send(socket, frames, parts, std::slice::from_ref(&message))
            {
                Ok(_) => {
                    self.count_sent(&message);
                    break;
                }
                Err(error) => error,
            };
            match self.judge(socket, &mut message, &error) {
                Verdict::Retry => {}
                Verdict::Split => {
                    self.deliver_split(socket, frames, parts, &mut message);
                    break;
                }
                Verdict::Drop => break,
            }
        }
        message.sent.local == source
    }

    fn deliver_split(
        &mut self,
        socket: BorrowedFd<'_>,
        frames: &[Frame],
        parts: &[Part],
        message: &mut Message,
    ) {
        message.sent.segment_size = None;
        for at in message.parts.clone() {
            let single = Message {
                remote: message.remote,
                sent: message.sent,
                parts: at..at + 1,
                bytes: parts[at].len,
            };
            if !self.deliver_one(socket, frames, parts, single) {
                message.sent.local = None;
            }
        }
    }

    /// Decides what follows from an error, and counts what is dropped.
    fn judge(&mut self, socket: BorrowedFd<'_>, message: &mut Message, error: &io::Error) -> Verdict {
        let datagrams = message.parts.len() as u64;
        let joined = datagrams > 1;
        match sys::errno(error) {
            libc::EINTR => Verdict::Retry,
            libc::EAGAIN if self.waits_left > 0 => {
                self.waits_left -= 1;
                sys::wait_writable(socket, WAIT_MS);
                Verdict::Retry
            }
            libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM => {
                self.counters.tx_full += datagrams;
                Verdict::Drop
            }
            // The device cannot finish the checksums that cutting leaves open.
            libc::EIO if joined => {
                self.join = false;
                Verdict::Split
            }
            // Datagrams longer than the device's MTU are not cut out of one message, but sent alone they are.
            libc::EINVAL | libc::EMSGSIZE if joined => Verdict::Split,
            libc::EMSGSIZE => {
                self.counters.tx_too_long += datagrams;
                Verdict::Drop
            }
            libc::EINVAL
            | libc::EADDRNOTAVAIL
            | libc::ENETUNREACH
            | libc::EHOSTUNREACH
            | libc::ENODEV
            | libc::EPERM
                if message.sent.local.is_some() =>
            {
                self.forget_source(message);
                Verdict::Retry
            }
            _ => {
                self.counters.tx_errors += datagrams;
                Verdict::Drop
            }
        }
    }

    fn forget_source(&mut self, message: &mut Message) {
        message.sent.local = None;
        self.counters.tx_source_forgotten += message.parts.len() as u64;
        // Beyond the bound nothing is lost: the next datagram to that remote fails, and is remembered, again.
        if self.forgotten.len() < FORGOTTEN_MAX && !self.forgotten.contains(&message.remote) {
            self.forgotten.push_back(message.remote);
        }
    }

    fn count_sent(&mut self, message: &Message) {
        self.counters.tx_packets += message.parts.len() as u64;
        self.counters.tx_bytes += message.bytes as u64;
    }
}

/// Takes a source address that was refused off everything else that is to leave from it to the same remote.
fn forget(messages: &mut [Message], remote: SocketAddr, local: Option<LocalAddress>) {
    for message in messages {
        if message.remote == remote && message.sent.local == local {
            message.sent.local = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::udp::control::Sent;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    fn message(datagrams: usize, port: u16, source: bool) -> Message {
        let local = LocalAddress {
            ip: "192.0.2.2".parse().expect("an address"),
            interface: 0,
        };
        Message {
            remote: SocketAddr::new("192.0.2.1".parse().expect("an address"), port),
            sent: Sent {
                local: source.then_some(local),
                ..Sent::default()
            },
            parts: 0..datagrams,
            bytes: datagrams,
        }
    }

    fn judge(sender: &mut Sender, message: &mut Message, errno: i32) -> Verdict {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        sender.judge(socket.as_fd(), message, &io::Error::from_raw_os_error(errno))
    }

    // Catches a device without checksum offload asked again for every batch, and one too long datagram that switches
    // offloads off for good.
    #[test]
    fn only_a_device_that_cannot_cut_switches_joining_off() {
        let mut sender = Sender::new(true);
        for errno in [libc::EINVAL, libc::EMSGSIZE] {
            assert_eq!(
                judge(&mut sender, &mut message(3, 1, true), errno),
                Verdict::Split
            );
            assert!(sender.joins());
        }
        assert_eq!(
            judge(&mut sender, &mut message(3, 1, true), libc::EIO),
            Verdict::Split
        );
        assert!(!sender.joins());
        assert_eq!(*sender.counters(), PortCounters::default());
    }

    // Catches a full socket that holds the shard up for longer than three waits, whatever the batch.
    #[test]
    fn waiting_is_bounded_for_a_batch() {
        let mut sender = Sender::new(true);
        sender.waits_left = WAITS_MAX;
        let mut verdicts = Vec::new();
        for _ in 0..5 {
            verdicts.push(judge(&mut sender, &mut message(2, 1, false), libc::EAGAIN));
        }
        use Verdict::{Drop, Retry};
        assert_eq!(verdicts, [Retry, Retry, Retry, Drop, Drop]);
        assert_eq!(sender.counters().tx_full, 4);
    }

    // Catches an error retried for ever, one of no source blamed on it, and a list of remotes that grows.
    #[test]
    fn a_source_is_forgotten_once_and_remembered_within_bounds() {
        let mut sender = Sender::new(true);
        for errno in [libc::EINVAL, libc::EADDRNOTAVAIL, libc::ENETUNREACH, libc::EPERM] {
            let mut message = message(1, 7, true);
            assert_eq!(judge(&mut sender, &mut message, errno), Verdict::Retry);
            assert_eq!(message.sent.local, None);
            assert_eq!(judge(&mut sender, &mut message, errno), Verdict::Drop);
        }
        assert_eq!(
            (sender.counters().tx_source_forgotten, sender.counters().tx_errors),
            (4, 4)
        );
        assert_eq!(sender.forgotten.len(), 1, "one remote, once");
        for port in 0..1000 {
            judge(&mut sender, &mut message(1, port, true), libc::EINVAL);
        }
        assert_eq!(sender.forgotten.len(), FORGOTTEN_MAX);
    }
}
