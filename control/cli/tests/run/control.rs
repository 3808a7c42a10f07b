//! The control process beside the data plane: as whom it runs, what it finds, how it comes back and how all of it ends.

use super::common::control::{Answered, FakeControl};
use super::common::*;
use super::{ENDED, free_port};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Pid, Uid, User, getegid, geteuid, getgroups};
use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// An unprivileged user that every Debian has.
const USER: &str = "nobody";

/// Where both played processes write down what happens to them, in the place's folder.
const NOTES: &str = "notes";

/// Asks the played control process to ignore that it is told to stop.
const STUBBORN: &str = "--stubborn";

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Writes a line into the place's notes, where there are any. `path` lies one folder below the place.
pub fn note(path: &Path, line: &str) {
    let place = path.parent().and_then(Path::parent).unwrap_or(Path::new("."));
    if let Ok(mut notes) = OpenOptions::new().append(true).open(place.join(NOTES)) {
        writeln!(notes, "{line}").expect("the notes can be written");
    }
}

/// Plays the control process.
pub fn play(args: &[String]) -> ExitCode {
    let option = |name: &str| {
        let mut pairs = args.windows(2);
        let value = pairs
            .find(|pair| pair[0] == name)
            .map(|pair| PathBuf::from(&pair[1]));
        value.unwrap_or_else(|| panic!("{name} is missing among {args:?}"))
    };
    let (store, socket) = (option("--store"), option("--socket"));
    let mut wanted = SigSet::empty();
    wanted.add(Signal::SIGTERM);
    wanted.thread_block().expect("signals can be blocked");
    let groups = getgroups().expect("the groups are read");
    let environment: Vec<String> = std::env::vars().map(|(name, _)| name).collect();
    let id = format!("{} {} {groups:?} {environment:?}", geteuid(), getegid());
    fs::write(option("--first-password-file"), "s3cret\n").expect("the store is ours");
    assert!(option("--dataplane").is_absolute(), "{args:?}");
    // A killed one has left it behind.
    let _ = fs::remove_file(&socket);
    let _control = FakeControl::start_at(&socket, |_| Answered::text("{}"));
    note(&store, &format!("control {} as {id}", std::process::id()));
    wanted.wait().expect("a signal comes");
    note(&store, "control told to stop");
    if args.iter().any(|arg| arg == STUBBORN) {
        loop {
            std::thread::sleep(PATIENCE);
        }
    }
    ExitCode::SUCCESS
}

/// All cases, one after the other. Only root may start a process as another user.
pub fn cases() {
    if !geteuid().is_root() {
        println!("run: not root, so that no control process can be started as another user");
        return;
    }
    both_run_and_end_in_order();
    control_comes_back_and_the_data_plane_goes_on();
    the_data_plane_s_end_ends_control();
    one_that_does_not_end_is_killed();
    one_that_fails_at_once_is_told_of();
    what_is_missing_is_said_before_anything_is_written();
}

/// A place that the other user can reach, with its own copy of this program.
fn place() -> Place {
    let place = Place::new("");
    chmod(place.folder.path(), 0o755);
    fs::copy(
        std::env::current_exe().expect("this program"),
        place.path("player"),
    )
    .expect("it is copied");
    chmod(&place.path("player"), 0o755);
    fs::write(place.path(NOTES), "").expect("the notes are made");
    chmod(&place.path(NOTES), 0o666);
    place
}

fn command(place: &Place, more: &[&str]) -> Command {
    let player = place.path("player");
    let player = player.to_str().expect("UTF-8");
    let mut command = place.command(&["run", "--config", "etc/weir.toml", "--interface", "weirtest0"]);
    command.args(["--endpoint", "192.0.2.7", "--port", &free_port(), "--qr", "never"]);
    command.args(["--dataplane", player, "--control", player, "--control-user", USER]);
    command.arg("--store").arg(place.path("lib/control"));
    command.arg("--run-directory").arg(place.path("etc")).args(more);
    command
        .env("WEIR_TEST_SECRET", "of root's")
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// A `weir run` that is ended with the value.
struct Running<'a> {
    place: &'a Place,
    child: Child,
    errors: BufReader<ChildStderr>,
    said: String,
}

impl<'a> Running<'a> {
    fn start(place: &'a Place, more: &[&str]) -> Self {
        let mut child = command(place, more).spawn().expect("weir starts");
        let errors = BufReader::new(child.stderr.take().expect("piped"));
        Self {
            place,
            child,
            errors,
            said: String::new(),
        }
    }

    /// Reads on until this is said.
    fn until_said(&mut self, what: &str) {
        while !self.said.contains(what) {
            let read = self.errors.read_line(&mut self.said).expect("it is readable");
            assert!(read > 0, "it ended: {}", self.said);
        }
    }

