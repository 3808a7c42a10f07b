//! One window of one case: packets and time on cores between two readings.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::super::counters::traffic;
use super::frames::Frames;
use super::sender::{self, Pace, Progress};
use super::threads::Thread;
use super::{Case, Direction, Place, arriving, ticks};
use crate::{LabError, Namespace, Result};

/// Time before a window in which queues fill.
const WARM_UP: Duration = Duration::from_millis(200);

/// Of frames that can be sent only once, so many are left when a window ends early.
const LEFT: u64 = 20_000;

/// How often it is looked whether they run out.
const LOOK: Duration = Duration::from_millis(5);

/// What one window found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Window {
    /// Packets that arrived behind the gateway.
    pub arrived: u64,
    /// The same in a second.
    pub carried_pps: f64,
    /// Packets that were sent to it in a second.
    pub offered_pps: f64,
    /// Time of the home shard's or the forwarder's core for each packet that arrived, in [`ticks::UNIT`].
    pub home: f64,
    /// Time of the receiving shard's core for each packet that it received, where that is another one.
    pub other: Option<f64>,
}

/// A thread, and what else is on its account.
pub(super) struct Worker<'a> {
    thread: &'a Thread,
    softirqs: Option<Thread>,
    waited: Option<&'a AtomicU64>,
}

/// Counters at one moment.
struct Reading {
    at: Instant,
    arrived: u64,
    sent: u64,
    home: Duration,
}

impl<'a> Worker<'a> {
    /// A thread that is held to a core: softirqs that its core serves beside it are its own doing.
    pub fn new(thread: &'a Thread, core: usize) -> Result<Self> {
        let softirqs = Some(Thread::of_softirqs(core)?);
        Ok(Self {
            softirqs,
            ..Self::alone(thread)
        })
    }

    /// A thread and what interrupts it.
    pub fn alone(thread: &'a Thread) -> Self {
        Self {
            thread,
            softirqs: None,
            waited: None,
        }
    }

    /// Less the nanoseconds that the thread says it waited.
    pub fn less(mut self, waited: &'a AtomicU64) -> Self {
        self.waited = Some(waited);
        self
    }

    /// Time on its core so far.
    pub fn worked(&self) -> Result<Duration> {
        // First, so that what is added meanwhile is taken for work of the next window.
        let waited = self.waited.map_or(0, |waited| waited.load(Ordering::Relaxed));
        let mut worked = self.thread.on_core()?;
        if let Some(softirqs) = &self.softirqs {
            worked += softirqs.on_core()?;
        }
        Ok(worked.saturating_sub(Duration::from_nanos(waited)))
    }
}

impl Place<'_> {
    /// Has frames sent to one of the gateway's queues for a while, as fast as can be.
    pub fn window(&self, case: Case, queue: u32, frames: &Frames, home: &Worker<'_>) -> Result<Window> {
        self.paced(case, queue, frames, Pace::Full, home)
    }

    /// The same at a pace.
    pub fn paced(
        &self,
        case: Case,
        queue: u32,
        frames: &Frames,
        pace: Pace,
        home: &Worker<'_>,
    ) -> Result<Window> {
        let (sink, device) = match case.direction {
            Direction::Out => (&self.lab.far, self.lab.wan.name),
            Direction::In => (&self.lab.server, self.lab.lan.name),
        };
        let sender = (self.cores.sender, pace);
        arriving::hold(self.lab, case.mode, self.cores)?;
        sender::flood((self.lab, self.stores), case, queue, frames, sender, |progress| {
            thread::sleep(WARM_UP);
            let before = Reading::take(sink, device, progress, home)?;
            let end = Instant::now() + self.settings.duration();
            while Instant::now() < end && !running_out(frames, progress) {
                thread::sleep(LOOK);
            }
            let after = Reading::take(sink, device, progress, home)?;
            before.until(&after).ok_or_else(|| LabError::Late {
                what: format!("any packet, {case}"),
                limit: self.settings.duration(),
            })
        })
    }
}

fn running_out(frames: &Frames, progress: &Progress) -> bool {
    frames.once && progress.sent() + LEFT > frames.count() as u64
}

impl Reading {
    fn take(sink: &Namespace, device: &str, progress: &Progress, home: &Worker<'_>) -> Result<Self> {
        let arrived = traffic(sink, device)?.received_packets;
        Ok(Self {
            arrived,
            sent: progress.sent(),
            home: home.worked()?,
            at: Instant::now(),
        })
    }

    /// What happened from here on; `None` where nothing arrived.
    fn until(&self, after: &Self) -> Option<Window> {
        let seconds = (after.at - self.at).as_secs_f64();
        let arrived = after
            .arrived
            .checked_sub(self.arrived)
            .filter(|&count| count > 0)?;
        let worked = ticks::of(after.home.saturating_sub(self.home));
        Some(Window {
            arrived,
            carried_pps: arrived as f64 / seconds,
            offered_pps: (after.sent - self.sent) as f64 / seconds,
            home: worked / arrived as f64,
            other: None,
        })
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.0} of {:.0} kpps, {:.0} {}",
            self.carried_pps / 1e3,
            self.offered_pps / 1e3,
            self.home,
            ticks::UNIT
        )?;
        self.other.map_or(Ok(()), |other| {
            write!(f, " and {other:.0} of the receiving shard")
        })
    }
}
