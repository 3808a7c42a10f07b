//! A program running in a namespace, with its output in a file.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{LabError, Namespace, Result, wait};

/// How much of a log is shown when a test fails, in lines.
const SHOWN_LINES: usize = 40;

/// A running program. Dropping it kills it; when that happens in a panic, the end of its log is printed.
#[derive(Debug)]
pub struct Process {
    label: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    pub(crate) fn start(
        namespace: &Namespace,
        label: &str,
        command: &mut Command,
        log: PathBuf,
    ) -> Result<Self> {
        let create = || -> std::io::Result<_> {
            let file = File::create(&log)?;
            Ok((file.try_clone()?, file))
        };
        let (output, error) = create().map_err(LabError::io(format!("create {}", log.display())))?;
        let child = namespace.spawn(command.stdin(Stdio::null()).stdout(output).stderr(error))?;
        Ok(Self {
            label: label.to_owned(),
            child,
            log,
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The file its output goes to.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// What it has printed so far.
    pub fn log(&self) -> String {
        fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child
            .try_wait()
            .map_err(LabError::io(format!("wait for {}", self.label)))
    }

    /// Sends a signal, unless it has ended.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.ended()?.is_some() {
            return Ok(());
        }
        let pid = i32::try_from(self.child.id()).expect("Linux's process ids are below 2^22");
        kill(Pid::from_raw(pid), signal)
            .map_err(|errno| LabError::io(format!("signal {}", self.label))(errno.into()))
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("the end of {}", self.label);
        wait::until(&what, limit, || self.child.try_wait().transpose())?
            .map_err(LabError::io(format!("wait for {}", self.label)))
    }

    /// Kills it at once, as `kill -9` does, and waits until it is gone.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        let doing = format!("kill {}", self.label);
        self.child
            .kill()
            .and_then(|()| self.child.wait())
            .map_err(LabError::io(doing))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; there is nobody to report to.
        let _ = self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let shown = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
            eprintln!("--- end of the log of {} ---\n{shown}\n---", self.label);
        }
    }
}
