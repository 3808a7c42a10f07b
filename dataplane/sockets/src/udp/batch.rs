//! Batches of datagrams in one system call: recvmmsg and sendmmsg over structures that are made once.
//!
//! The kernel's structures are full of pointers. They are written immediately before each call, from borrows that last
//! as long as the call, and never read as pointers afterwards: what stays in them between calls is dead.

use super::address::Name;
use super::control::{CONTROL_LEN, Control, Received, Sent};
use crate::posted::Posted;
use crate::sys;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};
use weir_frame::Frame;

/// Spans of a message being received: see [`Posted`].
const SPANS: usize = 2;

/// Bytes of one datagram inside a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// The frame's place in the list of frames.
    pub frame: usize,
    /// Where in the frame's packet the datagram begins.
    pub start: usize,
    /// Bytes of the datagram.
    pub len: usize,
}

/// One datagram, or several that the kernel cuts out of one message.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// Where it goes.
    pub remote: SocketAddr,
    /// What the kernel is told beside it.
    pub sent: Sent,
    /// Its datagrams, as places in the list of parts.
    pub parts: Range<usize>,
    /// Bytes of all datagrams.
    pub bytes: usize,
}

/// What recvmmsg said of one message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrived {
    /// Bytes written to the spans.
    pub len: usize,
    /// The datagram was longer than the spans.
    pub truncated: bool,
    /// Who sent it; `None` where the kernel's words make no sense.
    pub remote: Option<SocketAddr>,
    /// The control data; `None` where it did not fit.
    pub received: Option<Received>,
}

/// The kernel's structures for a number of messages.
pub(crate) struct Batch {
    headers: Box<[libc::mmsghdr]>,
    vectors: Box<[libc::iovec]>,
    names: Box<[Name]>,
    controls: Box<[Control]>,
}

// SAFETY: the raw pointers inside are written before each call and dead after it (see the module), so the structures
// are plain memory whenever they change threads.
unsafe impl Send for Batch {}

impl Batch {
    /// Room for `messages` messages of `vectors` spans altogether.
    pub fn new(messages: usize, vectors: usize) -> Self {
        // SAFETY: `mmsghdr` consists of integers and pointers, for which zero is a value.
        let header: libc::mmsghdr = unsafe { std::mem::zeroed() };
        let vector = libc::iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: 0,
        };
        Self {
            headers: vec![header; messages].into(),
            vectors: vec![vector; vectors].into(),
            names: vec![Name::default(); messages].into(),
            controls: vec![Control::default(); messages].into(),
        }
    }

    /// Room for receiving `messages` messages.
    pub fn for_receiving(messages: usize) -> Self {
        Self::new(messages, messages * SPANS)
    }

    /// Receives into `posted`, as many messages as there are and room is for, and says how many; [`Self::arrived`]
    /// tells of each. Never waits.
    ///
    /// # Errors
    /// The kernel's, when not even the first message could be received.
    pub fn receive(&mut self, socket: BorrowedFd<'_>, posted: &mut [Posted]) -> io::Result<usize> {
        let count = posted.len().min(self.headers.len());
        for (index, posted) in posted[..count].iter_mut().enumerate() {
            let vectors = &mut self.vectors[index * SPANS..][..SPANS];
            for (vector, span) in vectors.iter_mut().zip(&mut posted.spans()) {
                vector.iov_base = span.as_mut_ptr().cast();
                vector.iov_len = span.len();
            }
            let header = &mut self.headers[index];
            header.msg_len = 0;
            header.msg_hdr.msg_iov = vectors.as_mut_ptr();
            header.msg_hdr.msg_iovlen = SPANS as _;
            let name = self.names[index].bytes_mut();
            header.msg_hdr.msg_name = name.as_mut_ptr().cast();
            header.msg_hdr.msg_namelen = name.len() as libc::socklen_t;
            let control = self.controls[index].bytes_mut();
            header.msg_hdr.msg_control = control.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = control.len() as _;
            header.msg_hdr.msg_flags = 0;
        }
        // SAFETY: the first `count` headers point to memory that `self` owns and to the spans of `posted`, exclusively
        // borrowed until this function returns, each with its true length; a null timeout is allowed.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                count as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        sys::check(received).map(|received| count.min(received as usize))
    }

    /// What the last [`Self::receive`] said of message `index`.
    pub fn arrived(&self, index: usize) -> Arrived {
        let header = &self.headers[index];
        let flags = header.msg_hdr.msg_flags;
        let whole = flags & libc::MSG_CTRUNC == 0;
        Arrived {
            len: header.msg_len as usize,
            truncated: flags & libc::MSG_TRUNC != 0,
            remote: self.names[index].read(header.msg_hdr.msg_namelen as usize),
            received: whole.then(|| self.controls[index].read(header.msg_hdr.msg_controllen)),
        }
    }

    /// Sends the first of `messages`, as many as the kernel takes and room is for, and says how many. Never waits.
    ///
    /// # Errors
    /// The kernel's, when not even the first message could be sent.
    pub fn send(
        &mut self,
        socket: BorrowedFd<'_>,
        frames: &[Frame],
        parts: &[Part],
        messages: &[Message],
    ) -> io::Result<usize> {
        let mut count = 0;
        let mut used = 0;
        for message in messages.iter().take(self.headers.len()) {
            let parts = &parts[message.parts.clone()];
            let Some(vectors) = self.vectors.get_mut(used..used + parts.len()) else {
                break;
            };
            for (vector, part) in vectors.iter_mut().zip(parts) {
                let datagram = &frames[part.frame].bytes()[part.start..part.start + part.len];
                vector.iov_base = datagram.as_ptr().cast_mut().cast();
                vector.iov_len = datagram.len();
            }
            let header = &mut self.headers[count].msg_hdr;
            header.msg_iov = vectors.as_mut_ptr();
            header.msg_iovlen = vectors.len() as _;
            header.msg_namelen = self.names[count].write(message.remote) as libc::socklen_t;
            header.msg_name = self.names[count].bytes_mut().as_mut_ptr().cast();
            header.msg_controllen = self.controls[count].write(message.remote, &message.sent) as _;
            header.msg_control = self.controls[count].bytes_mut().as_mut_ptr().cast();
            header.msg_flags = 0;
            used += parts.len();
            count += 1;
        }
        // SAFETY: the first `count` headers point to memory that `self` owns and to the packets of `frames`, borrowed
        // until this function returns, each with its true length; the kernel only reads what is sent.
        let sent = unsafe {
            libc::sendmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                count as libc::c_uint,
                libc::MSG_DONTWAIT as _,
            )
        };
        sys::check(sent).map(|sent| count.min(sent as usize))
    }
}

const _: () = assert!(
    CONTROL_LEN >= 40 + 24 + 24,
    "control data holds an IPv6 packet info, a class and a size"
);
