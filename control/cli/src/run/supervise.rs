//! Both processes until they end: introduced once they answer, told to stop when this program is, control first.

use super::child::{Child, end};
use super::control::{Keeper, News, Plan, STOP_WAIT};
use crate::error::{Failure, Outcome};
use crate::ipc;
use crate::term::complain;
use nix::sys::signal::Signal;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use weir_abi::status::Status;

/// The data plane's program.
pub const DATA_PLANE: &str = "weir-dataplane";

/// How long the data plane may take until it answers; it resolves names and makes devices first.
const START_WAIT: Duration = Duration::from_secs(30);

/// Between two questions to a child that is starting.
const PAUSE: Duration = Duration::from_millis(50);

/// What is said once each of them answers.
pub trait Introduce {
    /// The data plane answers for the first time.
    fn data_plane(&mut self, status: &Status) -> Outcome<()>;
    /// The control process answers for the first time.
    fn control(&mut self, plan: &Plan) -> Outcome<()>;
}

/// A data plane, and beside it a control process where one is wanted.
pub struct Gateway {
    data_plane: Child,
    signals: mpsc::Receiver<i32>,
    /// Started once the data plane answers.
    planned: Option<Plan>,
    control: Option<Keeper>,
    stopping: Option<Stopping>,
}

/// Control is being waited for, after which the data plane gets the signal.
struct Stopping {
    deadline: Instant,
    signal: Signal,
}

impl Gateway {
    /// Starts the data plane.
    pub fn start(data_plane: Command, control: Option<Plan>) -> Outcome<Self> {
        // Caught before the child exists, so that none is lost in between. Caught and not blocked, for a child inherits
        // what is blocked and begins anew with what is caught.
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
        Ok(Self {
            data_plane: Child::start(DATA_PLANE, data_plane)?,
            signals,
            planned: control,
            control: None,
            stopping: None,
        })
    }

    /// Introduces each when it first answers, keeps control running, hands signals on, and returns the data plane's exit
    /// code when it has ended.
    pub fn wait(mut self, interface: &str, directory: &Path, introduce: &mut impl Introduce) -> Outcome {
        let ended = self.serve(interface, directory, introduce);
        if let Some(control) = &mut self.control {
            control.stop(STOP_WAIT);
        }
        match ended {
            Ok(status) => code(status),
            Err(failure) => {
                self.data_plane.stop(START_WAIT);
                Err(failure)
            }
        }
    }

    fn serve(
        &mut self,
        interface: &str,
        directory: &Path,
        introduce: &mut impl Introduce,
    ) -> Outcome<ExitStatus> {
        let deadline = Instant::now() + START_WAIT;
        let (mut started, mut introduced) = (false, false);
        loop {
            let changing = self.control.as_ref().is_some_and(Keeper::is_changing);
            // Once all is introduced there is nothing to do until a signal comes; a child's end is one too.
            let wait = if started && !changing && self.stopping.is_none() {
                Duration::MAX
            } else {
                PAUSE
            };
            match self.signals.recv_timeout(wait) {
                Ok(signal) => self.pass_on(signal)?,
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => thread::sleep(PAUSE),
            }
            if let Some(status) = self.data_plane.ended()? {
                return Ok(status);
            }
            if self.stopping.is_some() {
                self.go_on_stopping()?;
                continue;
            }
            if !started {
                started = self.data_plane_answers(interface, directory, deadline, introduce)?;
            }
            if let Some(control) = &mut self.control
                && control.look()? == News::Ready
                && !std::mem::replace(&mut introduced, true)
                && let Err(failure) = introduce.control(control.plan())
            {
                complain(&failure.to_string());
            }
        }
    }

    /// Asks the data plane; once it answers, control is started.
    fn data_plane_answers(
        &mut self,
        interface: &str,
        directory: &Path,
        deadline: Instant,
        introduce: &mut impl Introduce,
    ) -> Outcome<bool> {
        match ipc::status(directory, interface, false) {
            Ok(status) if status.pid == self.data_plane.id() => {
                introduce.data_plane(&status)?;
                self.control = self.planned.take().map(Keeper::start).transpose()?;
                Ok(true)
            }
            Ok(_) | Err(_) if Instant::now() > deadline => Err(Failure::Said(format!(
                "{DATA_PLANE} does not answer after {} s",
                START_WAIT.as_secs()
            ))),
            Ok(_) | Err(_) => Ok(false),
        }
    }

    /// A terminal that closes ends the gateway as Ctrl-C does. Control ends first, while the data plane still tells it
    /// what it counted; a second signal waits for nobody.
    fn pass_on(&mut self, signal: i32) -> Outcome<()> {
        let signal = match signal {
            SIGCHLD => return Ok(()),
            SIGINT => Signal::SIGINT,
            _ => Signal::SIGTERM,
        };
        let again = self.stopping.is_some();
        if !again && self.control.as_mut().is_some_and(Keeper::begin_to_stop) {
            self.stopping = Some(Stopping {
                deadline: Instant::now() + STOP_WAIT,
                signal,
            });
            return Ok(());
        }
        self.stopping = Some(Stopping {
            deadline: Instant::now(),
            signal,
        });
        self.go_on_stopping()
    }

    /// Hands the signal to the data plane once control has ended, or its time is over.
    fn go_on_stopping(&mut self) -> Outcome<()> {
        let Some(stopping) = &self.stopping else {
            return Ok(());
        };
        if let Some(control) = &mut self.control {
            if !control.is_over()? {
                if Instant::now() < stopping.deadline {
                    return Ok(());
                }
                complain("weir-control did not end in time, and was killed");
            }
            control.stop(Duration::ZERO);
        }
        let signal = stopping.signal;
        self.control = None;
        self.planned = None;
        self.data_plane.signal(signal)?;
        // The data plane takes the time that it needs; another signal is handed on at once.
        self.stopping = None;
        Ok(())
    }
}

/// The data plane's own code, which it has explained itself; of a signal nobody else would say anything.
fn code(status: ExitStatus) -> Outcome {
    let Some(code) = status.code() else {
        return Err(Failure::Said(format!(
            "{DATA_PLANE} {}; start again to have its interface and peers back",
            end(status)
        )));
    };
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}
