//! One shard's work for each packet over AF_XDP, beyond that of a bare forwarder on the same devices.
//!
//! In each mode, direction and size the forwarder has its turn, then a gateway with one shard, then one with two, of
//! which one receives every packet and the other is at home with the session. [`lab`] draws the topology. Packets are
//! counted where they arrive, time on a core is the scheduler's account of the thread and of its core's softirqs.

mod forwarder;
mod frames;
mod gateway;
mod lab;
mod report;
mod sender;
mod stores;
mod threads;
mod ticks;

pub use report::Report;

use std::thread;
use std::time::{Duration, Instant};

use weir_noise::Keypair;
use weir_xdp_prog::AttachMode;

use super::counters::traffic;
use super::interrupt::Stage;
use super::{Settings, cores};
use crate::{LabError, Namespace, Result};
use frames::Frames;
use gateway::Gateway;
use lab::Lab;
use sender::Progress;
use stores::Stores;
use threads::Thread;

/// Sizes of inner IPv4 packets.
const SIZES: [usize; 3] = [64, 512, 1420];

/// Time before a window in which queues fill.
const WARM_UP: Duration = Duration::from_millis(200);

/// Of frames that can be sent only once, so many are left when a window ends early.
const LEFT: u64 = 20_000;

/// How often it is looked whether they run out.
const LOOK: Duration = Duration::from_millis(5);

/// What is measured at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Case {
    mode: AttachMode,
    direction: Direction,
    /// Bytes of an inner packet.
    bytes: usize,
}

/// Where packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    /// From the LAN into the tunnel: they are sealed.
    Out,
    /// From the tunnel to the LAN: they are opened.
    In,
}

/// Who moves them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mover {
    /// The bare forwarder.
    Bare,
    /// A gateway with one shard.
    Weir,
    /// A gateway with two shards, every packet received by the one that is not its session's home.
    HandedOver,
}

/// Which core does what.
struct Cores {
    /// The forwarder, or the shard at home.
    home: usize,
    /// Sender.
    sender: usize,
    /// The other shard.
    other: usize,
    /// Everything else; the last of them once more where there are only three.
    rest: Vec<usize>,
    /// All of them, for what is prepared between two windows.
    all: Vec<usize>,
}

/// What one window found.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Window {
    /// Packets that arrived behind the gateway in a second.
    carried_pps: f64,
    /// Packets that were sent to it in a second.
    offered_pps: f64,
    /// Time of the home shard's or the forwarder's core for each packet that arrived, in [`ticks::UNIT`].
    home: f64,
    /// Time of the receiving shard's core, where that is another one.
    other: Option<f64>,
}

/// Takes every case in every round, saying on standard error what it finds.
pub(super) fn run(settings: &Settings, stage: &Stage) -> Result<Report> {
    let cores = Cores::of(&settings.xdp_cores)?;
    let mut report = Report::new(settings, ticks::per_second());
    let stores = Stores::default();
    for round in 1..=settings.rounds {
        for mode in [AttachMode::Driver, AttachMode::Generic] {
            let lab = Lab::new(stage)?;
            for mover in [Mover::Bare, Mover::Weir, Mover::HandedOver] {
                let mut found = |case: Case, window: Window| {
                    eprintln!(
                        "round {round} of {}, xdp, {} {} {} B, {}: {window}",
                        settings.rounds,
                        mode_name(mode),
                        case.direction.name(),
                        case.bytes,
                        mover.name()
                    );
                    report.add(case, mover, window);
                };
                let place = Place {
                    lab: &lab,
                    stores: &stores,
                    cores: &cores,
                    settings,
                };
                let outcome = place.take(mode, mover, &mut found);
                if let Err(error) = outcome {
                    eprintln!("round {round} of {}, xdp: {error}", settings.rounds);
                    report.failed(mode, mover, &error);
                }
            }
        }
    }
    Ok(report)
}

/// Where and with what a case is taken.
struct Place<'a> {
    lab: &'a Lab,
    stores: &'a Stores,
    cores: &'a Cores,
    settings: &'a Settings,
}

