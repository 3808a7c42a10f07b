//! A gateway to which the kernel refuses BPF falls back and says why, unless a way of steering was asked for by name.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod callers;
mod site;

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use site::{Site, networks, program, toml};
use weir_bench::configured::Configured;
use weir_bench::{Topology, programs};

/// A gateway that may do no more than its work needs: not load BPF programs.
fn without_bpf_capabilities() -> Command {
    let mut command = programs::tool("setpriv").unwrap();
    command
        .args(["--bounding-set", "-all,+net_admin,+net_raw", "--"])
        .arg(program().get_program());
    command
}

/// A gateway to which the kernel refuses bpf(2) and the attaching of programs to reuseport groups, as the filters of
/// container engines do.
fn without_bpf_calls() -> Command {
    let mut command = program();
    let filter = forbid_bpf();
    let install = move || {
        let program = libc::sock_fprog {
            len: filter.len() as u16,
            filter: filter.as_ptr().cast_mut(),
        };
        // SAFETY: seccomp(2) reads the program, which lives until the call is over, and changes nothing else.
        let answer = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &program) };
        if answer == 0 {
            Ok(())
        } else {
            Err(std::io::Error::last_os_error())
        }
    };
    // SAFETY: between fork and exec only one system call is made, and nothing is allocated or locked.
    unsafe { command.pre_exec(install) };
    command
}

/// A seccomp filter that answers EPERM to what [`without_bpf_calls`] says.
fn forbid_bpf() -> Vec<libc::sock_filter> {
    use libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W};
    let step = |code, k, jt, jf| libc::sock_filter { code, jt, jf, k };
    // Of the structure seccomp_data on a little-endian machine: the call's number, and the low halves of its second and
    // third argument, an option's level and name.
    let load = |at| step((BPF_LD | BPF_W | BPF_ABS) as u16, at, 0, 0);
    let (number, level, option) = (load(0), load(24), load(32));
    let equal = |value: i64, jt, jf| step((BPF_JMP | BPF_JEQ | BPF_K) as u16, value as u32, jt, jf);
    let answer = |with| step((BPF_RET | BPF_K) as u16, with, 0, 0);
    vec![
        number,
        equal(libc::SYS_bpf, 6, 0),
        equal(libc::SYS_setsockopt, 0, 6),
        level,
        equal(libc::SOL_SOCKET.into(), 0, 4),
        option,
        equal(libc::SO_ATTACH_REUSEPORT_CBPF.into(), 1, 0),
        equal(libc::SO_ATTACH_REUSEPORT_EBPF.into(), 0, 1),
        answer(libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        answer(libc::SECCOMP_RET_ALLOW),
    ]
}

/// Catches a fallback that is silent, or that loses packets.
fn falls_back(command: &mut Command, to: &str, refused: &[&str]) {
    let mut site = Site::start(4, "auto", command);
    site.fill();
    site.say_all(4);
    let status = site.status();
    assert_eq!(status.steering, to, "{:?}", status.warnings);
    for way in refused {
        let why = format!("steering by {way} cannot be had: ");
        let told = status.warnings.iter().find(|warning| warning.starts_with(&why));
        let told = told.unwrap_or_else(|| panic!("no word of {way}: {:?}", status.warnings));
        println!("{told}");
        assert!(told.len() > why.len() + 8, "no reason: {told}");
    }
}

#[test]
fn without_the_capability_for_ebpf_classic_bpf_steers() {
    falls_back(&mut without_bpf_capabilities(), "classic-bpf", &["ebpf"]);
}

#[test]
fn without_any_bpf_user_space_hands_over() {
    falls_back(&mut without_bpf_calls(), "user-space", &["ebpf", "classic-bpf"]);
}

/// Catches a mode asked for by name that gives way to another without a word.
#[test]
fn a_way_asked_for_by_name_is_had_or_refused() {
    for (steering, mut command) in [
        ("ebpf", without_bpf_capabilities()),
        ("ebpf", without_bpf_calls()),
        ("classic-bpf", without_bpf_calls()),
    ] {
        let topology = Topology::new().unwrap();
        let (gateway, _remote) = networks(&topology);
        let interface = topology.interface("gw");
        let toml = toml(&topology, &interface, 4, steering);
        let error = Configured::start_by(&topology, &gateway, &interface, &toml, &mut command)
            .expect_err(steering)
            .to_string();
        let words = format!("UDP port 51820: steering by {steering} cannot be had: ");
        assert!(error.contains(&words), "{error}");
        assert!(
            gateway.ip(&format!("link show dev {interface}")).is_err(),
            "the device stayed"
        );
    }
}
