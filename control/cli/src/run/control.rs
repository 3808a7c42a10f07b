//! The control process as a child: without privileges, started again when it ends, never waited for by the data plane.

use super::account::Account;
use super::child::{Child, end};
use crate::control::{self, Control};
use crate::error::Outcome;
use crate::term::complain;
use nix::sys::signal::Signal;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The control process's program.
pub const PROGRAM: &str = "weir-control";

/// Until one that was ready is started again, and the first pause after one that was not.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// The longest pause: a store that cannot be opened is told about this often.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How long it may take to write down what it has when it is told to stop.
pub const STOP_WAIT: Duration = Duration::from_secs(5);

/// What the control process is started with.
pub struct Plan {
    /// The program.
    pub program: PathBuf,
    /// Whom it runs as.
    pub account: Account,
    /// The interface.
    pub interface: String,
    /// The data plane's socket.
    pub dataplane: PathBuf,
    /// The folder of the API's socket.
    pub sockets: PathBuf,
    /// The folder of the store.
    pub store: PathBuf,
    /// Where the page is served.
    pub listen: SocketAddr,
    /// The address that clients use, where it was only guessed and the configuration does not say it.
    pub endpoint: Option<String>,
    /// More options.
    pub options: Vec<OsString>,
}

impl Plan {
    /// Where the control process writes the password of the first administrator, until it was changed.
    pub fn first_password_file(&self) -> PathBuf {
        self.store.join("first-password")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--interface").arg(&self.interface);
        command.arg("--dataplane").arg(&self.dataplane);
        command.arg("--socket").arg(control::socket(&self.sockets));
        command.arg("--store").arg(&self.store);
        command.arg("--listen").arg(self.listen.to_string());
        command
            .arg("--first-password-file")
            .arg(self.first_password_file());
        if let Some(endpoint) = &self.endpoint {
            command.arg("--endpoint").arg(endpoint);
        }
        command.args(&self.options);
        // Setting the user as root clears the supplementary groups too (CommandExt::uid).
        command
            .gid(self.account.gid.as_raw())
            .uid(self.account.uid.as_raw());
        command.current_dir("/").stdin(Stdio::null()).env_clear();
        // What a person set for the whole gateway; all else of root's environment is none of its business.
        let wanted = ["PATH", "LOG_LEVEL", "RUST_BACKTRACE", "NO_COLOR", "TZ", "LANG"];
        command.envs(
            wanted
                .iter()
                .filter_map(|name| Some((*name, std::env::var_os(name)?))),
        );
        command
    }
}

/// Where it stands.
enum State {
    /// Started; it has not answered yet.
    Starting(Child),
    /// It answered that it is ready.
    Ready(Child),
    /// It ended, and is to be started again then.
    Waiting(Instant),
    /// It is not to be started again.
    Over,
}

/// The control process, kept running.
pub struct Keeper {
    plan: Plan,
    api: Control,
    state: State,
    pause: Duration,
}

/// What is new.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum News {
    /// Nothing.
    None,
    /// It answers.
    Ready,
}

impl Keeper {
    /// Starts it.
    pub fn start(plan: Plan) -> Outcome<Self> {
        let child = Child::start(PROGRAM, plan.command())?;
        Ok(Self {
            api: Control::at(&plan.sockets),
            plan,
            state: State::Starting(child),
            pause: FIRST_PAUSE,
        })
    }

    /// What it was started with.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether there is something to look at before the next signal comes.
    pub fn is_changing(&self) -> bool {
        match self.state {
            State::Starting(_) | State::Waiting(_) => true,
            State::Ready(_) | State::Over => false,
        }
    }

    /// Looks at it: says when it has ended, and starts it again when its time has come.
    pub fn look(&mut self) -> Outcome<News> {
        match &mut self.state {
            State::Over => return Ok(News::None),
            State::Waiting(until) => {
                if Instant::now() < *until {
                    return Ok(News::None);
                }
                self.state = match Child::start(PROGRAM, self.plan.command()) {
                    Ok(child) => State::Starting(child),
                    Err(failure) => {
                        complain(&failure.to_string());
                        State::Waiting(Instant::now() + self.lengthened())
                    }
                };
                return Ok(News::None);
            }
            State::Starting(child) | State::Ready(child) => {
                if let Some(status) = child.ended()? {
                    self.ended(&end(status));
                    return Ok(News::None);
                }
            }
        }
        if matches!(self.state, State::Starting(_)) && self.api.ready().is_ok() {
            self.pause = FIRST_PAUSE;
            if let State::Starting(child) = std::mem::replace(&mut self.state, State::Over) {
                self.state = State::Ready(child);
            }
            return Ok(News::Ready);
        }
        Ok(News::None)
    }

    fn ended(&mut self, how: &str) {
        let pause = self.lengthened();
        complain(&format!(
            "{PROGRAM} {how}; the data plane goes on, and it is started again in {} ms",
            pause.as_millis()
        ));
        self.state = State::Waiting(Instant::now() + pause);
    }

    /// The pause that is due, and twice as much for the next; an answer makes it short again.
    fn lengthened(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        pause
    }

    /// Tells it to stop, and not to be started again. `true` where there is something to wait for.
    pub fn begin_to_stop(&mut self) -> bool {
        match &mut self.state {
            State::Starting(child) | State::Ready(child) => child.signal(Signal::SIGTERM).is_ok(),
            State::Waiting(_) | State::Over => {
                self.state = State::Over;
                false
            }
        }
    }

    /// Whether it has ended.
    pub fn is_over(&mut self) -> Outcome<bool> {
        match &mut self.state {
            State::Starting(child) | State::Ready(child) => Ok(child.ended()?.is_some()),
            State::Waiting(_) | State::Over => Ok(true),
        }
    }

    /// Ends it, by force where it does not end within `patience`.
    pub fn stop(&mut self, patience: Duration) {
        if let State::Starting(mut child) | State::Ready(mut child) =
            std::mem::replace(&mut self.state, State::Over)
        {
            child.stop(patience);
        }
    }
}
