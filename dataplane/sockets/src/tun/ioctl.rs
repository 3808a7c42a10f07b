//! The requests of the TUN driver (the kernel's `linux/if_tun.h`).

use crate::sys;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// TUN_F_CSUM: unfinished checksums.
const CHECKSUM: libc::c_ulong = 0x01;
/// TUN_F_TSO4 and TUN_F_TSO6. TUN_F_TSO_ECN stays off, so that packets with CWR come one by one.
const TSO: libc::c_ulong = 0x02 | 0x04;
/// TUN_F_USO4 and TUN_F_USO6.
const USO: libc::c_ulong = 0x20 | 0x40;

/// Which packets may stand for several.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Offloads {
    TcpAndUdp,
    Tcp,
    None,
}

/// Makes or joins the device named in `name` (which may hold `%d`), with `flags` of `IFF_`; says the real name.
pub(super) fn set_interface(file: BorrowedFd<'_>, name: &str, flags: i32) -> io::Result<String> {
    let mut request = request(name, flags);
    interface_call(file, libc::TUNSETIFF, &mut request)?;
    Ok(name_in(&request))
}

/// The name and the flags of the device that `file` is a queue of.
pub(super) fn interface(file: BorrowedFd<'_>) -> io::Result<(String, i32)> {
    let mut request = request("", 0);
    interface_call(file, libc::TUNGETIFF, &mut request)?;
    // SAFETY: the kernel has just written the flags, and any bits are a value of their type.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    Ok((name_in(&request), i32::from(flags as u16)))
}

/// Takes the queue off its device, or back on.
pub(super) fn set_queue(file: BorrowedFd<'_>, attached: bool) -> io::Result<()> {
    let flags = if attached {
        libc::IFF_ATTACH_QUEUE
    } else {
        libc::IFF_DETACH_QUEUE
    };
    interface_call(file, libc::TUNSETQUEUE, &mut request("", flags))
}

/// Sets the length of the header before each packet.
pub(super) fn set_header_len(file: BorrowedFd<'_>, len: i32) -> io::Result<()> {
    // SAFETY: the driver reads one integer from the pointer, which is to a local that outlives the call.
    sys::check(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETVNETHDRSZ, &raw const len) }).map(drop)
}

/// Says which offloads are understood here.
pub(super) fn set_offloads(file: BorrowedFd<'_>, offloads: Offloads) -> io::Result<()> {
    let bits = match offloads {
        Offloads::TcpAndUdp => CHECKSUM | TSO | USO,
        Offloads::Tcp => CHECKSUM | TSO,
        Offloads::None => 0,
    };
    // SAFETY: the driver takes the argument as a number.
    sys::check(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETOFFLOAD, bits) }).map(drop)
}

/// The network namespace that the device is in.
pub(super) fn namespace(file: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: the driver takes no argument.
    let descriptor = sys::check(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNGETDEVNETNS) })?;
    // SAFETY: the kernel has just made the descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn interface_call(file: BorrowedFd<'_>, operation: libc::Ioctl, request: &mut libc::ifreq) -> io::Result<()> {
    // SAFETY: the driver reads and writes one `ifreq`, which outlives the call.
    sys::check(unsafe { libc::ioctl(file.as_raw_fd(), operation, &raw mut *request) }).map(drop)
}

fn request(name: &str, flags: i32) -> libc::ifreq {
    // SAFETY: `ifreq` consists of integers and unions of them, for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays zero: names are shorter, as `TunDevice::open` checks.
    for (to, from) in request.ifr_name[..libc::IFNAMSIZ - 1]
        .iter_mut()
        .zip(name.bytes())
    {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    request
}

fn name_in(request: &libc::ifreq) -> String {
    let bytes: Vec<u8> = request
        .ifr_name
        .iter()
        .map(|c| *c as u8)
        .take_while(|byte| *byte != 0)
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