    fn notes(&self) -> String {
        fs::read_to_string(self.place.path(NOTES)).expect("they are there")
    }

    /// Waits until `count` lines of the notes begin so, and hands out the last of them.
    fn noted(&self, beginning: &str, count: usize) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let notes = self.notes();
            let lines: Vec<&str> = notes.lines().filter(|line| line.starts_with(beginning)).collect();
            if lines.len() >= count {
                return lines[count - 1].to_owned();
            }
            assert!(
                Instant::now() < deadline,
                "{beginning:?} not {count} times:\n{notes}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn pid_of(&self, beginning: &str, count: usize) -> Pid {
        let line = self.noted(beginning, count);
        let number = line[beginning.len()..]
            .split(' ')
            .next()
            .and_then(|word| word.parse().ok());
        Pid::from_raw(number.expect("the line names a process"))
    }

    fn interrupt(&self) {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGINT).expect("it runs");
    }

    /// The exit code, and all that was said.
    fn end(mut self) -> (Option<i32>, String) {
        self.errors.read_to_string(&mut self.said).expect("UTF-8");
        (
            self.child.wait().expect("it ends").code(),
            std::mem::take(&mut self.said),
        )
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.interrupt();
            let _ = self.child.wait();
        }
    }
}

fn gone(pid: Pid) -> bool {
    kill(pid, None).is_err()
}

/// Catches a control process with root's powers, groups or environment, folders that others can read or that follow the
/// umask, a page that nobody finds, and a data plane that ends before control has asked it for the last time.
fn both_run_and_end_in_order() {
    let place = place();
    let before = umask(Mode::from_bits_truncate(0o077));
    let mut running = Running::start(&place, &["--listen", "127.0.0.1:8999"]);
    umask(before);
    running.until_said("ssh -L");
    for part in [
        "web page: http://127.0.0.1:8999/\n",
        "first login: admin, password s3cret, which is to be changed then\n",
        "ssh -L 8999:127.0.0.1:8999 ",
        "another client: weir peer add NAME ",
    ] {
        assert!(running.said.contains(part), "{}\nlacks {part}", running.said);
    }
    let user = User::from_name(USER)
        .expect("users are read")
        .expect("it is there");
    let line = running.noted("control ", 1);
    let expected = format!(" as {} {} [] ", user.uid, user.gid);
    assert!(line.contains(&expected), "{line}\nlacks {expected}");
    assert!(!line.contains("WEIR_TEST_SECRET"), "{line}");
    for (path, wanted, owner) in [
        ("control", 0o750, user.uid),
        ("lib/control", 0o700, user.uid),
        ("lib", 0o711, Uid::from_raw(0)),
    ] {
        let path = place.path(path);
        let uid = fs::metadata(&path).expect("it was made").uid();
        assert_eq!((mode(&path), uid), (wanted, owner.as_raw()), "{}", path.display());
    }
    let pids = [running.pid_of("control ", 1), running.pid_of("data plane ", 1)];
    running.interrupt();
    let notes = place.path(NOTES);
    let (code, said) = running.end();
    assert_eq!(code, Some(i32::from(ENDED)), "{said}");
    assert!(pids.into_iter().all(gone), "{pids:?}");
    let notes = fs::read_to_string(notes).expect("they are there");
    let ends: Vec<&str> = notes
        .lines()
        .filter(|line| line.contains("told to stop"))
        .collect();
    assert_eq!(
        ends,
        ["control told to stop", "data plane told to stop"],
        "{notes}"
    );
}

