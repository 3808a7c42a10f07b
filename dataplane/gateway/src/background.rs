//! Going to the background, and the environment variables that wireguard-go knows, for use in its place.
#![allow(unsafe_code, reason = "fork(2) and inherited descriptors have no safe form")]

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::wait::waitpid;
use nix::unistd::{self, ForkResult, chdir, fork, setsid};
use std::fs::OpenOptions;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::process;
use tracing::level_filters::LevelFilter;

/// What the environment asks for, as wireguard-go understands it.
#[derive(Debug, Default)]
pub struct Environment {
    /// `WG_PROCESS_FOREGROUND=1`: stay in the foreground.
    pub foreground: bool,
    /// `LOG_LEVEL`: `verbose` or `debug`, `error`, `silent`; `None` where it says nothing.
    pub log_level: Option<LevelFilter>,
    /// `WG_TUN_FD`: a TUN device opened by the caller.
    pub tun: Option<OwnedFd>,
    /// `WG_UAPI_FD`: a listening socket opened by the caller.
    pub uapi: Option<OwnedFd>,
}

/// What is wrong in the environment.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable}=\"{value}\": expected {expected}")]
pub struct EnvironmentError {
    /// The variable.
    pub variable: &'static str,
    /// Its value.
    pub value: String,
    /// What was expected.
    pub expected: &'static str,
}

impl Environment {
    /// Reads this process's environment, and takes over the descriptors that it names. To be called once.
    pub fn read() -> Result<Self, EnvironmentError> {
        Self::from(&|variable| std::env::var(variable).ok())
    }

    fn from(lookup: &dyn Fn(&'static str) -> Option<String>) -> Result<Self, EnvironmentError> {
        Ok(Self {
            foreground: lookup("WG_PROCESS_FOREGROUND").as_deref() == Some("1"),
            log_level: log_level(lookup("LOG_LEVEL"))?,
            tun: descriptor("WG_TUN_FD", lookup)?,
            uapi: descriptor("WG_UAPI_FD", lookup)?,
        })
    }

    /// Whether a process in the background keeps writing to where it was started: only where a log was asked for, for
    /// a caller that reads its output waits for its end.
    pub fn keeps_output(&self) -> bool {
        self.log_level.is_some_and(|level| level != LevelFilter::OFF)
    }
}

fn log_level(value: Option<String>) -> Result<Option<LevelFilter>, EnvironmentError> {
    let Some(value) = value.filter(|v| !v.is_empty()) else {
        return Ok(None);
    };
    match value.as_str() {
        "verbose" | "debug" => Ok(Some(LevelFilter::DEBUG)),
        "error" => Ok(Some(LevelFilter::ERROR)),
        "silent" => Ok(Some(LevelFilter::OFF)),
        _ => Err(EnvironmentError {
            variable: "LOG_LEVEL",
            value,
            expected: "verbose, debug, error or silent",
        }),
    }
}

fn descriptor(
    variable: &'static str,
    lookup: &dyn Fn(&'static str) -> Option<String>,
) -> Result<Option<OwnedFd>, EnvironmentError> {
    let Some(value) = lookup(variable).filter(|v| !v.is_empty()) else {
        return Ok(None);
    };
    // 0 to 2 are the standard streams, which are never handed over.
    let raw = value.parse::<RawFd>().ok().filter(|raw| *raw > 2);
    let open = raw.filter(|raw| {
        // SAFETY: it is only asked whether it is open, and not kept.
        let asked = unsafe { BorrowedFd::borrow_raw(*raw) };
        fcntl(asked, FcntlArg::F_GETFD).is_ok()
    });
    let Some(raw) = open else {
        return Err(EnvironmentError {
            variable,
            value,
            expected: "the number of an open descriptor above 2",
        });
    };
    // SAFETY: the caller of this program hands the descriptor over by naming it, it is open, and nothing else in this
    // process has it, for the environment is read once, before anything is opened.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(raw) }))
}

/// The process in the background, whose starter still waits to hear how it went.
#[derive(Debug)]
pub struct Detached {
    starter: PipeWriter,
    keeps_output: bool,
}

/// Goes to the background (daemon(7)). It returns in the new process; the one that was started stays until
/// [`Detached::ready`] or [`Detached::failed`], and ends with 0 or the code of the failure. To be called while the
/// process has a single thread: before logs, sockets and devices are set up.
pub fn detach(keeps_output: bool) -> io::Result<Detached> {
    if threads()? != 1 {
        return Err(io::Error::other(
            "going to the background while other threads run, which it would lose",
        ));
    }
    let (outcome, starter) = io::pipe()?;
    // SAFETY: there is a single thread, so no lock is held by another that the child would wait for.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => {
            drop(starter);
            // The first child ends at once; what counts is what the second one says.
            let _ = waitpid(child, None);
            process::exit(wait_for(outcome));
        }
        ForkResult::Child => drop(outcome),
    }
    setsid()?;
    // SAFETY: as above. The second child leads no session, so no terminal can become its own.
    match unsafe { fork() }? {
        ForkResult::Parent { .. } => process::exit(0),
        ForkResult::Child => Ok(Detached {
            starter,
            keeps_output,
        }),
    }
}

