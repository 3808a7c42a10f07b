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

/// Gives a device an address; `ip` may be IPv4 or IPv6.
pub fn add_address(name: &str, ip: &str, prefix: u8) {
    match ip.parse().expect("an address") {
        std::net::IpAddr::V4(ip) => {
            let mut wanted = request(name);
            wanted.ifr_ifru.ifru_addr = v4_address(ip);
            perform(libc::SIOCSIFADDR as libc::Ioctl, &mut wanted);
            let mut wanted = request(name);
            let mask = u32::MAX << (32 - u32::from(prefix));
            wanted.ifr_ifru.ifru_netmask = v4_address(mask.into());
            perform(libc::SIOCSIFNETMASK as libc::Ioctl, &mut wanted);
        }
        std::net::IpAddr::V6(ip) => {
            let index = nix::net::if_::if_nametoindex(name).expect("a device");
            let mut wanted = libc::in6_ifreq {
                ifr6_addr: libc::in6_addr { s6_addr: ip.octets() },
                ifr6_prefixlen: u32::from(prefix),
                ifr6_ifindex: index as i32,
            };
            let socket: OwnedFd = std::net::UdpSocket::bind("[::]:0").expect("a socket").into();
            // SAFETY: the request is a valid `in6_ifreq` that outlives the call.
            let result = unsafe {
                libc::ioctl(
                    socket.as_raw_fd(),
                    libc::SIOCSIFADDR as libc::Ioctl,
                    &raw mut wanted,
                )
            };
            assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
            // The kernel works on until the address can be used.
            let deadline = std::time::Instant::now() + std::time::Duration::from_secs(2);
            while std::net::UdpSocket::bind((ip, 0)).is_err() {
                assert!(std::time::Instant::now() < deadline, "{ip} cannot be used");
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
    }
}

fn v4_address(ip: std::net::Ipv4Addr) -> libc::sockaddr {
    let [a, b, c, d] = ip.octets().map(|octet| octet as libc::c_char);
    let mut address = libc::sockaddr {
        sa_family: libc::AF_INET as libc::sa_family_t,
        sa_data: [0; 14],
    };
    address.sa_data[2..6].copy_from_slice(&[a, b, c, d]);
    address
}

/// Sets a device's MTU.
pub fn set_mtu(name: &str, mtu: i32) {
    let mut request = request(name);
    request.ifr_ifru.ifru_mtu = mtu;
    perform(libc::SIOCSIFMTU as libc::Ioctl, &mut request);
}

/// Has the kernel cut what the socket sends into datagrams of `size` bytes.
pub fn set_segment_size(socket: &std::net::UdpSocket, size: i32) {
    // SAFETY: the pointer is to a local of the stated length that outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_UDP,
            libc::UDP_SEGMENT,
            (&raw const size).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

/// A TUN device with `flags` beside the usual, made as another program would, to stay if `persistent`.
pub fn tun(name: &str, flags: i32, persistent: bool) -> OwnedFd {
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun")
        .expect("/dev/net/tun");
    let mut request = request(name);
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI | flags) as libc::c_short;
    // SAFETY: the request is a valid `ifreq` that outlives the call.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: the driver takes the argument as a number.
    let result = unsafe {
        libc::ioctl(
            file.as_raw_fd(),
            libc::TUNSETPERSIST,
            libc::c_ulong::from(persistent),
        )
    };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    file.into()
}

/// Takes all capabilities from this thread, which stays root without them.
pub fn drop_capabilities() {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    // _LINUX_CAPABILITY_VERSION_3: two triples of effective, permitted and inheritable bits.
    let header = Header {
        version: 0x2008_0522,
        pid: 0,
    };
    let none = [0u32; 6];
    // SAFETY: both pointers are to locals of the layout that version 3 says, which outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}
