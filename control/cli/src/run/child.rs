//! The data plane as a child: started, introduced once it answers, told to stop when this program is.

use crate::error::{Failure, Outcome};
use crate::ipc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use weir_abi::status::Status;

/// The data plane's program.
const PROGRAM: &str = "weir-dataplane";

/// How long the data plane may take until it answers; it resolves names and makes devices first.
const START_WAIT: Duration = Duration::from_secs(30);

/// Between two questions to a child that is starting.
const PAUSE: Duration = Duration::from_millis(50);

/// A data plane that was started.
pub struct DataPlane {
    child: Child,
    signals: mpsc::Receiver<i32>,
}

/// The program: as given, beside this one, or in PATH.
pub fn program(given: Option<&Path>) -> Outcome<PathBuf> {
    if let Some(path) = given {
        return Ok(path.to_owned());
    }
    let beside = std::env::current_exe()
        .ok()
        .and_then(|own| Some(own.parent()?.join(PROGRAM)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let candidates = beside
        .into_iter()
        .chain(std::env::split_paths(&path).map(|folder| folder.join(PROGRAM)));
    let expected =
        format!("{PROGRAM}: not found beside this program nor in PATH; build it with `make build`");
    candidates
        .into_iter()
        .find(|c| c.is_file())
        .ok_or(Failure::Said(expected))
}

/// Starts the data plane in a process group of its own, so that a Ctrl-C reaches it once and through here.
pub fn start(program: &Path, config: &Path) -> Outcome<DataPlane> {
    // Caught before the child exists, so that none is lost in between. Caught and not blocked, for a child inherits what
    // is blocked and begins anew with what is caught.
    let mut caught = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCHLD])
        .map_err(|error| Failure::Said(format!("signals cannot be caught: {error}")))?;
    let (sender, signals) = mpsc::channel();
    thread::spawn(move || {
        for signal in caught.forever() {
            if sender.send(signal).is_err() {
                break;
            }
        }
    });
    let mut command = Command::new(program);
    command.arg("--config").arg(config).process_group(0);
    let child = command
        .spawn()
        .map_err(Failure::file(program, "cannot be started"))?;
    Ok(DataPlane { child, signals })
}

impl DataPlane {
    /// Calls `started` when the data plane first answers, hands signals on, and returns the data plane's exit code when
    /// it has ended.
    pub fn wait(
        mut self,
        interface: &str,
        directory: &Path,
        started: impl FnOnce(&Status) -> Outcome<()>,
    ) -> Outcome {
        let deadline = Instant::now() + START_WAIT;
        let mut started = Some(started);
        loop {
            // Once introduced there is nothing to do until a signal comes; the child's end is one too.
            let wait = if started.is_some() { PAUSE } else { Duration::MAX };
            match self.signals.recv_timeout(wait) {
                Ok(signal) => self.pass_on(signal)?,
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => thread::sleep(PAUSE),
            }
            if let Some(status) = self.ended()? {
                return code(status);
            }
            if started.is_none() {
                continue;
            }
            match ipc::status(directory, interface, false) {
                Ok(status) if status.pid == self.child.id() => {
                    if let Some(introduce) = started.take()
                        && let Err(failure) = introduce(&status)
                    {
                        return Err(self.give_up(failure));
                    }
                }
                Ok(_) | Err(_) if Instant::now() > deadline => {
                    let words = format!("{PROGRAM} does not answer after {} s", START_WAIT.as_secs());
                    return Err(self.give_up(Failure::Said(words)));
                }
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// A terminal that closes ends the data plane as Ctrl-C does.
    fn pass_on(&self, signal: i32) -> Outcome<()> {
        let signal = match signal {
            SIGCHLD => return Ok(()),
            SIGINT => Signal::SIGINT,
            _ => Signal::SIGTERM,
        };
        kill(self.pid(), signal)
            .map_err(|error| Failure::Said(format!("{PROGRAM} cannot be stopped: {error}")))
    }

    fn give_up(&mut self, failure: Failure) -> Failure {
        // The child is ours and was not waited for, so its number is still its own.
        let _ = kill(self.pid(), Signal::SIGTERM);
        let _ = self.child.wait();
        failure
    }

    fn ended(&mut self) -> Outcome<Option<ExitStatus>> {
        self.child
            .try_wait()
            .map_err(|error| Failure::Said(format!("{PROGRAM} cannot be waited for: {error}")))
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("Linux's process numbers fit"))
    }
}

/// The child's own code, which it has explained itself; of a signal nobody else would say anything.
fn code(status: ExitStatus) -> Outcome {
    if let Some(signal) = status.signal() {
        let name = Signal::try_from(signal).map_or_else(|_| signal.to_string(), |signal| signal.to_string());
        return Err(Failure::Said(format!(
            "{PROGRAM} was ended by {name}; start again to have its interface and peers back"
        )));
    }
    Ok(ExitCode::from(
        status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .unwrap_or(1),
    ))
}
