//! The binary while nobody reads its log any more.

mod common;

use common::{isolated, run};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(15);

fn signal(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).expect("Linux's process numbers fit");
    kill(Pid::from_raw(pid), signal).expect("it was not waited for");
}

fn ended(child: &mut Child, within: Duration) -> Option<ExitStatus> {
    let begun = Instant::now();
    while begun.elapsed() < within {
        if let Some(status) = child.try_wait().expect("it is ours") {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(20));
    }
    None
}

/// Catches a gateway that ends, or a thread of it, with the terminal, the pipe or the journal that its log goes to.
#[test]
fn a_log_that_nobody_reads_ends_nothing() {
    isolated(|| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_weir-dataplane"))
            .args(["--foreground", "weir0"])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary");
        let begun = Instant::now();
        while !run("wg show interfaces").contains("weir0") {
            assert!(begun.elapsed() < LIMIT, "it does not start");
            thread::sleep(Duration::from_millis(20));
        }
        drop(child.stderr.take());
        // A drop-in has no configuration to read again, which it says.
        signal(&child, Signal::SIGHUP);
        let early = ended(&mut child, Duration::from_secs(1));
        assert_eq!(early, None, "it ended by saying something");
        assert!(run("wg show weir0 listen-port").trim().parse::<u16>().is_ok());
        signal(&child, Signal::SIGTERM);
        let status = ended(&mut child, LIMIT).expect("it ends");
        assert!(status.success(), "{status}");
    });
}
