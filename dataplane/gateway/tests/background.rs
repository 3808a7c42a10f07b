//! Going to the background, in processes of their own: this program starts itself again in the roles that it watches.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};
use weir_gateway::background::detach;

const LONG: Duration = Duration::from_secs(30);

fn main() {
    let arguments: Vec<String> = env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("role-ready") => ready(Path::new(&arguments[2])),
        Some("role-failed") => {
            let detached = detach(false).expect("a single thread");
            detached.failed("no such device", 7)
        }
        Some("role-died") => {
            let _detached = detach(false).expect("a single thread");
            process::abort()
        }
        _ => {}
    }
    stays_alive_and_lets_go();
    failures_are_told();
    println!("test result: ok. background: 2 passed");
}

/// Lives until its file is removed, and tells there of what it is.
fn ready(file: &Path) {
    let detached = detach(false).expect("a single thread");
    // The starter must wait for this.
    thread::sleep(Duration::from_millis(300));
    let stat = fs::read_to_string("/proc/self/stat").expect("procfs");
    fs::write(file, &stat).expect("a file of the test's");
    detached.ready().expect("/dev/null is there");
    let begun = Instant::now();
    while file.exists() && begun.elapsed() < LONG {
        thread::sleep(Duration::from_millis(20));
    }
    process::exit(0)
}

fn start(role: &str, file: &Path) -> Output {
    Command::new(env::current_exe().expect("this program"))
        .args([role.as_ref(), file.as_os_str()])
        .output()
        .expect("this program")
}

// Catches a starter that ends before all is ready, one that hangs on its output, and a process that keeps a terminal
// or a directory.
fn stays_alive_and_lets_go() {
    let file: PathBuf = env::temp_dir().join(format!("weir-{}-background", process::id()));
    // That this returns at all shows that the output was let go.
    let output = start("role-ready", &file);
    assert!(output.status.success(), "{output:?}");
    let mut stat = String::new();
    fs::File::open(&file)
        .expect("written before the starter ended")
        .read_to_string(&mut stat)
        .expect("text");
    // proc(5): number, (name), state, parent, process group, session, terminal.
    let number = stat.split(' ').next().expect("a number").to_owned();
    let rest: Vec<&str> = stat.rsplit(") ").next().expect("the rest").split(' ').collect();
    let (session, terminal) = (rest[3], rest[4]);
    assert_ne!(session, number, "it leads a session and could get a terminal");
    assert_eq!(terminal, "0", "it has a terminal");
    let directory = fs::read_link(format!("/proc/{number}/cwd")).expect("it lives");
    assert_eq!(directory, Path::new("/"));
    for stream in 0..3 {
        let target = fs::read_link(format!("/proc/{number}/fd/{stream}")).expect("it lives");
        assert_eq!(target, Path::new("/dev/null"), "stream {stream}");
    }
    fs::remove_file(&file).expect("it is there");
    let begun = Instant::now();
    while Path::new(&format!("/proc/{number}")).exists() {
        assert!(begun.elapsed() < LONG, "process {number} stays");
        thread::sleep(Duration::from_millis(20));
    }
}

// Catches a failure in the background that the starter takes for success.
fn failures_are_told() {
    let failed = start("role-failed", Path::new("-"));
    assert_eq!(failed.status.code(), Some(7));
    assert_eq!(String::from_utf8_lossy(&failed.stderr), "no such device\n");
    let died = start("role-died", Path::new("-"));
    assert_eq!(died.status.code(), Some(1));
    let message = String::from_utf8_lossy(&died.stderr);
    assert!(message.contains("before it was ready"), "{message}");
}
