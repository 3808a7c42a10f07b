//! `weir top`: once where nobody looks, live on a terminal, which is afterwards as it was.

mod common;

use common::control::*;
use common::*;
use nix::pty::{OpenptyResult, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use weir_abi::ipc::Reply;
use weir_abi::key::PublicKey;
use weir_abi::status::{Health, PeerStatus, ShardStatus, Status};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway whose counters rise with every question: peer 2 twice as fast as peer 1.
fn busy(place: &Place) -> FakeGateway {
    let asked = AtomicU64::new(0);
    FakeGateway::start(place, "weirtest", weir_abi::VERSION, move |_| {
        let round = asked.fetch_add(1, Ordering::SeqCst);
        Reply::Status(Box::new(at(round)))
    })
}

fn at(round: u64) -> Status {
    let peer = |byte: u8, name: &str| PeerStatus {
        public_key: PublicKey::from_bytes([byte; 32]),
        rx_bytes: 1_000_000 * round * u64::from(byte),
        ..peer_status(Some(name), Health::Healthy, None)
    };
    Status {
        shards: vec![ShardStatus {
            opened: 5_000 * round,
            drops: vec![("replayed".to_owned(), 10 * round)],
            ..ShardStatus::default()
        }],
        peers: vec![peer(1, "slow"), peer(2, "fast")],
        ..status("weirtest")
    }
}

#[test]
fn one_picture_where_nobody_looks() {
    let place = Place::new("");
    let _gateway = busy(&place);
    let _control = FakeControl::start(&place, |_| {
        Answered::json(
            200,
            &json!({ "items": [{
            "severity": "warning", "since": "2026-01-01T00:00:00Z", "summary": "phone is gone", "remedy": ""
        }] }),
        )
    });
    let text = good(&place.weir(&["top"]));
    assert!(!text.contains('\x1b'), "{text}");
    for part in [
        "weirtest  up 1 h 2 min",
        "replayed",
        "SHARD",
        "alert: phone is gone",
    ] {
        assert!(text.contains(part), "{text}\nlacks {part}");
    }
    assert!(
        text.find("fast") < text.find("slow"),
        "the busiest comes first:\n{text}"
    );
    let json: Value = serde_json::from_str(&good(&place.weir(&["top", "weirtest", "--json"]))).unwrap();
    assert_eq!(json["peers"][0]["name"], "fast");
    // Twice as many bytes in the same time, whatever that was, to the bit that rounding costs.
    let (fast, slow) = (
        json["peers"][0]["rx_bps"].as_u64().unwrap(),
        json["peers"][1]["rx_bps"].as_u64().unwrap(),
    );
    assert!(slow > 0 && fast.abs_diff(2 * slow) <= 16, "{fast} and {slow}");
    assert_eq!(json["rx_bps"], fast + slow);
    assert!(json["drops"]["replayed"].as_u64().unwrap() > 0);
}

#[test]
fn who_is_to_be_watched_is_said() {
    let place = Place::new("");
    refused(&place.weir(&["top"]), &["no data plane runs"]);
    refused(
        &place.weir(&["top", "a/b"]),
        &["interface: \"a/b\"; expected a device name"],
    );
    let _one = busy(&place);
    let _two = FakeGateway::start(&place, "weirother", weir_abi::VERSION, |_| {
        Reply::Status(Box::new(at(0)))
    });
    refused(
        &place.weir(&["top"]),
        &["several data planes run", "weirother, weirtest"],
    );
}

/// `weir` on a terminal of its own.
struct OnTerminal {
    child: Child,
    master: File,
    slave: OwnedFd,
    shown: Arc<Mutex<String>>,
}

impl OnTerminal {
    fn start(place: &Place, arguments: &[&str]) -> Self {
        let OpenptyResult { master, slave } = openpty(None, None).expect("a terminal");
        resize(&slave, 80, 24);
        let end = || slave.try_clone().expect("a descriptor");
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait", env!("CARGO_BIN_EXE_weir"), "--run-directory"]);
        command
            .arg(place.folder.path())
            .arg("--control-directory")
            .arg(place.path("control"));
        command.args(arguments).current_dir(place.folder.path());
        let child = command
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .expect("weir starts");
        let master = File::from(master);
        let shown = Arc::new(Mutex::new(String::new()));
        let (mut reader, log) = (master.try_clone().expect("a descriptor"), Arc::clone(&shown));
        thread::spawn(move || {
            let mut bytes = [0; 65536];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                log.lock()
                    .expect("nobody panicked")
                    .push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Self {
            child,
            master,
            slave,
            shown,
        }
    }

    fn shown(&self) -> String {
        self.shown.lock().expect("nobody panicked").clone()
    }

    fn forget(&self) {
        self.shown.lock().expect("nobody panicked").clear();
    }

    fn until(&self, what: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.shown().contains(what) {
            assert!(
                Instant::now() < deadline,
                "{what:?} never came: {:?}",
                self.shown()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn press(&mut self, keys: &str) {
        self.master
            .write_all(keys.as_bytes())
            .expect("the terminal takes keys");
    }

    /// The exit code, once it has ended; the terminal shows what is typed again, line by line.
    fn end(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is a child") {
                let modes = tcgetattr(&self.slave).expect("it is a terminal").local_modes;
                let usual = LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
                assert!(modes.contains(usual), "left as {modes:?}");
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not end: {:?}", self.shown());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The process itself, behind `setsid`, which has forked.
    fn pid(&self) -> Pid {
        let path = format!("/proc/{0}/task/{0}/children", self.child.id());
        let children = std::fs::read_to_string(path).unwrap_or_default();
        let inner = children
            .split_ascii_whitespace()
            .next()
            .and_then(|pid| pid.parse().ok());
        Pid::from_raw(inner.unwrap_or(self.child.id() as i32))
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn resize(terminal: &OwnedFd, columns: u16, rows: u16) {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(terminal, size).expect("the terminal is resized");
}

const ENTERED: &str = "\x1b[?1049h";
const LEFT: &str = "\x1b[?25h\x1b[?1049l";

#[test]
fn live_on_a_terminal() {
    let place = Place::new("");
    let _gateway = busy(&place);
    let mut top = OnTerminal::start(&place, &["top"]);
    top.until(ENTERED);
    top.until("fast");
    top.until("q ends it");
    resize(&top.slave, 40, 10);
    top.forget();
    // The tail of a line that fits 80 columns and not 40 is gone, and the last line is where the screen ends.
    top.until("\x1b[J");
    top.forget();
    top.until("\x1b[J");
    let picture = top.shown();
    let longest = picture
        .split(['\r', '\n'])
        .map(without_colours)
        .map(|line| line.chars().count())
        .max();
    assert!(longest <= Some(40), "{longest:?}: {picture:?}");
    top.press("q");
    top.until(LEFT);
    assert_eq!(top.end(), Some(0));
}

fn without_colours(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line.chars();
    while let Some(character) = rest.next() {
        if character == '\x1b' {
            let _ = rest.by_ref().find(|c| c.is_ascii_alphabetic());
        } else {
            text.push(character);
        }
    }
    text
}

// Catches a terminal that is left without echo by any way out.
#[test]
fn the_terminal_is_as_it_was_however_it_ends() {
    let place = Place::new("");
    let _gateway = busy(&place);
    for how in ["key", "signal"] {
        let mut top = OnTerminal::start(&place, &["top"]);
        top.until("measuring");
        match how {
            "key" => top.press("\x03"),
            _ => kill(top.pid(), Signal::SIGTERM).expect("it runs"),
        }
        assert_eq!(top.end(), Some(0), "{how}");
        assert!(top.shown().contains(LEFT), "{how}: {:?}", top.shown());
    }
}

// Catches a password that is shown while it is typed, two that differ, and an interrupt that does something.
#[test]
fn secrets_are_typed_unseen() {
    let place = Place::new("");
    let control = FakeControl::start(&place, |_| Answered::nothing());
    let arguments = ["user", "passwd", "ada"];
    let mut asked = OnTerminal::start(&place, &arguments);
    asked.until("Password: ");
    asked.press("correct hx\x7forse\r");
    asked.until("Password again: ");
    asked.press("correct horse\r");
    assert_eq!(asked.end(), Some(0), "{:?}", asked.shown());
    assert_eq!(control.last("PUT").json(), json!({ "new": "correct horse" }));
    assert!(!asked.shown().contains("horse"), "{:?}", asked.shown());

    let mut differing = OnTerminal::start(&place, &arguments);
    differing.until("Password: ");
    differing.press("correct horse\r");
    differing.until("again: ");
    differing.press("correct house\r");
    assert_eq!(differing.end(), Some(1));
    differing.until("the second is not the first");

    let mut given_up = OnTerminal::start(&place, &arguments);
    given_up.until("Password: ");
    given_up.press("corr\x03");
    assert_eq!(given_up.end(), Some(130));
    assert_eq!(control.lines().len(), 1);
}
