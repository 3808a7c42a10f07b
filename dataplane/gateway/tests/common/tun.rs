//! A TUN device of a test's own.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;

mod ioctl {
    nix::ioctl_write_ptr_bad!(tun_set_iff, nix::request_code_write!(b'T', 202, 4), libc::ifreq);
}

/// Makes a device; it lives as long as the file.
pub fn tun(name: &str) -> File {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun")
        .expect("/dev/net/tun is there");
    // SAFETY: `ifreq` is plain data, for which all zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    request.ifr_ifru.ifru_flags =
        libc::c_short::try_from(libc::IFF_TUN | libc::IFF_NO_PI).expect("two low bits");
    // SAFETY: TUNSETIFF reads one `ifreq`, which outlives the call.
    unsafe { ioctl::tun_set_iff(file.as_raw_fd(), &request) }.expect("a TUN device");
    file
}
