//! The system calls of AF_XDP sockets, one each, and the one instruction that is none of the language's.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// An AF_XDP socket that belongs to nothing yet, closed on exec.
pub(crate) fn socket() -> io::Result<OwnedFd> {
    // SAFETY: the call takes no pointers.
    let descriptor = check(unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: the kernel has just made the descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// `setsockopt` with a plain structure.
pub(crate) fn set_option<T: Copy>(
    socket: BorrowedFd<'_>,
    level: i32,
    name: i32,
    value: &T,
) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of::<T>()).expect("option values are small");
    let pointer = (value as *const T).cast::<libc::c_void>();
    // SAFETY: pointer and length are those of `value`, which outlives the call; the kernel only reads it.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, pointer, length) }).map(drop)
}

/// `getsockopt` of `SOL_XDP` into a plain structure of integers, which stays zero where an older kernel has less to say.
pub(crate) fn option<T: Plain>(socket: BorrowedFd<'_>, name: i32) -> io::Result<T> {
    // SAFETY: `Plain` promises that zeros are a value.
    let mut value: T = unsafe { core::mem::zeroed() };
    let mut length = libc::socklen_t::try_from(size_of::<T>()).expect("option values are small");
    let pointer = (&raw mut value).cast::<libc::c_void>();
    // SAFETY: pointer and length are those of `value`, beyond which the kernel does not write.
    check(unsafe { libc::getsockopt(socket.as_raw_fd(), libc::SOL_XDP, name, pointer, &raw mut length) })?;
    Ok(value)
}

/// Structures of integers alone, of which every pattern of bits is a value.
///
/// # Safety
/// Only for such structures.
pub(crate) unsafe trait Plain: Copy {}

// SAFETY: integers alone.
unsafe impl Plain for libc::xdp_mmap_offsets {}
// SAFETY: integers alone.
unsafe impl Plain for libc::xdp_statistics {}
// SAFETY: integers alone.
unsafe impl Plain for libc::xdp_options {}

/// `bind` to a queue of an interface.
pub(crate) fn bind(socket: BorrowedFd<'_>, address: &libc::sockaddr_xdp) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of::<libc::sockaddr_xdp>()).expect("addresses are small");
    let pointer = (address as *const libc::sockaddr_xdp).cast::<libc::sockaddr>();
    // SAFETY: pointer and length are those of `address`, which the kernel only reads.
    check(unsafe { libc::bind(socket.as_raw_fd(), pointer, length) }).map(drop)
}

/// Has the processor fetch the first line of some bytes, where it can be told to.
#[inline]
pub(crate) fn prefetch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: it has no effect but on caches, whatever it points to, and every x86-64 processor has it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(bytes.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}

/// Has the kernel take what waits in the transmit ring.
pub(crate) fn kick_transmit(socket: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no bytes are sent and no address is given, so no pointer is read.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            core::ptr::null(),
            0,
            libc::MSG_DONTWAIT,
            core::ptr::null(),
            0,
        )
    };
    check(i32::try_from(sent).unwrap_or(-1)).map(drop)
}

/// Has the kernel look at the fill ring again.
pub(crate) fn kick_receive(socket: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no room is given for bytes or an address, so no pointer is written.
    let received = unsafe {
        libc::recvfrom(
            socket.as_raw_fd(),
            core::ptr::null_mut(),
            0,
            libc::MSG_DONTWAIT,
            core::ptr::null_mut(),
            core::ptr::null_mut(),
        )
    };
    check(i32::try_from(received).unwrap_or(-1)).map(drop)
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
