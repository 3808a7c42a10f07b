//! A process that this program started: told to stop, asked whether it has ended, never outlived.

use crate::error::{Failure, Outcome};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child as Process, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

/// Between two looks at a process that should end.
const PAUSE: Duration = Duration::from_millis(20);

/// The program: as given, beside this one, or in PATH.
pub fn program(name: &str, given: Option<&Path>, otherwise: &str) -> Outcome<PathBuf> {
    if let Some(path) = given {
        return Ok(path.to_owned());
    }
    let beside = std::env::current_exe()
        .ok()
        .and_then(|own| Some(own.parent()?.join(name)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates = beside
        .into_iter()
        .chain(std::env::split_paths(&path).map(|folder| folder.join(name)));
    candidates.find(|c| c.is_file()).ok_or_else(|| {
        Failure::Said(format!(
            "{name}: not found beside this program nor in PATH; build it with `make build`{otherwise}"
        ))
    })
}

/// A process that was started.
pub struct Child {
    name: &'static str,
    process: Process,
}

impl Child {
    /// Starts it in a process group of its own, so that a Ctrl-C reaches it once and through here.
    pub fn start(name: &'static str, mut command: Command) -> Outcome<Self> {
        let process = command.process_group(0).spawn();
        let process = process.map_err(Failure::file(
            Path::new(command.get_program()),
            "cannot be started",
        ))?;
        Ok(Self { name, process })
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sends it a signal, unless it has ended. It is ours, and until it was waited for its number is its own.
    pub fn signal(&mut self, signal: Signal) -> Outcome<()> {
        if self.ended()?.is_some() {
            return Ok(());
        }
        let pid = Pid::from_raw(i32::try_from(self.id()).expect("Linux's process numbers fit"));
        kill(pid, signal).map_err(|error| Failure::Said(format!("{} cannot be stopped: {error}", self.name)))
    }

    /// How it ended, where it has.
    pub fn ended(&mut self) -> Outcome<Option<ExitStatus>> {
        let ended = self.process.try_wait();
        ended.map_err(|error| Failure::Said(format!("{} cannot be waited for: {error}", self.name)))
    }

    /// Tells it to stop, and ends it where it does not within `patience`.
    pub fn stop(&mut self, patience: Duration) {
        // One that has ended needs nothing of this.
        let _ = self.signal(Signal::SIGTERM);
        let deadline = Instant::now() + patience;
        while matches!(self.process.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = self.process.kill();
                let _ = self.process.wait();
                return;
            }
            thread::sleep(PAUSE);
        }
    }
}

/// `ended with exit code 3`, `was ended by SIGKILL`.
pub fn end(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => {
            let name =
                Signal::try_from(signal).map_or_else(|_| signal.to_string(), |signal| signal.to_string());
            format!("was ended by {name}")
        }
        (None, None) => "ended".to_owned(),
    }
}
