//! The two of libbpf's functions that libbpf-rs offers only for programs whose skeleton is kept.
#![allow(unsafe_code, reason = "calls of C functions")]

use libbpf_rs::libbpf_sys;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// What a program could add to a frame: XDP's headroom, 256 bytes.
const GROWTH: usize = 256;

/// Attaches an XDP program to a device of the thread's network namespace; it is detached when the descriptor is closed,
/// be it by the end of the process.
pub(crate) fn link_xdp(program: BorrowedFd<'_>, interface: i32, flags: u32) -> io::Result<OwnedFd> {
    let options = libbpf_sys::bpf_link_create_opts {
        sz: size_of::<libbpf_sys::bpf_link_create_opts>() as _,
        flags,
        ..Default::default()
    };
    // SAFETY: the options outlive the call and state their own size; the other arguments are numbers.
    let link = unsafe {
        libbpf_sys::bpf_link_create(
            program.as_raw_fd(),
            interface,
            libbpf_sys::BPF_XDP,
            &raw const options,
        )
    };
    if link < 0 {
        return Err(io::Error::from_raw_os_error(-link));
    }
    // SAFETY: the kernel has just made the descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(link) })
}

/// Runs a program on one frame, without a device, and says what it returned and what the frame is then.
pub(crate) fn run(program: BorrowedFd<'_>, frame: &[u8]) -> io::Result<(u32, Vec<u8>)> {
    let mut after = vec![0; frame.len() + GROWTH];
    let mut options = libbpf_sys::bpf_test_run_opts {
        sz: size_of::<libbpf_sys::bpf_test_run_opts>() as _,
        data_in: frame.as_ptr().cast(),
        data_size_in: u32::try_from(frame.len()).expect("frames are short"),
        data_out: after.as_mut_ptr().cast(),
        data_size_out: u32::try_from(after.len()).expect("frames are short"),
        repeat: 1,
        ..Default::default()
    };
    // SAFETY: the options outlive the call and state their own size; the frame and the room for output outlive it too, and
    // their lengths are stated.
    let failed = unsafe { libbpf_sys::bpf_prog_test_run_opts(program.as_raw_fd(), &raw mut options) };
    if failed < 0 {
        return Err(io::Error::from_raw_os_error(-failed));
    }
    after.truncate(usize::try_from(options.data_size_out).expect("frames are short"));
    Ok((options.retval, after))
}