/// Who works for packets, and on what account.
struct Workers<'a> {
    home: [&'a Thread; 2],
    other: Option<[&'a Thread; 2]>,
}

impl Place<'_> {
    /// All directions and sizes of one mover.
    fn take(&self, mode: AttachMode, mover: Mover, found: &mut dyn FnMut(Case, Window)) -> Result<()> {
        let tools = (self.lab, self.stores);
        match mover {
            Mover::Bare => forwarder::run(tools, mode, self.cores.home, |thread| {
                self.take_all(mode, 0, &[Thread::own(thread)], None, found)
            }),
            Mover::Weir => {
                let mut gateway = Gateway::start(tools, mode, 1, self.cores)?;
                self.take_all(mode, 0, &gateway.shards, Some(&mut gateway.session), found)
            }
            Mover::HandedOver => {
                let mut gateway = Gateway::start(tools, mode, 2, self.cores)?;
                // The session is at home with the first shard, which has the first queue.
                self.take_all(mode, 1, &gateway.shards, Some(&mut gateway.session), found)?;
                match gateway.handed_over()? {
                    0 => Err(LabError::Missing {
                        program: "packets handed over".into(),
                        remedy: "the receiving shard is expected not to be the home",
                    }),
                    _ => Ok(()),
                }
            }
        }
    }

    fn take_all(
        &self,
        mode: AttachMode,
        queue: u32,
        shards: &[Thread],
        mut session: Option<&mut Keypair>,
        found: &mut dyn FnMut(Case, Window),
    ) -> Result<()> {
        let softirqs = [
            Thread::of_softirqs(self.cores.home)?,
            Thread::of_softirqs(self.cores.other)?,
        ];
        let workers = Workers {
            home: [&shards[0], &softirqs[0]],
            other: shards.get(1).map(|shard| [shard, &softirqs[1]]),
        };
        for direction in [Direction::Out, Direction::In] {
            for bytes in SIZES {
                let case = Case { mode, direction, bytes };
                cores::hold(&self.cores.all)?;
                let session = session.as_deref_mut();
                let frames = frames::of(self.lab, case, session, self.cores.all.len())?;
                cores::hold(&self.cores.rest)?;
                let window = self.window(case, queue, &frames, &workers)?;
                found(case, window);
            }
        }
        Ok(())
    }

    fn window(&self, case: Case, queue: u32, frames: &Frames, workers: &Workers<'_>) -> Result<Window> {
        let (sink, device) = match case.direction {
            Direction::Out => (&self.lab.far, self.lab.wan.name),
            Direction::In => (&self.lab.server, self.lab.lan.name),
        };
        let core = self.cores.sender;
        sender::flood((self.lab, self.stores), case, queue, frames, core, |progress| {
            thread::sleep(WARM_UP);
            let before = Reading::take(sink, device, progress, workers)?;
            let end = Instant::now() + self.settings.duration();
            while Instant::now() < end && !running_out(frames, progress) {
                thread::sleep(LOOK);
            }
            let after = Reading::take(sink, device, progress, workers)?;
            before.until(&after).ok_or_else(|| LabError::Late {
                what: format!("any packet of {} B {}", case.bytes, case.direction.name()),
                limit: self.settings.duration(),
            })
        })
    }
}

fn running_out(frames: &Frames, progress: &Progress) -> bool {
    frames.once && progress.sent() + LEFT > frames.count() as u64
}

/// Counters at one moment.
struct Reading {
    at: Instant,
    arrived: u64,
    sent: u64,
    home: Duration,
    other: Option<Duration>,
}

impl Reading {
    fn take(sink: &Namespace, device: &str, progress: &Progress, workers: &Workers<'_>) -> Result<Self> {
        let on_cores =
            |[thread, softirqs]: [&Thread; 2]| Ok::<_, LabError>(thread.on_core()? + softirqs.on_core()?);
        Ok(Self {
            home: on_cores(workers.home)?,
            other: workers.other.map(on_cores).transpose()?,
            arrived: traffic(sink, device)?.received_packets,
            sent: progress.sent(),
            at: Instant::now(),
        })
    }

    /// What happened from here on; `None` where nothing arrived.
    fn until(&self, after: &Self) -> Option<Window> {
        let seconds = (after.at - self.at).as_secs_f64();
        let arrived = after.arrived.checked_sub(self.arrived).filter(|&count| count > 0)? as f64;
        let each = |used: Duration| used.as_secs_f64() * ticks::per_second() / arrived;
        Some(Window {
            carried_pps: arrived / seconds,
            offered_pps: (after.sent - self.sent) as f64 / seconds,
            home: each(after.home - self.home),
            other: self
                .other
                .zip(after.other)
                .map(|(before, after)| each(after - before)),
        })
    }
}

impl Cores {
    fn of(cores: &[usize]) -> Result<Self> {
        let &[home, sender, other, ref rest @ ..] = cores else {
            return Err(LabError::Missing {
                program: "a third core".into(),
                remedy: "xdp holds sender, home shard and receiving shard to one each: CORES=all",
            });
        };
        Ok(Self {
            home,
            sender,
            other,
            rest: if rest.is_empty() { vec![other] } else { rest.to_vec() },
            all: cores.to_vec(),
        })
    }
}

impl Direction {
    fn name(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::In => "in",
        }
    }
}

impl Mover {
    fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare forwarder",
            Self::Weir => "weir",
            Self::HandedOver => "weir, all handed over",
        }
    }
}

fn mode_name(mode: AttachMode) -> &'static str {
    match mode {
        AttachMode::Driver => "driver",
        AttachMode::Generic => "generic",
    }
}

impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:.0} of {:.0} kpps, {:.0} {}",
            self.carried_pps / 1e3,
            self.offered_pps / 1e3,
            self.home,
            ticks::UNIT
        )?;
        self.other
            .map_or(Ok(()), |other| write!(f, " and {other:.0} of the receiving shard"))
    }
}
