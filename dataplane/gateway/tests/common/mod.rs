//! What the tests that need root share: namespaces of their own, and the tools that serve as oracles.
#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod gateway;
pub mod memory;
pub mod neighbour;
pub mod plane;
pub mod tun;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::process::{Command, Output, Stdio};
use std::{fs, panic, thread};

/// Runs `test` in a thread with its own network and its own empty `/run`, both of which end with the thread. What the
/// thread spawns lives in the same namespaces; `/proc/sys/net` shows the network of whoever looks.
pub fn isolated<T: Send + 'static>(test: impl FnOnce() -> T + Send + 'static) -> T {
    let inside = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)
            .expect("these tests need root: they make namespaces");
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("private mounts");
        mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), none).expect("an own /run");
        run("ip link set lo up");
        test()
    });
    match inside.join() {
        Ok(value) => value,
        Err(panicked) => panic::resume_unwind(panicked),
    }
}

/// The thread's number, by which `ip link set ... netns` finds its network.
pub fn network_of_this_thread() -> String {
    nix::unistd::gettid().to_string()
}

/// Runs a command line of words without quoting, and gives what it printed; its failure is the test's.
pub fn run(line: &str) -> String {
    let output = output(line);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{line}: {}\n{out}{err}", output.status);
    out
}

/// Runs a command line of words without quoting.
pub fn output(line: &str) -> Output {
    let mut words = line.split_whitespace();
    Command::new(words.next().expect("a program"))
        .args(words)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{line}: {e}; the package that has it is needed for this test"))
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Writes a file into the thread's own `/run`.
pub fn file(name: &str, content: &str) -> String {
    let path = format!("/run/{name}");
    fs::write(&path, content).expect(&path);
    path
}
