//! `weir top`: a running data plane, live. It asks the data plane itself, so that it works while control does not.

mod picture;
mod rates;
mod screen;

use crate::args::TopArgs;
use crate::change::print_json;
use crate::control::Control;
use crate::control::records::Alert;
use crate::error::{Failure, Outcome};
use crate::ipc;
use crate::keys::print;
use crate::term::{self, printable};
use picture::Context;
use rates::Rates;
use screen::{Screen, Wake};
use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};
use weir_abi::status::Status;

/// Pictures whose throughput is remembered: as many as a wide screen has columns.
const HISTORY: usize = 512;

/// Peers that programs are told of.
const JSON_PEERS: usize = 50;

/// Between two questions for alerts.
const ALERT_PAUSE: Duration = Duration::from_secs(5);

/// The picture that is printed where there is no screen.
const ONE_SHOT: (u16, u16) = (120, 60);

/// Draws until somebody has seen enough; once where the output is no terminal.
pub fn run(options: &TopArgs, directory: &Path, control: &Control) -> Outcome {
    let interface = interface(options.interface.as_deref(), directory)?;
    let pause = Duration::from_secs(options.interval);
    let mut sampler = Sampler::new(directory, &interface)?;
    if options.once || options.json || !io::stdout().is_terminal() {
        thread::sleep(pause);
        let rates = sampler.sample()?;
        if options.json {
            print_json(&rates::json(&rates, JSON_PEERS))?;
        } else {
            let alerts = alerts(control);
            let context = Context {
                history: &[rates.rx_bps + rates.tx_bps],
                alerts: &alerts,
                hint: "",
            };
            let lines = picture::lines(&rates, &context, ONE_SHOT, term::colours());
            print(&format!("{}\n", lines.join("\n").trim_end()))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    live(&mut sampler, control, pause)
}

fn live(sampler: &mut Sampler, control: &Control, pause: Duration) -> Outcome {
    let colours = term::colours();
    let mut screen = Screen::enter()?;
    screen.draw(&[format!("{}: measuring …   q ends it", sampler.interface)])?;
    let (mut history, mut said, mut said_at) = (Vec::new(), Vec::new(), None::<Instant>);
    let mut last: Option<Rates> = None;
    let mut next = Instant::now() + pause;
    loop {
        let wake = screen.wait(next)?;
        let mut hint = "q ends it".to_owned();
        match wake {
            Wake::Quit => return Ok(ExitCode::SUCCESS),
            Wake::Redraw => {}
            Wake::Time => {
                next = Instant::now() + pause;
                match sampler.sample() {
                    Ok(rates) => {
                        if history.len() == HISTORY {
                            history.remove(0);
                        }
                        history.push(rates.rx_bps + rates.tx_bps);
                        last = Some(rates);
                    }
                    // It may be restarting; what is shown meanwhile is the last there was.
                    Err(failure) => hint = format!("{failure}; q ends it"),
                }
                if said_at.is_none_or(|at| at.elapsed() >= ALERT_PAUSE) {
                    said = alerts(control);
                    said_at = Some(Instant::now());
                }
            }
        }
        let context = Context {
            history: &history,
            alerts: &said,
            hint: &hint,
        };
        match &last {
            Some(rates) => screen.draw(&picture::lines(rates, &context, screen.size(), colours))?,
            None => screen.draw(&[printable(&hint).into_owned()])?,
        }
    }
}

/// What the control process says is wrong; nothing where none runs.
fn alerts(control: &Control) -> Vec<String> {
    let Ok(items) = control.items("/v1/alerts") else {
        return Vec::new();
    };
    let alerts: Vec<Alert> = Control::read_all(&items, "GET /v1/alerts").unwrap_or_default();
    alerts.into_iter().map(|alert| alert.summary).collect()
}

/// The interface that was named, or the only one that runs.
fn interface(given: Option<&str>, directory: &Path) -> Outcome<String> {
    if let Some(given) = given {
        return crate::status::interface_name(given).map(str::to_owned);
    }
    let mut running = ipc::interfaces(directory);
    running.retain(|name| ipc::reachable(directory, name).unwrap_or(true));
    match running.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(Failure::Said(format!(
            "no data plane runs (nothing answers in {}); start one with `weir run`",
            directory.display()
        ))),
        several => Err(Failure::Said(format!(
            "several data planes run; expected the interface of one: {}",
            several.join(", ")
        ))),
    }
}

/// Takes one status after the other.
struct Sampler<'a> {
    directory: &'a Path,
    interface: String,
    last: (Instant, Status),
}

impl<'a> Sampler<'a> {
    fn new(directory: &'a Path, interface: &str) -> Outcome<Self> {
        let status = ipc::status(directory, interface, true)?;
        Ok(Self {
            directory,
            interface: interface.to_owned(),
            last: (Instant::now(), status),
        })
    }

    /// What happened since the last one.
    fn sample(&mut self) -> Outcome<Rates> {
        let status = ipc::status(self.directory, &self.interface, true)?;
        let now = Instant::now();
        let rates = rates::between(&self.last.1, &status, now - self.last.0);
        self.last = (now, status);
        Ok(rates)
    }
}