/// Catches a data plane that is restarted, stopped or forgotten with its control process, and pauses that grow although
/// each control process was ready.
fn control_comes_back_and_the_data_plane_goes_on() {
    let place = place();
    let mut running = Running::start(&place, &[]);
    running.until_said("web page");
    let data_plane = running.pid_of("data plane ", 1);
    for round in 1..=5 {
        let control = running.pid_of("control ", round);
        kill(control, Signal::SIGKILL).expect("it runs");
        let next = running.pid_of("control ", round + 1);
        assert_ne!(control, next);
        assert!(!gone(data_plane), "round {round}");
        // Ready once more, so that the next pause is short again.
        let api = place.path("control/api.sock");
        let deadline = Instant::now() + PATIENCE;
        while std::os::unix::net::UnixStream::connect(&api).is_err() {
            assert!(Instant::now() < deadline, "round {round}: nobody listens");
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    running.interrupt();
    let (code, said) = running.end();
    assert_eq!(code, Some(i32::from(ENDED)), "{said}");
    let told = said
        .matches("weir-control was ended by SIGKILL; the data plane goes on")
        .count();
    assert_eq!(told, 5, "{said}");
    assert_eq!(
        said.matches("web page").count(),
        1,
        "it is introduced once:\n{said}"
    );
    assert!(said.matches("started again in 200 ms").count() >= 3, "{said}");
}

/// Catches a control process that is left behind, and started again, without a data plane.
fn the_data_plane_s_end_ends_control() {
    let place = place();
    let mut running = Running::start(&place, &[]);
    running.until_said("web page");
    let control = running.pid_of("control ", 1);
    kill(running.pid_of("data plane ", 1), Signal::SIGKILL).expect("it runs");
    let (code, said) = running.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("weir-dataplane was ended by SIGKILL"), "{said}");
    assert!(gone(control));
}

/// Catches a Ctrl-C that a control process can hold up for ever.
fn one_that_does_not_end_is_killed() {
    let place = place();
    let mut running = Running::start(&place, &["--", STUBBORN]);
    running.until_said("web page");
    let control = running.pid_of("control ", 1);
    running.interrupt();
    let (code, said) = running.end();
    assert_eq!(code, Some(i32::from(ENDED)), "{said}");
    assert!(
        said.contains("weir-control did not end in time, and was killed"),
        "{said}"
    );
    assert!(gone(control));
}

/// Catches a gateway that is taken down by a control process that cannot start, and one that is started in a busy loop.
fn one_that_fails_at_once_is_told_of() {
    let place = place();
    // The last option of a name would be refused twice, so that the program is what is exchanged.
    fs::write(place.path("failing"), "#!/bin/sh\nexit 3\n").expect("it is written");
    chmod(&place.path("failing"), 0o755);
    let own = place.path("player");
    let mut command = place.command(&["run", "--config", "etc/weir.toml", "--interface", "weirtest0"]);
    command.args([
        "--endpoint",
        "192.0.2.7",
        "--port",
        &free_port(),
        "--control-user",
        USER,
    ]);
    command
        .arg("--dataplane")
        .arg(own)
        .arg("--control")
        .arg(place.path("failing"));
    command.arg("--store").arg(place.path("lib/control"));
    command.arg("--run-directory").arg(place.path("etc"));
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("weir starts");
    let errors = BufReader::new(child.stderr.take().expect("piped"));
    let mut running = Running {
        place: &place,
        child,
        errors,
        said: String::new(),
    };
    running.until_said(
        "weir-control ended with exit code 3; the data plane goes on, and it is started again in 200 ms",
    );
    running.until_said("started again in 400 ms");
    running.until_said("started again in 800 ms");
    assert!(!gone(running.pid_of("data plane ", 1)));
    running.interrupt();
    let (code, said) = running.end();
    assert_eq!(code, Some(i32::from(ENDED)), "{said}");
}

fn what_is_missing_is_said_before_anything_is_written() {
    let place = place();
    let before = place.files();
    let output = |command: &mut Command| command.output().expect("weir starts");
    let run = [
        "run",
        "--config",
        "etc/weir.toml",
        "--interface",
        "weirtest0",
        "--port",
    ];
    let port = free_port();
    let with = |more: &[&str]| {
        let player = place.path("player");
        let player = player.to_str().expect("UTF-8");
        let given = ["--dataplane", player, "--control", player];
        output(&mut place.command(&[&run[..], &[port.as_str()], &given, more].concat()))
    };
    refused(
        &with(&["--control-user", "weirnosuch"]),
        &[
            "--control-user weirnosuch: no such user",
            "useradd --system",
            "--no-control",
        ],
    );
    refused(
        &with(&["--control-user", "root"]),
        &["--control-user root: has root's user or group"],
    );
    assert_eq!(
        with(&["--no-control", "--listen", "127.0.0.1:1"]).status.code(),
        Some(2)
    );
    {
        let _other = FakeControl::start(&place, |_| Answered::text("{}"));
        refused(
            &with(&["--control-user", USER]),
            &["control process: one answers at", "stop it first"],
        );
    }
    fs::remove_dir_all(place.path("control")).expect("it is removed");

    // A copy beside which there is nothing.
    fs::create_dir(place.path("bin")).expect("it is made");
    fs::copy(env!("CARGO_BIN_EXE_weir"), place.path("bin/weir")).expect("it is copied");
    let mut alone = Command::new(place.path("bin/weir"));
    alone
        .arg("--run-directory")
        .arg(place.path("etc"))
        .args(run)
        .arg(&port);
    alone
        .arg("--dataplane")
        .arg(place.path("player"))
        .env("PATH", "")
        .current_dir(place.folder.path());
    refused(
        &output(&mut alone),
        &[
            "weir-control: not found beside this program nor in PATH",
            "`make build`",
            "--no-control",
        ],
    );
    fs::remove_file(place.path("bin/weir")).expect("it is removed");
    assert_eq!(place.files(), before);
}
