//! System calls that neither the standard library nor nix offers as this crate needs them.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// `setsockopt` with a value of plain integers.
pub(crate) fn set_option<T: Copy>(socket: BorrowedFd<'_>, level: i32, name: i32, value: T) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of::<T>()).expect("option values are small");
    // SAFETY: the pointer and the length are those of `value`, which outlives the call; the kernel only reads it.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast::<libc::c_void>(),
            length,
        )
    };
    check(result).map(drop)
}

/// A UDP socket of `family` (`AF_INET` or `AF_INET6`), non-blocking and closed on exec.
pub(crate) fn udp_socket(family: i32) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: the call takes no pointers.
    let descriptor = check(unsafe { libc::socket(family, kind, libc::IPPROTO_UDP) })?;
    // SAFETY: the kernel has just made the descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// `bind` to a socket address as the kernel lays it out.
pub(crate) fn bind(socket: BorrowedFd<'_>, address: &[u8]) -> io::Result<()> {
    let length = libc::socklen_t::try_from(address.len()).expect("socket addresses are short");
    // SAFETY: pointer and length are those of `address`; the kernel copies byte by byte and needs no alignment.
    let result = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            address.as_ptr().cast::<libc::sockaddr>(),
            length,
        )
    };
    check(result).map(drop)
}

/// The address a socket is bound to, into `address`; says how many bytes it takes.
pub(crate) fn bound_address(socket: BorrowedFd<'_>, address: &mut [u8]) -> io::Result<usize> {
    let mut length = libc::socklen_t::try_from(address.len()).expect("socket addresses are short");
    // SAFETY: pointer and length are those of `address`, beyond which the kernel does not write.
    let result = unsafe {
        libc::getsockname(
            socket.as_raw_fd(),
            address.as_mut_ptr().cast::<libc::sockaddr>(),
            &raw mut length,
        )
    };
    check(result).map(|_| address.len().min(length as usize))
}

/// Puts the open file of `new` in the place of that of `old`, which is thereby closed: whoever uses the number of
/// `old` uses the new file from then on, in whatever thread, without noticing.
pub(crate) fn replace(old: BorrowedFd<'_>, new: impl AsFd) -> io::Result<()> {
    // SAFETY: both descriptors are open for the length of the call; the number of `old` stays with its owner.
    check(unsafe { libc::dup3(new.as_fd().as_raw_fd(), old.as_raw_fd(), libc::O_CLOEXEC) }).map(drop)
}

/// Waits until `descriptor` can be written or the time has passed; says whether it can.
pub(crate) fn wait_writable(descriptor: BorrowedFd<'_>, milliseconds: i32) -> bool {
    let mut entry = libc::pollfd {
        fd: descriptor.as_raw_fd(),
        events: libc::POLLOUT,
        revents: 0,
    };
    // SAFETY: the pointer is to the one entry that the count states, and it outlives the call.
    unsafe { libc::poll(&raw mut entry, 1, milliseconds) > 0 }
}

/// The error number of an I/O error; 0 where it has none.
pub(crate) fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(0)
}

/// The result of a call that says -1 and sets `errno` when it fails.
pub(crate) fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
