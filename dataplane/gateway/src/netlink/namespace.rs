//! Network namespaces: where a TUN device is now, and sockets opened there.
#![allow(
    unsafe_code,
    reason = "the ioctls of tun(4) and SO_NETNS_COOKIE have no safe form"
)]

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::thread;

mod ioctl {
    //! Numbers from linux/if_tun.h.
    nix::ioctl_read_bad!(tun_get_iff, nix::request_code_read!(b'T', 210, 4), libc::ifreq);
    nix::ioctl_none!(tun_get_dev_netns, b'T', 227);
}

/// The name that a TUN device has now.
pub(super) fn tun_name(tun: BorrowedFd<'_>) -> io::Result<String> {
    // SAFETY: `ifreq` is plain data, for which all zero is a value.
    let mut request: libc::ifreq = unsafe { core::mem::zeroed() };
    // SAFETY: TUNGETIFF writes one `ifreq`, which outlives the call; on another kind of file it fails.
    unsafe { ioctl::tun_get_iff(tun.as_raw_fd(), &mut request) }?;
    let bytes: Vec<u8> = request
        .ifr_name
        .iter()
        .map(|c| c.to_ne_bytes()[0])
        .take_while(|b| *b != 0)
        .collect();
    String::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// The network namespace in which a TUN device is, if it is another than the thread's.
pub(super) fn elsewhere(tun: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    // SAFETY: TUNGETDEVNETNS takes no argument and gives a new descriptor; on another kind of file it fails.
    let raw = match unsafe { ioctl::tun_get_dev_netns(tun.as_raw_fd()) } {
        Ok(raw) => raw,
        // Without the privilege to ask, the device is looked for where it was made.
        Err(Errno::EPERM) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    // SAFETY: the kernel just made this descriptor for this process, and nothing else knows it.
    let namespace = File::from(unsafe { OwnedFd::from_raw_fd(raw) });
    let (there, here) = (
        namespace.metadata()?,
        std::fs::metadata("/proc/thread-self/ns/net")?,
    );
    let same = (there.dev(), there.ino()) == (here.dev(), here.ino());
    Ok((!same).then(|| namespace.into()))
}

/// Opens something in the network namespace where a TUN device is now, by the name that the device has there.
pub fn beside_device<T: Send>(
    tun: BorrowedFd<'_>,
    open: impl FnOnce(&str) -> io::Result<T> + Send,
) -> io::Result<T> {
    let name = tun_name(tun)?;
    match elsewhere(tun)? {
        Some(namespace) => within(namespace, || open(&name))?,
        None => open(&name),
    }
}

/// A number that the calling thread's network namespace has, and no other one before the next boot; inode numbers, in
/// contrast, are given out again.
pub fn cookie() -> io::Result<u64> {
    let socket = UnixDatagram::unbound()?;
    let mut cookie = 0u64;
    let mut length = size_of_val(&cookie) as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes to `cookie`, which outlives the call.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    Errno::result(answer)?;
    Ok(cookie)
}

/// Runs something short inside a network namespace, in a thread of its own, since a thread is in one namespace.
pub(super) fn within<T: Send>(namespace: OwnedFd, inside: impl FnOnce() -> T + Send) -> io::Result<T> {
    let entered = thread::scope(|scope| {
        scope
            .spawn(|| {
                setns(namespace.as_fd(), CloneFlags::CLONE_NEWNET)?;
                Ok(inside())
            })
            .join()
    });
    entered.unwrap_or_else(|_| {
        Err(io::Error::other(
            "the thread that entered a network namespace panicked",
        ))
    })
}