impl Detached {
    /// All is set up: the starter ends with 0, and this process lets go of its terminal and directory.
    pub fn ready(mut self) -> io::Result<()> {
        chdir("/")?;
        let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
        unistd::dup2_stdin(null.as_fd())?;
        if !self.keeps_output {
            unistd::dup2_stdout(null.as_fd())?;
            unistd::dup2_stderr(null.as_fd())?;
        }
        // The starter may have been killed meanwhile, which is no reason to stop.
        let _ = self.starter.write_all(&[0]);
        Ok(())
    }

    /// It came to nothing: the starter prints the message and ends with the code, which is not 0, and so does this
    /// process, silently.
    pub fn failed(mut self, message: &str, code: u8) -> ! {
        let code = code.max(1);
        // The starter may have been killed meanwhile; then nobody waits for the message.
        let _ = self
            .starter
            .write_all(&[code])
            .and_then(|()| self.starter.write_all(message.as_bytes()));
        drop(self.starter);
        process::exit(i32::from(code));
    }
}

fn threads() -> io::Result<usize> {
    Ok(std::fs::read_dir("/proc/self/task")?.count())
}

/// Waits for the word of the process in the background, and gives the code to end with.
fn wait_for(mut outcome: PipeReader) -> i32 {
    let mut word = Vec::new();
    // Up to the end: once it is ready, the other side closes.
    if let Err(error) = outcome.read_to_end(&mut word) {
        eprintln!("waiting for the process in the background: {error}");
        return 1;
    }
    match word.split_first() {
        Some((0, _)) => 0,
        Some((code, message)) => {
            eprintln!("{}", String::from_utf8_lossy(message));
            i32::from(*code)
        }
        None => {
            eprintln!("the process in the background ended before it was ready");
            1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::{AsRawFd, IntoRawFd};

    fn read(variables: &[(&str, &str)]) -> Result<Environment, EnvironmentError> {
        Environment::from(&|name| {
            let found = variables.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    // Catches a variable that is not honoured, or one that is believed without being good.
    #[test]
    fn the_environment_is_understood() {
        let none = read(&[]).expect("nothing is good");
        assert!(!none.foreground && !none.keeps_output() && none.tun.is_none() && none.uapi.is_none());
        let (reader, _writer) = io::pipe().expect("a pipe");
        let number = OwnedFd::from(reader).into_raw_fd();
        let all = read(&[
            ("WG_PROCESS_FOREGROUND", "1"),
            ("LOG_LEVEL", "verbose"),
            ("WG_TUN_FD", &number.to_string()),
        ])
        .expect("all good");
        assert!(all.foreground && all.keeps_output());
        assert_eq!(all.log_level, Some(LevelFilter::DEBUG));
        assert_eq!(all.tun.expect("taken over").as_raw_fd(), number);
        assert!(!read(&[("LOG_LEVEL", "silent")]).expect("good").keeps_output());
        for (variable, value) in [
            ("LOG_LEVEL", "loud"),
            ("WG_TUN_FD", "x"),
            ("WG_TUN_FD", "1"),
            ("WG_UAPI_FD", "-1"),
            ("WG_UAPI_FD", "99999"),
        ] {
            let error = read(&[(variable, value)]).expect_err(value).to_string();
            assert!(error.contains(variable) && error.contains(value), "{error}");
        }
    }

    // Catches a starter that ends well although nothing runs.
    #[test]
    fn the_starter_ends_as_it_is_told() {
        for (word, code) in [(&b""[..], 1), (&[0], 0), (b"\x03no device", 3)] {
            let (reader, mut writer) = io::pipe().expect("a pipe");
            writer.write_all(word).expect("room");
            drop(writer);
            assert_eq!(wait_for(reader), code);
        }
    }

    // Catches a fork in a process whose other threads may hold locks.
    #[test]
    fn other_threads_forbid_it() {
        let (release, held) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || held.recv());
        let error = detach(false).expect_err("there is another thread");
        assert!(error.to_string().contains("threads"), "{error}");
        drop(release);
        let _ = other.join();
    }
}
