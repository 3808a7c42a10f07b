//! A network namespace for one test, entered by a thread of its own and gone with it.

#![allow(dead_code)] // each test file uses its share

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Runs `test` in a thread in a fresh network namespace whose loopback device is up.
///
/// # Panics
/// As `test` does, and without root.
pub fn in_namespace(test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            enter();
            test();
        });
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

fn enter() {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)
        .expect("this test makes a network namespace: run it as root");
    set_up("lo");
}

/// An interface request for `name`.
pub fn request(name: &str) -> libc::ifreq {
    // SAFETY: `ifreq` consists of integers and unions of them, for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request
}

/// Performs an interface request.
pub fn perform(operation: libc::Ioctl, request: &mut libc::ifreq) {
    let socket: OwnedFd = std::net::UdpSocket::bind("127.0.0.1:0")
        .or_else(|_| std::net::UdpSocket::bind("0.0.0.0:0"))
        .expect("a socket")
        .into();
    // SAFETY: the request is a valid `ifreq` that outlives the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), operation, &raw mut *request) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

/// Sets a device up.
pub fn set_up(name: &str) {
    let mut request = request(name);
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    perform(libc::SIOCSIFFLAGS as libc::Ioctl, &mut request);
}

/// The mark of a socket.
pub fn mark_of(socket: RawFd) -> u32 {
    let mut mark = 0u32;
    let mut len = size_of::<u32>() as libc::socklen_t;
    // SAFETY: both pointers are to locals that outlive the call, with the true length.
    let result = unsafe {
        libc::getsockopt(
            socket,
            libc::SOL_SOCKET,
            libc::SO_MARK,
            (&raw mut mark).cast(),
            &raw mut len,
        )
    };
    assert_eq!(result, 0);
    mark
}
