//! The terminal while pictures are drawn on it, and whatever wakes the one who draws.

use crate::error::{Failure, Outcome};
use crate::terminal::Terminal;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::termios::Termios;
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook::iterator::Signals;
use std::io::{self, Read as _};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// The other screen, without a cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// What wakes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wake {
    /// The time is over.
    Time,
    /// The screen has another size, or was away.
    Redraw,
    /// Enough.
    Quit,
}

enum Source {
    Key(u8),
    Signal(i32),
    Closed,
}

/// A screen of one's own until it is dropped, after which the terminal is as it was.
pub struct Screen {
    terminal: Terminal,
    sources: Receiver<Source>,
}

impl Screen {
    /// Takes the terminal over.
    pub fn enter() -> Outcome<Self> {
        let (sender, sources) = channel();
        watch_signals(sender.clone())?;
        let terminal = Terminal::open().map_err(Failure::Stdio)?;
        watch_keys(&terminal, sender).map_err(Failure::Stdio)?;
        let mut screen = Self { terminal, sources };
        screen.take().map_err(Failure::Stdio)?;
        restore_on_panic(screen.terminal.modes_before());
        Ok(screen)
    }

    /// Columns and rows.
    pub fn size(&self) -> (u16, u16) {
        self.terminal.size()
    }

    /// Draws the lines from the top, without a moment at which the screen is empty.
    pub fn draw(&mut self, lines: &[String]) -> Outcome<()> {
        let picture = format!("\x1b[H{}\x1b[K\x1b[J", lines.join("\x1b[K\r\n"));
        self.terminal.write(&picture).map_err(Failure::Stdio)
    }

    /// Waits until then, or until something else wakes.
    pub fn wait(&mut self, until: Instant) -> Outcome<Wake> {
        const INTERRUPT: u8 = 3;
        const END: u8 = 4;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.sources.recv_timeout(left.max(Duration::from_millis(1))) {
                Ok(Source::Key(b'q' | b'Q' | INTERRUPT | END) | Source::Closed) => return Ok(Wake::Quit),
                Ok(Source::Key(_)) => {}
                Ok(Source::Signal(SIGWINCH)) => return Ok(Wake::Redraw),
                Ok(Source::Signal(SIGTSTP)) => self.pause().map_err(Failure::Stdio)?,
                Ok(Source::Signal(SIGCONT)) => {
                    self.take().map_err(Failure::Stdio)?;
                    return Ok(Wake::Redraw);
                }
                Ok(Source::Signal(_)) | Err(RecvTimeoutError::Disconnected) => return Ok(Wake::Quit),
                Err(RecvTimeoutError::Timeout) => return Ok(Wake::Time),
            }
        }
    }

    fn take(&mut self) -> io::Result<()> {
        self.terminal.take_keys()?;
        self.terminal.write(ENTER)
    }

    /// Hands the terminal back for as long as this process is stopped.
    fn pause(&mut self) -> io::Result<()> {
        self.terminal.write(LEAVE)?;
        self.terminal.restore();
        kill(Pid::this(), Signal::SIGSTOP).map_err(io::Error::from)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Where the terminal is gone there is nothing to leave.
        let _ = self.terminal.write(LEAVE);
        self.terminal.restore();
    }
}

fn watch_signals(sender: Sender<Source>) -> Outcome<()> {
    let mut caught = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGTSTP, SIGCONT])
        .map_err(|error| Failure::Said(format!("signals cannot be caught: {error}")))?;
    thread::spawn(move || {
        for signal in caught.forever() {
            if sender.send(Source::Signal(signal)).is_err() {
                break;
            }
        }
    });
    Ok(())
}

fn watch_keys(terminal: &Terminal, sender: Sender<Source>) -> io::Result<()> {
    let mut keys = terminal.keys()?;
    thread::spawn(move || {
        let mut key = [0];
        loop {
            let source = match keys.read(&mut key) {
                Ok(1..) => Source::Key(key[0]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Ok(0) | Err(_) => Source::Closed,
            };
            let closed = matches!(source, Source::Closed);
            if sender.send(source).is_err() || closed {
                break;
            }
        }
    });
    Ok(())
}

/// A panic ends the process without dropping anything: what it says is to be readable, on a terminal that works.
fn restore_on_panic(before: Option<Termios>) {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if let Ok(mut terminal) = Terminal::open() {
            let _ = terminal.write(LEAVE);
            terminal.set_modes(before.as_ref());
        }
        usual(panic);
    }));
}
